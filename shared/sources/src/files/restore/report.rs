//! [`RestoreReport`]: what a restore did.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use holdfast_repository::Id;

/// Notes kept in full; a restore without the right to set owners would otherwise hold one for every file.
const NOTES_KEPT: usize = 10_000;

/// What a restore did.
#[derive(Clone, Debug)]
pub struct RestoreReport {
    /// The snapshot.
    pub snapshot: Id,
    /// Regular files that are whole now, hard links among them.
    pub files: u64,
    /// Folders made or found.
    pub folders: u64,
    /// Symbolic links, pipes and devices.
    pub others: u64,
    /// Bytes written into files.
    pub bytes_written: u64,
    /// Bytes that already stood there, holes among them.
    pub bytes_right: u64,
    /// What could not be set, by path; at most 10,000.
    pub notes: Vec<Note>,
    /// The number of notes, also of those not kept.
    pub notes_total: u64,
    /// What is not restored, by path. The restore is complete when there is nothing here.
    pub failures: Vec<Failure>,
}

impl RestoreReport {
    /// Everything that was asked for is there (see `notes` for what could not be set on it).
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Something on a file that could not be restored, while its content is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The file in the target.
    pub path: PathBuf,
    /// What could not be done, and why.
    pub what: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.what)
    }
}

/// A file or folder that is not restored, or not wholly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The file in the target. What is there of it must not be trusted.
    pub path: PathBuf,
    /// Why.
    pub cause: Cause,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.cause)
    }
}

/// Why something is not restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The repository cannot give it: its blobs are missing or damaged in every pack.
    #[error("the repository cannot give it: {0}")]
    Unreadable(String),
    /// The snapshot contradicts itself about it.
    #[error("the snapshot makes no sense here: {0}")]
    Malformed(String),
    /// The target refused it.
    #[error("cannot {action}: {reason}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        reason: String,
    },
}

impl Cause {
    /// Whether the repository cannot give it; otherwise the target refused it.
    pub fn is_damage(&self) -> bool {
        !matches!(self, Self::Refused { .. })
    }
}

/// The report while it grows, from many threads.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) files: AtomicU64,
    pub(super) folders: AtomicU64,
    pub(super) others: AtomicU64,
    pub(super) bytes_written: AtomicU64,
    pub(super) bytes_right: AtomicU64,
    notes: Mutex<Vec<Note>>,
    notes_total: AtomicU64,
    failures: Mutex<BTreeMap<PathBuf, Cause>>,
}

impl Tally {
    pub(super) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    pub(super) fn note(&self, path: PathBuf, what: String) {
        Self::add(&self.notes_total, 1);
        let mut notes = locked(&self.notes);
        if notes.len() < NOTES_KEPT {
            notes.push(Note { path, what });
        }
    }

    /// The first cause for a path is kept: later ones follow from it.
    pub(super) fn fail(&self, path: PathBuf, cause: Cause) {
        locked(&self.failures).entry(path).or_insert(cause);
    }

    pub(super) fn failure(&self, path: &Path) -> Option<Cause> {
        locked(&self.failures).get(path).cloned()
    }

    pub(super) fn has_failures(&self) -> bool {
        !locked(&self.failures).is_empty()
    }

    pub(super) fn into_report(self, snapshot: Id) -> RestoreReport {
        let mut notes = std::mem::take(&mut *locked(&self.notes));
        notes.sort_by(|a, b| a.path.cmp(&b.path));
        let failures = std::mem::take(&mut *locked(&self.failures));
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RestoreReport {
            snapshot,
            files: value(&self.files),
            folders: value(&self.folders),
            others: value(&self.others),
            bytes_written: value(&self.bytes_written),
            bytes_right: value(&self.bytes_right),
            notes,
            notes_total: value(&self.notes_total),
            failures: failures
                .into_iter()
                .map(|(path, cause)| Failure { path, cause })
                .collect(),
        }
    }
}

/// A panic of another thread does not make what it left here wrong.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
