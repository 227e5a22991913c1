//! What a backup is told, and what it tells.

use std::sync::atomic::AtomicBool;
use std::thread::available_parallelism;

use jiff::Timestamp;

use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::index::IndexOptions;
use crate::progress::Progress;
use crate::snapshot::{Snapshot, Summary};

use super::{Throttle, Unread};

/// The last word before a snapshot becomes visible: it sees the snapshot and what could not be read.
pub type BeforePublish<'a> = dyn Fn(&Snapshot, &[Unread]) -> Result<()> + Sync + 'a;

/// How to back up.
#[derive(Clone)]
pub struct BackupOptions<'a> {
    /// The snapshot to compare with: what did not change since is not read.
    pub parent: Option<Id>,
    /// Read and hash everything again, changed or not.
    pub reread: bool,
    /// Tags of the snapshot.
    pub tags: Vec<String>,
    /// Time of the snapshot.
    pub time: Timestamp,
    /// The exclude patterns in force; they are only recorded.
    pub excludes: Vec<String>,
    /// Host name of the snapshot, where it is not this host.
    pub hostname: Option<String>,
    /// zstd level.
    pub compression_level: i32,
    /// Stored bytes at which a data pack is closed. The first ones are closed at 16 MiB at the latest.
    pub pack_size: usize,
    /// Files read at one time.
    pub readers: usize,
    /// Threads that hash, compress and encrypt. Each holds one unfinished pack in memory, and where hashing is
    /// gathered, a group of up to 52 MiB.
    pub workers: usize,
    /// Packs being stored at one time, each in memory.
    pub uploads: usize,
    /// When a sidecar of the index is used and written, so that whoever backs up next need not read all of it.
    pub index: IndexOptions,
    /// The line that everything is stored through.
    pub throttle: Option<&'a Throttle>,
    /// Who hears how far it is.
    pub progress: &'a dyn Progress,
    /// Set it to stop: the backup ends with [`RepositoryError::Cancelled`].
    pub cancel: &'a AtomicBool,
    /// Called when everything but the snapshot is durable; its error means there is no snapshot.
    pub before_publish: Option<&'a BeforePublish<'a>>,
}

/// Where several packs wait to be hashed together, they are smaller, so that they take no more memory.
fn default_pack_size() -> usize {
    if Id::worth_gathering() > 1 { 8 << 20 } else { 16 << 20 }
}

impl<'a> BackupOptions<'a> {
    /// A first backup with good defaults for this machine.
    pub fn new(time: Timestamp, progress: &'a dyn Progress, cancel: &'a AtomicBool) -> BackupOptions<'a> {
        let workers = available_parallelism().map_or(1, |cores| cores.get().min(4));
        BackupOptions {
            parent: None,
            reread: false,
            tags: Vec::new(),
            time,
            excludes: Vec::new(),
            hostname: None,
            compression_level: 3,
            pack_size: default_pack_size(),
            readers: 2,
            workers,
            uploads: 2,
            index: IndexOptions::default(),
            throttle: None,
            progress,
            cancel,
            before_publish: None,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let refuse = |what: &str, reason: &str| Err(RepositoryError::invalid(format!("the option {what}"), reason));
        if self.readers == 0 || self.workers == 0 || self.uploads == 0 {
            return refuse("for readers, workers or uploads", "each needs at least one thread");
        }
        if !(1 << 20..=1 << 30).contains(&self.pack_size) {
            return refuse("pack_size", "it must be between 1 MiB and 1 GiB");
        }
        Ok(())
    }
}

/// What a backup did.
#[derive(Clone, Debug)]
pub struct BackupReport {
    /// The new snapshot.
    pub snapshot: Id,
    /// Its root tree.
    pub tree: Id,
    /// What could not be read, or changed while it was read. Not empty: the snapshot is partial.
    pub unread: Vec<Unread>,
    /// Folders of the parent that could not be loaded, each with the reason: their files were read again.
    pub unusable_parent_trees: Vec<String>,
    /// Why sidecars of the index were not used, or not written: the index files were read instead, or will be.
    pub sidecar_problems: Vec<String>,
    /// Counts and sizes.
    pub summary: Summary,
}
