//! The order of a recovery plan's steps.

use std::collections::BTreeMap;

use crate::domain::{
    Act, Actuator, ActuatorKind, ActuatorName, Move, RecoveryPlan, Region, Run, Step, StepAction, StepName, StepState,
    Undo,
};

use super::unwinding::opposite;

/// A plan whose steps have no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "fields are named as what the message says of them")]
pub enum PlanError {
    /// Two steps have one name.
    #[error("step \"{step}\" is named twice")]
    DuplicateStep { step: StepName },
    /// A step waits for one that is not there.
    #[error("step \"{step}\" waits for \"{missing}\", which is no step of the plan")]
    UnknownStep { step: StepName, missing: StepName },
    /// A verification names a step that restores nothing.
    #[error("step \"{step}\" verifies what \"{named}\" restored, but that step restores nothing")]
    NotARestore { step: StepName, named: StepName },
    /// A step changes what the plan does not have.
    #[error("step \"{step}\" works on \"{actuator}\", which is no actuator of the workload that the plan moves")]
    UnknownActuator { step: StepName, actuator: ActuatorName },
    /// Something becomes the writer, and nothing ended the writes of the other side before.
    #[error(
        "step \"{step}\" begins writes, and no step of \"deactivate\" fences anything in Region {from}: there could be two writers"
    )]
    Unfenced { step: StepName, from: Region },
    /// Something becomes the writer while the other side is still being fenced.
    #[error(
        "step \"{step}\" begins writes among the steps of \"deactivate\": write it as a [[plan.step]], which waits for them"
    )]
    BeginsEarly { step: StepName },
    /// A plan that moves a workload restores, and does not say where to.
    #[error(
        "step \"{step}\" restores, and the plan moves a workload: name where to a failover restores it with target = \"…\", a folder \
         or s3://bucket/prefix in which nothing stands. A drill restores into its own area all the same"
    )]
    NoTarget { step: StepName },
    /// A plan that moves nothing says where to it restores.
    #[error(
        "step \"{step}\" has a target, and the plan moves no workload: what it restores goes into the area of drills. Leave the \
         target out, or add [plan.moves]"
    )]
    NeedlessTarget { step: StepName },
    /// A move restores before the other side has ended, or after service is back.
    #[error(
        "step \"{step}\" restores what service needs: write it as a [[plan.step]], which waits for all of \"deactivate\""
    )]
    RestoresOutOfPlace { step: StepName },
    /// A step has no opposite.
    #[error("step \"{step}\" cannot be taken back: a {act} has no opposite, so write undo = \"no-return\"")]
    NoOpposite { step: StepName, act: &'static str },
    /// Steps wait for each other.
    #[error("steps wait for each other: {}", join(.steps))]
    Cycle { steps: Vec<StepName> },
}

fn join(steps: &[StepName]) -> String {
    let names: Vec<&str> = steps.iter().map(StepName::as_str).collect();
    names.join(" -> ")
}

/// The steps that must have succeeded before: those it names, the restore that a verification looks at, and, where a workload
/// moves, all steps that end service where it was, or that begin it elsewhere.
pub fn prerequisites<'a>(plan: &'a RecoveryPlan, step: &'a Step) -> impl Iterator<Item = &'a StepName> {
    let restored_by = match &step.action {
        StepAction::Verify { restored_by } => Some(restored_by),
        StepAction::Check(_)
        | StepAction::Restore { .. }
        | StepAction::Wait { .. }
        | StepAction::Notify { .. }
        | StepAction::Approve { .. }
        | StepAction::Act { .. } => None,
    };
    let own = phase(plan, &step.name);
    let earlier = plan
        .steps
        .iter()
        .map(|other| &other.name)
        .filter(move |name| phase(plan, name) < own);
    step.after.iter().chain(restored_by).chain(earlier)
}

/// The parts of a plan that moves a workload, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Service ends where it was.
    Deactivate,
    /// Service begins elsewhere.
    Activate,
    /// What comes when service is back.
    PostRecovery,
}

/// The part of its plan that a step belongs to.
pub fn phase(plan: &RecoveryPlan, step: &StepName) -> Phase {
    match &plan.moves {
        Some(moves) if moves.deactivate.contains(step) => Phase::Deactivate,
        Some(moves) if moves.post_recovery.contains(step) => Phase::PostRecovery,
        Some(_) | None => Phase::Activate,
    }
}

/// The places of the plan's steps in an order in which each comes after all that it waits for; where the plan leaves it
/// open, in the order in which they are written.
pub fn order_steps(plan: &RecoveryPlan) -> Result<Vec<usize>, PlanError> {
    let mut places: BTreeMap<&StepName, usize> = BTreeMap::new();
    for (place, step) in plan.steps.iter().enumerate() {
        if places.insert(&step.name, place).is_some() {
            return Err(PlanError::DuplicateStep {
                step: step.name.clone(),
            });
        }
    }
    let waits_for = prerequisite_places(plan, &places)?;
    plan.steps.iter().try_for_each(|step| check_restore(plan, step))?;
    plan.steps.iter().try_for_each(|step| check_act(plan, step))?;
    let mut order: Vec<usize> = Vec::with_capacity(plan.steps.len());
    while order.len() < plan.steps.len() {
        let ready = (0..plan.steps.len())
            .find(|place| !order.contains(place) && waits_for[*place].iter().all(|before| order.contains(before)));
        match ready {
            Some(place) => order.push(place),
            None => return Err(name_cycle(plan, &waits_for, &order)),
        }
    }
    Ok(order)
}

