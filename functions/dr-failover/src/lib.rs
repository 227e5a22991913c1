//! Runs of recovery plans. A run is one stored record; any invocation brings it as far as it can go now. A run of kind
//! `simulate` changes nothing; a drill restores into an area of its own, which is always cleaned afterwards, and changes
//! only what stands for production. A switchover or failover changes production under the authority over its workload: what
//! it changed is taken back when a step fails, up to the first that cannot be; then it waits for a person.

mod acts;
mod cleaning;
mod console;
mod instructions;
mod left_out;
mod requests;
mod runs;
mod steps;
mod unwinding;
mod watching;

use holdfast_core::domain::{Detail, Event, Failure, FailureKind, JobKind};
use holdfast_core::workflow::records::{self, OPEN_RUN};
use holdfast_core::workflow::{FirstFailure, World, jobs};

pub use console::answer;

/// Takes in a request, if the event is one, and brings every run further. Where it takes two people to change production, an
/// event moves nothing: who publishes events may be anybody, who invokes this function is known.
pub async fn handle(world: &World, event: &Event) -> Result<(), Failure> {
    let moves = match &event.detail {
        Detail::RunRequested { kind, .. } => kind.touches_production(),
        Detail::RunInstructed { .. } => true,
        _ => false,
    };
    if moves && world.settings.two_people {
        let message =
            "what moves production, and what a run is told, is asked of dr-failover itself and not by an event";
        return Err(Failure::new(FailureKind::Denied, message));
    }
    let mut failures = FirstFailure::default();
    failures.keep(work(world, event).await);
    // Last: whoever does not answer is waited for here.
    failures.keep(left_out::catch_up(world).await);
    failures.into_result()
}

/// Does what an event says, whoever it comes from.
async fn work(world: &World, event: &Event) -> Result<(), Failure> {
    match &event.detail {
        Detail::RunRequested {
            request,
            plan,
            kind,
            requested_by,
        } => requests::declare(world, request, plan, *kind, requested_by).await?,
        Detail::RunInstructed { run, instruction, by } => instructions::follow(world, run, instruction, by).await?,
        Detail::WorkloadObserved {
            workload,
            place,
            up,
            note,
        } => {
            let seen = watching::Glance {
                place,
                up: *up,
                note,
                at: event.time,
            };
            watching::hear(world, workload, &seen).await?;
        }
        _ => {}
    }
    let mut failures = FirstFailure::default();
    failures.keep(jobs::drive_due(world, JobKind::Clean, &cleaning::Cleanings).await);
    for entry in world.catalog.waking(OPEN_RUN, world.now()).await? {
        if let Some(run) = failures.keep(records::decode(entry)) {
            failures.keep(runs::advance(world, run).await);
        }
    }
    failures.into_result()
}
