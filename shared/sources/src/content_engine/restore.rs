//! Restore orders: content is written, then read again and compared with the recovery point, entry by entry.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use holdfast_core::domain::{Failure, FailureKind, JobId, Order, Outcome};
use holdfast_core::ports::Task;
use holdfast_repository::index::Index;
use holdfast_repository::lock::{Lock, LockKind};
use holdfast_repository::tree::NodeKind;
use holdfast_repository::{Id, Repository, Snapshot};
use jiff::Timestamp;
use rustix::fs::{Mode, OFlags};

use super::backup::printable;
use super::repositories::snapshot_id;
use super::task::Control;
use super::{Inner, failure};
use crate::files::{Beneath, Patterns, RestoreError, RestoreOptions, compare, restore};

/// Longer than any time.
const HEARTBEAT_BYTES_MAX: u64 = 100;

impl Inner {
    pub(super) fn restore(&self, task: &Task, control: &Control) -> Result<Outcome, Failure> {
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
        let target = Path::new(target);
        let repository = self.repositories.open(&from.vault, &from.resource)?;
        let _reading = Lock::acquire(&repository, LockKind::Shared).map_err(failure)?;
        let id = snapshot_id(from)?;
        let snapshot = repository.snapshot(&id).map_err(failure)?;
        let index = repository.load_index().map_err(failure)?;
        let root = root_folder(&snapshot)?;
        let options = RestoreOptions {
            include: include.clone(),
            subfolder: Some(root.clone()),
            overwrite: *overwrite || self.began_before(&task.job, target)?,
            workers: self.threads,
            progress: control,
            ..RestoreOptions::new(&control.cancel)
        };
        let report = restore(&repository, &index, &id, target, &options).map_err(restore_failure)?;
        let selection = Patterns::new(include, &[])
            .map_err(|error| Failure::caused(FailureKind::Invalid, error.to_string(), error))?;
        let tree = find_folder(&repository, &index, &snapshot.tree, &root)?;
        let compared =
            compare(&repository, &index, &tree, &root, target, &selection, &control.cancel).map_err(failure)?;
        let mut differences: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
        differences.extend(
            compared
                .differences
                .iter()
                .map(|(path, what)| format!("{}: {what}", printable(path))),
        );
        Ok(Outcome::Restore {
            files: report.files,
            bytes: report.bytes_written,
            differences,
            heartbeat_at: heartbeat
                .as_ref()
                .and_then(|heartbeat| read_heartbeat(target, heartbeat)),
        })
    }

    /// Whether an earlier run of this job began to write into the target. Its first run notes so, having seen that the
    /// target is free; if it was killed after its last write and before its receipt, what stands there is its own.
    fn began_before(&self, job: &JobId, target: &Path) -> Result<bool, Failure> {
        let note = self.receipts.began(job)?;
        if !note && is_free(target)? {
            self.receipts.keep_began(job)?;
        }
        Ok(note)
    }
}

fn is_free(target: &Path) -> Result<bool, Failure> {
    match fs::read_dir(target) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => {
            let message = format!("target {} cannot be looked at: {error}", target.display());
            Err(Failure::caused(FailureKind::Invalid, message, error))
        }
    }
}

/// The folder that the resource's backups hold.
fn root_folder(snapshot: &Snapshot) -> Result<PathBuf, Failure> {
    match snapshot.paths.as_slice() {
        [path] => Ok(PathBuf::from(path)),
        paths => {
            let message = format!("the snapshot holds {} roots, a resource has one", paths.len());
            Err(Failure::new(FailureKind::Invalid, message))
        }
    }
}

fn find_folder(repository: &Repository, index: &Index, tree: &Id, folder: &Path) -> Result<Id, Failure> {
    use std::os::unix::ffi::OsStrExt;
    let mut found = *tree;
    for part in folder.strip_prefix("/").unwrap_or(folder) {
        let tree = repository.load_tree(index, &found).map_err(failure)?;
        let node = tree.find(part.as_bytes()).filter(|node| node.kind == NodeKind::Dir);
        found = node.and_then(|node| node.subtree).ok_or_else(|| {
            Failure::new(
                FailureKind::Integrity,
                format!("the snapshot does not hold the folder {}", folder.display()),
            )
        })?;
    }
    Ok(found)
}

/// The time in a heartbeat file; none when the application wrote none, or something else. The file is restored content:
/// it may be a link that leads elsewhere or a pipe that never ends, and is not followed or waited for.
fn read_heartbeat(target: &Path, heartbeat: &str) -> Option<Timestamp> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let file = Beneath::new(target).and_then(|folder| folder.open(Path::new(heartbeat), flags, Mode::empty()));
    let mut text = String::new();
    let mut file = File::from(file.ok()?).take(HEARTBEAT_BYTES_MAX);
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn restore_failure(error: RestoreError) -> Failure {
    let kind = match error {
        RestoreError::Repository(error) => return failure(error),
        RestoreError::Full { .. } | RestoreError::Io { .. } | RestoreError::Cancelled => FailureKind::Transient,
        RestoreError::Busy { .. } => FailureKind::Conflict,
        _ => FailureKind::Invalid,
    };
    Failure::caused(kind, error.to_string(), error)
}
