//! [`Scratch`]: a private folder for a restored cluster, which is gone with it.
//!
//! Beside the folder stands a file of the same name that ends in `.lock`, and whoever works there holds a lock on it, which
//! ends with the process. So a later run knows what others left behind, and clears that and nothing else.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_repository::{Ambient, NodeKind};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::super::cluster::{self, ClusterError, ClusterRestore, ClusterRestored, RestoreLog, StoredBase, data_root};
use super::super::follow::pause;
use super::super::recovery::settings;
use super::log_pipe::RESTORE_COMMAND;
use super::{IsolatedError, Request};

const PREFIX: &str = "holdfast-trial-";
const LOCK: &str = ".lock";
/// A socket's path may have 107 bytes, of which the folder's own name and the socket's take this many.
const MOST_PATH: usize = 107 - 60;
/// How often to look whether a server has gone, and how many times.
const LOOK: Duration = Duration::from_millis(50);
const LOOKS: u32 = 200;

/// A private folder, removed with this.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    lock_path: PathBuf,
    _lock: File,
    owner: Option<(u32, u32)>,
}

impl Scratch {
    /// Makes one in `parent`, which has to have room for the cluster. Whatever trials of dead processes left there is cleared
    /// first. For root, the folder belongs to whoever owns `parent`, as no server runs as root.
    pub fn make(parent: &Path, ambient: &Ambient) -> Result<Scratch, IsolatedError> {
        let refused = |reason| {
            let folder = parent.to_owned();
            Err(IsolatedError::Folder { folder, reason })
        };
        let parent = parent.canonicalize().map_err(IsolatedError::io("use", parent))?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@".contains(&byte);
        if !parent.as_os_str().as_encoded_bytes().iter().all(|byte| is_plain(*byte)) {
            return refused("its path goes into settings of a server and may have letters, digits and /._-+@ only");
        }
        if parent.as_os_str().len() > MOST_PATH {
            return refused("its path is too long for the socket of a server: use one of up to 47 bytes");
        }
        let found = fs::metadata(&parent).map_err(IsolatedError::io("look at", &parent))?;
        let owner = match rustix::process::geteuid().is_root() {
            false => None,
            true if found.uid() == 0 => {
                return refused("PostgreSQL does not run as root: use a folder that belongs to the user postgres");
            }
            true => Some((found.uid(), found.gid())),
        };
        clear(&parent)?;
        let name = format!("{PREFIX}{:016x}", u64::from_le_bytes(ambient.random()));
        let lock_path = parent.join(format!("{name}{LOCK}"));
        let failed = || IsolatedError::io("make", &lock_path);
        let mut options = File::options();
        let lock = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(failed())?;
        // Somebody who clears at this very moment may have been faster; then the folder is not made.
        let held = flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| failed()(error.into()));
        held.and_then(|()| fs::metadata(&lock_path).map(drop).map_err(failed()))?;
        let scratch = Scratch {
            folder: parent.join(name),
            lock_path,
            _lock: lock,
            owner,
        };
        let mut builder = DirBuilder::new();
        let made = builder.mode(0o700).create(&scratch.folder);
        made.map_err(IsolatedError::io("make", &scratch.folder))?;
        scratch.give(&scratch.folder)?;
        Ok(scratch)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The data folder in it.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Whose programs are to run, where that is not who runs this.
    pub(super) fn owner(&self) -> Option<(u32, u32)> {
        self.owner
    }

    /// Hands a file or folder to whoever runs the server.
    pub(super) fn give(&self, path: &Path) -> Result<(), IsolatedError> {
        match self.owner {
            None => Ok(()),
            Some((uid, gid)) => {
                chown(path, Some(uid), Some(gid)).map_err(IsolatedError::io("change the owner of", path))
            }
        }
    }

    /// Restores a base backup into the data folder, with its tablespaces beside it, told to recover as asked from the log
    /// that [`super::Server::recover`] gives it.
    pub fn restore(&self, request: &Request<'_>, base: &StoredBase) -> Result<ClusterRestored, IsolatedError> {
        let tablespaces = self.tablespaces(request, base)?;
        let data = self.data();
        let restore = ClusterRestore {
            target: &data,
            overwrite: false,
            recovery: request.recovery,
            log: RestoreLog::Command(RESTORE_COMMAND),
            tablespaces: &tablespaces,
            workers: request.workers,
            progress: request.progress,
            cancel: &request.client.stop,
        };
        let restored = cluster::restore(request.repository, request.index, request.resource, base, &restore);
        let restored = restored.map_err(|error| self.of_restore(error, &request.client.stop))?;
        // Only these: what ALTER SYSTEM set for the original is not for this server.
        let path = data.join("postgresql.auto.conf");
        fs::write(&path, settings(request.recovery, RESTORE_COMMAND)).map_err(IsolatedError::io("write", &path))?;
        Ok(restored)
    }

