//! Runs of recovery plans. A run is one stored record; any invocation brings it as far as it can go now. A run of kind
//! `simulate` changes nothing; a drill restores into an area of its own, which is always cleaned afterwards, and changes
//! only what stands for production. A switchover or failover changes production under the authority over its workload: what
//! it changed is taken back when a step fails, up to the first that cannot be; then it waits for a person.

mod acts;
mod cleaning;
mod console;
mod contacts;
mod instructions;
mod left_out;
mod requests;
mod restoring;
mod runs;
mod spending;
mod steps;
mod unwinding;
mod watching;

use holdfast_core::domain::{Detail, Event, Failure, FailureKind, JobKind, Run};
use holdfast_core::workflow::records::{self, HELD_RUN, OPEN_RUN, Stored};
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
            level,
            requested_by,
        } => {
            requests::declare(world, request, plan, (*kind, *level), requested_by).await?;
        }
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
    for mut run in waiting(world, &mut failures).await? {
        // Whoever cannot be told keeps no run from going on.
        failures.keep(contacts::tell(world, &mut run).await);
        failures.keep(runs::advance(world, run).await);
    }
    failures.into_result()
}

/// Every run whose time to be looked at has come: those of a higher priority first, then those that were declared first.
async fn waiting(world: &World, failures: &mut FirstFailure) -> Result<Vec<Stored<Run>>, Failure> {
    let mut runs: Vec<Stored<Run>> = Vec::new();
    for status in [OPEN_RUN, HELD_RUN] {
        let entries = world.catalog.waking(status, world.now()).await?;
        runs.extend(
            entries
                .into_iter()
                .filter_map(|entry| failures.keep(records::decode(entry))),
        );
    }
    runs.sort_by_key(|run| (run.value.plan.priority.unwrap_or(u8::MAX), run.value.declared_at));
    Ok(runs)
}
