//! Restore requests: checked whole before anything is recorded.

use holdfast_core::domain::{
    Detail, Failure, FailureKind, Job, JobId, Location, Moment, Order, Origin, Point, PointId, Resource, ResourceId,
    ResourceKind, ServerRecovery, VaultName,
};
use holdfast_core::planning::{check_target, choose_recovery_start, choose_restore_source};
use holdfast_core::workflow::{World, inventory};

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreRequest {
    /// The request's own id: asking twice with one id is asking once.
    pub request: String,
    /// The resource.
    pub resource: ResourceId,
    /// The point; none means the newest that can be restored, or that leads to where a server is to recover to.
    pub point: Option<PointId>,
    /// The vault to read from; none means the first that is proven.
    pub vault: Option<VaultName>,
    /// Where to: an absolute folder or `s3://bucket/prefix` for content, a new name for what a service restores.
    pub target: String,
    /// When given, only what matches one of these.
    pub include: Vec<String>,
    /// Whether files that stand in the target may be overwritten.
    pub overwrite: bool,
    /// The moment that a server is to recover to; none means the point as it is.
    pub to: Option<Moment>,
    /// Who asks.
    pub requested_by: String,
    /// Who agreed, where the request came that way.
    pub approved_by: Option<String>,
}

impl RestoreRequest {
    /// The request in an event, if it is one.
    pub fn of(detail: &Detail) -> Option<Self> {
        let Detail::RestoreRequested {
            request,
            resource,
            point,
            vault,
            target,
            include,
            overwrite,
            to,
            requested_by,
        } = detail
        else {
            return None;
        };
        Some(Self {
            request: request.clone(),
            resource: resource.clone(),
            point: point.clone(),
            vault: vault.clone(),
            target: target.clone(),
            include: include.clone(),
            overwrite: *overwrite,
            to: *to,
            requested_by: requested_by.clone(),
            approved_by: None,
        })
    }
}

/// The job that fulfils a request, or why there is none. Changes nothing.
pub async fn plan(world: &World, request: &RestoreRequest) -> Result<Job, Failure> {
    let resource = inventory::resource(world, &request.resource).await?;
    check_target_of(&resource, &request.target)?;
    check_parts(&resource, &request.include, request.overwrite)?;
    check_moment(&resource, request.to, &request.include)?;
    let source = choose_source(world, request).await?;
    let order = Order::Restore {
        point: source.point.reference(),
        from: source.from,
        target: request.target.clone(),
        include: request.include.clone(),
        overwrite: request.overwrite,
        heartbeat: resource.heartbeat.filter(|_| request.include.is_empty()),
        recovery: source.recovery,
    };
    let origin = Origin::Request {
        request: request.request.clone(),
        requested_by: request.requested_by.clone(),
        approved_by: request.approved_by.clone(),
    };
    Ok(Job::pending(job_id(&request.request), order, origin, world.now()))
}

/// Refuses a target that cannot be meant for this resource.
pub(crate) fn check_target_of(resource: &Resource, target: &str) -> Result<(), Failure> {
    check_target(resource.kind, target)?;
    if resource.kind.is_content() || target != resource.path {
        return Ok(());
    }
    let message = format!(
        "target \"{target}\" is the protected resource itself; give a new name: a service restores beside what there is"
    );
    Err(Failure::new(FailureKind::Invalid, message))
}

/// Whether somebody else agreed to what one person asked for.
pub(crate) fn has_two_people(origin: &Origin) -> bool {
    match origin {
        Origin::Request {
            requested_by,
            approved_by: Some(approved_by),
            ..
        } => is_another(requested_by, approved_by),
        _ => false,
    }
}

/// Whether two names are those of different people.
pub(crate) fn is_another(asks: &str, agrees: &str) -> bool {
    !asks.trim().is_empty() && !agrees.trim().is_empty() && !asks.trim().eq_ignore_ascii_case(agrees.trim())
}

/// Refuses to restore a part of what a service restores only as a whole, or over what stands there.
pub(crate) fn check_parts(resource: &Resource, include: &[String], overwrite: bool) -> Result<(), Failure> {
    if resource.kind.is_content() || (include.is_empty() && !overwrite) {
        return Ok(());
    }
    let message = format!(
        "\"{}\" is of kind {}: a service restores all of it beside what there is; leave out `include` and `overwrite`",
        resource.id,
        resource.kind.as_str()
    );
    Err(Failure::new(FailureKind::Invalid, message))
}

