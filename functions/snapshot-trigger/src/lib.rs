//! Starts and observes backup jobs; makes recovery points.

mod backups;
mod windows;

use holdfast_core::domain::{Detail, Event, Failure, JobKind};
use holdfast_core::workflow::{World, jobs};

pub use windows::pull_after_gap;

/// Takes in a person's request, if the event is one, and brings every backup job further.
pub async fn handle(world: &World, event: &Event) -> Result<(), Failure> {
    if let Detail::BackupRequested {
        request,
        resource,
        requested_by,
    } = &event.detail
    {
        backups::request(world, request, resource, requested_by).await?;
    }
    jobs::drive_due(world, JobKind::Backup, &backups::Backups).await
}
