//! From when until when a server or a database can be restored to any moment.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ResourceId, VaultName};

/// A stretch of time to any moment of which a server can be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// The timeline to recover along; 0 where a service keeps the log, and knows.
    pub timeline: u32,
    /// The end of its first base backup.
    pub earliest_at: Timestamp,
    /// The last commit in its log, or the end of its last base backup.
    pub latest_at: Timestamp,
    /// The base backups in it, oldest first, by the engine's names; none where a service keeps the log with its own.
    pub bases: Vec<String>,
}

/// What a server keeps for the slot through which its log is pulled, as it was before the pull.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotState {
    /// Bytes of log that the server keeps for it.
    pub kept_bytes: u64,
    /// Bytes that may still come before the server drops what the slot needs; none where it never does.
    pub safe_bytes: Option<i64>,
}

/// What stands of a server's log and base backups in a vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogState {
    /// By timeline, then by time.
    pub stretches: Vec<Stretch>,
    /// Log that is missing between what is there, named.
    pub gaps: Vec<String>,
    /// Everything that was committed before then can be restored; none where log is missing that leads there.
    pub covered_at: Option<Timestamp>,
    /// The slot; none where it was not there yet.
    pub slot: Option<SlotState>,
}

impl LogState {
    /// Whether the newest log leads on from no base backup.
    pub fn is_broken(&self) -> bool {
        self.covered_at.is_none() && !self.stretches.is_empty()
    }
}

/// The window of a server in a vault: what can be restored of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The server.
    pub resource: ResourceId,
    /// The vault.
    pub vault: VaultName,
    /// When the newest log that is known to stand there was pulled from the server.
    pub observed_at: Timestamp,
    /// What stands there. [`LogState::covered_at`] is the latest that was ever seen.
    pub state: LogState,
}
