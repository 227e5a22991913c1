//! Restore orders of servers that recover to a moment: a base backup, and beside it the log that leads there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use holdfast_core::domain::{Failure, FailureKind, Moment, Order, Outcome, ServerRecovery};
use holdfast_core::ports::Task;
use holdfast_repository::lock::{Lock, LockKind};

use super::servers::{cluster_failure, log_failure};
use super::task::Control;
use super::{Inner, failure};
use crate::postgres::cluster::{ClusterRestore, NoBase, RestoreLog, bases, restore, way};
use crate::postgres::log::LogArchive;

impl Inner {
    /// Makes a data folder over which a server recovers to where it is told, with nothing but what is in it.
    pub(super) fn recover(&self, task: &Task, recovery: ServerRecovery, control: &Control) -> Result<Outcome, Failure> {
        let Order::Restore {
            from,
            target: address,
            overwrite,
            heartbeat,
            ..
        } = &task.order
        else {
            return Err(Failure::new(FailureKind::Bug, "this order is no restore"));
        };
        let (resource, name) = (&from.resource, from.resource.as_str());
        let of_log = |error| log_failure(resource, error);
        let target = self.places.target(address)?;
        let repository = self.repositories.open(&from.vault, resource)?;
        let _reading = Lock::acquire(&repository, LockKind::Shared).map_err(failure)?;
        let index = repository.load_index().map_err(failure)?;
        let bases = bases(&repository, name).map_err(of_log)?;
        let base = bases
            .iter()
            .find(|stored| stored.base.snapshot.to_string() == from.artefact);
        let base = base.ok_or_else(|| cluster_failure(resource, NoBase::Unknown(from.artefact.clone()).into()))?;
        let archive = LogArchive::open(&repository, name).map_err(of_log)?;
        let to = match recovery.to {
            Moment::Latest => None,
            Moment::At(time) => Some(time),
        };
        let way = way(&base.base, recovery.timeline, to, archive.pieces())
            .map_err(|error| cluster_failure(resource, error.into()))?;
        let data = Path::new(address);
        let is_ours = self.began_before(&task.job, target.as_ref())?;
        if is_ours {
            clear_unrecognisable(data)?;
        }
        let request = ClusterRestore {
            target: data,
            overwrite: *overwrite || is_ours,
            recovery: &way.recovery,
            log: RestoreLog::Beside {
                archive: &archive,
                files: &way.files,
            },
            tablespaces: &BTreeMap::new(),
            workers: self.threads,
            progress: control,
            cancel: &control.cancel,
        };
        let restored =
            restore(&repository, &index, name, base, &request).map_err(|error| cluster_failure(resource, error))?;
        Ok(Outcome::Restore {
            files: restored.files,
            bytes: restored.bytes_written,
            differences: Vec::new(),
            heartbeat_at: heartbeat.as_ref().and_then(|heartbeat| target.heartbeat(heartbeat)),
        })
    }
}

/// Empties a folder into which this job has begun to write, if it was killed before that could be told for a data folder: no
/// server has run over it.
fn clear_unrecognisable(data: &Path) -> Result<(), Failure> {
    if data.join("PG_VERSION").exists() || !data.exists() {
        return Ok(());
    }
    let clear = || {
        for entry in fs::read_dir(data)? {
            let path = entry?.path();
            if path.is_dir() && !path.is_symlink() {
                fs::remove_dir_all(&path)?;
            } else {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    };
    clear().map_err(|error: std::io::Error| {
        let message = format!("target {} cannot be emptied to begin anew: {error}", data.display());
        Failure::caused(FailureKind::Transient, message, error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_server_can_have_run_over_is_cleared() {
        let target = tempfile::tempdir().unwrap();
        let data = target.path();
        clear_unrecognisable(&data.join("absent")).unwrap();
        fs::create_dir(data.join("base")).unwrap();
        std::os::unix::fs::symlink("/tmp", data.join("pg_tblspc")).unwrap();
        fs::write(data.join("backup_label"), "").unwrap();
        clear_unrecognisable(data).unwrap();
        assert_eq!(fs::read_dir(data).unwrap().count(), 0);
        fs::write(data.join("PG_VERSION"), "15").unwrap();
        clear_unrecognisable(data).unwrap();
        assert!(data.join("PG_VERSION").exists());
    }
}
