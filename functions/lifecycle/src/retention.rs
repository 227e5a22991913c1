//! Applying a retention plan: marking, unmarking, and ordering the deletion of what has waited long enough.

use holdfast_core::domain::{
    CopyState, Detail, Expiry, Failure, FailureKind, JobKind, Order, Point, PointId, PointRef, Policy, ResourceId,
};
use holdfast_core::planning::{Decision, Inventory, plan_retention};
use holdfast_core::workflow::{World, inventory, jobs};

/// Judges the points that `policy` made of `resource`.
pub async fn apply(world: &World, policy: &Policy, resource: &ResourceId) -> Result<(), Failure> {
    let made_by_policy = |point: &Point| point.policy.as_ref().is_some_and(|(id, _)| id == &policy.id);
    let mut points = inventory::points(world, resource).await?;
    points.retain(made_by_policy);
    if points.is_empty() {
        return Ok(());
    }
    let inventory = Inventory {
        points: &points,
        complete: true,
    };
    let plan =
        plan_retention(&policy.draft.retention, &policy.draft.zone, &inventory, world.now()).map_err(|refusal| {
            let message = format!(
                "retention of {resource} under policy {} was not planned: {refusal}",
                policy.id
            );
            Failure::caused(FailureKind::Invalid, message, refusal)
        })?;
    for decision in &plan.decisions {
        let Some(point) = points.iter().find(|point| point.id == decision.point) else {
            continue;
        };
        if decision.keep.is_empty() {
            expire(world, policy, point, decision).await?;
        } else if point.expiry.is_some() {
            keep_after_all(world, &point.reference()).await?;
        }
    }
    Ok(())
}

async fn expire(world: &World, policy: &Policy, point: &Point, decision: &Decision) -> Result<(), Failure> {
    match &point.expiry {
        None => mark(world, policy, &point.reference(), &decision.reason).await,
        Some(expiry) if expiry.delete_after <= world.now() => delete(world, point).await,
        Some(_) => Ok(()),
    }
}

async fn mark(world: &World, policy: &Policy, point: &PointRef, reason: &str) -> Result<(), Failure> {
    let now = world.now();
    let delete_after = policy.draft.delete_after.after(now);
    let expiry = Expiry {
        reason: reason.to_owned(),
        marked_at: now,
        delete_after,
    };
    inventory::amend_point(world, point, |point| {
        let unmarked = point.expiry.is_none() && point.legal_hold.is_none();
        if unmarked {
            point.expiry = Some(expiry.clone());
        }
        unmarked
    })
    .await?;
    world
        .publish(Detail::PointExpiring {
            point: point.clone(),
            delete_after,
        })
        .await
}

async fn keep_after_all(world: &World, point: &PointRef) -> Result<(), Failure> {
    inventory::amend_point(world, point, |point| point.expiry.take().is_some()).await?;
    Ok(())
}

async fn delete(world: &World, point: &Point) -> Result<(), Failure> {
    if is_in_use(world, &point.id).await? {
        return Ok(());
    }
    for copy in point.copies.iter().filter(|copy| copy.state != CopyState::Deleted) {
        let work = ["delete", point.id.as_str(), copy.vault.as_str(), &copy.artefact];
        let order = Order::Delete {
            point: point.reference(),
            at: point.location(copy),
        };
        let reason = point
            .expiry
            .as_ref()
            .map_or_else(String::new, |expiry| expiry.reason.clone());
        jobs::request_planned(world, &work, order, reason).await?;
    }
    Ok(())
}

/// Whether a job that has not ended reads or writes the point, or compares with it.
async fn is_in_use(world: &World, point: &PointId) -> Result<bool, Failure> {
    for kind in [
        JobKind::Backup,
        JobKind::Copy,
        JobKind::Verify,
        JobKind::Repair,
        JobKind::Restore,
    ] {
        for job in jobs::open_jobs(world, kind).await? {
            let order = &job.value.order;
            let is_base = matches!(order, Order::Backup { base: Some((base, _)), .. } if base == point);
            if is_base || order.point().is_some_and(|used| &used.id == point) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
