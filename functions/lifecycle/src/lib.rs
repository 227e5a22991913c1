//! Retention and deletion: the only function that may delete, in two phases. What nothing keeps is marked with its
//! reason, waits, is judged once more, and only then goes; the space it took is reclaimed in two phases again.

mod deletions;
mod in_use;
mod retention;

use holdfast_core::domain::{Event, Failure, JobKind};
use holdfast_core::planning::looked_at;
use holdfast_core::workflow::{FirstFailure, World, in_force, jobs};

/// Judges the points of what is looked at that a policy in force made, and brings every deletion further.
pub async fn handle(world: &World, event: &Event) -> Result<(), Failure> {
    let in_force = in_force(world).await?;
    let judged = looked_at(&in_force.resources, event);
    let mut failures = FirstFailure::default();
    if !judged.is_empty() {
        let in_use = in_use::points(world).await?;
        for resource in judged {
            failures.keep(retention::apply(world, &in_force.policies, &resource.id, &in_use).await);
        }
    }
    failures.keep(jobs::drive_due(world, JobKind::Delete, &deletions::Deletions).await);
    failures.keep(jobs::drive_due(world, JobKind::Reclaim, &deletions::Reclaims).await);
    failures.into_result()
}
