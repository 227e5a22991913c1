//! Due times of rules.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{JobId, PolicyId, ResourceId, RuleName};

/// What an occurrence stands for: one due time of one rule for one resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OccurrenceKey {
    /// The policy.
    pub policy: PolicyId,
    /// The rule in it.
    pub rule: RuleName,
    /// The resource.
    pub resource: ResourceId,
    /// When it is due.
    pub due_at: Timestamp,
}

impl OccurrenceKey {
    /// The one job that this occurrence becomes.
    pub fn job_id(&self) -> JobId {
        let due_at = self.due_at.to_string();
        JobId::derive(&[
            "backup",
            self.policy.as_str(),
            self.rule.as_str(),
            self.resource.as_str(),
            &due_at,
        ])
    }
}

/// How far an occurrence has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OccurrenceState {
    /// Recorded; its job is not there yet.
    Expected,
    /// Its job was requested.
    Requested,
    /// Its job runs.
    Started,
    /// Its job made a recovery point.
    Completed,
    /// Its job gave up.
    Failed,
    /// It passed while nobody was there to start it; a later occurrence stands for it.
    Missed,
}

impl OccurrenceState {
    /// Whether nothing more will happen to it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Missed)
    }
}

/// One due time of one rule for one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// What it stands for.
    #[serde(flatten)]
    pub key: OccurrenceKey,
    /// The version of the policy that it was computed from.
    pub policy_version: u32,
    /// How far it has come.
    pub state: OccurrenceState,
    /// Whether it starts later than the rule allows, in place of itself and all that were missed before it.
    pub catch_up: bool,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}
