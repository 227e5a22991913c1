//! What a failover left out, because the side that it left may not have answered: done when that side answers, so that what
//! comes back there does not work beside what has taken its place. It goes under the failover's authority. Another run that
//! moves the workload ends it: what that one wants of either side it does itself.

use holdfast_core::domain::{
    Act, Failure, FailureKind, LeftOut, Run, RunKind, Seen, Span, StepAction, StepName, StepState,
};
use holdfast_core::planning::{Phase, phase};
use holdfast_core::ports::{Page, Severity};
use holdfast_core::workflow::records::{self, LEFT_OUT, Stored};
use holdfast_core::workflow::{FirstFailure, World, authority};

use crate::acts;

/// How long until what could not be done is tried again.
const PAUSE: Span = Span::minutes(1);

/// Records what a run that succeeded has left out. Recording it twice is recording it once.
pub async fn record(world: &World, run: &Run) -> Result<(), Failure> {
    let steps = of(run);
    if steps.is_empty() {
        return Ok(());
    }
    let left_out = LeftOut {
        run: run.id.clone(),
        steps,
        note: String::new(),
        next_action_at: world.now(),
    };
    records::insert(world.catalog.as_ref(), &left_out).await.map(|_| ())
}

/// The steps of a failover that would have ended work on the side that it left. What a person left out stays so.
fn of(run: &Run) -> Vec<StepName> {
    if run.kind != RunKind::Disaster {
        return Vec::new();
    }
    let ends_work = |action: &StepAction| {
        matches!(
            action,
            StepAction::Act {
                act: Act::Fence | Act::Stop,
                ..
            }
        )
    };
    let left_out = run.steps.iter().enumerate().filter(|(place, record)| {
        record.state == StepState::Skipped
            && acts::left_out(run, *place).as_ref() == Some(&record.note)
            && ends_work(&record.step.action)
            && phase(&run.plan, &record.step.name) == Phase::Deactivate
    });
    left_out.map(|(_, record)| record.step.name.clone()).collect()
}

/// Does what is due of what failovers left out.
pub async fn catch_up(world: &World) -> Result<(), Failure> {
    let mut failures = FirstFailure::default();
    for entry in world.catalog.waking(LEFT_OUT, world.now()).await? {
        if let Some(left_out) = failures.keep(records::decode(entry)) {
            failures.keep(go_on(world, left_out).await);
        }
    }
    failures.into_result()
}

/// Tries each step once, up to the first that is not answered: what stands beside it hardly answers either.
async fn go_on(world: &World, mut left_out: Stored<LeftOut>) -> Result<(), Failure> {
    let run: Stored<Run> = records::require(world.catalog.as_ref(), &records::run_key(&left_out.value.run)).await?;
    let mut open = std::mem::take(&mut left_out.value.steps);
    let mut working = Vec::new();
    while !open.is_empty() {
        let step = open.remove(0);
        match end(world, &run.value, &step).await {
            Ok(Seen::Done { .. }) => {}
            Ok(Seen::Working { note }) => {
                left_out.value.note = format!("{step}: {note}");
                working.push(step);
            }
            Ok(Seen::NotDone) => working.push(step),
            Err(failure) if failure.kind == FailureKind::Fenced => {
                left_out.value.note = failure.message;
                return keep(world, &mut left_out, Vec::new()).await;
            }
            Err(failure) if failure.kind.may_pass() => {
                left_out.value.note = format!("{step}: {}", failure.message);
                working.push(step);
                break;
            }
            Err(failure) => tell_undone(world, &run.value, &step, &failure).await?,
        }
    }
    open.extend(working);
    if open.is_empty() {
        tell_done(world, &run.value).await?;
    }
    keep(world, &mut left_out, open).await
}

async fn keep(world: &World, left_out: &mut Stored<LeftOut>, steps: Vec<StepName>) -> Result<(), Failure> {
    left_out.value.steps = steps;
    left_out.value.next_action_at = PAUSE.after(world.now());
    records::update(world.catalog.as_ref(), left_out).await
}

/// Looks at what a step ends, and ends it where it still works.
async fn end(world: &World, run: &Run, step: &StepName) -> Result<Seen, Failure> {
    let gone = || {
        Failure::new(
            FailureKind::Bug,
            format!("run {} has no step {step} that was left out", run.id),
        )
    };
    let moves = acts::moves_production(run).ok_or_else(gone)?;
    let held = authority::hold(world, run, moves).await?;
    let place = run
        .steps
        .iter()
        .position(|record| &record.step.name == step)
        .ok_or_else(gone)?;
    acts::give(world, &acts::late(run, place, &held)?).await
}

async fn tell_done(world: &World, run: &Run) -> Result<(), Failure> {
    let page = Page {
        key: format!("run/{}/left-out", run.id),
        severity: Severity::Info,
        subject: format!("what a failover by recovery plan {} left out is done", run.plan.id),
        text: format!(
            "The side that run {} left answers again, and what worked there is ended or is in your hands.",
            run.id
        ),
    };
    world.pager.page(&page).await
}

/// What cannot be done is a person's from then on.
async fn tell_undone(world: &World, run: &Run, step: &StepName, failure: &Failure) -> Result<(), Failure> {
    let page = Page {
        key: format!("run/{}/left-out/{step}", run.id),
        severity: Severity::Critical,
        subject: format!(
            "step {step} of recovery plan {}, left out of a failover, cannot be done",
            run.plan.id
        ),
        text: format!(
            "{}. End by hand what run {} left working there: nobody tries it again",
            failure.message, run.id
        ),
    };
    world.pager.page(&page).await
}
