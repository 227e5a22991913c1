//! Copy and delete orders: recovery points come to a vault, and leave it.

use std::sync::Arc;

use holdfast_core::domain::{Failure, FailureKind, Location, Outcome, VaultName};
use holdfast_repository::copy::{CopyOptions, copy};
use holdfast_repository::forget::forget;
use holdfast_repository::lock::{Lock, LockKind};
use holdfast_repository::storage::{FileKind, FileName};

use super::repositories::snapshot_id;
use super::task::Control;
use super::{Inner, failure, servers};

impl Inner {
    pub(super) fn copy(&self, from: &Location, to: &VaultName, control: &Control) -> Result<Outcome, Failure> {
        let snapshot = snapshot_id(from)?;
        let source = self.repositories.open(&from.vault, &from.resource)?;
        let _reading = Lock::acquire(&source, LockKind::Shared).map_err(failure)?;
        let destination = self.repositories.storage(to, &from.resource)?;
        // The log before the base backup: one that stands has beside it what leads on from it.
        let log = servers::log_beside(&source, &from.resource, snapshot)?;
        let mut bytes = 0;
        for snapshots in [log, vec![snapshot]]
            .into_iter()
            .filter(|snapshots| !snapshots.is_empty())
        {
            let options = CopyOptions {
                snapshots: Some(snapshots),
                workers: self.threads,
                progress: control,
                cancel: &control.cancel,
            };
            let report = copy(&source, Arc::clone(&destination), &options).map_err(failure)?;
            bytes += report.bytes_copied;
        }
        Ok(Outcome::Copy {
            artefact: from.artefact.clone(),
            bytes,
        })
    }

    /// A snapshot is published last, so one that stands has all that it needs beside it.
    pub(super) fn find_copy(&self, from: &Location, to: &VaultName) -> Result<Option<Outcome>, Failure> {
        let snapshot = FileName::Object(FileKind::Snapshot, snapshot_id(from)?);
        let destination = self.repositories.storage(to, &from.resource)?;
        let stands = destination.size(&snapshot).map_err(failure)?.is_some();
        Ok(stands.then(|| Outcome::Copy {
            artefact: from.artefact.clone(),
            bytes: 0,
        }))
    }

    pub(super) fn find_deletion(&self, at: &Location) -> Result<Option<Outcome>, Failure> {
        let snapshot = FileName::Object(FileKind::Snapshot, snapshot_id(at)?);
        let storage = self.repositories.storage(&at.vault, &at.resource)?;
        let stands = storage.size(&snapshot).map_err(failure)?.is_some();
        Ok((!stands).then_some(Outcome::Delete))
    }

    pub(super) fn delete(&self, at: &Location) -> Result<Outcome, Failure> {
        let snapshot = snapshot_id(at)?;
        if let Some(repository) = self.repositories.find(&at.vault, &at.resource)? {
            let is_base = servers::is_base(&repository, snapshot)?;
            forget(&repository, &[snapshot]).map_err(failure)?;
            if is_base {
                let log = servers::unneeded_log(&repository, &at.resource)?;
                forget(&repository, &log).map_err(failure)?;
            }
            return Ok(Outcome::Delete);
        }
        if let Some(outcome) = self.find_deletion(at)? {
            return Ok(outcome);
        }
        let message = format!(
            "{} has snapshot {snapshot} but no config: repair it from a copy first",
            self.repositories.storage(&at.vault, &at.resource)?.location()
        );
        Err(Failure::new(FailureKind::Integrity, message))
    }
}
