//! Copy and delete orders: recovery points come to a vault, and leave it.

use holdfast_core::domain::{Failure, FailureKind, Location, Outcome, ResourceId, VaultName};
use holdfast_repository::copy::{CopyOptions, copy};
use holdfast_repository::forget::forget;
use holdfast_repository::lock::{Lock, LockKind};
use holdfast_repository::storage::{FileKind, FileName};
use holdfast_repository::{Id, Repository};
use jiff::Timestamp;

use super::repositories::snapshot_id;
use super::task::Control;
use super::{Inner, failure, servers};

impl Inner {
    pub(super) fn copy(&self, from: &Location, to: &VaultName, control: &Control) -> Result<Outcome, Failure> {
        let snapshot = snapshot_id(from)?;
        let source = self.repositories.open(&from.vault, &from.resource)?;
        let _reading = Lock::acquire(&source, LockKind::Shared).map_err(failure)?;
        let mut bytes = 0;
        if servers::is_base(&source, snapshot)? {
            // The log before the base backup: one that stands has beside it what leads on from it.
            let there = self.repositories.find(to, &from.resource)?;
            let log = servers::log_to_copy(&source, there.as_ref(), &from.resource, Some(snapshot))?;
            bytes += self.copy_snapshots(&source, (&from.resource, to), log, control)?;
        }
        bytes += self.copy_snapshots(&source, (&from.resource, to), vec![snapshot], control)?;
        Ok(Outcome::Copy {
            artefact: from.artefact.clone(),
            bytes,
        })
    }

    /// Brings a vault the log that base backups there can need, and tells what can be restored from it then. Whatever was
    /// pulled by `pulled_at` stands there afterwards.
    pub(super) fn copy_log(
        &self,
        resource: &ResourceId,
        (from, to): (&VaultName, &VaultName),
        pulled_at: Timestamp,
        control: &Control,
    ) -> Result<Outcome, Failure> {
        let source = self.repositories.open(from, resource)?;
        let _reading = Lock::acquire(&source, LockKind::Shared).map_err(failure)?;
        let destination = self.repositories.open(to, resource)?;
        let log = servers::log_to_copy(&source, Some(&destination), resource, None)?;
        let copied = self.copy_snapshots(&source, (resource, to), log, control);
        copied.map_err(|failure| match failure.kind {
            // A part of a segment went meanwhile, as the whole of it is stored: the next attempt copies that.
            FailureKind::NotFound => Failure {
                kind: FailureKind::Transient,
                ..failure
            },
            _ => failure,
        })?;
        servers::log_state(&destination, resource, pulled_at).map(Outcome::Log)
    }

    /// Copies snapshots with all that they need; how many bytes that took.
    fn copy_snapshots(
        &self,
        source: &Repository,
        (resource, to): (&ResourceId, &VaultName),
        snapshots: Vec<Id>,
        control: &Control,
    ) -> Result<u64, Failure> {
        if snapshots.is_empty() {
            return Ok(0);
        }
        let options = CopyOptions {
            snapshots: Some(snapshots),
            workers: self.threads,
            progress: control,
            cancel: &control.cancel,
        };
        let destination = self.repositories.storage(to, resource)?;
        let report = copy(source, destination, &options).map_err(failure)?;
        Ok(report.bytes_copied)
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