/// Refuses a moment for what keeps no log, and for a part of a server.
pub(crate) fn check_moment(resource: &Resource, to: Option<Moment>, include: &[String]) -> Result<(), Failure> {
    let why = match to {
        Some(to) if resource.kind != ResourceKind::Postgres => format!(
            "\"{}\" is of kind {}: only the log of a PostgreSQL server is restored here; {}",
            resource.id,
            resource.kind.as_str(),
            elsewhere(resource, to)
        ),
        Some(_) if !include.is_empty() => "a server recovers as a whole: leave out `include`, or `to`".to_owned(),
        _ => return Ok(()),
    };
    Err(Failure::new(FailureKind::Invalid, why))
}

/// How a moment is reached that is not restored here.
fn elsewhere(resource: &Resource, to: Moment) -> String {
    let (command, time) = match resource.kind {
        ResourceKind::Rds => (
            format!(
                "aws rds restore-db-instance-to-point-in-time --source-db-instance-identifier {} --target-db-instance-identifier NEW",
                resource.path
            ),
            "--restore-time",
        ),
        ResourceKind::Aurora => (
            format!(
                "aws rds restore-db-cluster-to-point-in-time --source-db-cluster-identifier {} --db-cluster-identifier NEW",
                resource.path
            ),
            "--restore-to-time",
        ),
        _ => return "leave out `to`, and name a `point`".to_owned(),
    };
    let until = match to {
        Moment::Latest => "--use-latest-restorable-time".to_owned(),
        Moment::At(at) => format!("{time} {at}"),
    };
    format!("RDS makes a new database of that moment by `{command} {until}`, or leave out `to`, and name a `point`")
}

/// The job that fulfils the request of this id.
pub(crate) fn job_id(request: &str) -> JobId {
    JobId::derive(&["restore", request])
}

/// What a restore reads.
pub(crate) struct Source {
    pub(crate) point: Point,
    pub(crate) from: Location,
    pub(crate) recovery: Option<ServerRecovery>,
}

/// The point and the copy that a request is fulfilled from: for a moment those from which log leads there.
pub(crate) async fn choose_source(world: &World, request: &RestoreRequest) -> Result<Source, Failure> {
    let Some(to) = request.to else {
        let point = choose_point(world, request).await?;
        let (copy, _) = choose_restore_source(&point, request.vault.as_ref())
            .map_err(|refusal| Failure::caused(FailureKind::Invalid, refusal.to_string(), refusal))?;
        let from = point.location(copy);
        return Ok(Source {
            point,
            from,
            recovery: None,
        });
    };
    let windows = inventory::windows(world, &request.resource).await?;
    let points = inventory::points(world, &request.resource).await?;
    let start = choose_recovery_start(&windows, &points, to, request.vault.as_ref(), request.point.as_ref()).map_err(
        |refusal| {
            let message = format!("resource \"{}\": {refusal}", request.resource);
            Failure::caused(FailureKind::Invalid, message, refusal)
        },
    )?;
    Ok(Source {
        from: start.point.location(start.copy),
        recovery: Some(ServerRecovery {
            to,
            timeline: start.stretch.timeline,
        }),
        point: start.point.clone(),
    })
}

async fn choose_point(world: &World, request: &RestoreRequest) -> Result<Point, Failure> {
    if let Some(id) = &request.point {
        return inventory::point(world, &request.resource, id).await;
    }
    let points = inventory::points(world, &request.resource).await?;
    let usable = |point: &&Point| point.is_restorable() && choose_restore_source(point, request.vault.as_ref()).is_ok();
    points.iter().rev().find(usable).cloned().ok_or_else(|| {
        let place = request
            .vault
            .as_ref()
            .map_or_else(String::new, |vault| format!(" in vault \"{vault}\""));
        let message = format!(
            "resource \"{}\" has no recovery point{place} that can be restored",
            request.resource
        );
        Failure::new(FailureKind::NotFound, message)
    })
}
