//! Runs of recovery plans. A run is one stored record; any invocation brings it as far as it can go now. A run of kind
//! `simulate` changes nothing; a drill restores into an area of its own, which is always cleaned afterwards.

mod cleaning;
mod console;
mod requests;
mod runs;
mod steps;

use holdfast_core::domain::{Detail, Event, Failure, FailureKind, JobKind};
use holdfast_core::workflow::records;
use holdfast_core::workflow::{World, jobs};

pub use console::answer;

/// Takes in a request, if the event is one, and brings every run further.
pub async fn handle(world: &World, event: &Event) -> Result<(), Failure> {
    if let Detail::RunRequested {
        request,
        plan,
        kind,
        requested_by,
    } = &event.detail
    {
        requests::declare(world, request, plan, *kind, requested_by).await?;
    }
    jobs::drive_due(world, JobKind::Clean, &cleaning::Cleanings).await?;
    let mut first_failure = None;
    for entry in world.catalog.waking("run", world.now()).await? {
        match runs::advance(world, records::decode(entry)?).await {
            Err(failure) if failure.kind != FailureKind::Conflict => {
                first_failure.get_or_insert(failure);
            }
            Ok(()) | Err(_) => {}
        }
    }
    first_failure.map_or(Ok(()), Err)
}
