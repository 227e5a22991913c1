//! What a policy says that cannot work, or that its author should know.

use jiff::Timestamp;

use crate::domain::{PolicyDraft, PolicyId, Vault};

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// What follows from the policy, for its author to know.
    Explain,
    /// Probably not what was meant.
    Warn,
    /// Cannot work: the policy is not applied.
    Refuse,
}

/// Something that a policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// Its name, for tests and filters.
    pub code: &'static str,
    /// What it is and how to mend it.
    pub message: String,
    /// The policy, or the policy and the rule, such as `photos` or `photos/nightly`.
    pub subject: String,
}

/// What speaks against a policy, the gravest first.
pub fn lint_policy(id: &PolicyId, draft: &PolicyDraft, vaults: &[Vault], at: Timestamp) -> Vec<Finding> {
    let _ = (id, draft, vaults, at);
    Vec::new()
}
