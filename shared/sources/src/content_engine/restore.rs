//! Restore orders: content is written, then read again and compared with the recovery point, entry by entry.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use holdfast_core::domain::{Failure, FailureKind, JobId, Order, Outcome};
use holdfast_core::ports::Task;
use holdfast_repository::Snapshot;
use holdfast_repository::lock::{Lock, LockKind};

use super::cursors::JobCursor;
use super::lists;
use super::places::{PointContent, RestoreRequest, Target};
use super::portions::Part;
use super::repositories::snapshot_id;
use super::task::Control;
use super::{Inner, failure};

impl Inner {
    /// Does a part of a restore; none when there is more to do.
    pub(super) fn restore(&self, task: &Task, part: Part, control: &Control) -> Result<Option<Outcome>, Failure> {
        let Order::Restore {
            from,
            target,
            include,
            overwrite,
            heartbeat,
            ..
        } = &task.order
        else {
            return Err(Failure::new(FailureKind::Bug, "this order is no restore"));
        };
        let target = self.places.target(target)?;
        let repository = self.repositories.open(&from.vault, &from.resource)?;
        let _reading = Lock::acquire(&repository, LockKind::Shared).map_err(failure)?;
        let id = snapshot_id(from)?;
        let snapshot = repository.snapshot(&id).map_err(failure)?;
        let index = repository.load_index().map_err(failure)?;
        let root = root_folder(&snapshot)?;
        let tree = repository.find_folder(&index, &snapshot.tree, &root).map_err(failure)?;
        let tree = tree.ok_or_else(|| {
            let message = format!("the snapshot does not hold the folder {}", root.display());
            Failure::new(FailureKind::Integrity, message)
        })?;
        let cursor = JobCursor::new(
            &self.receipts,
            (&task.job, part),
            repository.ambient().now,
            &control.cancel,
        );
        let request = RestoreRequest {
            include,
            overwrite: *overwrite || self.began_before(&task.job, target.as_ref())?,
            slice: match part {
                Part::Rest => None,
                Part::Slice(slice) => Some(slice),
            },
            threads: self.threads,
            progress: control,
            cancel: &control.cancel,
            cursors: &cursor,
        };
        let content = PointContent {
            repository: &repository,
            index: &index,
            snapshot: id,
            root: &root,
            tree,
        };
        let restored = target.restore(&content, &request).inspect_err(|_| {
            // What made the restore fail is told. That this could not be noted only has it give up sooner, or go on alone.
            if control.cancel.load(Ordering::Relaxed) {
                drop(cursor.hand_over());
            } else {
                drop(cursor.count_anew());
            }
        })?;
        if matches!(part, Part::Slice(_)) {
            return cursor.complete(&restored).map(|()| None);
        }
        Ok(Some(Outcome::Restore {
            files: restored.files,
            bytes: restored.bytes,
            differences: lists::cut(restored.differences, restored.more_differences, None),
            heartbeat_at: heartbeat.as_ref().and_then(|heartbeat| target.heartbeat(heartbeat)),
        }))
    }

    /// Whether an earlier run of this job began to write into the target. Its first run notes so, having seen that the
    /// target is free; if it was killed after its last write and before its receipt, what stands there is its own.
    pub(super) fn began_before(&self, job: &JobId, target: &dyn Target) -> Result<bool, Failure> {
        let note = self.receipts.began(job)?;
        if !note && target.is_free()? {
            self.receipts.keep_began(job)?;
        }
        Ok(note)
    }
}

/// The folder that the resource's backups hold.
pub(super) fn root_folder(snapshot: &Snapshot) -> Result<PathBuf, Failure> {
    match snapshot.paths.as_slice() {
        [path] => Ok(PathBuf::from(path)),
        paths => {
            let message = format!("the snapshot holds {} roots, a resource has one", paths.len());
            Err(Failure::new(FailureKind::Invalid, message))
        }
    }
}
