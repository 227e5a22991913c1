//! What a step does, in a sentence.

use crate::domain::{Check, StepAction};

/// The sentence for a step.
pub(super) fn of(action: &StepAction) -> String {
    match action {
        StepAction::Check(Check::ProvenPoint { resource, vault }) => {
            format!("checks that {resource} has a proven recovery point in vault {vault}")
        }
        StepAction::Check(Check::PointAge { resource, at_most }) => {
            format!("checks that the newest recovery point of {resource} is no older than {at_most}")
        }
        StepAction::Restore { resource, vault } => {
            format!("restores the newest proven point of {resource} from vault {vault}")
        }
        StepAction::Verify { restored_by } => {
            format!("compares what {restored_by} restored with its recovery point, entry by entry")
        }
        StepAction::Wait { span } => format!("waits {span}"),
        StepAction::Notify { message } => format!("tells people: {message}"),
    }
}
