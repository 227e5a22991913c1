//! What a step does, in a sentence.

use crate::domain::{Act, ActuatorName, Check, Probe, StepAction};

/// The sentence for a step.
pub(super) fn of(action: &StepAction) -> String {
    match action {
        StepAction::Check(Check::ProvenPoint { resource, vault }) => {
            format!("checks that {resource} has a proven recovery point in vault {vault}")
        }
        StepAction::Check(Check::PointAge { resource, at_most }) => {
            format!("checks that the newest recovery point of {resource} is no older than {at_most}")
        }
        StepAction::Restore {
            resource,
            vault,
            target,
        } => {
            let to = target
                .as_ref()
                .map_or_else(String::new, |target| format!(" to {target}"));
            format!("restores the newest proven point of {resource} from vault {vault}{to}")
        }
        StepAction::Verify { restored_by } => {
            format!("compares what {restored_by} restored with its recovery point, entry by entry")
        }
        StepAction::Wait { span } => format!("waits {span}"),
        StepAction::Notify { message } => format!("tells people: {message}"),
        StepAction::Check(Check::Answers(probe)) => asks(probe),
        StepAction::Approve { people: 1 } => "waits until somebody else approves".to_owned(),
        StepAction::Approve { people } => format!("waits until {people} others approve"),
        StepAction::Act { actuator, act, .. } => changes(actuator, act),
    }
}

fn asks(probe: &Probe) -> String {
    match probe {
        Probe::Http { url, status, .. } => format!("checks that {url} answers with {status}"),
        Probe::Tcp { address } => format!("checks that {address} takes connections"),
        Probe::Sql { query, expects, .. } => format!("checks that `{query}` answers {expects}"),
    }
}

fn changes(actuator: &ActuatorName, act: &Act) -> String {
    match act {
        Act::Fence => format!("ends all writes through {actuator}"),
        Act::Unfence => format!("lets writes through {actuator} again"),
        Act::Promote { allow_loss: true } => {
            format!("makes {actuator} the one that is written to, without what it has not received if need be")
        }
        Act::Promote { allow_loss: false } => {
            format!("makes {actuator} the one that is written to, once it has received everything")
        }
        Act::Follow { leader } => format!("makes {actuator} follow {leader}"),
        Act::Start => format!("starts {actuator}"),
        Act::Stop => format!("stops {actuator}"),
        Act::Direct { share } => format!("leads {share} % of traffic to {actuator}"),
        Act::Invoke { .. } => format!("calls {actuator}"),
    }
}
