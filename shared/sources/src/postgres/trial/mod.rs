//! A trial: a backup is restored to a private folder, a server is started over it that nobody else reaches, recovers to the
//! target, and is looked through: heaps and indexes by PostgreSQL's `amcheck`, pages by their checksums, tables by counting
//! their rows, and whatever the operator wants to hold, by SQL. Then all of it is removed again.
//!
//! [`run`] is the whole of it.

mod assertions;
mod database;
mod pages;
mod relation;
mod verdict;

use holdfast_core::domain::{Checks, Level};

use super::isolated::{IsolatedError, Prepared, Request, Server};

pub use verdict::{Answer, Beat, Check, Counts, Fault, TableRows, Times, TrialVerdict};

/// Why there is no verdict. A backup that does not hold is none of these: that is a verdict.
pub type TrialError = IsolatedError;

/// What to try, and how.
#[derive(Clone, Copy)]
pub struct TrialRequest<'a> {
    /// The cluster, and where its server runs.
    pub cluster: Request<'a>,
    /// What the operator wants to hold.
    pub checks: &'a Checks,
}

/// Tries a backup. Blocks until the verdict is there or `client.stop` is set; the folder, and what runs over it, is gone in
/// either case. What a process that was killed left behind is removed by the next run in the same folder.
pub fn run(request: &TrialRequest<'_>) -> Result<TrialVerdict, TrialError> {
    let prepared = request.cluster.prepare()?;
    let verdict = try_out(request, &prepared);
    let removed = prepared.scratch.remove();
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

fn try_out(request: &TrialRequest<'_>, prepared: &Prepared) -> Result<TrialVerdict, IsolatedError> {
    let cluster = &request.cluster;
    let now = cluster.client.now;
    let mut verdict = TrialVerdict::begin(&prepared.base, request.checks, now());
    let restored = fault_of(prepared.scratch.restore(cluster, &prepared.base))?;
    verdict.times.restored_at = now();
    if let Err(reason) = restored {
        verdict.add(Fault::of(Level::L3, Check::Restore, reason));
        return Ok(verdict.end(now()));
    }
    let recovered = Server::recover(&prepared.scratch, &prepared.programs, &prepared.archive, cluster);
    // A restore needs its log as it needs its files.
    let is_lost = recovered.as_ref().is_err_and(IsolatedError::is_of_the_store);
    let recovered = fault_of(recovered)?;
    verdict.times.recovered_at = now();
    let server = match recovered {
        Ok((server, recovered)) => {
            verdict.recovered = Some(recovered);
            server
        }
        Err(reason) => {
            let (level, check) = if is_lost {
                (Level::L3, Check::Restore)
            } else {
                (Level::L4, Check::Recovery)
            };
            verdict.add(Fault::of(level, check, reason));
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
    let layout = database::all(&server, request.cluster.workers, verdict)?;
    assertions::all(&server, request.checks, request.cluster.recovery, verdict)?;
    let data = server.data();
    server.stop()?;
    match layout {
        Some(layout) => pages::all(&data, layout, &request.cluster.client.stop, verdict)?,
        None => verdict.leave("pages of files: the cluster has no page checksums".to_owned()),
    }
    Ok(())
}
