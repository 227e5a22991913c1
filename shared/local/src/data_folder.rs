//! The data folder, and the lock that keeps a second program out of it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use holdfast_core::domain::{Failure, FailureKind};
use holdfast_repository::Ambient;

use crate::failure::io_failure;
use crate::files;

/// A data folder: one that this process alone works on until it is dropped, or one that another process works on.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    /// Holds the lock; the operating system lets go of it when the process ends, however it ends.
    lock: Option<File>,
}

impl DataFolder {
    /// Makes the folder where there is none, and locks it. Fails with [`FailureKind::Conflict`], naming the process, while
    /// another one works on it.
    pub fn open(path: impl AsRef<Path>, ambient: &Ambient) -> Result<Self, Failure> {
        let path = path.as_ref();
        files::create_folder(path)?;
        let path = path
            .canonicalize()
            .map_err(|error| io_failure("look at", path, error))?;
        let lock_path = path.join("lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut lock = options
            .open(&lock_path)
            .map_err(|error| io_failure("open", &lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(&path, &mut lock)),
            Err(TryLockError::Error(error)) => return Err(io_failure("lock", &lock_path, error)),
        }
        // Only for the message of the next one: the lock itself is what counts.
        let written = lock
            .set_len(0)
            .and_then(|()| lock.write_all(ambient.pid.to_string().as_bytes()));
        written.map_err(|error| io_failure("write", &lock_path, error))?;
        Ok(Self { path, lock: Some(lock) })
    }

    /// The folder of a program that is at work: to read its catalog and to leave messages in its queues, nothing else.
    pub fn beside(path: impl AsRef<Path>) -> Result<Self, Failure> {
        let path = path.as_ref();
        let path = path
            .canonicalize()
            .map_err(|error| io_failure("look at", path, error))?;
        Ok(Self { path, lock: None })
    }

    /// Whether this process is the one that works on the folder.
    pub fn is_ours(&self) -> bool {
        self.lock.is_some()
    }

    /// The folder, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the catalog and the queues are.
    pub fn database(&self) -> PathBuf {
        self.path.join("holdfast.db")
    }

    /// Where the keys are.
    pub fn keys(&self) -> PathBuf {
        self.path.join("keys.json")
    }

    /// Where the public half of the signing key is.
    pub fn public_key(&self) -> PathBuf {
        self.path.join("keys.pub.pem")
    }

    /// Where the password is that opens every repository without Holdfast.
    pub fn repository_password(&self) -> PathBuf {
        self.path.join("repository-password")
    }

    /// Where pages are kept.
    pub fn pages(&self) -> PathBuf {
        self.path.join("pages.jsonl")
    }
}

fn held(path: &Path, lock: &mut File) -> Failure {
    let mut pid = String::new();
    // An unreadable number must not hide why the folder cannot be used.
    let read = lock.rewind().and_then(|()| lock.read_to_string(&mut pid));
    let holder = match read {
        Ok(_) if !pid.is_empty() => format!("process {pid}"),
        _ => "another process".to_owned(),
    };
    let message = format!(
        "{holder} works on the data folder {}: stop it first, or use its interface",
        path.display()
    );
    Failure::new(FailureKind::Conflict, message)
}
