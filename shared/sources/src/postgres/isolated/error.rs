//! [`IsolatedError`]: why there is no server over a restored cluster.

use std::io;
use std::path::{Path, PathBuf};

use holdfast_core::domain::FailureKind;
use holdfast_repository::ErrorKind;

use super::super::cluster::ClusterError;
use super::super::error::PostgresError;
use super::super::log::LogError;
use crate::content_engine::failure_kind;
use crate::files::RestoreError;

/// Why there is no server over a restored cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IsolatedError {
    /// PostgreSQL is not installed, or not in this version.
    #[error("the programs of PostgreSQL {major} are needed, but {} has no {program}: install postgresql-{major}, or say where its programs are", .folder.display())]
    NoPrograms {
        /// The cluster's major version.
        major: u32,
        /// The program that is missing.
        program: &'static str,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The programs are of another version.
    #[error("the programs in {} are of {found:?}, where PostgreSQL {major} is needed: name the right folder", .folder.display())]
    OtherPrograms {
        /// The folder.
        folder: PathBuf,
        /// What they say of themselves.
        found: String,
        /// The cluster's major version.
        major: u32,
    },
    /// The folder for the cluster cannot be used.
    #[error("{} cannot be used for a trial: {reason}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// The cluster was not restored.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The log that the server asked for is stored and cannot be read.
    #[error("the restored server did not get the log that it needs: {0}")]
    Log(LogError),
    /// The server ended before it had recovered.
    #[error("the restored server ended before it had recovered: {said}")]
    Ended {
        /// What it logged last.
        said: String,
        /// Whether that is about its data; otherwise it was killed, or this machine did not give it what it needs.
        is_of_data: bool,
    },
    /// The server is gone before all was looked at.
    #[error("the restored server went away: {said}")]
    Gone {
        /// What it said last.
        said: String,
    },
    /// The disk is full.
    #[error("the disk of {} is full: make room, or use another folder", .folder.display())]
    Full {
        /// The folder.
        folder: PathBuf,
    },
    /// The restored cluster does not let the role in.
    #[error("the restored cluster does not let role {role} in: name its superuser ({source})")]
    NoSuperuser {
        /// The role.
        role: String,
        /// What the server said.
        source: PostgresError,
    },
    /// The server does not answer as it should.
    #[error(transparent)]
    Server(#[from] PostgresError),
    /// The operating system refuses.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Somebody asked to stop.
    #[error("stopped as asked")]
    Stopped,
}

impl IsolatedError {
    pub(in super::super) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> IsolatedError {
        let path = path.as_ref().to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => IsolatedError::Full { folder: path },
            _ => IsolatedError::Io { action, path, source },
        }
    }

    /// Whether this says that the backup does not hold, rather than that it could not be tried.
    pub fn is_of_the_backup(&self) -> bool {
        match self {
            IsolatedError::Ended { is_of_data, .. } => *is_of_data,
            IsolatedError::Cluster(error) => match error {
                ClusterError::Incomplete { is_damage, .. } => *is_damage,
                ClusterError::Prepare(error) => error.is_of_the_backup(),
                ClusterError::Repository(error) | ClusterError::Restore(RestoreError::Repository(error)) => {
                    error.kind() == ErrorKind::Integrity
                }
                ClusterError::Log(error) => is_damage(error),
                _ => false,
            },
            IsolatedError::Log(error) => is_damage(error),
            _ => false,
        }
    }

    /// Whether what is stored cannot be given back as it was written, which another copy may.
    pub fn is_of_the_store(&self) -> bool {
        match self {
            IsolatedError::Cluster(error) => match error {
                ClusterError::Incomplete { is_damage, .. } => *is_damage,
                ClusterError::Repository(error) | ClusterError::Restore(RestoreError::Repository(error)) => {
                    error.kind() == ErrorKind::Integrity
                }
                ClusterError::Log(error) => error.is_of_the_store(),
                _ => false,
            },
            IsolatedError::Log(error) => error.is_of_the_store(),
            _ => false,
        }
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> FailureKind {
        match self {
            _ if self.is_of_the_backup() => FailureKind::Integrity,
            IsolatedError::NoPrograms { .. }
            | IsolatedError::OtherPrograms { .. }
            | IsolatedError::Folder { .. }
            | IsolatedError::NoSuperuser { .. } => FailureKind::Invalid,
            IsolatedError::Server(error) => error.kind(),
            IsolatedError::Cluster(ClusterError::NoBase(_)) => FailureKind::NotFound,
            IsolatedError::Cluster(ClusterError::Repository(error)) => failure_kind(error),
            _ => FailureKind::Transient,
        }
    }
}

fn is_damage(error: &LogError) -> bool {
    match error {
        LogError::Repository(error) => error.kind() == ErrorKind::Integrity,
        LogError::Io { .. } => false,
        _ => true,
    }
}
