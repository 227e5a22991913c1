//! What the engine needs of a service that keeps snapshots, in words of our own.

use std::fmt;

use async_trait::async_trait;
use holdfast_core::domain::{Failure, Region};
use jiff::Timestamp;

use super::super::words::{self, Tags};

/// How a snapshot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum SnapshotState {
    /// Being made, copied or changed.
    Busy,
    /// Can be restored.
    Available,
    /// Going, or gone.
    Deleting,
    /// Will never be available.
    Failed,
}

impl SnapshotState {
    /// Reads the service's word. The list is closed: what is not in it is an error that names it.
    pub(in super::super) fn read(on: &str, word: &str) -> Result<Self, Failure> {
        match word {
            "creating" | "copying" | "modifying" | "upgrading" => Ok(Self::Busy),
            "available" => Ok(Self::Available),
            "deleting" | "deleted" => Ok(Self::Deleting),
            "failed" | "incompatible-restore" | "incompatible-parameters" => Ok(Self::Failed),
            other => Err(words::unknown_word(on, other)),
        }
    }
}

impl fmt::Display for SnapshotState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "being made",
            Self::Available => "available",
            Self::Deleting => "being deleted",
            Self::Failed => "failed",
        })
    }
}

/// A snapshot.
#[derive(Debug, Clone)]
pub(in super::super) struct Snapshot {
    pub name: String,
    pub arn: String,
    pub state: SnapshotState,
    /// How much of it is made, in percent.
    pub percent: u64,
    /// The storage that the source has allocated. AWS does not tell how many bytes the snapshot itself takes.
    pub size_bytes: u64,
    /// The content is as of this time; none while the service has not fixed it.
    pub taken_at: Option<Timestamp>,
    /// The ARN of the KMS key, if it is encrypted.
    pub key: Option<String>,
    /// The database engine and its version, which a restore of a cluster must name.
    pub engine: String,
    pub engine_version: Option<String>,
    pub tags: Tags,
}

/// How a restored database stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RestoredState {
    /// Being made.
    Busy,
    /// One more call is needed, such as the first instance of a cluster.
    Unfinished,
    /// Can be used.
    Available,
    /// Will never be available.
    Failed,
}

/// A database at the target of a restore.
#[derive(Debug, Clone)]
pub(in super::super) struct Restored {
    pub state: RestoredState,
    /// The service's word for it.
    pub word: String,
    pub tags: Tags,
}

/// What became of a call that makes something under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Made {
    /// It is being made.
    New,
    /// Something has that name already.
    NameTaken,
}

/// What the log of a database leads to that its service keeps itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Restorable {
    /// The service keeps none.
    Never,
    /// The service has not made the first backup that it leads on from.
    NotYet,
    /// Any moment from the first until the second.
    Between(Timestamp, Timestamp),
}

/// A service that keeps snapshots. Each call goes to the given Region.
#[async_trait]
pub(in super::super) trait SnapshotService: Send + Sync {
    /// What a snapshot is called, for messages.
    fn noun(&self) -> &'static str;

    /// Whether every snapshot tells its size. That of an Aurora cluster may be told as 0.
    fn tells_size(&self) -> bool;

    /// Whether a copy is encrypted where its source is not. That of an Aurora cluster cannot be.
    fn encrypts_copies(&self) -> bool;

    /// The command by which a person deletes a snapshot.
    fn delete_command(&self, region: &Region, name: &str) -> String;

    /// The snapshot of this name, if there is one.
    async fn find(&self, region: &Region, name: &str) -> Result<Option<Snapshot>, Failure>;

    /// What a restore of this source will need to know (its groups and class), as tags for its snapshots.
    async fn restore_tags(&self, region: &Region, source: &str) -> Result<Tags, Failure>;

    /// From when until when a source can be restored to any moment, which is told anew every few minutes.
    async fn restorable(&self, region: &Region, source: &str) -> Result<Restorable, Failure>;

    /// How many manual snapshots the account has in the Region, and how many it may have.
    async fn manual_snapshots(&self, region: &Region) -> Result<(u64, u64), Failure>;

    /// Begins a snapshot of a source.
    async fn create(&self, region: &Region, name: &str, source: &str, tags: &Tags) -> Result<Made, Failure>;

    /// Begins a copy in the given Region, encrypted with a key of that Region where it can be.
    async fn copy(
        &self,
        region: &Region,
        name: &str,
        source: &Snapshot,
        key: &str,
        tags: &Tags,
    ) -> Result<Made, Failure>;

    /// Begins to delete a snapshot. One that is gone already is no failure.
    async fn delete(&self, region: &Region, name: &str) -> Result<(), Failure>;

    /// The database of this name, if there is one.
    async fn restored(&self, region: &Region, target: &str) -> Result<Option<Restored>, Failure>;

    /// Begins a new database from a snapshot.
    async fn restore(&self, region: &Region, target: &str, from: &Snapshot, tags: &Tags) -> Result<Made, Failure>;

    /// Makes what an unfinished restore still needs.
    async fn finish_restore(&self, region: &Region, target: &str, from: &Snapshot, tags: &Tags) -> Result<(), Failure>;
}
