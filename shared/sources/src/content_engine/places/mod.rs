//! Places: where content is read from and restored to. The engine knows them by these traits alone, so that a file tree
//! and a prefix of a bucket are backed up, restored, compared and cleaned by the same orders.

mod files;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use holdfast_core::domain::{Failure, FailureKind};
use holdfast_repository::backup::{Slice, Source};
use holdfast_repository::index::Index;
use holdfast_repository::{Id, Progress, Repository};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::files::Patterns;

pub use super::backup::printable;
pub use files::FileTrees;
pub(super) use files::restore_failure;

/// Resources and restore targets, opened by their addresses. All calls block and come from threads that may.
pub trait Places: Send + Sync {
    /// Opens the resource at `path` for a backup of what `patterns` select. Its [`Source::paths`] must be one absolute
    /// path, the same for the same address. [`FailureKind::NotFound`] where nothing is there.
    fn source(&self, path: &str, patterns: Patterns) -> Result<Box<dyn Source>, Failure>;

    /// The restore target at `address`. Nothing is made or looked at yet.
    fn target(&self, address: &str) -> Result<Box<dyn Target>, Failure>;

    /// Removes what a drill restored to `target`, which may be gone already. [`FailureKind::Invalid`] unless it lies
    /// inside the drill area, whatever the order says.
    fn clean(&self, target: &str) -> Result<(), Failure>;
}

/// A place that a recovery point is restored to.
pub trait Target {
    /// Whether nothing stands there.
    fn is_free(&self) -> Result<bool, Failure>;

    /// Writes what was asked for, then reads it all again and compares it with the recovery point, entry by entry.
    /// [`FailureKind::Invalid`] where something stands and `overwrite` is not asked for. One that was stopped goes on when it
    /// is asked again: from what it finds right, or from the cursor that it keeps.
    fn restore(&self, content: &PointContent<'_>, request: &RestoreRequest<'_>) -> Result<Restored, Failure>;

    /// The time in the file of that name, relative to the target; none when the application wrote none, or something
    /// else. What stands there is restored content, and is not trusted.
    fn heartbeat(&self, name: &str) -> Option<Timestamp>;
}

/// What a recovery point holds.
pub struct PointContent<'a> {
    /// Where it is kept.
    pub repository: &'a Repository,
    /// The repository's index.
    pub index: &'a Index,
    /// The snapshot.
    pub snapshot: Id,
    /// The absolute path of the resource in the snapshot.
    pub root: &'a Path,
    /// The tree of that folder.
    pub tree: Id,
}

/// What of a recovery point is wanted, and how.
pub struct RestoreRequest<'a> {
    /// Patterns, anchored at the root of the snapshot; none means everything.
    pub include: &'a [String],
    /// Whether to write over what stands there.
    pub overwrite: bool,
    /// The files to write and compare, for a target that keeps cursors: others do the rest at the same time. `None`: all.
    pub slice: Option<Slice>,
    /// Threads of each stage.
    pub threads: usize,
    /// Hears how far it is.
    pub progress: &'a dyn Progress,
    /// Stops the work when set, with a [`FailureKind::Transient`] failure.
    pub cancel: &'a AtomicBool,
    /// Keeps how far it has come, for a target where looking at what stands costs as much as writing it.
    pub cursors: &'a dyn Cursors,
}

/// How far a restore has come that writes and compares one file after the other, in the order of the snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreCursor {
    /// Files that need not be written any more.
    pub written: u64,
    /// Files that need not be compared any more.
    pub compared: u64,
    /// What came of them.
    pub restored: Restored,
}

/// Where one restore keeps its cursor, so that another execution goes on from there.
pub trait Cursors: Sync {
    /// How far the executions before this one came. A [`FailureKind::Transient`] failure when several in a row came no
    /// further: something takes longer than an execution lasts, or ends it.
    fn take_up(&self) -> Result<RestoreCursor, Failure>;

    /// Whether it is time to keep the cursor: a while after the last time, and before this execution stops.
    fn is_due(&self) -> bool;

    /// Keeps it. Of long lists of differences the beginning is kept, and how many more there are.
    fn keep(&self, cursor: &RestoreCursor) -> Result<(), Failure>;
}

/// What a restore did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// Regular files that are whole now.
    pub files: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Every entry that was asked for and does not stand as in the recovery point: a line each, path first.
    pub differences: Vec<String>,
    /// How many more there are than these.
    pub more_differences: u64,
}

impl Restored {
    /// Takes in what another slice of the same restore came to.
    pub(super) fn add(&mut self, other: Restored) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.differences.extend(other.differences);
        self.more_differences += other.more_differences;
    }
}

impl RestoreRequest<'_> {
    /// Whether a file, by its path below the root, is to be written and compared by whoever has this request.
    pub fn holds(&self, path: &Path) -> bool {
        self.slice.is_none_or(|slice| slice.holds(path))
    }
}

/// Places by the beginning of their addresses.
pub struct PlacesByScheme {
    schemes: Vec<(&'static str, Arc<dyn Places>)>,
}

impl PlacesByScheme {
    /// Addresses that begin with `/` are file trees, cleaned below the absolute folder `drill_area` alone.
    pub fn files(drill_area: PathBuf) -> Self {
        Self {
            schemes: vec![("/", Arc::new(FileTrees::new(drill_area)))],
        }
    }

    /// Addresses that begin with `scheme` are these places.
    pub fn only(scheme: &'static str, places: Arc<dyn Places>) -> Self {
        Self {
            schemes: vec![(scheme, places)],
        }
    }

    /// These as well.
    pub fn and(mut self, scheme: &'static str, places: Arc<dyn Places>) -> Self {
        self.schemes.push((scheme, places));
        self
    }

    fn of(&self, address: &str) -> Result<&dyn Places, Failure> {
        let known = self.schemes.iter().find(|(scheme, _)| address.starts_with(scheme));
        known.map(|(_, places)| places.as_ref()).ok_or_else(|| {
            let schemes: Vec<&str> = self.schemes.iter().map(|(scheme, _)| *scheme).collect();
            let message = format!(
                "{address:?} is not an address that this installation can reach: write one that begins with {}",
                schemes.join(" or ")
            );
            Failure::new(FailureKind::Invalid, message)
        })
    }
}

impl Places for PlacesByScheme {
    fn source(&self, path: &str, patterns: Patterns) -> Result<Box<dyn Source>, Failure> {
        self.of(path)?.source(path, patterns)
    }

    fn target(&self, address: &str) -> Result<Box<dyn Target>, Failure> {
        self.of(address)?.target(address)
    }

    fn clean(&self, target: &str) -> Result<(), Failure> {
        self.of(target)?.clean(target)
    }
}
