//! What a person asks for in the console of AWS: a small payload, tried out before anything is done.
//!
//! `{"resource": "photos", "target": "s3://bucket/restored"}` says what a restore would do; with `"dry_run": false` and the
//! names of two people it is done; `{"status": "<request>"}` says how far it came. With `"to": "<time>"` a server recovers to
//! that moment.

use holdfast_core::config::payload::Payload;
use holdfast_core::domain::{
    Failure, FailureKind, Job, JobId, JobState, Location, Order, Origin, PointId, PointRef, Resource, ResourceId,
    ResourceKind, ServerRecovery, Span, VaultName,
};
use holdfast_core::planning::{choose_recovery_start, choose_restore_source, told};
use holdfast_core::ports::{Observation, Task};
use holdfast_core::workflow::records::{self, Stored};
use holdfast_core::workflow::{World, inventory, jobs};
use serde_json::{Value, json};

use crate::requests::{self, RestoreRequest};

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
    if asked.dry_run {
        return Ok(tried_out(&asked, &will_do(world, &planned).await?));
    }
    let job = jobs::request(world, planned.clone()).await?;
    if !is_asked_by(&job, &planned, asked.request.vault.is_some()) {
        let message = format!(
            "request \"{}\" is another restore already: ask with {}, or give another `request`",
            asked.request.request,
            json!({ "status": asked.request.request })
        );
        return Err(Failure::new(FailureKind::Conflict, message));
    }
    accepted(world, &asked.request.request, &job).await
}

/// Whether a job that was recorded under this id is the one that the payload asks for. Which copy it reads may have been
/// chosen anew since, unless the payload names the vault.
fn is_asked_by(job: &Job, planned: &Job, in_vault: bool) -> bool {
    let mut order = planned.order.clone();
    if let (Order::Restore { from, .. }, Order::Restore { from: chosen, .. }) = (&mut order, &job.order)
        && (!in_vault || from.vault == chosen.vault)
    {
        *from = chosen.clone();
    }
    job.origin == planned.origin && job.order == order
}

/// What became of a request, as its job's record has it.
async fn accepted(world: &World, request: &str, job: &Job) -> Result<Value, Failure> {
    let (requested_by, approved_by) = match &job.origin {
        Origin::Request {
            requested_by,
            approved_by,
            ..
        } => (Some(requested_by), approved_by.as_ref()),
        Origin::Occurrence { .. } | Origin::Plan { .. } | Origin::Run { .. } => (None, None),
    };
    let is_over = job.state.is_final();
    let next = if is_over {
        "this request is over; give another `request` to do it again".to_owned()
    } else {
        format!("ask how far it came with {}", json!({ "status": request }))
    };
    Ok(json!({
        "accepted": !is_over,
        "request": request,
        "job": job.id,
        "state": job.state,
        "restore": will_do(world, job).await?,
        "requested_by": requested_by,
        "approved_by": approved_by,
        "next": next,
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
        let example = resource.as_ref().map_or("s3://bucket/restored", example);
        let target = read.required_text("target", example).unwrap_or_default().to_owned();
        if let Some(resource) = resource.as_ref().filter(|_| !target.is_empty())
            && let Err(refusal) = requests::check_target_of(resource, &target)
        {
            read.problem(refusal.message);
        }
        let point = point(&mut read);
        let vault = vault(world, &mut read);
        let include = read.texts("include");
        let overwrite = read.flag("overwrite", false);
        let to = read.word("to");
        if let Some(resource) = resource.as_ref() {
            let checks = [
                requests::check_parts(resource, &include, overwrite),
                requests::check_moment(resource, to, &include),
            ];
            let refusals = checks.into_iter().filter_map(Result::err);
            refusals.for_each(|refusal| read.problem(refusal.message));
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
            to,
            requested_by: requested_by.unwrap_or_default(),
            approved_by,
        };
        let chosen = requests::choose_source(world, &request).await?;
        request.point = Some(chosen.point.id);
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
    let (content, to) = (content.to_string(), request.to.map(String::from));
    let parts = ["console-restore", &content, &request.requested_by].into_iter();
    let id = JobId::derive(&parts.chain(to.as_deref()).collect::<Vec<_>>());
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

/// What could stand as the target of a restore of this resource.
fn example(resource: &Resource) -> &'static str {
    match resource.kind {
        ResourceKind::Files | ResourceKind::S3 => "s3://bucket/restored",
        ResourceKind::Postgres => "/var/lib/postgresql/restored",
        ResourceKind::Rds | ResourceKind::Aurora => "orders-restored",
        ResourceKind::Dynamodb | ResourceKind::AwsBackup => "orders_restored",
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
        (Some(asks), Some(agrees)) if !requests::is_another(asks, agrees) => {
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
        recovery,
        ..
    } = &job.order
    else {
        return Err(Failure::new(
            FailureKind::Bug,
            "a restore was planned as something else",
        ));
    };
    let point = inventory::point(world, &named.resource, &named.id).await?;
    // A copy that is gone by now, or damaged, does not keep the record of an old restore from being read.
    let (proofs, why) = match choose_restore_source(&point, Some(&from.vault)) {
        Ok((copy, why)) => (copy.proofs.as_slice(), json!(why)),
        Err(refusal) => (&[][..], json!(refusal.to_string())),
    };
    let proofs = proofs
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
        "target": target,
        "include": include,
        "overwrite": overwrite,
        "recovery": match recovery {
            Some(recovery) => Some(will_recover(world, named, from, *recovery).await?),
            None => None,
        },
    }))
}

/// How far a server will recover, and what could be restored otherwise.
async fn will_recover(
    world: &World,
    base: &PointRef,
    from: &Location,
    recovery: ServerRecovery,
) -> Result<Value, Failure> {
    let windows = inventory::windows(world, &base.resource).await?;
    let points = inventory::points(world, &base.resource).await?;
    // That the window has moved on does not keep the record of an old restore from being read.
    let start = |wanted| choose_recovery_start(&windows, &points, recovery.to, Some(&from.vault), wanted);
    let newest = start(None).ok().filter(|start| start.point.id == base.id);
    let why = newest
        .map_or_else(|| start(Some(&base.id)), Ok)
        .map_or_else(|refusal| refusal.to_string(), |start| start.reason);
    let window = windows.iter().find(|window| window.vault == from.vault);
    Ok(json!({
        "to": recovery.to,
        "timeline": recovery.timeline,
        "base": base.id,
        "why_this_base": why,
        "restorable": window.map(told),
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
