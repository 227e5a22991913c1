//! [`LogError`]: what goes wrong with a stored log, each naming the file.

use std::io;
use std::path::PathBuf;

use holdfast_repository::{ErrorKind, Id, RepositoryError};

use super::super::lsn::Lsn;
use super::super::segment::{SegmentError, SegmentSize};
use super::history::HistoryError;
use super::records::SegmentFault;

/// Why a file of a log was not stored or not given back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The repository does not answer, or holds damage.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A name is none of a log's.
    #[error(transparent)]
    Name(#[from] SegmentError),
    /// A history file makes no sense.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// A file on disk does not work.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file is not the segment that its name says.
    #[error("{name} is not the segment of that name: {fault}")]
    Fault {
        /// Its name.
        name: String,
        /// What is wrong.
        fault: SegmentFault,
    },
    /// A segment is damaged.
    #[error("{name} is damaged at {at}: {reason}")]
    Damaged {
        /// Its name.
        name: String,
        /// Where.
        at: Lsn,
        /// What is there.
        reason: String,
    },
    /// A file is longer or shorter than its name allows.
    #[error("{name} has {found} bytes, not {expected}")]
    Length {
        /// Its name.
        name: String,
        /// Its length.
        found: u64,
        /// The server's length of segments.
        expected: u64,
    },
    /// A segment comes from another server than those that are stored.
    #[error(
        "{name} comes from the server with system identifier {found}, but this archive belongs to {expected}: give each \
         server a resource of its own"
    )]
    OtherServer {
        /// Its name.
        name: String,
        /// The system identifier in it.
        found: u64,
        /// That of the archive.
        expected: u64,
    },
    /// The archive holds segments of another length.
    #[error("{name} is one of segments of {found}, but this archive holds segments of {expected}")]
    OtherSize {
        /// Its name.
        name: String,
        /// Its length.
        found: SegmentSize,
        /// That of the archive.
        expected: SegmentSize,
    },
    /// Another file of that name is stored.
    #[error(
        "{name} is stored already with other content, in snapshot {}: two servers archive to the same place, or one \
         continued from an older state without a new timeline", .snapshot.short()
    )]
    OtherContent {
        /// Its name.
        name: String,
        /// Where the other is.
        snapshot: Id,
    },
    /// The tags of a snapshot make no sense.
    #[error("snapshot {} has the tag `wal`, but its tags do not say which log it holds: {reason}", .snapshot.short())]
    Tags {
        /// The snapshot.
        snapshot: Id,
        /// What is wrong.
        reason: String,
    },
    /// A snapshot does not hold what its tags say.
    #[error("snapshot {} should hold {name} and does not", .snapshot.short())]
    Missing {
        /// The file.
        name: String,
        /// The snapshot.
        snapshot: Id,
    },
}

impl LogError {
    /// Whether what is stored cannot be given back as it was written.
    pub(crate) fn is_of_the_store(&self) -> bool {
        match self {
            LogError::Repository(error) => error.kind() == ErrorKind::Integrity,
            LogError::Missing { .. } => true,
            _ => false,
        }
    }

    /// Turns an I/O error into one that says what was tried.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> LogError {
        let path = path.into();
        move |source| LogError::Io { action, path, source }
    }
}
