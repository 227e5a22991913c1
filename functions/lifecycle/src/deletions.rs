//! Deletion jobs: a deleted copy leaves the record of its point as history, and its space to be reclaimed.

use async_trait::async_trait;
use holdfast_core::domain::{
    CopyState, Detail, Failure, FailureKind, Job, JobId, Order, Origin, Outcome, Point, PointState, Span,
};
use holdfast_core::workflow::jobs::Settle;
use holdfast_core::workflow::records::{self, Stored};
use holdfast_core::workflow::{World, inventory, jobs};

use crate::{in_use, retention};

/// After how long a deletion is looked at again that waits for others to be done with its point.
const USE_WAIT: Span = Span::minutes(5);

/// How deletion jobs end.
pub struct Deletions;

#[async_trait]
impl Settle for Deletions {
    /// Between the order and its execution may lie an outage: what was held, or found worth keeping, since then stays.
    async fn objection(&self, world: &World, job: &Job) -> Result<Option<String>, Failure> {
        let Some(point) = job.order.point() else {
            return Ok(None);
        };
        let stored: Stored<Point> = records::require(world.catalog.as_ref(), &records::point_key(point)).await?;
        let objection = match (&stored.value.legal_hold, &stored.value.expiry) {
            (Some(why), _) => Some(format!("the point was put under legal hold ({why})")),
            (None, None) => Some("the point is kept after all".to_owned()),
            (None, Some(expiry)) if expiry.delete_after > world.now() => Some(format!(
                "the point was marked anew and waits until {}",
                expiry.delete_after
            )),
            (None, Some(_)) => retention::why_kept(world, &stored.value)
                .await?
                .map(|why| format!("the point is kept after all: {why}")),
        };
        if objection.is_none() && in_use::points(world).await?.contains(&point.id) {
            let message = format!("point {} is in use by another job", point.id.short());
            return Err(Failure::deferred(message, USE_WAIT.after(world.now())));
        }
        Ok(objection)
    }

    async fn completed(&self, world: &World, job: &mut Stored<Job>, _outcome: &Outcome) -> Result<(), Failure> {
        let Order::Delete { point, at } = &job.value.order else {
            let message = format!("deletion job {} holds an order that is none", job.value.id);
            return Err(Failure::new(FailureKind::Bug, message));
        };
        let amended = inventory::amend_point(world, point, |point| {
            let standing = point.copies.iter_mut().filter(|copy| {
                copy.vault == at.vault && copy.artefact == at.artefact && copy.state != CopyState::Deleted
            });
            standing.map(|copy| copy.state = CopyState::Deleted).count() > 0
        })
        .await?;
        if amended.state == PointState::Deleted {
            world.publish(Detail::PointDeleted { point: point.clone() }).await?;
        }
        reclaim(world, &job.value, Span::seconds(0)).await
    }
}

/// How reclaiming jobs end.
pub struct Reclaims;

#[async_trait]
impl Settle for Reclaims {
    /// What was condemned now can be deleted once it has waited: another pass comes back then.
    async fn completed(&self, world: &World, job: &mut Stored<Job>, outcome: &Outcome) -> Result<(), Failure> {
        match outcome {
            Outcome::Reclaim { condemned: 0, .. } => Ok(()),
            _ => {
                reclaim(
                    world,
                    &job.value,
                    Span::seconds(world.settings.reclaim_grace.as_seconds() + 60),
                )
                .await
            }
        }
    }
}

/// Records the reclaiming pass that follows `cause`.
async fn reclaim(world: &World, cause: &Job, wait: Span) -> Result<(), Failure> {
    let (resource, vault) = match &cause.order {
        Order::Delete { at, .. } => (at.resource.clone(), at.vault.clone()),
        Order::Reclaim { resource, vault, .. } => (resource.clone(), vault.clone()),
        _ => return Ok(()),
    };
    let order = Order::Reclaim {
        resource,
        vault,
        grace_seconds: world.settings.reclaim_grace.as_seconds(),
    };
    let origin = Origin::Plan {
        reason: format!(
            "{} job {} left space behind",
            cause.order.kind().as_str(),
            cause.id.short()
        ),
    };
    let mut job = Job::pending(
        JobId::derive(&["reclaim", cause.id.as_str()]),
        order,
        origin,
        world.now(),
    );
    job.next_action_at = wait.after(world.now());
    jobs::request(world, job).await.map(|_| ())
}
