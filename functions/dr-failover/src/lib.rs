//! Runs of recovery plans. A run is one stored record; any invocation brings it as far as it can go now. A run of kind
//! `simulate` changes nothing; a drill restores into an area of its own, which is always cleaned afterwards.

mod cleaning;
mod console;
mod requests;
mod runs;
mod steps;

use holdfast_core::domain::{Detail, Event, Failure, JobKind};
use holdfast_core::workflow::records;
use holdfast_core::workflow::{FirstFailure, World, jobs};

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
    let mut failures = FirstFailure::default();
    failures.keep(jobs::drive_due(world, JobKind::Clean, &cleaning::Cleanings).await);
    for entry in world.catalog.waking("run", world.now()).await? {
        if let Some(run) = failures.keep(records::decode(entry)) {
            failures.keep(runs::advance(world, run).await);
        }
    }
    failures.into_result()
}
