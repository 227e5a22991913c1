//! A trial: a backup is restored to a private folder, a server is started over it that nobody else reaches, recovers to the
//! target, and is looked through: heaps and indexes by PostgreSQL's `amcheck`, pages by their checksums, tables by counting
//! their rows, and whatever the operator wants to hold, by SQL. Then all of it is removed again.
//!
//! [`run`] is the whole of it.

mod assertions;
mod checks;
mod database;
mod pages;
mod relation;
mod verdict;

use std::path::Path;

use holdfast_core::domain::Level;
use holdfast_repository::index::Index;
use holdfast_repository::{Progress, Repository};

use super::cluster::{ClusterError, StoredBase, bases, choose};
use super::connection::ClientOptions;
use super::isolated::{IsolatedError, Programs, Restore, Scratch, Server};
use super::log::LogArchive;
use super::recovery::Recovery;

pub use checks::{Assertion, Checks, Heartbeat, HeartbeatError};
pub use verdict::{Answer, Beat, Check, Counts, Fault, TableRows, Times, TrialVerdict};

/// Why there is no verdict. A backup that does not hold is none of these: that is a verdict.
pub type TrialError = IsolatedError;

/// What to try, and how.
pub struct TrialRequest<'a> {
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
    /// What the operator wants to hold.
    pub checks: &'a Checks,
    /// Threads of the restore, and connections that check.
    pub workers: usize,
    /// Hears how far the restore is.
    pub progress: &'a dyn Progress,
    /// The time, and the flag that stops all of it.
    pub client: &'a ClientOptions,
}

/// Tries a backup. Blocks until the verdict is there or `client.stop` is set; the folder, and what runs over it, is gone in
/// either case. What a process that was killed left behind is removed by the next run in the same folder.
pub fn run(request: &TrialRequest<'_>) -> Result<TrialVerdict, TrialError> {
    let archive = LogArchive::open(request.repository, request.resource).map_err(ClusterError::from)?;
    let bases = bases(request.repository, request.resource).map_err(ClusterError::from)?;
    let base = choose(
        request.resource,
        &bases,
        archive.pieces(),
        request.recovery,
        request.base,
    );
    let base = base.map_err(ClusterError::from)?;
    let programs = Programs::find(request.programs, base.major)?;
    let scratch = Scratch::make(request.folder, request.repository.ambient())?;
    let verdict = try_out(request, base, &archive, &programs, &scratch);
    let removed = scratch.remove();
    let verdict = verdict?;
    removed.map(|()| verdict)
}

/// The error, unless it is what is wrong with the backup.
fn fault_of<T>(outcome: Result<T, IsolatedError>) -> Result<Result<T, String>, IsolatedError> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(error) if error.is_of_the_backup() => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

fn try_out(
    request: &TrialRequest<'_>,
    base: &StoredBase,
    archive: &LogArchive,
    programs: &Programs,
    scratch: &Scratch,
) -> Result<TrialVerdict, IsolatedError> {
    let now = request.client.now;
    let mut verdict = TrialVerdict::begin(base, request.checks, now());
    let restore = Restore {
        repository: request.repository,
        index: request.index,
        resource: request.resource,
        base,
        recovery: request.recovery,
        workers: request.workers,
        progress: request.progress,
        cancel: &request.client.stop,
    };
    let restored = fault_of(scratch.restore(&restore))?;
    verdict.times.restored_at = now();
    if let Err(reason) = restored {
        verdict.add(Fault::of(Level::L3, Check::Restore, reason));
        return Ok(verdict.end(now()));
    }
    let recovered = Server::recover(
        scratch,
        programs,
        archive,
        request.index,
        request.workers,
        request.superuser,
        request.client,
    );
    let recovered = fault_of(recovered)?;
    verdict.times.recovered_at = now();
    let server = match recovered {
        Ok((server, recovered)) => {
            verdict.recovered = Some(recovered);
            server
        }
        Err(reason) => {
            verdict.add(Fault::of(Level::L4, Check::Recovery, reason));
            return Ok(verdict.end(now()));
        }
    };
    look_through(request, server, &mut verdict)?;
    Ok(verdict.end(now()))
}

/// All checks, over the server and then without it.
fn look_through(
    request: &TrialRequest<'_>,
    server: Server<'_>,
    verdict: &mut TrialVerdict,
) -> Result<(), IsolatedError> {
    let layout = database::all(&server, request.workers, verdict)?;
    assertions::all(&server, request.checks, request.recovery, verdict)?;
    let data = server.data();
    server.stop()?;
    match layout {
        Some(layout) => pages::all(&data, layout, &request.client.stop, verdict)?,
        None => verdict.leave("pages of files: the cluster has no page checksums".to_owned()),
    }
    Ok(())
}
