//! Deletes snapshots by id. Which ones may go is decided elsewhere; what only they needed is removed by
//! [`crate::prune`].

use std::collections::BTreeSet;

use crate::error::Result;
use crate::id::Id;
use crate::lock::{Lock, LockKind};
use crate::repository::Repository;
use crate::storage::{FileKind, FileName};

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
    for id in ids.iter().copied().collect::<BTreeSet<Id>>() {
        let file = FileName::Object(FileKind::Snapshot, id);
        if repo.storage().size(&file)?.is_some() {
            repo.storage().delete(&file)?;
            report.forgotten.push(id);
        } else {
            report.absent.push(id);
        }
    }
    repo.storage().barrier()?;
    lock.release()?;
    Ok(report)
}
