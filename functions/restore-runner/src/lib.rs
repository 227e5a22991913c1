//! Restore jobs: a request is checked and recorded once, carried out, compared with its recovery point, and stated in
//! evidence.

mod console;
mod requests;
mod restores;

use holdfast_core::domain::{Event, Failure, FailureKind, JobKind};
use holdfast_core::workflow::{World, jobs};

pub use console::answer;
pub use requests::{RestoreRequest, plan};

/// Takes in a request, if the event is one, and brings every restore job further.
pub async fn handle(world: &World, event: &Event) -> Result<(), Failure> {
    if let Some(request) = RestoreRequest::of(&event.detail) {
        if world.settings.two_people {
            let message =
                "a restore needs two people here, and an event carries no approver; ask restore-runner directly";
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        let job = requests::plan(world, &request).await?;
        jobs::request(world, job).await?;
    }
    jobs::drive_due(world, JobKind::Restore, &restores::Restores).await
}
