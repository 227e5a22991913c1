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

/// The step after which the run cannot go back; none while it still can.
pub fn point_of_no_return(run: &Run) -> Option<&StepRecord> {
    run.steps.iter().find(|record| {
        let returns_not = matches!(
            record.step.action,
            StepAction::Act {
                undo: Undo::NoReturn,
                ..
            }
        );
        returns_not && has_begun(run, record)
    })
}

/// The places of the steps that are to be taken back, the last begun first.
pub fn steps_to_undo(run: &Run) -> Vec<usize> {
    let is_reversible = |place: &usize| {
        let record = &run.steps[*place];
        let reverses = matches!(
            record.step.action,
            StepAction::Act {
                undo: Undo::Reverse,
                ..
            }
        );
        reverses && has_begun(run, record)
    };
    let mut places: Vec<usize> = (0..run.steps.len()).filter(is_reversible).collect();
    places.sort_by_key(|place| Reverse((run.steps[*place].started_at, *place)));
    places
}
