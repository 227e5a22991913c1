//! Going back: what of a run is taken back, and in which order.

use std::cmp::Reverse;

use crate::domain::{Act, Run, RunKind, StepAction, StepRecord, StepState, Undo};

/// What takes an act back; none where nothing does.
pub fn opposite(act: &Act) -> Option<Act> {
    match act {
        Act::Fence => Some(Act::Unfence),
        Act::Unfence => Some(Act::Fence),
        Act::Start => Some(Act::Stop),
        Act::Stop => Some(Act::Start),
        Act::Direct { share: 0 } => Some(Act::Direct { share: 100 }),
        Act::Direct { .. } => Some(Act::Direct { share: 0 }),
        Act::Promote { .. } | Act::Follow { .. } | Act::Invoke { .. } => None,
    }
}

/// Whether a step of the run has begun to change something; it may have done so even if it failed. A simulation changes nothing.
fn has_begun(run: &Run, record: &StepRecord) -> bool {
    run.kind != RunKind::Simulate && record.started_at.is_some() && record.state != StepState::Undone
}

/// The steps that have begun to change something and are taken back in this way, in the order of the run.
fn begun(run: &Run, way: Undo) -> impl Iterator<Item = (usize, &StepRecord)> {
    let is_meant = move |record: &StepRecord| matches!(record.step.action, StepAction::Act { undo, .. } if undo == way);
    let steps = run.steps.iter().enumerate();
    steps.filter(move |(_, record)| is_meant(record) && has_begun(run, record))
}

/// The step after which a run that changes production cannot go back; none while it still can. What a drill changed is its
/// own.
pub fn point_of_no_return(run: &Run) -> Option<&StepRecord> {
    let mut beyond = begun(run, Undo::NoReturn).filter(|_| run.kind.touches_production());
    beyond.next().map(|(_, record)| record)
}

/// The places of the steps that are to be taken back, the last begun first.
pub fn steps_to_undo(run: &Run) -> Vec<usize> {
    let mut places: Vec<usize> = begun(run, Undo::Reverse).map(|(place, _)| place).collect();
    places.sort_by_key(|place| Reverse((run.steps[*place].started_at, *place)));
    places
}