    fn of_restore(&self, error: ClusterError, cancel: &AtomicBool) -> IsolatedError {
        if cancel.load(Ordering::SeqCst) {
            return IsolatedError::Stopped;
        }
        let text = error.to_string();
        match text.contains("No space left on device") {
            true => IsolatedError::Full {
                folder: self.folder.clone(),
            },
            false => error.into(),
        }
    }

    /// Where the tablespaces of the base backup go, by their numbers.
    fn tablespaces(&self, request: &Request<'_>, base: &StoredBase) -> Result<BTreeMap<u32, PathBuf>, IsolatedError> {
        let (repository, index) = (request.repository, request.index);
        let top = repository
            .snapshot(&base.base.snapshot)
            .map_err(ClusterError::from)?
            .tree;
        let root = data_root(request.resource).join("pg_tblspc");
        let Some(tree) = repository.find_folder(index, &top, &root).map_err(ClusterError::from)? else {
            return Ok(BTreeMap::new());
        };
        let tree = repository.load_tree(index, &tree).map_err(ClusterError::from)?;
        let folders = tree.nodes.iter().filter(|node| node.kind == NodeKind::Dir);
        let numbers = folders.filter_map(|node| std::str::from_utf8(&node.name).ok()?.parse().ok());
        let place = |number: u32| (number, self.folder.join("tablespaces").join(number.to_string()));
        Ok(numbers.map(place).collect())
    }

    /// Removes the folder and says so when that fails.
    pub fn remove(mut self) -> Result<(), IsolatedError> {
        self.remove_all()
    }

    fn remove_all(&mut self) -> Result<(), IsolatedError> {
        remove_folder(&self.folder)?;
        remove_file(&self.lock_path)
    }
}

impl Drop for Scratch {
    /// What cannot be removed now is cleared by the next run.
    fn drop(&mut self) {
        let _ = self.remove_all();
    }
}

/// Clears what trials of dead processes left in `parent`: their servers, their folders, their marks.
fn clear(parent: &Path) -> Result<(), IsolatedError> {
    let failed = || IsolatedError::io("list", parent);
    for entry in fs::read_dir(parent).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name();
        let Some(folder) = name
            .to_str()
            .and_then(|name| name.strip_suffix(LOCK))
            .filter(|name| is_ours(name))
        else {
            continue;
        };
        let lock_path = parent.join(&name);
        let lock = match File::options().write(true).open(&lock_path) {
            Ok(lock) => lock,
            // Gone meanwhile, or somebody else's.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => continue,
            Err(error) => return Err(IsolatedError::io("open", &lock_path)(error)),
        };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        let folder = parent.join(folder);
        end_server(&folder.join("data"))?;
        remove_folder(&folder)?;
        remove_file(&lock_path)?;
    }
    Ok(())
}

fn is_ours(name: &str) -> bool {
    let id = name.strip_prefix(PREFIX).unwrap_or_default();
    id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Ends the server that still runs over a data folder. A number alone may be another process's by now: a server's working
/// folder is its data folder.
fn end_server(data: &Path) -> Result<(), IsolatedError> {
    let path = data.join("postmaster.pid");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(IsolatedError::io("read", &path)(error)),
    };
    let Some(pid) = text
        .lines()
        .next()
        .and_then(|line| Pid::from_raw(line.trim().parse().ok()?))
    else {
        return Ok(());
    };
    let is_it = || fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero())).is_ok_and(|folder| folder == data);
    let never = AtomicBool::new(false);
    for signal in [Signal::QUIT, Signal::KILL] {
        if !is_it() {
            return Ok(());
        }
        let _ = kill_process(pid, signal);
        for _ in 0..LOOKS {
            if test_kill_process(pid).is_err() || !is_it() {
                return Ok(());
            }
            pause(&never, LOOK);
        }
    }
    Err(IsolatedError::Folder {
        folder: data.to_owned(),
        reason: "a server that an earlier trial left over it does not end",
    })
}

fn remove_folder(folder: &Path) -> Result<(), IsolatedError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(IsolatedError::io("remove", folder)(error)),
        _ => Ok(()),
    }
}

fn remove_file(path: &Path) -> Result<(), IsolatedError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(IsolatedError::io("remove", path)(error)),
        _ => Ok(()),
    }
}
