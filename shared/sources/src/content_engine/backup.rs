//! Backup orders.

use std::num::NonZeroU64;
use std::sync::atomic::Ordering;

use holdfast_core::domain::{
    self, BackupKind, Failure, FailureKind, JobId, Order, Outcome, ResourceId, UnreadEntry, VaultName,
};
use holdfast_core::ports::Task;
use holdfast_repository::backup::{BackupOptions, Ended, Portion, Source, Throttle, Unread, backup_portion};
use holdfast_repository::{Id, Repository, RepositoryError, Snapshot};
use serde::{Deserialize, Serialize};

use super::changes;
use super::portions::{self, Part};
use super::task::{Control, MayPublish};
use super::{Inner, failure};
use super::{lists, servers};
use crate::files::Patterns;

/// Bytes of a pack: a store far away wants few requests.
pub(super) const PACK_SIZE: usize = 32 << 20;

/// What the snapshot itself does not say of a backup, kept beside it and written before it.
#[derive(Debug, Serialize, Deserialize)]
struct JobReport {
    version: u32,
    unread: Vec<UnreadEntry>,
}

pub(super) fn tag(job: &JobId) -> String {
    format!("holdfast-job={job}")
}

impl Inner {
    /// Does a part of a backup; none when there is more to do.
    pub(super) fn back_up(
        &self,
        task: &Task,
        part: Part,
        control: &Control,
        may_publish: &MayPublish,
    ) -> Result<Option<Outcome>, Failure> {
        let Order::Backup {
            resource,
            path,
            vault,
            kind,
            base,
            patterns,
            bandwidth_limit,
            ..
        } = &task.order
        else {
            return Err(Failure::new(FailureKind::Bug, "this order is no backup"));
        };
        let source = self.source(resource, path, patterns)?;
        let repository = self.repositories.open_or_init(vault, resource)?;
        let parent = match base {
            Some((_, artefact)) => existing_snapshot(&repository, artefact)?,
            None => None,
        };
        let report_job = |snapshot: &Snapshot, unread: &[Unread]| {
            // Another execution goes on with it, or has published it: nothing of this one may become visible.
            if may_publish().is_err() || published(&repository, &task.job)?.is_some() {
                control.cancel.store(true, Ordering::SeqCst);
                return Err(RepositoryError::Cancelled);
            }
            keep_report(&repository, &task.job, snapshot, unread)
        };
        let throttle = throttle(resource, *bandwidth_limit)?;
        let options = BackupOptions {
            parent,
            reread: *kind == BackupKind::Full,
            tags: vec![tag(&task.job), format!("holdfast-kind={}", kind.as_str())],
            throttle: throttle.as_ref(),
            before_publish: Some(&report_job),
            readers: self.readers,
            workers: self.threads,
            pack_size: PACK_SIZE,
            ..BackupOptions::new((repository.ambient().now)(), control, &control.cancel)
        };
        let storage = repository.storage().as_ref();
        let portion = Portion {
            done: &portions::stored(storage, &task.job, part)?,
            slice: match part {
                Part::Rest => None,
                Part::Slice(slice) => Some(slice),
            },
            pause: &control.pause,
        };
        match backup_portion(&repository, source.as_ref(), &options, portion).map_err(failure)? {
            Ended::Published(report) => {
                let snapshot = repository.snapshot(&report.snapshot).map_err(failure)?;
                let unread = unread_entries(&report.unread);
                let made = (report.snapshot, &snapshot);
                outcome(&repository, &task.job, made, unread, &patterns.canaries).map(Some)
            }
            Ended::Stored(report) => {
                let now = (repository.ambient().now)();
                portions::store(storage, &task.job, part, report, now).map(|()| None)
            }
        }
    }

    /// The files of a resource that its policy asks for.
    fn source(
        &self,
        resource: &ResourceId,
        path: &str,
        patterns: &domain::Patterns,
    ) -> Result<Box<dyn Source>, Failure> {
        let patterns = Patterns::new(&patterns.include, &patterns.exclude)
            .map_err(|error| Failure::caused(FailureKind::Invalid, format!("resource {resource}: {error}"), error))?;
        self.places.source(path, patterns).map_err(|error| Failure {
            message: format!("resource {resource}: {}", error.message),
            ..error
        })
    }

