//! What a failover left out on the side that it left.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{RunId, StepName};

/// Steps that end work on the side that a failover left, and that it did not wait for because that side may not have answered.
/// They are done when it answers, for as long as no other run has moved the workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The failover.
    pub run: RunId,
    /// Those that are still to be done; the one that is tried next comes first.
    pub steps: Vec<StepName>,
    /// What came of the last try, for people.
    pub note: String,
    /// When they are tried again.
    pub next_action_at: Timestamp,
}
