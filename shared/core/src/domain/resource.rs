//! What is protected, and where recovery points live.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Region, ResourceId, VaultName};

/// What kind of thing a protected resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// A tree of files on a mounted file system.
    Files,
}

impl ResourceKind {
    /// The word for this kind in configuration and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Files => "files",
        }
    }
}

/// A protected resource: what is being backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Its name.
    pub id: ResourceId,
    /// What it is.
    pub kind: ResourceKind,
    /// The root folder of a file tree, absolute.
    pub path: String,
    /// Tags that selections match.
    pub tags: BTreeMap<String, String>,
    /// A file below `path` that the application rewrites with the current time; its age in a restored copy is the
    /// measured data loss.
    pub heartbeat: Option<String>,
    /// When Holdfast first knew it; no occurrence lies before this.
    pub registered_at: Timestamp,
}

/// A vault: where recovery points live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vault {
    /// Its name.
    pub name: VaultName,
    /// The Region that holds it.
    pub region: Region,
}
