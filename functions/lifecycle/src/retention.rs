//! Applying a retention plan: marking, unmarking, and ordering the deletion of what has waited long enough.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_core::domain::{
    CopyState, Detail, Expiry, Failure, FailureKind, Order, Point, PointId, PointRef, Policy, PolicyId, ResourceId,
};
use holdfast_core::planning::{Decision, Inventory, RetentionPlan, plan_retention};
use holdfast_core::workflow::{FirstFailure, World, inventory, jobs};

/// Judges the points of `resource`, each by the policy that made it.
pub async fn apply(
    world: &World,
    policies: &[Policy],
    resource: &ResourceId,
    in_use: &BTreeSet<PointId>,
) -> Result<(), Failure> {
    let mut by_policy: BTreeMap<PolicyId, Vec<Point>> = BTreeMap::new();
    for point in inventory::points(world, resource).await? {
        if let Some((policy, _)) = &point.policy {
            by_policy.entry(policy.clone()).or_default().push(point);
        }
    }
    let mut failures = FirstFailure::default();
    for policy in policies {
        if let Some(points) = by_policy.get(&policy.id) {
            failures.keep(judge(world, policy, resource, points, in_use).await);
        }
    }
    failures.into_result()
}

async fn judge(
    world: &World,
    policy: &Policy,
    resource: &ResourceId,
    points: &[Point],
    in_use: &BTreeSet<PointId>,
) -> Result<(), Failure> {
    let plan = plan(world, policy, resource, points)?;
    let (kept, expired): (Vec<&Decision>, Vec<&Decision>) =
        plan.decisions.iter().partition(|decision| !decision.keep.is_empty());
    let mut failures = FirstFailure::default();
    // What is kept first, and whatever fails beside it: a mark that should not be there must not stay.
    for decision in kept.into_iter().chain(expired) {
        let Some(point) = points.iter().find(|point| point.id == decision.point) else {
            continue;
        };
        if decision.keep.is_empty() {
            failures.keep(expire(world, policy, point, decision, in_use).await);
        } else if point.expiry.is_some() {
            failures.keep(keep_after_all(world, &point.reference()).await);
        }
    }
    failures.into_result()
}

fn plan(world: &World, policy: &Policy, resource: &ResourceId, points: &[Point]) -> Result<RetentionPlan, Failure> {
    let inventory = Inventory { points, complete: true };
    plan_retention(&policy.draft.retention, &policy.draft.zone, &inventory, world.now()).map_err(|refusal| {
        let message = format!(
            "retention of {resource} under policy {} was not planned: {refusal}",
            policy.id
        );
        Failure::caused(FailureKind::Invalid, message, refusal)
    })
}

/// Why a point stays, as things are now, if it does: asked once more right before it is deleted.
pub async fn why_kept(world: &World, point: &Point) -> Result<Option<String>, Failure> {
    let made_by = point.policy.as_ref().map(|(id, _)| id);
    let policies = inventory::policies(world).await?;
    let Some(policy) = policies.iter().find(|policy| Some(&policy.id) == made_by) else {
        return Ok(Some("the policy that made it is not in force any more".to_owned()));
    };
    let mut points = inventory::points(world, &point.resource).await?;
    points.retain(|other| other.policy.as_ref().map(|(id, _)| id) == made_by);
    let plan = plan(world, policy, &point.resource, &points)?;
    let decision = plan.decisions.into_iter().find(|decision| decision.point == point.id);
    Ok(decision
        .filter(|decision| !decision.keep.is_empty())
        .map(|decision| decision.reason))
}

async fn expire(
    world: &World,
    policy: &Policy,
    point: &Point,
    decision: &Decision,
    in_use: &BTreeSet<PointId>,
) -> Result<(), Failure> {
    match &point.expiry {
        None => mark(world, policy, &point.reference(), &decision.reason).await,
        Some(expiry) if expiry.delete_after <= world.now() && !in_use.contains(&point.id) => delete(world, point).await,
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