    /// The snapshot that a job has published, if it has.
    pub(super) fn find_backup(
        &self,
        job: &JobId,
        (vault, resource): (&VaultName, &ResourceId),
        canaries: &[String],
    ) -> Result<Option<Outcome>, Failure> {
        let Some(repository) = self.repositories.find(vault, resource)? else {
            return Ok(None);
        };
        let Some((id, snapshot)) = published(&repository, job).map_err(failure)? else {
            return Ok(None);
        };
        let report = repository.storage().read(&lists::file_of(job)).map_err(failure)?;
        let report: JobReport = serde_json::from_slice(&report).map_err(|error| {
            Failure::unreadable(
                &format!("report of job {job} in {}", repository.storage().location()),
                error,
            )
        })?;
        outcome(&repository, job, (id, &snapshot), report.unread, canaries).map(Some)
    }
}

pub(super) fn throttle(resource: &ResourceId, limit: Option<u64>) -> Result<Option<Throttle>, Failure> {
    let Some(limit) = limit else { return Ok(None) };
    let limit = NonZeroU64::new(limit).ok_or_else(|| {
        let message = format!("resource {resource}: with a bandwidth limit of 0 nothing could ever be stored");
        Failure::new(FailureKind::Invalid, message)
    })?;
    Ok(Some(Throttle::new(limit)))
}

/// The snapshot of a job, if it stands.
pub(super) fn published(repository: &Repository, job: &JobId) -> holdfast_repository::Result<Option<(Id, Snapshot)>> {
    let (snapshots, tag) = (repository.snapshots()?, tag(job));
    Ok(snapshots.into_iter().find(|(_, snapshot)| snapshot.tags.contains(&tag)))
}

/// A parent that has been deleted meanwhile is no reason to fail: without it more is read, and the same is stored.
fn existing_snapshot(repository: &Repository, artefact: &str) -> Result<Option<Id>, Failure> {
    let snapshots = repository.snapshots().map_err(failure)?;
    Ok(snapshots
        .into_iter()
        .map(|(id, _)| id)
        .find(|id| id.to_string() == artefact))
}

pub(super) fn keep_report(
    repository: &Repository,
    job: &JobId,
    snapshot: &Snapshot,
    unread: &[Unread],
) -> holdfast_repository::Result<()> {
    let report = JobReport {
        version: 1,
        unread: unread_entries(unread)
            .into_iter()
            .chain(servers::damaged(snapshot))
            .collect(),
    };
    let json = serde_json::to_vec(&report)
        .map_err(|error| holdfast_repository::RepositoryError::invalid(format!("report of job {job}"), error))?;
    let name = lists::file_of(job);
    // An earlier attempt may have written its report and died before its snapshot: this attempt's is the one that counts.
    repository.storage().delete(&name)?;
    repository.storage().put(&name, &json)?;
    repository.storage().barrier()?;
    Ok(())
}

fn unread_entries(unread: &[Unread]) -> Vec<UnreadEntry> {
    let entry = |unread: &Unread| UnreadEntry {
        path: printable(&unread.path),
        reason: unread.reason.to_string(),
    };
    unread.iter().map(entry).collect()
}

/// A path as text: bytes that are no UTF-8, and control characters, are written as escapes.
pub fn printable(path: &std::path::Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

fn outcome(
    repository: &Repository,
    job: &JobId,
    (id, snapshot): (Id, &Snapshot),
    mut unread: Vec<UnreadEntry>,
    canaries: &[String],
) -> Result<Outcome, Failure> {
    let summary = snapshot.summary.clone().ok_or_else(|| {
        Failure::new(
            FailureKind::Integrity,
            format!("snapshot {id} carries no summary, so Holdfast did not write it"),
        )
    })?;
    let more = unread.len() - lists::fitting(&unread);
    if more > 0 {
        unread.truncate(unread.len() - more);
        unread.push(UnreadEntry {
            path: format!("and {more} more"),
            reason: format!("all in {} of the repository", lists::file_of(job)),
        });
    }
    Ok(Outcome::Backup {
        artefact: id.to_string(),
        taken_at: snapshot.time.timestamp(),
        size_bytes: summary.total_bytes_processed,
        files: summary.total_files_processed,
        added_bytes: summary.data_added_packed,
        unread,
        changes: Some(changes::of(repository, snapshot, &summary, canaries)?),
    })
}
