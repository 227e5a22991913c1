//! The order of a recovery plan's steps.

use std::collections::BTreeMap;

use crate::domain::{RecoveryPlan, Run, Step, StepAction, StepName, StepState};

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
    /// Steps wait for each other.
    #[error("steps wait for each other: {}", join(.steps))]
    Cycle { steps: Vec<StepName> },
}

fn join(steps: &[StepName]) -> String {
    let names: Vec<&str> = steps.iter().map(StepName::as_str).collect();
    names.join(" -> ")
}

/// The steps that must have succeeded before: those it names, and the restore that a verification looks at.
pub fn prerequisites(step: &Step) -> impl Iterator<Item = &StepName> {
    let restored_by = match &step.action {
        StepAction::Verify { restored_by } => Some(restored_by),
        StepAction::Check(_) | StepAction::Restore { .. } | StepAction::Wait { .. } | StepAction::Notify { .. } => None,
    };
    step.after.iter().chain(restored_by)
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

fn prerequisite_places(plan: &RecoveryPlan, places: &BTreeMap<&StepName, usize>) -> Result<Vec<Vec<usize>>, PlanError> {
    let mut waits_for = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let mut before = Vec::new();
        for name in prerequisites(step) {
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

/// The places of a run's pending steps whose prerequisites have all succeeded, in the order of the run.
pub fn ready_steps(run: &Run) -> Vec<usize> {
    let succeeded = |name: &StepName| {
        run.steps
            .iter()
            .any(|record| &record.step.name == name && record.state == StepState::Succeeded)
    };
    let is_ready = |place: &usize| {
        let record = &run.steps[*place];
        record.state == StepState::Pending && prerequisites(&record.step).all(succeeded)
    };
    (0..run.steps.len()).filter(is_ready).collect()
}
