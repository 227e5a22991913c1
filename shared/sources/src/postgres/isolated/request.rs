//! [`Request`]: which cluster is wanted as a server, and where that runs.

use std::path::Path;

use holdfast_repository::index::Index;
use holdfast_repository::{Progress, Repository};

use super::super::cluster::{ClusterError, StoredBase, bases, choose};
use super::super::connection::ClientOptions;
use super::super::log::LogArchive;
use super::super::recovery::Recovery;
use super::{IsolatedError, Programs, Scratch};

/// Which cluster is wanted as a server, and where that runs.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Where the backups are. Whoever asks holds a reader's lock.
    pub repository: &'a Repository,
    /// Its index.
    pub index: &'a Index,
    /// What the server is called there.
    pub resource: &'a str,
    /// How far to recover.
    pub recovery: &'a Recovery,
    /// The beginning of the id of the base backup to start from; `None` for the newest before the target.
    pub base: Option<&'a str>,
    /// A folder with room for the cluster, in which a private one is made. For root it belongs to the user who may run servers.
    pub folder: &'a Path,
    /// Where PostgreSQL's programs are; `None` for where Debian installs them.
    pub programs: Option<&'a Path>,
    /// The superuser of the cluster.
    pub superuser: &'a str,
    /// Threads of the restore, and connections at one time.
    pub workers: usize,
    /// Hears how far the restore is.
    pub progress: &'a dyn Progress,
    /// The time, and the flag that stops all of it.
    pub client: &'a ClientOptions,
}

/// What a private server is made of.
pub struct Prepared {
    /// The base backup that the recovery starts from.
    pub base: StoredBase,
    /// The log.
    pub archive: LogArchive,
    /// The programs of the cluster's version.
    pub programs: Programs,
    /// The private folder, empty.
    pub scratch: Scratch,
}

impl Request<'_> {
    /// Chooses the base backup, finds the programs, and makes the folder.
    pub fn prepare(&self) -> Result<Prepared, IsolatedError> {
        let archive = LogArchive::open(self.repository, self.resource).map_err(ClusterError::from)?;
        let bases = bases(self.repository, self.resource).map_err(ClusterError::from)?;
        let base = choose(self.resource, &bases, archive.pieces(), self.recovery, self.base);
        let base = base.map_err(ClusterError::from)?.clone();
        let programs = Programs::find(self.programs, base.major)?;
        let scratch = Scratch::make(self.folder, self.repository.ambient())?;
        Ok(Prepared {
            base,
            archive,
            programs,
            scratch,
        })
    }
}
