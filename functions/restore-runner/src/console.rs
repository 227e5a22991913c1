//! What a person asks for in the console of AWS: a small payload, tried out before anything is done.
//!
//! `{"resource": "photos", "target": "s3://bucket/restored"}` says what a restore would do; with `"dry_run": false` and the
//! names of two people it is done; `{"status": "<request>"}` says how far it came.

use holdfast_core::config::payload::Payload;
use holdfast_core::domain::{
    Failure, FailureKind, Job, JobId, JobState, Order, PointId, Resource, ResourceId, Span, VaultName,
};
use holdfast_core::planning::choose_restore_source;
use holdfast_core::ports::{Observation, Task};
use holdfast_core::workflow::records::{self, Stored};
use holdfast_core::workflow::{World, inventory, jobs};
use serde_json::{Value, json};

use crate::requests::{self, RestoreRequest};
use crate::target;

/// Answers a payload.
pub async fn answer(world: &World, payload: &Value) -> Result<Value, Failure> {
    let mut read = Payload::of(payload)?;
    if read.has("status") {
        let request = read.text("status").map(str::to_owned);
        read.finish()?;
        return status(world, &request.unwrap_or_default()).await;
    }
    let asked = Asked::read(world, read).await?;
    let planned = requests::plan(world, &asked.request).await?;
    let will = will_do(world, &planned).await?;
    if asked.dry_run {
        return Ok(tried_out(&asked, &will));
    }
    let job = jobs::request(world, planned).await?;
    Ok(json!({
        "accepted": true,
        "request": asked.request.request,
        "job": job.id,
        "state": job.state,
        "restore": will,
        "requested_by": asked.request.requested_by,
        "approved_by": asked.request.approved_by,
        "next": format!("ask how far it came with {}", json!({ "status": asked.request.request })),
    }))
}

/// A payload that was understood.
struct Asked {
    request: RestoreRequest,
    dry_run: bool,
    /// What is missing before it may be done.
    needs: Vec<String>,
}

impl Asked {
    async fn read(world: &World, mut read: Payload<'_>) -> Result<Self, Failure> {
        let dry_run = read.flag("dry_run", true);
        let (resource, id) = resource(world, &mut read).await?;
        let example = resource.as_ref().map_or("s3://bucket/restored", target::example);
        let target = read.required_text("target", example).unwrap_or_default().to_owned();
        if let Some(resource) = resource.as_ref().filter(|_| !target.is_empty())
            && let Err(refusal) = target::check(resource, &target)
        {
            read.problem(refusal.message);
        }
        let point = point(&mut read);
        let vault = vault(world, &mut read);
        let include = read.texts("include");
        let overwrite = read.flag("overwrite", false);
        if let Some(resource) = resource.as_ref()
            && let Err(refusal) = requests::check_parts(resource, &include, overwrite)
        {
            read.problem(refusal.message);
        }
        let requested_by = read.text("requested_by").map(str::to_owned);
        let approved_by = read.text("approved_by").map(str::to_owned);
        let needs = approval_needs(requested_by.as_deref(), approved_by.as_deref());
        if !dry_run {
            needs.iter().for_each(|need| read.problem(need.clone()));
        }
        let named = read.text("request").map(str::to_owned);
        read.finish()?;
        let id = id.ok_or_else(|| Failure::new(FailureKind::Bug, "a payload without a resource was not refused"))?;
        let mut request = RestoreRequest {
            request: String::new(),
            resource: id,
            point,
            vault,
            target,
            include,
            overwrite,
            requested_by: requested_by.unwrap_or_default(),
            approved_by,
        };
        let chosen = requests::choose_point(world, &request).await?;
        request.point = Some(chosen.id);
        request.request = named.unwrap_or_else(|| derived(&request));
        Ok(Self {
            request,
            dry_run,
            needs,
        })
    }
}

/// The same content asked for by the same person is the same request; a newer point makes it another.
fn derived(request: &RestoreRequest) -> String {
    let content = json!([
        request.resource,
        request.point,
        request.vault,
        request.target,
        request.include,
        request.overwrite,
    ]);
    let id = JobId::derive(&["console-restore", &content.to_string(), &request.requested_by]);
    id.as_str().to_owned()
}

/// The resource that is named; one that is not known is a problem that lists those that are.
async fn resource(world: &World, read: &mut Payload<'_>) -> Result<(Option<Resource>, Option<ResourceId>), Failure> {
    let Some(text) = read.required_text("resource", "photos") else {
        return Ok((None, None));
    };
    let Some(id) = read.read("resource", ResourceId::new(text)) else {
        return Ok((None, None));
    };
    match inventory::resource(world, &id).await {
        Ok(resource) => Ok((Some(resource), Some(id))),
        Err(failure) if failure.kind == FailureKind::NotFound => {
            let known = inventory::resources(world).await?;
            let names: Vec<&str> = known.iter().map(|known| known.id.as_str()).collect();
            let names = if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            };
            read.problem(format!("`resource`: no resource is named \"{id}\"; there are: {names}"));
            Ok((None, Some(id)))
        }
        Err(failure) => Err(failure),
    }
}

