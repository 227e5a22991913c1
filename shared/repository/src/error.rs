//! [`RepositoryError`]: everything that can go wrong, each naming the thing, and [`ErrorKind`]: what to do about it.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::fetch::UnreadableBlob;
use crate::id::Id;
use crate::lock::LockHolder;
use crate::pack::BlobKind;
use crate::storage::StorageError;

/// A result of this crate.
pub type Result<T, E = RepositoryError> = std::result::Result<T, E>;

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Trying again later may work.
    Transient,
    /// Somebody else holds or made the thing.
    Conflict,
    /// The named thing does not exist.
    NotFound,
    /// Not permitted: rights or a wrong password.
    Denied,
    /// The request or its input makes no sense.
    Invalid,
    /// Stored bytes are damaged or contradict each other.
    Integrity,
    /// The storage has no room left.
    Full,
    /// The caller asked for the work to stop.
    Cancelled,
    /// A mistake in this program.
    Bug,
}

/// An error of the content engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// The operating system refused something.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried and on what, as in "read /srv/repo/config".
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The store of files refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file of the repository is not there.
    #[error("{file} is not in the repository at {location}")]
    NotFound {
        /// The file.
        file: String,
        /// The storage.
        location: String,
    },
    /// The storage holds no repository.
    #[error("there is no repository at {location}: it has no config file (initialise one first)")]
    NoRepository {
        /// The storage.
        location: String,
    },
    /// The storage already holds a repository.
    #[error("there already is a repository at {location}")]
    AlreadyInitialised {
        /// The storage.
        location: String,
    },
    /// None of the keys opens with the password.
    #[error("wrong password for the repository at {location}: none of the {tried} key files tried opens with it")]
    WrongPassword {
        /// The storage.
        location: String,
        /// Number of key files tried.
        tried: usize,
    },
    /// The master key given does not belong to this repository, or its config is damaged.
    #[error("the master key does not open {location}: it belongs to another repository, or the config file is damaged")]
    WrongMasterKey {
        /// The storage.
        location: String,
    },
    /// The repository cannot be opened with a password.
    #[error("the repository at {location} has no key file for a password: open it with its master key")]
    NoKeyFile {
        /// The storage.
        location: String,
    },
    /// The repository has a format version we do not write.
    #[error("the repository has format version {version}; only version 2 is supported (migrate it with restic)")]
    UnsupportedVersion {
        /// The version found.
        version: u32,
    },
    /// An input makes no sense.
    #[error("{what} is not valid: {reason}")]
    Invalid {
        /// The thing.
        what: String,
        /// Why.
        reason: String,
    },
    /// Stored bytes are damaged.
    #[error("{what} is damaged: {reason}")]
    Damaged {
        /// The file or blob.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A blob is in no pack that the index knows.
    #[error("{kind} blob {id} is in no pack that the index knows")]
    BlobNotIndexed {
        /// Data or tree.
        kind: BlobKind,
        /// The blob.
        id: Id,
    },
    /// A blob cannot be read from any pack that holds it.
    #[error("{kind} blob {id} cannot be read from any pack: {reason}")]
    BlobUnreadable {
        /// Data or tree.
        kind: BlobKind,
        /// The blob.
        id: Id,
        /// One line for each pack tried.
        reason: String,
    },
    /// Data blobs that cannot be read from any pack; everything else was read.
    #[error(
        "{} data blobs cannot be read from any pack, the first: {} ({}); repair the repository from a copy",
        blobs.len(), blobs.first().map(|b| b.blob.to_string()).unwrap_or_default(),
        blobs.first().map(|b| b.reason.as_str()).unwrap_or_default()
    )]
    BlobsUnreadable {
        /// Each of them, in ascending order of id.
        blobs: Vec<UnreadableBlob>,
    },
    /// Some snapshots were not copied because their source is damaged; all others were.
    #[error(
        "{} snapshots were not copied because their source is damaged ({} packs); repair it first; {reason}",
        snapshots.len(), packs.len()
    )]
    CopyIncomplete {
        /// The snapshots that were not copied.
        snapshots: Vec<Id>,
        /// The packs that are damaged.
        packs: Vec<Id>,
        /// The first damage that was met.
        reason: String,
    },
    /// No snapshot answers to a word.
    #[error("no snapshot matches `{word}`")]
    NoSuchSnapshot {
        /// What was asked for.
        word: String,
    },
    /// More than one snapshot answers to a word.
    #[error("`{word}` matches more than one snapshot: {candidates}")]
    AmbiguousSnapshot {
        /// What was asked for.
        word: String,
        /// The short ids that match.
        candidates: String,
    },
    /// A root of a backup cannot be read at all.
    #[error("{path} cannot be backed up: {reason}")]
    UnreadableRoot {
        /// The root.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Another program holds a lock that does not allow this one.
    #[error(
        "{location} is locked by process {} of {} on {} since {}; wait for it, or stop it (a lock ends by itself 30 minutes \
         after its process died)", holder.pid, holder.username, holder.hostname, holder.time
    )]
    Locked {
        /// The storage.
        location: String,
        /// Who holds the lock.
        holder: Box<LockHolder>,
    },
    /// A lock of ours could not be refreshed in time.
    #[error("the lock on {location} could not be refreshed since {refreshed_at} and has run out; run this again")]
    LockLost {
        /// The storage.
        location: String,
        /// The last time it worked.
        refreshed_at: Timestamp,
    },
    /// The caller asked for the work to stop.
    #[error("cancelled")]
    Cancelled,
    /// A mistake in this program.
    #[error("internal error: {0}")]
    Bug(String),
}

impl RepositoryError {
    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } => io_kind(source),
            Self::Storage(error) => error.kind(),
            Self::NotFound { .. } | Self::NoRepository { .. } | Self::NoSuchSnapshot { .. } => ErrorKind::NotFound,
            Self::AlreadyInitialised { .. } | Self::Locked { .. } | Self::LockLost { .. } => ErrorKind::Conflict,
            Self::WrongPassword { .. } | Self::WrongMasterKey { .. } | Self::NoKeyFile { .. } => ErrorKind::Denied,
            Self::UnsupportedVersion { .. }
            | Self::Invalid { .. }
            | Self::AmbiguousSnapshot { .. }
            | Self::UnreadableRoot { .. } => ErrorKind::Invalid,
            Self::Damaged { .. }
            | Self::BlobNotIndexed { .. }
            | Self::BlobUnreadable { .. }
            | Self::BlobsUnreadable { .. }
            | Self::CopyIncomplete { .. } => ErrorKind::Integrity,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::Bug(_) => ErrorKind::Bug,
        }
    }

    /// Turns an I/O error into one that says what was tried: `.map_err(RepositoryError::io("read /x"))`.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> RepositoryError {
        move |source| RepositoryError::Io {
            what: what.into(),
            source,
        }
    }

    /// Something stored is damaged.
    pub fn damaged(what: impl Into<String>, reason: impl std::fmt::Display) -> RepositoryError {
        RepositoryError::Damaged {
            what: what.into(),
            reason: reason.to_string(),
        }
    }

    /// Something given to us makes no sense.
    pub fn invalid(what: impl Into<String>, reason: impl std::fmt::Display) -> RepositoryError {
        RepositoryError::Invalid {
            what: what.into(),
            reason: reason.to_string(),
        }
    }
}

fn io_kind(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Full,
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename | io::ErrorKind::NotADirectory => {
            ErrorKind::Invalid
        }
        io::ErrorKind::AlreadyExists => ErrorKind::Conflict,
        _ => ErrorKind::Transient,
    }
}
