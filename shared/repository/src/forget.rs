//! Deletes snapshots by id. Which ones may go is decided elsewhere; what only they needed is removed by
//! [`crate::prune`].

use std::collections::BTreeSet;

use crate::error::Result;
use crate::id::Id;
use crate::lock::{Lock, LockKind};
use crate::parallel;
use crate::repository::Repository;
use crate::storage::{FileKind, FileName};

/// Snapshots being deleted at one time: enough to hide a store's latency.
const AT_ONCE: usize = 8;

/// What [`forget`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForgetReport {
    /// Snapshots that were deleted.
    pub forgotten: Vec<Id>,
    /// Snapshots that were not there, perhaps because an earlier call deleted them.
    pub absent: Vec<Id>,
}

/// Deletes exactly these snapshot files, durably. No data is deleted.
pub fn forget(repo: &Repository, ids: &[Id]) -> Result<ForgetReport> {
    let lock = Lock::acquire(repo, LockKind::Shared)?;
    let mut report = ForgetReport::default();
    let ids: Vec<Id> = ids.iter().copied().collect::<BTreeSet<Id>>().into_iter().collect();
    let deleted = parallel::map(&ids, AT_ONCE, |id| {
        let file = FileName::Object(FileKind::Snapshot, *id);
        let is_there = repo.storage().size(&file)?.is_some();
        if is_there {
            repo.storage().delete(&file)?;
        }
        Ok(is_there)
    })?;
    for (id, was_there) in ids.into_iter().zip(deleted) {
        if was_there {
            report.forgotten.push(id);
        } else {
            report.absent.push(id);
        }
    }
    repo.storage().barrier()?;
    lock.release()?;
    Ok(report)
}
