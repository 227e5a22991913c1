//! Copy and delete orders: recovery points come to a vault, and leave it.

use holdfast_core::domain::{Failure, FailureKind, Location, Outcome, VaultName};
use holdfast_repository::copy::{CopyOptions, copy};
use holdfast_repository::forget::forget;
use holdfast_repository::lock::{Lock, LockKind};
use holdfast_repository::storage::{FileKind, FileName};

use super::repositories::snapshot_id;
use super::task::Control;
use super::{Inner, failure};

impl Inner {
    pub(super) fn copy(&self, from: &Location, to: &VaultName, control: &Control) -> Result<Outcome, Failure> {
        let snapshot = snapshot_id(from)?;
        let source = self.repositories.open(&from.vault, &from.resource)?;
        let _reading = Lock::acquire(&source, LockKind::Shared).map_err(failure)?;
        let destination = self.repositories.storage(to, &from.resource)?;
        let options = CopyOptions {
            snapshots: Some(vec![snapshot]),
            workers: self.threads,
            progress: control,
            cancel: &control.cancel,
        };
        let report = copy(&source, destination, &options).map_err(failure)?;
        Ok(Outcome::Copy {
            artefact: from.artefact.clone(),
            bytes: report.bytes_copied,
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
            forget(&repository, &[snapshot]).map_err(failure)?;
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
