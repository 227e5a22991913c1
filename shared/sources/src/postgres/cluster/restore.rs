//! [`restore()`]: a data folder from a base backup, ready to recover to where it is told.
//!
//! `global/pg_control` comes last: without it no server starts, so that whatever is interrupted before is never taken for a
//! cluster.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use holdfast_repository::index::Index;
use holdfast_repository::{Id, Progress, Repository, RepositoryError};

use super::super::recovery::{PrepareOptions, Recovery, prepare};
use super::strangers::remove_strangers;
use super::{ClusterError, RestoreLog, StoredBase, data_root};
use crate::files::{self, Overwrite, RestoreOptions};

/// Without it no server starts. Its first eight bytes say which cluster it is.
const CONTROL: &str = "global/pg_control";

/// Where to restore, and how.
pub struct ClusterRestore<'a> {
    /// The data folder to be.
    pub target: &'a Path,
    /// Whether an older or newer state of the same cluster may stand there: what is right is left, what differs is written, and
    /// what is not in the base backup is removed.
    pub overwrite: bool,
    /// How far to recover.
    pub recovery: &'a Recovery,
    /// How the server gets its log.
    pub log: RestoreLog<'a>,
    /// Where tablespaces go, by their number. One that is not here goes where it was, if nothing is there.
    pub tablespaces: &'a BTreeMap<u32, PathBuf>,
    /// Threads, and requests at one time.
    pub workers: usize,
    /// Hears how far it is.
    pub progress: &'a dyn Progress,
    /// Stops the work when set.
    pub cancel: &'a AtomicBool,
}

/// What a restore did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterRestored {
    /// Files that are whole now.
    pub files: u64,
    /// Bytes that were written.
    pub bytes_written: u64,
    /// Bytes that stood there already.
    pub bytes_right: u64,
    /// Files and folders that were removed.
    pub removed: u64,
}

/// Restores a base backup. The files belong to whoever owns the target, or the folder that it is made in.
pub fn restore(
    repository: &Repository,
    index: &Index,
    resource: &str,
    base: &StoredBase,
    request: &ClusterRestore<'_>,
) -> Result<ClusterRestored, ClusterError> {
    let target = request.target;
    let stands = stands(target)?;
    if stands && request.overwrite {
        require_same_cluster(target, base)?;
        remove_if_there(&target.join(CONTROL))?;
    }
    let root = data_root(resource);
    let options = RestoreOptions {
        subfolder: Some(root.clone()),
        owner: Some(owner(target)?),
        workers: request.workers,
        progress: request.progress,
        ..RestoreOptions::new(request.cancel)
    };
    let control = root.join(CONTROL).to_string_lossy().into_owned();
    let most = RestoreOptions {
        exclude: vec![control.clone()],
        overwrite: if request.overwrite {
            Overwrite::Always
        } else {
            Overwrite::Never
        },
        ..options.clone()
    };
    let snapshot = base.base.snapshot;
    let mut restored = ClusterRestored::default();
    files_of(repository, index, &snapshot, target, &most, &mut restored)?;
    if stands && request.overwrite {
        let top = repository.snapshot(&snapshot)?.tree;
        let tree = repository.find_folder(index, &top, &root)?.ok_or_else(|| {
            RepositoryError::invalid(
                format!("snapshot {}", snapshot.short()),
                format!("it does not hold {}", root.display()),
            )
        })?;
        restored.removed = remove_strangers(repository, index, &tree, target)?;
    }
    let owner = owner(target)?;
    request
        .log
        .lay_out(index, target, request.workers, owner, request.cancel)?;
    prepare(
        target,
        &PrepareOptions {
            recovery: request.recovery,
            restore_command: request.log.command(),
            version: Some(base.major),
            tablespaces: request.tablespaces,
        },
    )?;
    let last = RestoreOptions {
        include: vec![control],
        overwrite: Overwrite::Always,
        ..options
    };
    files_of(repository, index, &snapshot, target, &last, &mut restored)?;
    give(target, owner)?;
    Ok(restored)
}

fn files_of(
    repository: &Repository,
    index: &Index,
    snapshot: &Id,
    target: &Path,
    options: &RestoreOptions<'_>,
    restored: &mut ClusterRestored,
) -> Result<(), ClusterError> {
    let report = files::restore(repository, index, snapshot, target, options)?;
    let damage = report.failures.iter().find(|failure| failure.cause.is_damage());
    if let Some(failure) = damage.or(report.failures.first()) {
        return Err(ClusterError::Incomplete {
            snapshot: *snapshot,
            is_damage: damage.is_some(),
            failed: report.failures.len(),
            first: format!("{}: {}", failure.path.display(), failure.cause),
        });
    }
    restored.files += report.files;
    restored.bytes_written += report.bytes_written;
    restored.bytes_right += report.bytes_right;
    Ok(())
}

/// Whether anything stands in the target.
fn stands(target: &Path) -> Result<bool, ClusterError> {
    match fs::read_dir(target) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(ClusterError::io("list", target)(error)),
    }
}

/// Refuses to write over anything but this cluster, standing still. A target whose control file is gone was left by a restore
/// that was interrupted, and must then be of the right version at least.
fn require_same_cluster(target: &Path, base: &StoredBase) -> Result<(), ClusterError> {
    let refuse = |reason: String| {
        Err(ClusterError::OtherFolder {
            folder: target.to_owned(),
            reason,
        })
    };
    if target.join("postmaster.pid").exists() {
        return refuse("has a postmaster.pid, so a server runs over it or was killed: stop it first".to_owned());
    }
    let links = match fs::read_dir(target.join("pg_tblspc")) {
        Ok(entries) => entries
            .flatten()
            .any(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink())),
        Err(_) => false,
    };
    if links {
        return refuse("has tablespaces, which are not restored over: move it away".to_owned());
    }
    let version = fs::read_to_string(target.join("PG_VERSION")).unwrap_or_default();
    if version.trim() != base.major.to_string() {
        return refuse(format!(
            "is no data folder of PostgreSQL {}: name the right one",
            base.major
        ));
    }
    let path = target.join(CONTROL);
    let mut system = [0; 8];
    match File::open(&path).and_then(|mut file| file.read_exact(&mut system)) {
        Ok(()) if u64::from_ne_bytes(system) == base.system => Ok(()),
        Ok(()) => refuse(format!(
            "belongs to cluster {}, and the base backup to {}: name the right one",
            u64::from_ne_bytes(system),
            base.system
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(ClusterError::io("read", &path)(error)),
    }
}

fn remove_if_there(path: &Path) -> Result<(), ClusterError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(ClusterError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Whom the restored files belong to: whoever restores, unless that is root, under whom no server runs.
fn owner(target: &Path) -> Result<(u32, u32), ClusterError> {
    let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if own.0 != 0 {
        return Ok(own);
    }
    let mut place = target;
    loop {
        match fs::metadata(place) {
            Ok(found) => return Ok((found.uid(), found.gid())),
            Err(error) if error.kind() == ErrorKind::NotFound => match place.parent() {
                Some(above) if !above.as_os_str().is_empty() => place = above,
                _ => return Ok(own),
            },
            Err(error) => return Err(ClusterError::io("look at", place)(error)),
        }
    }
}

/// Hands over what was written beside the base backup's own files.
fn give(target: &Path, (uid, gid): (u32, u32)) -> Result<(), ClusterError> {
    for name in ["recovery.signal", "postgresql.auto.conf", "tablespace_map"] {
        let path = target.join(name);
        match std::os::unix::fs::lchown(&path, Some(uid), Some(gid)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(ClusterError::io("change the owner of", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}
