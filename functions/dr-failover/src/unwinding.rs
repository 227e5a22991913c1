//! Going back: what a run changed is taken back, the last change first, as long as it can be.

use holdfast_core::domain::{Failure, FailureKind, Run, RunState, Seen, StepAction, StepRecord, StepState};
use holdfast_core::planning::{opposite, point_of_no_return, steps_to_undo};
use holdfast_core::ports::{Page, Severity};
use holdfast_core::workflow::World;
use holdfast_core::workflow::records::{self, Stored};

use crate::acts;

/// Decides how a run goes on whose steps cannot: back, or, where it cannot go back, nowhere until a person decides.
pub async fn turn_back(world: &World, run: &mut Stored<Run>, why: &str) -> Result<(), Failure> {
    if let Some(step) = point_of_no_return(&run.value) {
        let name = step.step.name.clone();
        return halt(world, run, &format!("{why}; step {name} cannot be taken back")).await;
    }
    run.value.conduct.goes_back.get_or_insert_with(|| why.to_owned());
    run.value.state = RunState::Undoing;
    run.value.recovered_at = None;
    // What only looks or waits just ends; what changes something is taken back, even where it has not come far.
    let just_ends = |step: &&mut StepRecord| match step.state {
        StepState::Pending => true,
        StepState::Running => !matches!(step.step.action, StepAction::Act { .. }),
        _ => false,
    };
    for step in run.value.steps.iter_mut().filter(just_ends) {
        step.state = StepState::Skipped;
        step.note = "the run goes back".to_owned();
    }
    records::update(world.catalog.as_ref(), run).await
}

/// Stops a run until a person decides, and tells people. They are told again by whoever finds it unsaid.
pub async fn halt(world: &World, run: &mut Stored<Run>, why: &str) -> Result<(), Failure> {
    let text = format!(
        "{why}. Run {}: mend what is wrong and resume it, or skip the step that failed; the runbook of plan {} says how",
        run.value.id, run.value.plan.id
    );
    let page = Page {
        key: format!("run/{}/stuck", run.value.id),
        severity: Severity::Critical,
        subject: format!(
            "{} of recovery plan {} is stuck",
            run.value.kind.as_str(),
            run.value.plan.id
        ),
        text,
    };
    world.pager.page(&page).await?;
    run.value.state = RunState::Stuck;
    run.value.conduct.stuck = Some(why.to_owned());
    records::update(world.catalog.as_ref(), run).await
}

/// Takes back what can be taken back now. True when the run has come to another state.
pub async fn advance(world: &World, run: &mut Stored<Run>) -> Result<bool, Failure> {
    while let Some(place) = steps_to_undo(&run.value).first().copied() {
        let StepAction::Act { act, .. } = &run.value.steps[place].step.action else {
            break;
        };
        let Some(act) = opposite(act) else { break };
        if run.value.steps[place].state != StepState::Undoing {
            run.value.steps[place].state = StepState::Undoing;
            run.value.steps[place].finished_at = Some(world.now());
            records::update(world.catalog.as_ref(), run).await?;
        }
        let order = acts::backward(world, run, place, act).await?;
        let seen = acts::give(world, &order).await;
        let step = &mut run.value.steps[place];
        match seen {
            Ok(Seen::Done { note, .. }) => {
                step.state = StepState::Undone;
                step.finished_at = Some(world.now());
                step.note = format!("taken back: {note}");
                records::update(world.catalog.as_ref(), run).await?;
                continue;
            }
            Ok(Seen::Working { note }) => step.note = note,
            Ok(Seen::NotDone) => {}
            Err(failure) if failure.kind.may_pass() => step.note = failure.message,
            Err(failure) if failure.kind == FailureKind::Fenced => return Err(failure),
            Err(failure) => {
                let why = format!("step {} could not be taken back: {}", step.step.name, failure.message);
                halt(world, run, &why).await?;
                return Ok(true);
            }
        }
        return overdue(world, run, place).await;
    }
    acts::restore_writer(world, run).await?;
    run.value.state = RunState::Cleaning;
    run.value.next_action_at = world.now();
    records::update(world.catalog.as_ref(), run).await?;
    Ok(true)
}

/// Whether taking a step back takes longer than the step itself may.
async fn overdue(world: &World, run: &mut Stored<Run>, place: usize) -> Result<bool, Failure> {
    let step = &run.value.steps[place];
    let began_at = step.finished_at.unwrap_or(run.value.declared_at);
    if step.step.timeout.after(began_at) > world.now() {
        return Ok(false);
    }
    let why = format!(
        "taking back step {} took longer than {}",
        step.step.name, step.step.timeout
    );
    halt(world, run, &why).await?;
    Ok(true)
}
