//! [`RestoreError`]: what stops a restore.

use std::io;
use std::path::PathBuf;

use holdfast_repository::{Id, RepositoryError};

use super::super::patterns::PatternError;
use super::target::MARKER;

/// What stops a whole restore. What concerns one file alone is in [`super::RestoreReport::failures`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The repository does not answer, or the snapshot is not readable at its root.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A pattern is not valid.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The snapshot has no such folder.
    #[error("snapshot {} has no folder {}: {} is not in it", .snapshot.short(), .path.display(), .missing.display())]
    NoSuchFolder {
        /// The snapshot.
        snapshot: Id,
        /// What was asked for.
        path: PathBuf,
        /// The first part of it that is missing or no folder.
        missing: PathBuf,
    },
    /// The patterns match nothing.
    #[error("nothing in snapshot {} matches {}", .snapshot.short(), .include.join(", "))]
    NothingSelected {
        /// The snapshot.
        snapshot: Id,
        /// The patterns.
        include: Vec<String>,
    },
    /// The target holds something else.
    #[error("{} is not empty: choose an empty or new folder, or ask to overwrite what is there", .target.display())]
    NotEmpty {
        /// The target.
        target: PathBuf,
    },
    /// The target is no folder.
    #[error("{} is not a folder: choose an empty or new folder", .target.display())]
    NotFolder {
        /// The target.
        target: PathBuf,
    },
    /// The target holds an unfinished restore of something else.
    #[error(
        "{} holds an unfinished restore of {of}: repeat that restore to finish it, empty the folder, or ask to \
         overwrite what is there", .target.display()
    )]
    Unfinished {
        /// The target.
        target: PathBuf,
        /// What was being restored.
        of: String,
    },
    /// Somebody else restores into the target.
    #[error("another restore into {} is running: wait for it, or choose another folder", .target.display())]
    Busy {
        /// The target.
        target: PathBuf,
    },
    /// A symbolic link stands where a folder belongs. It is never followed.
    #[error("{} is a symbolic link where the restore needs a folder: remove it, or choose another target", .path.display())]
    SymlinkInTheWay {
        /// The link.
        path: PathBuf,
    },
    /// No room left.
    #[error(
        "no room left to {action} {}: {source} (free some space and repeat the restore, it goes on where it \
         stopped; the marker {MARKER} remembers)", .path.display()
    )]
    Full {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The target does not work.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The caller asked to stop.
    #[error("the restore was cancelled; repeat it to go on where it stopped")]
    Cancelled,
}
