//! Recovery points and their copies.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    BackupKind, Changes, JobId, Level, Location, PointId, PointRef, PolicyId, Proof, ResourceId, ResourceKind,
    RuleName, UnreadEntry, VaultName,
};

/// How a recovery point stands as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointState {
    /// Being made.
    Creating,
    /// Can be restored.
    Available,
    /// At least one of its copies is damaged.
    Corrupt,
    /// Was damaged and has been repaired and proven again.
    Repaired,
    /// Marked for deletion; can still be restored and still be kept.
    Expiring,
    /// Gone from every vault; the record stays as history.
    Deleted,
}

/// How one copy of a recovery point stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyState {
    /// Stands in its vault.
    Available,
    /// A verdict found it damaged.
    Corrupt,
    /// Was repaired and waits to be proven again.
    Repaired,
    /// Gone from its vault.
    Deleted,
}

/// One place where a recovery point stands; the first copy of a point is the one that the backup job made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// The vault that holds it.
    pub vault: VaultName,
    /// What the engine calls it there.
    pub artefact: String,
    /// How it stands.
    pub state: CopyState,
    /// Since when it stands there.
    pub created_at: Timestamp,
    /// What was proven of it, oldest first.
    pub proofs: Vec<Proof>,
}

impl Copy {
    /// The newest proof of at least `level` that passed, if nothing worse was found since.
    pub fn proven(&self, level: Level) -> Option<&Proof> {
        if self.state != CopyState::Available {
            return None;
        }
        self.proofs
            .iter()
            .rev()
            .find(|proof| proof.level >= level && proof.passed)
    }

    /// Whether there is anything to restore from.
    pub fn is_usable(&self) -> bool {
        matches!(self.state, CopyState::Available | CopyState::Repaired)
    }
}

/// Why and when a point goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// Why nothing keeps it.
    pub reason: String,
    /// When it was marked.
    pub marked_at: Timestamp,
    /// Not deleted before this.
    pub delete_after: Timestamp,
}

/// A recovery point: content of a resource as of a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Its id, derived from the job that made it.
    pub id: PointId,
    /// What it is a point of.
    pub resource: ResourceId,
    /// What kind of resource that is.
    #[serde(default)]
    pub resource_kind: ResourceKind,
    /// The policy and rule that asked for it; none for a manual backup.
    pub policy: Option<(PolicyId, RuleName)>,
    /// The job that made it.
    pub job: JobId,
    /// How much the job read.
    pub kind: BackupKind,
    /// The point that the job compared with.
    pub base: Option<PointId>,
    /// The content is as of this time.
    pub taken_at: Timestamp,
    /// When the point stood in its vault.
    pub created_at: Timestamp,
    /// How it stands.
    pub state: PointState,
    /// Bytes that a whole restore writes.
    pub size_bytes: u64,
    /// Files in it.
    pub files: u64,
    /// Bytes that it added to its vault.
    pub added_bytes: u64,
    /// What could not be read; a point with any is partial.
    pub unread: Vec<UnreadEntry>,
    /// What the job found changed; none where the service does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
    /// Where it stands.
    pub copies: Vec<Copy>,
    /// Why it may not be deleted, by law or by order.
    pub legal_hold: Option<String>,
    /// Set while it is marked for deletion.
    pub expiry: Option<Expiry>,
}

impl Point {
    /// The name by which records and orders refer to it.
    pub fn reference(&self) -> PointRef {
        PointRef {
            resource: self.resource.clone(),
            taken_at: self.taken_at,
            id: self.id.clone(),
        }
    }

    /// The copy in `vault`, unless it was deleted.
    pub fn copy_in(&self, vault: &VaultName) -> Option<&Copy> {
        self.copies
            .iter()
            .find(|copy| &copy.vault == vault && copy.state != CopyState::Deleted)
    }

    /// Where the copy in `vault` stands.
    pub fn location(&self, copy: &Copy) -> Location {
        Location {
            vault: copy.vault.clone(),
            resource: self.resource.clone(),
            artefact: copy.artefact.clone(),
        }
    }

    /// Whether the job could read everything.
    pub fn is_partial(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Whether it exists and may be restored from somewhere.
    pub fn is_restorable(&self) -> bool {
        !matches!(self.state, PointState::Creating | PointState::Deleted) && self.copies.iter().any(Copy::is_usable)
    }

    /// Whether some copy of it has passed a proof of at least `level` and nothing worse was found since.
    pub fn is_proven(&self, level: Level) -> bool {
        self.copies.iter().any(|copy| copy.proven(level).is_some())
    }

    /// The proof of one of its copies that routine verification strives for, if it passed and nothing worse was found since.
    pub fn routine_proof<'a>(&self, copy: &'a Copy) -> Option<&'a Proof> {
        copy.proven(self.resource_kind.routine_level())
    }

    /// Whether some copy of it holds what routine verification strives for.
    pub fn is_routinely_proven(&self) -> bool {
        self.is_proven(self.resource_kind.routine_level())
    }
}