/// Whether a restore knows where to, and comes when the other side has ended.
fn check_restore(plan: &RecoveryPlan, step: &Step) -> Result<(), PlanError> {
    let StepAction::Restore { target, .. } = &step.action else {
        return Ok(());
    };
    let step = step.name.clone();
    match (&plan.moves, target) {
        (Some(_), None) => Err(PlanError::NoTarget { step }),
        (None, Some(_)) => Err(PlanError::NeedlessTarget { step }),
        (Some(_), Some(_)) if phase(plan, &step) != Phase::Activate => Err(PlanError::RestoresOutOfPlace { step }),
        (Some(_), Some(_)) | (None, None) => Ok(()),
    }
}

/// Whether what a step changes is there, can be taken back as the plan says, and leaves one writer.
fn check_act(plan: &RecoveryPlan, step: &Step) -> Result<(), PlanError> {
    let StepAction::Act {
        actuator, act, undo, ..
    } = &step.action
    else {
        return Ok(());
    };
    let named = std::iter::once(actuator).chain(match act {
        Act::Follow { leader } => Some(leader),
        _ => None,
    });
    for name in named {
        if plan.actuator(name).is_none() {
            return Err(PlanError::UnknownActuator {
                step: step.name.clone(),
                actuator: name.clone(),
            });
        }
    }
    if *undo == Undo::Reverse && opposite(act).is_none() {
        return Err(PlanError::NoOpposite {
            step: step.name.clone(),
            act: act.as_str(),
        });
    }
    match &plan.moves {
        Some(moves) if begins_writes(plan, moves, actuator, act) => check_fenced(plan, moves, step),
        Some(_) | None => Ok(()),
    }
}

/// Whether an act makes the side writable that the workload moves to, while the other may be. A global database has one
/// writer whatever is ordered, also when the other Region is lost and nothing can be fenced there.
fn begins_writes(plan: &RecoveryPlan, moves: &Move, actuator: &ActuatorName, act: &Act) -> bool {
    let found = plan.actuator(actuator);
    match act {
        Act::Promote { .. } => found.is_none_or(|found| found.kind != ActuatorKind::AuroraGlobal),
        Act::Unfence => found.is_some_and(|found| found.region == moves.to),
        _ => false,
    }
}

fn check_fenced(plan: &RecoveryPlan, moves: &Move, step: &Step) -> Result<(), PlanError> {
    if !fences(plan, &moves.from) {
        return Err(PlanError::Unfenced {
            step: step.name.clone(),
            from: moves.from.clone(),
        });
    }
    if phase(plan, &step.name) == Phase::Deactivate {
        return Err(PlanError::BeginsEarly {
            step: step.name.clone(),
        });
    }
    Ok(())
}

/// Whether the first part of the plan fences something in a Region.
fn fences(plan: &RecoveryPlan, region: &Region) -> bool {
    plan.steps.iter().any(|step| match &step.action {
        StepAction::Act {
            actuator,
            act: Act::Fence,
            ..
        } => {
            let is_there = |actuator: &Actuator| &actuator.region == region;
            !step.graceful
                && phase(plan, &step.name) == Phase::Deactivate
                && plan.actuator(actuator).is_some_and(is_there)
        }
        _ => false,
    })
}

fn prerequisite_places(plan: &RecoveryPlan, places: &BTreeMap<&StepName, usize>) -> Result<Vec<Vec<usize>>, PlanError> {
    let mut waits_for = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let mut before = Vec::new();
        for name in prerequisites(plan, step) {
            let place = places.get(name).ok_or_else(|| PlanError::UnknownStep {
                step: step.name.clone(),
                missing: name.clone(),
            })?;
            before.push(*place);
        }
        if let StepAction::Verify { restored_by } = &step.action
            && let Some(place) = places.get(restored_by)
            && !matches!(plan.steps[*place].action, StepAction::Restore { .. })
        {
            return Err(PlanError::NotARestore {
                step: step.name.clone(),
                named: restored_by.clone(),
            });
        }
        waits_for.push(before);
    }
    Ok(waits_for)
}

/// Follows what waits for what until a step comes up again: every step that has no order waits for another such.
fn name_cycle(plan: &RecoveryPlan, waits_for: &[Vec<usize>], ordered: &[usize]) -> PlanError {
    let stuck = |place: &usize| !ordered.contains(place);
    let mut path: Vec<usize> = Vec::new();
    let mut at = (0..plan.steps.len()).find(stuck);
    while let Some(place) = at {
        if let Some(begin) = path.iter().position(|seen| *seen == place) {
            path.drain(..begin);
            path.push(place);
            break;
        }
        path.push(place);
        at = waits_for[place].iter().copied().find(stuck);
    }
    PlanError::Cycle {
        steps: path.into_iter().map(|place| plan.steps[place].name.clone()).collect(),
    }
}

/// The places of a run's pending steps whose prerequisites have all succeeded or were left out, in the order of the run, and no
/// more of them than may run beside those that do.
pub fn ready_steps(run: &Run) -> Vec<usize> {
    let is_done = |name: &StepName| {
        let done = |state| matches!(state, StepState::Succeeded | StepState::Skipped);
        run.steps
            .iter()
            .any(|record| &record.step.name == name && done(record.state))
    };
    let is_ready = |place: &usize| {
        let record = &run.steps[*place];
        record.state == StepState::Pending && prerequisites(&run.plan, &record.step).all(is_done)
    };
    let running = run.steps.iter().filter(|record| record.state == StepState::Running);
    let most = run.plan.at_once.map_or(usize::MAX, |at_once| at_once as usize);
    let free = most.saturating_sub(running.count());
    (0..run.steps.len()).filter(is_ready).take(free).collect()
}
