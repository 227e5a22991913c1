//! A cluster in a repository: each base backup is one snapshot of its data folder, and a data folder is made from one again.
//!
//! The files of a server that is called `orders` are those below `/orders/data`, its log is below `/orders/wal`
//! ([`super::log`]). What `restic restore` makes of such a snapshot is a base backup as `pg_basebackup` makes one: PostgreSQL
//! starts over it, and `pg_verifybackup` knows every file.

mod base;
mod choose;
mod log_beside;
mod restore;
mod retention;
mod strangers;
mod stream;
mod way;

use std::path::{Path, PathBuf};

use holdfast_repository::backup::{BackupOptions, BackupReport, backup_stream};
use holdfast_repository::{Id, Repository, RepositoryError};

use super::address::Address;
use super::base_backup::{BaseBackup, BaseBackupReport};
use super::connection::{ClientOptions, Connection, Purpose};
use super::error::PostgresError;
use super::log::LogError;
use super::recovery::PrepareError;
use crate::files::RestoreError;
use stream::ClusterStream;

pub use base::{StoredBase, bases, damaged_pages, is_base};
pub use choose::{NoBase, choose};
pub use log_beside::RestoreLog;
pub use restore::{ClusterRestore, ClusterRestored, restore};
pub use retention::{Forgotten, Reason, own_log, plan_log_copy, plan_retention};
pub use way::{Way, way};

/// Why a cluster was not backed up, or not restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The server refused, or did not answer.
    #[error(transparent)]
    Server(#[from] PostgresError),
    /// The repository does not answer, or holds damage.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The stored log is not in order.
    #[error(transparent)]
    Log(#[from] LogError),
    /// No base backup leads to what was asked for.
    #[error(transparent)]
    NoBase(#[from] NoBase),
    /// Files cannot be restored.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// Some files cannot be restored: a server must not start over the others.
    #[error("{failed} files of snapshot {snapshot} are not restored, the first is {first}{mend}", snapshot = .snapshot.short(), mend = mending(*.is_damage))]
    Incomplete {
        /// The snapshot.
        snapshot: Id,
        /// Whether the repository cannot give some of them; otherwise the target refused all.
        is_damage: bool,
        /// How many files.
        failed: usize,
        /// One of them, and why.
        first: String,
    },
    /// The data folder cannot be made to recover.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// What stands in the target is not an older state of this cluster.
    #[error("{} {reason}, or restore to an empty folder", .folder.display())]
    OtherFolder {
        /// The target.
        folder: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The target cannot be looked at or changed.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl ClusterError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ClusterError {
        let path = path.to_owned();
        move |source| ClusterError::Io { action, path, source }
    }
}

/// How files that are not restored can be had after all.
fn mending(is_damage: bool) -> &'static str {
    if is_damage {
        "; repair the repository from a copy, or restore from another base backup"
    } else {
        ""
    }
}

/// What a base backup came to.
#[derive(Clone, Debug)]
pub struct ClusterBackup {
    /// The snapshot.
    pub report: BackupReport,
    /// What the server sent.
    pub base: BaseBackupReport,
}

/// The folder of a server's data in its snapshots.
pub(super) fn data_root(resource: &str) -> PathBuf {
    Path::new("/").join(resource).join("data")
}

/// Backs up the whole cluster behind `address` while it runs. Everything is read, and what the repository has is not stored
/// again: relation files are cut at every fourth page. The snapshot stands only if every file agrees with the server's
/// manifest. `options` are those of the snapshot.
pub fn back_up(
    repository: &Repository,
    address: &Address,
    resource: &str,
    client: &ClientOptions,
    options: &BackupOptions<'_>,
) -> Result<ClusterBackup, ClusterError> {
    let connection = Connection::open(address, Purpose::Replication, client)?;
    let place = connection.place().to_owned();
    let major = connection.major();
    let backup = BaseBackup::begin(connection, &format!("holdfast {resource}"))?;
    let mut stream = ClusterStream::new(backup, data_root(resource), place, major, client.now);
    let stored = backup_stream(repository, &mut stream, options);
    match (stored, stream.into_outcome()) {
        // What the repository says of it is that the stream ended too early.
        (Err(_), Err(Some(error))) => Err(error.into()),
        (Ok(report), Ok(base)) => Ok(ClusterBackup { report, base }),
        (Err(error), _) => Err(error.into()),
        (Ok(_), Err(_)) => Err(RepositoryError::Bug("a base backup was stored before it had ended".into()).into()),
    }
}
