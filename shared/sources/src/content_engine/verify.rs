//! Verify and repair orders. The log of a server is proven and mended along with its base backups.

use std::collections::BTreeSet;

use holdfast_core::domain::{Failure, FailureKind, JobId, Level, Location, Outcome, Verdict};
use holdfast_repository::check::{CheckOptions, CheckReport, PackLedger, affected_files, check};
use holdfast_repository::lock::{Lock, LockKind};
use holdfast_repository::repair::{repair, repair_opening_files};
use holdfast_repository::storage::{FileKind, FileName};
use holdfast_repository::{Id, Repository};

use super::backup::printable;
use super::ledger::Ledger;
use super::lists;
use super::portions::Part;
use super::repositories::{WRAPPED_KEY, snapshot_id};
use super::task::Control;
use super::{Inner, failure, servers};

/// A repository that was opened for a copy in it to be proven.
pub(super) enum Opened {
    Repository(Repository),
    /// It cannot be, or the copy is not in it: the verdict on the copy.
    Lost(Outcome),
}

impl Inner {
    /// Does a part of a verification; none when there is more to do.
    pub(super) fn verify(
        &self,
        job: &JobId,
        (at, level): (&Location, Level),
        part: Part,
        control: &Control,
    ) -> Result<Option<Outcome>, Failure> {
        let read_data = match level {
            Level::L0 | Level::L1 => false,
            Level::L2 => true,
            Level::L3 | Level::L4 | Level::L5 | Level::L6 => {
                let message = format!("level {level:?} is proven by restoring, not by testing a vault");
                return Err(Failure::new(FailureKind::Invalid, message));
            }
        };
        let repository = match self.open_to_prove(at)? {
            Opened::Repository(repository) => repository,
            Opened::Lost(outcome) => return Ok(Some(outcome)),
        };
        let snapshot = snapshot_id(at)?;
        let storage = repository.storage();
        let _reading = Lock::acquire(&repository, LockKind::Shared).map_err(failure)?;
        let ledger = Ledger::of(storage.as_ref(), job, part)?;
        let (log, unlisted) = match servers::own_log(&repository, &at.resource, snapshot) {
            Ok(log) => (log, None),
            Err(failure) if failure.kind == FailureKind::Integrity => (Vec::new(), Some(failure.message)),
            Err(failure) => return Err(failure),
        };
        let proven = [vec![snapshot], log].concat();
        let checked = self.check(&repository, proven, read_data, &ledger, control);
        if matches!(part, Part::Slice(_)) && checked.is_ok() {
            return ledger.store(&repository, true).map(|()| None);
        }
        let report = ledger.kept_for_the_next(&repository, checked)?;
        let affected = if report.is_clean() {
            Vec::new()
        } else {
            affected(&repository, snapshot, &report)?
        };
        let damages = report.damages.iter().map(ToString::to_string).chain(unlisted).collect();
        let [damages, affected] =
            lists::cut_and_kept(storage.as_ref(), job, [("damages", damages), ("affected", affected)]);
        Ok(Some(Outcome::Verify(Verdict {
            damages,
            affected,
            bytes: report.bytes_read,
            trial: None,
        })))
    }

    /// Opens the repository that a copy is in, having seen that the copy's snapshot is there.
    pub(super) fn open_to_prove(&self, at: &Location) -> Result<Opened, Failure> {
        let snapshot = snapshot_id(at)?;
        let name = FileName::Object(FileKind::Snapshot, snapshot);
        let storage = self.repositories.storage(&at.vault, &at.resource)?;
        if storage.size(&name).map_err(failure)?.is_none() {
            let damage = format!("snapshot {snapshot} is missing from {}", storage.location());
            return Ok(Opened::Lost(all_is_lost(damage)));
        }
        match self.repositories.open(&at.vault, &at.resource) {
            Ok(repository) => Ok(Opened::Repository(repository)),
            // Whoever may not look has seen no damage.
            Err(failure) if matches!(failure.kind, FailureKind::Integrity | FailureKind::NotFound) => {
                Ok(Opened::Lost(all_is_lost(failure.message)))
            }
            Err(failure) => Err(failure),
        }
    }

    pub(super) fn repair(
        &self,
        job: &JobId,
        damaged: &Location,
        from: &Location,
        control: &Control,
    ) -> Result<Outcome, Failure> {
        let snapshot = snapshot_id(damaged)?;
        let good = self.repositories.open(&from.vault, &from.resource)?;
        let storage = self.repositories.storage(&damaged.vault, &damaged.resource)?;
        repair_opening_files(storage.as_ref(), &good, WRAPPED_KEY).map_err(failure)?;
        let repository = self.repositories.open(&damaged.vault, &damaged.resource)?;
        // Of a base backup's log the two may hold different parts.
        let mut proven = BTreeSet::from([snapshot]);
        for repository in [&repository, &good] {
            proven.extend(servers::log_after(repository, &damaged.resource, snapshot)?);
        }
        // What was damaged when it was read may be whole by now: a repair looks at each pack before it touches it.
        let ledger = Ledger::of(storage.as_ref(), job, Part::Rest)?;
        let repaired = self
            .check(&repository, proven.iter().copied().collect(), true, &ledger, control)
            .and_then(|found| repair(&repository, &good, &found.damages, &control.cancel).map_err(failure));
        let report = ledger.kept_for_the_next(&repository, repaired)?;
        let repaired = report.repaired.iter().map(ToString::to_string).collect();
        let lost = report.affected.iter().filter(|file| proven.contains(&file.snapshot));
        let lost = lost.map(|file| format!("lost: {}", printable(&file.path)));
        let unrepairable = report
            .unrepairable
            .iter()
            .map(ToString::to_string)
            .chain(lost)
            .collect();
        let all = [("repaired", repaired), ("unrepairable", unrepairable)];
        let [repaired, unrepairable] = lists::cut_and_kept(storage.as_ref(), job, all);
        Ok(Outcome::Repair { repaired, unrepairable })
    }

    fn check(
        &self,
        repository: &Repository,
        snapshots: Vec<Id>,
        read_data: bool,
        ledger: &dyn PackLedger,
        control: &Control,
    ) -> Result<CheckReport, Failure> {
        let options = CheckOptions {
            read_data,
            snapshots: Some(snapshots),
            workers: self.threads,
            progress: control,
            cancel: &control.cancel,
            ledger: Some(ledger),
        };
        check(repository, &options).map_err(failure)
    }
}

/// The verdict on a repository that cannot be opened, or does not have the snapshot at all.
fn all_is_lost(damage: String) -> Outcome {
    Outcome::Verify(Verdict {
        damages: vec![damage],
        affected: vec!["/".to_owned()],
        ..Verdict::default()
    })
}

fn affected(repository: &Repository, snapshot: Id, report: &CheckReport) -> Result<Vec<String>, Failure> {
    // Without its index nothing in the repository can be read.
    let Ok(index) = repository.load_index() else {
        return Ok(vec!["/".to_owned()]);
    };
    let files = affected_files(repository, &index, &report.damages).map_err(failure)?;
    let of_snapshot = files.into_iter().filter(|file| file.snapshot == snapshot);
    Ok(of_snapshot.map(|file| printable(&file.path)).collect())
}