fn point(read: &mut Payload<'_>) -> Option<PointId> {
    let text = read.text("point")?;
    if text == "newest" {
        return None;
    }
    let point = PointId::try_from(text.to_owned()).map_err(|error| format!("{error}, or write \"newest\""));
    read.read("point", point)
}

fn vault(world: &World, read: &mut Payload<'_>) -> Option<VaultName> {
    let name: VaultName = read.word("vault")?;
    if world.region_of(&name).is_none() {
        let known: Vec<&str> = world.settings.vaults.iter().map(|vault| vault.name.as_str()).collect();
        read.problem(format!(
            "`vault`: no vault is called \"{name}\"; there are: {}",
            known.join(", ")
        ));
    }
    Some(name)
}

/// What is missing of the two people that a restore needs.
fn approval_needs(requested_by: Option<&str>, approved_by: Option<&str>) -> Vec<String> {
    let mut needs = Vec::new();
    if requested_by.is_none() {
        needs.push("`requested_by`: the name of who asks".to_owned());
    }
    match (requested_by, approved_by) {
        (_, None) => needs.push("`approved_by`: the name of somebody else who agrees".to_owned()),
        (Some(asks), Some(agrees)) if asks.trim().eq_ignore_ascii_case(agrees.trim()) => {
            needs.push(format!(
                "`approved_by`: \"{agrees}\" asks already; somebody else must agree"
            ));
        }
        (_, Some(_)) => {}
    }
    needs
}

fn tried_out(asked: &Asked, will: &Value) -> Value {
    let next = if asked.needs.is_empty() {
        "nothing was done; send the same with \"dry_run\": false to do it"
    } else {
        "nothing was done; to do it, send the same with \"dry_run\": false and what it needs"
    };
    json!({ "dry_run": true, "would_restore": will, "needs": asked.needs, "next": next })
}

/// What a restore does, in words and figures.
async fn will_do(world: &World, job: &Job) -> Result<Value, Failure> {
    let Order::Restore {
        point: named,
        from,
        target,
        include,
        overwrite,
        ..
    } = &job.order
    else {
        return Err(Failure::new(
            FailureKind::Bug,
            "a restore was planned as something else",
        ));
    };
    let point = inventory::point(world, &named.resource, &named.id).await?;
    let (copy, why) = choose_restore_source(&point, Some(&from.vault))
        .map_err(|refusal| Failure::caused(FailureKind::Invalid, refusal.to_string(), refusal))?;
    let proofs = copy
        .proofs
        .iter()
        .map(|proof| json!({ "level": proof.level, "passed": proof.passed, "at": proof.at }));
    Ok(json!({
        "resource": named.resource,
        "kind": point.resource_kind,
        "point": named.id,
        "taken_at": named.taken_at,
        "age": Span::between(named.taken_at, world.now()),
        "is_partial": point.is_partial(),
        "bytes": point.size_bytes,
        "files": point.files,
        "from_vault": from.vault,
        "from_region": world.region_of(&from.vault),
        "why_this_copy": why,
        "proofs": proofs.collect::<Vec<_>>(),
        "to": target,
        "include": include,
        "overwrite": overwrite,
    }))
}

/// How far a request came.
async fn status(world: &World, request: &str) -> Result<Value, Failure> {
    let id = requests::job_id(request);
    let found: Option<Stored<Job>> = records::read(world.catalog.as_ref(), &records::job_key(&id)).await?;
    let Some(Stored { value: job, .. }) = found else {
        let message =
            format!("no restore was asked for as \"{request}\"; give the `request` of the answer that accepted it");
        return Err(Failure::new(FailureKind::NotFound, message));
    };
    let mut answer = json!({
        "request": request,
        "job": job.id,
        "state": job.state,
        "requested_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "origin": job.origin,
        "restore": will_do(world, &job).await?,
        "failure": job.failure,
        "result": job.result,
    });
    if job.state == JobState::Running {
        answer["progress"] = progress(world, &job).await;
    }
    Ok(answer)
}

/// What the engine sees. That it cannot be asked now is an answer too.
async fn progress(world: &World, job: &Job) -> Value {
    match world.engine.observe(&Task::of(job)).await {
        Ok(Observation::Running(progress)) => json!(progress),
        Ok(Observation::NotStarted) => json!("waits to be started"),
        Ok(Observation::Completed(_)) => json!("done; it will be recorded at the next wake-up"),
        Ok(Observation::Failed { message, .. }) => json!(format!("an attempt failed: {message}")),
        Err(failure) => json!(format!("not known now: {}", failure.message)),
    }
}
