//! What was proven, and the signed statements that say so.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::JobId;

/// How much was proven. Each level is stated with every claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// Preflight: keys usable, roles and groups exist, quota headroom.
    L0,
    /// The point exists with the right metadata and size.
    L1,
    /// Every byte: stored SHA-256 equals the name, decrypts and hashes.
    L2,
    /// A restore completes.
    L3,
    /// The engine accepts it: files compare with the manifest.
    L4,
    /// Application checks and cross-service invariants hold.
    L5,
    /// A drill or failover ran on it.
    L6,
}

impl Level {
    /// Whether a verdict at this level speaks of what is stored, which a good copy can mend. From [`Level::L4`] on it speaks of
    /// what is in it, which is the same in every copy.
    pub fn is_of_the_store(self) -> bool {
        self < Self::L4
    }
}

/// One verdict on one copy of a recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// How much was tested.
    pub level: Level,
    /// Whether it held.
    pub passed: bool,
    /// When the test ended.
    pub at: Timestamp,
    /// The job that tested it.
    pub job: JobId,
    /// The number of the signed statement in the evidence chain.
    pub statement: u64,
}

/// What a statement speaks of, as in-toto's ResourceDescriptor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// A recovery point at a vault, a restore, or a run.
    pub name: String,
    /// Digests by algorithm, lower-case hexadecimal.
    pub digest: BTreeMap<String, String>,
}

/// What is to be said in evidence: the body of an in-toto statement before it has a place in the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// What it speaks of.
    pub subject: Vec<Subject>,
    /// What was proven.
    pub level: Level,
    /// Whether it held.
    pub passed: bool,
    /// When the test ended.
    pub at: Timestamp,
    /// The job or run whose verdict this is; one statement each.
    pub origin: String,
    /// Figures and findings.
    pub findings: BTreeMap<String, serde_json::Value>,
}
