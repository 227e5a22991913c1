//! A cluster in a repository: each base backup is one snapshot of its data folder, and a data folder is made from one again.
//!
//! The files of a server that is called `orders` are those below `/orders/data`, its log is below `/orders/wal`
//! ([`super::log`]). What `restic restore` makes of such a snapshot is a base backup as `pg_basebackup` makes one: PostgreSQL
//! starts over it, and `pg_verifybackup` knows every file.

mod base;
mod choose;
mod log_beside;
mod merge;
mod parent;
mod restore;
mod retention;
mod strangers;
mod stream;
mod way;

use std::path::{Path, PathBuf};

use holdfast_repository::backup::{BackupOptions, BackupReport, StreamBackup};
use holdfast_repository::{Id, Repository, RepositoryError};

use super::address::Address;
use super::base_backup::{BaseBackup, BaseBackupReport};
use super::connection::{ClientOptions, Connection, Purpose};
use super::error::PostgresError;
use super::log::LogError;
use super::recovery::PrepareError;
use crate::files::RestoreError;
use parent::Parent;
use stream::{Broken, ClusterStream};

pub use base::{StoredBase, bases, damaged_pages, is_base};
pub use choose::{NoBase, choose};
pub use log_beside::RestoreLog;
pub use parent::{BaseKind, FullReason, MOST_INCREMENTS, Taken};
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
    /// How much of it was read.
    pub taken: Taken,
}

/// The folder of a server's data in its snapshots.
pub(super) fn data_root(resource: &str) -> PathBuf {
    Path::new("/").join(resource).join("data")
}

/// Backs up the whole cluster behind `address` while it runs. What the repository has is not stored again: relation files are
/// cut at every fourth page. The snapshot stands only if every file agrees with the server's manifest. `options` are those of
/// the snapshot.
///
/// The snapshot is whole by itself, whichever `kind` is asked for. An incremental one that cannot be made, of which
/// [`FullReason`] says why, is a full one.
pub fn back_up(
    repository: &Repository,
    address: &Address,
    resource: &str,
    client: &ClientOptions,
    options: &BackupOptions<'_>,
    kind: BaseKind,
) -> Result<ClusterBackup, ClusterError> {
    let backing_up = BackingUp {
        repository,
        address,
        resource,
        client,
        options,
    };
    let mut connection = backing_up.connect()?;
    let reason = match parent::plan(repository, resource, kind, &mut connection)? {
        Err(reason) => return backing_up.full(connection, reason),
        Ok(base) => match backing_up.incremental(connection, &base)? {
            Ok(made) => return Ok(made),
            Err(reason) => reason,
        },
    };
    backing_up.full(backing_up.connect()?, reason)
}

/// What both kinds have in common.
struct BackingUp<'a> {
    repository: &'a Repository,
    address: &'a Address,
    resource: &'a str,
    client: &'a ClientOptions,
    options: &'a BackupOptions<'a>,
}

impl BackingUp<'_> {
    fn connect(&self) -> Result<Connection, PostgresError> {
        Connection::open(self.address, Purpose::Replication, self.client)
    }

    fn label(&self) -> String {
        format!("holdfast {}", self.resource)
    }

    fn full(&self, connection: Connection, reason: FullReason) -> Result<ClusterBackup, ClusterError> {
        let about = (connection.place().to_owned(), connection.major());
        let base = BaseBackup::begin(connection, &self.label())?;
        let backup = StreamBackup::begin(self.repository, self.options)?;
        match self.store(backup, base, about, None)? {
            Ok((report, base)) => Ok(ClusterBackup {
                report,
                base,
                taken: Taken::Full(reason),
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// Goes on from a base backup, or says why that cannot be done. Nothing is left of one that was begun.
    fn incremental(
        &self,
        connection: Connection,
        base: &StoredBase,
    ) -> Result<Result<ClusterBackup, FullReason>, ClusterError> {
        let unreadable = |error: RepositoryError| FullReason::Unreadable(error.to_string());
        let backup = StreamBackup::begin(self.repository, self.options)?;
        let parent = match Parent::open(self.repository, backup.index(), self.resource, base) {
            Ok(parent) => parent,
            Err(error) => return Ok(Err(unreadable(error))),
        };
        let about = (connection.place().to_owned(), connection.major());
        let base = match BaseBackup::begin_incremental(connection, &self.label(), &parent.manifest) {
            Ok(base) => base,
            Err(error) if error.report().is_some() && !error.is_of_the_machine() => {
                return Ok(Err(FullReason::Refused(error.to_string())));
            }
            Err(error) => return Err(error.into()),
        };
        let taken = Taken::Incremental(parent.snapshot);
        Ok(match self.store(backup, base, about, Some(parent))? {
            Ok((report, base)) => Ok(ClusterBackup { report, base, taken }),
            Err(error) => Err(unreadable(error)),
        })
    }

    /// Stores a base backup as it comes. The inner error is what the earlier one lacks.
    fn store(
        &self,
        backup: StreamBackup<'_>,
        base: BaseBackup,
        (place, major): (String, u32),
        parent: Option<Parent>,
    ) -> Result<Result<(BackupReport, BaseBackupReport), RepositoryError>, ClusterError> {
        let about = (major, self.client.now);
        let mut stream = ClusterStream::new(base, data_root(self.resource), place, parent, about);
        let stored = backup.run(&mut stream);
        match (stored, stream.into_outcome()) {
            (Ok(report), Ok(base)) => Ok(Ok((report, base))),
            // What the repository says of it is that the stream ended too early.
            (Err(_), Err(Broken::Server(error))) => Err(error.into()),
            (Err(_), Err(Broken::Parent(error))) => Ok(Err(error)),
            (Err(error), _) => Err(error.into()),
            (Ok(_), Err(_)) => Err(RepositoryError::Bug("a base backup was stored before it had ended".into()).into()),
        }
    }
}
