//! What people tell a run: to pause, to go on, to go back, to go on without a step, and that they agree.

use holdfast_core::domain::{
    Acknowledgement, Act, Approval, Failure, FailureKind, Instruction, Run, RunId, RunState, StepAction, StepName,
    StepState,
};
use holdfast_core::planning::{opposite, point_of_no_return};
use holdfast_core::workflow::World;
use holdfast_core::workflow::records::{self, Stored};

use crate::{acts, unwinding};

/// Does what a person says. Saying it twice is saying it once.
pub async fn follow(world: &World, run: &RunId, instruction: &Instruction, by: &str) -> Result<(), Failure> {
    let mut run: Stored<Run> = records::require(world.catalog.as_ref(), &records::run_key(run)).await?;
    if run.value.state.is_over() {
        return Err(refused(&run.value, "it is over"));
    }
    match instruction {
        Instruction::Pause => {
            if run.value.state == RunState::Running {
                run.value.state = RunState::Paused;
            }
        }
        Instruction::Resume => resume(&mut run.value),
        Instruction::Acknowledge => {
            let acknowledgement = Acknowledgement {
                by: by.to_owned(),
                at: world.now(),
            };
            run.value.conduct.acknowledged.get_or_insert(acknowledgement);
        }
        Instruction::Abort { reason } => {
            if run.value.state == RunState::Undoing {
                return Ok(());
            }
            if let Some(step) = point_of_no_return(&run.value) {
                let why = format!(
                    "step {} cannot be taken back: resume it, or skip what fails",
                    step.step.name
                );
                return Err(refused(&run.value, &why));
            }
            run.value
                .conduct
                .log
                .push(format!("{} {by} aborted it: {reason}", world.now()));
            return unwinding::turn_back(world, &mut run, &format!("{by} aborted it: {reason}")).await;
        }
        Instruction::Skip { step, reason } => skip(world, &mut run.value, step, reason, by)?,
        Instruction::Approve { step } => approve(world, &mut run.value, step, by)?,
    }
    run.value
        .conduct
        .log
        .push(format!("{} {by}: {}", world.now(), word(instruction)));
    run.value.next_action_at = world.now();
    records::update(world.catalog.as_ref(), &mut run).await
}

fn word(instruction: &Instruction) -> String {
    match instruction {
        Instruction::Pause => "pause".to_owned(),
        Instruction::Resume => "resume".to_owned(),
        Instruction::Acknowledge => "acknowledge".to_owned(),
        Instruction::Abort { reason } => format!("abort: {reason}"),
        Instruction::Skip { step, reason } => format!("skip {step}: {reason}"),
        Instruction::Approve { step } => format!("approve {step}"),
    }
}

fn refused(run: &Run, why: &str) -> Failure {
    Failure::new(
        FailureKind::Invalid,
        format!("run {} does not take that: {why}", run.id),
    )
}

/// One that is stuck tries again what failed, forward or back.
fn resume(run: &mut Run) {
    let was_stuck = run.state == RunState::Stuck;
    if !was_stuck && run.state != RunState::Paused {
        return;
    }
    run.conduct.stuck = None;
    if run.conduct.goes_back.is_some() {
        run.state = RunState::Undoing;
        for step in run.steps.iter_mut().filter(|step| step.state == StepState::Undoing) {
            // It has its whole time again.
            step.state = StepState::Failed;
        }
        return;
    }
    run.state = RunState::Running;
    if was_stuck {
        for step in run.steps.iter_mut().filter(|step| step.state == StepState::Failed) {
            step.state = StepState::Pending;
            // A restore is ordered anew.
            step.job = None;
        }
    }
}

fn skip(world: &World, run: &mut Run, step: &StepName, reason: &str, by: &str) -> Result<(), Failure> {
    let place = place_of(run, step)?;
    if acts::is_fence(run, place) {
        let why = format!("step {step} fences: without it there could be two writers");
        return Err(refused(run, &why));
    }
    let is_stuck = run.state == RunState::Stuck;
    let record = &mut run.steps[place];
    match record.state {
        // Nothing could take it back, and a person says that it stays. That may not leave a second side writable.
        StepState::Undoing if is_stuck && !may_leave_two_writers(&record.step.action) => {
            record.state = StepState::Undone;
            record.finished_at = Some(world.now());
            record.note = format!("not taken back: {by} left it as it is: {reason}");
            Ok(())
        }
        StepState::Pending | StepState::Running | StepState::Failed => {
            record.state = StepState::Skipped;
            record.finished_at = Some(world.now());
            record.note = format!("{by} left it out: {reason}");
            Ok(())
        }
        StepState::Skipped => Ok(()),
        StepState::Succeeded | StepState::Undoing | StepState::Undone => {
            Err(refused(run, &format!("step {step} is done already")))
        }
    }
}

/// Whether what takes a step back is a fence.
fn may_leave_two_writers(action: &StepAction) -> bool {
    matches!(action, StepAction::Act { act, .. } if opposite(act) == Some(Act::Fence))
}

fn approve(world: &World, run: &mut Run, step: &StepName, by: &str) -> Result<(), Failure> {
    let place = place_of(run, step)?;
    if !matches!(run.steps[place].step.action, StepAction::Approve { .. }) {
        return Err(refused(run, &format!("step {step} asks nobody")));
    }
    if by == run.requested_by {
        return Err(refused(run, &format!("{by} asked for it: somebody else must agree")));
    }
    let approvers = run.plan.moves.as_ref().map_or(&[][..], |moves| &moves.approvers);
    if !approvers.is_empty() && !approvers.iter().any(|approver| approver == by) {
        let why = format!("{by} is none of its approvers: {}", approvers.join(", "));
        return Err(refused(run, &why));
    }
    let known = |approval: &Approval| &approval.step == step && approval.by == by;
    if !run.conduct.approvals.iter().any(known) {
        run.conduct.approvals.push(Approval {
            step: step.clone(),
            by: by.to_owned(),
            at: world.now(),
        });
    }
    Ok(())
}

fn place_of(run: &Run, step: &StepName) -> Result<usize, Failure> {
    let place = run.steps.iter().position(|record| &record.step.name == step);
    place.ok_or_else(|| refused(run, &format!("it has no step {step}")))
}
