//! Restore requests: checked whole before anything is recorded.

use holdfast_core::domain::{
    Detail, Failure, FailureKind, Job, JobId, Order, Origin, Point, PointId, ResourceId, VaultName,
};
use holdfast_core::planning::choose_restore_source;
use holdfast_core::workflow::{World, inventory};

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreRequest {
    /// The request's own id: asking twice with one id is asking once.
    pub request: String,
    /// The resource.
    pub resource: ResourceId,
    /// The point; none means the newest that can be restored.
    pub point: Option<PointId>,
    /// The vault to read from; none means the first that is proven.
    pub vault: Option<VaultName>,
    /// The folder that receives the content, absolute.
    pub target: String,
    /// When given, only what matches one of these.
    pub include: Vec<String>,
    /// Whether files that stand in the target may be overwritten.
    pub overwrite: bool,
    /// Who asks.
    pub requested_by: String,
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
            requested_by: requested_by.clone(),
        })
    }
}

/// The job that fulfils a request, or why there is none. Changes nothing.
pub async fn plan(world: &World, request: &RestoreRequest) -> Result<Job, Failure> {
    check_target(&request.target)?;
    let resource = inventory::resource(world, &request.resource).await?;
    let point = choose_point(world, request).await?;
    let (copy, _) = choose_restore_source(&point, request.vault.as_ref())
        .map_err(|refusal| Failure::caused(FailureKind::Invalid, refusal.to_string(), refusal))?;
    let order = Order::Restore {
        point: point.reference(),
        from: point.location(copy),
        target: request.target.clone(),
        include: request.include.clone(),
        overwrite: request.overwrite,
        heartbeat: resource.heartbeat.filter(|_| request.include.is_empty()),
    };
    let origin = Origin::Request {
        request: request.request.clone(),
        requested_by: request.requested_by.clone(),
    };
    Ok(Job::pending(
        JobId::derive(&["restore", &request.request]),
        order,
        origin,
        world.now(),
    ))
}

fn check_target(target: &str) -> Result<(), Failure> {
    let refuse = |why: &str| {
        let message = format!("target \"{target}\" {why}; give the absolute path of a folder of its own");
        Err(Failure::new(FailureKind::Invalid, message))
    };
    if !target.starts_with('/') {
        return refuse("is not absolute");
    }
    if target.split('/').any(|part| part == "..") {
        return refuse("contains \"..\"");
    }
    if target.trim_matches('/').is_empty() {
        return refuse("is the root of the file system");
    }
    if target.contains('\0') {
        return refuse("contains a NUL byte");
    }
    Ok(())
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
