//! What a backup found changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a backup found changed: what tells a day's work from damage. Only the content engine can tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Bytes that the vault did not hold yet, before compression; `added_bytes` is what they take there.
    pub new_bytes: u64,
    /// Files against the point that the job compared with; none where it compared with no point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<FileChanges>,
    /// What the canaries of the policy held: the SHA-256 over the ids of their content's chunks, none where the file was not
    /// there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub canaries: BTreeMap<String, Option<String>>,
}

/// Files against the point that a job compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChanges {
    /// Files that it did not have.
    pub new: u64,
    /// Files that differ from what it had.
    pub changed: u64,
}
