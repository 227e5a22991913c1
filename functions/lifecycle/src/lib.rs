//! Retention and deletion: the only function that may delete, in two phases. What nothing keeps is marked with its
//! reason, waits, is judged once more, and only then goes; the space it took is reclaimed in two phases again.

mod deletions;
mod retention;

use holdfast_core::domain::{Event, Failure, JobKind};
use holdfast_core::workflow::{World, inventory, jobs};

/// Judges every point that a policy in force made, and brings every deletion further.
pub async fn handle(world: &World, _event: &Event) -> Result<(), Failure> {
    let resources = inventory::resources(world).await?;
    for policy in inventory::policies(world).await? {
        for resource in &resources {
            retention::apply(world, &policy, &resource.id).await?;
        }
    }
    jobs::drive_due(world, JobKind::Delete, &deletions::Deletions).await?;
    jobs::drive_due(world, JobKind::Reclaim, &deletions::Reclaims).await
}
