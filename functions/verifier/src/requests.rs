//! Verification on request: the same job as a planned one, only sooner.

use holdfast_core::domain::{Failure, FailureKind, Job, JobId, Order, Origin, PointId, ResourceId, VaultName};
use holdfast_core::workflow::{World, inventory, jobs};

/// Records the verification job that a person asks for. Asking twice with one request id is asking once.
pub async fn request(
    world: &World,
    request: &str,
    resource: &ResourceId,
    point: &PointId,
    vault: &VaultName,
    requested_by: &str,
) -> Result<Job, Failure> {
    let point = inventory::point(world, resource, point).await?;
    let Some(copy) = point.copy_in(vault) else {
        let message = format!(
            "recovery point {} of \"{resource}\" has no copy in vault \"{vault}\"",
            point.id
        );
        return Err(Failure::new(FailureKind::NotFound, message));
    };
    let order = Order::Verify {
        point: point.reference(),
        at: point.location(copy),
        level: point.resource_kind.routine_level(),
        trial: None,
    };
    let origin = Origin::Request {
        request: request.to_owned(),
        requested_by: requested_by.to_owned(),
        approved_by: None,
    };
    let id = JobId::derive(&["verify-request", request]);
    jobs::request(world, Job::pending(id, order, origin, world.now())).await
}
