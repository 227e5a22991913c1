//! Decorators that fail or crash at a chosen call, for tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{FileKind, FileName, MemoryStorage, Put, Storage, StorageError};
use crate::error::{ErrorKind, Result};
use crate::id::Id;

/// What happens at the chosen call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// That one call fails; later ones work.
    Fail,
    /// That call and all later ones fail, as if the program had died.
    Crash,
}

/// Counts the calls that reach `inner` and breaks the `at`-th (from 0).
pub(crate) struct Faulty {
    inner: Arc<MemoryStorage>,
    at: u64,
    fault: Fault,
    calls: AtomicU64,
    /// Files as they were at the last barrier.
    durable: Mutex<BTreeMap<FileName, Vec<u8>>>,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<MemoryStorage>, at: u64, fault: Fault) -> Self {
        let durable = Mutex::new(inner.snapshot());
        Self {
            inner,
            at,
            fault,
            calls: AtomicU64::new(0),
            durable,
        }
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// What a disk holds after the crash: of the puts and deletes since the last barrier, those are kept for which
    /// `survives` says so.
    pub(crate) fn after_crash(&self, survives: impl Fn(&FileName, bool) -> bool) -> MemoryStorage {
        let mut files = self.durable.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let now = self.inner.snapshot();
        for (name, bytes) in &now {
            if files.get(name) != Some(bytes) && survives(name, true) {
                files.insert(name.clone(), bytes.clone());
            }
        }
        files.retain(|name, _| now.contains_key(name) || !survives(name, false));
        MemoryStorage::holding(files)
    }

    fn call(&self, action: &'static str, path: impl std::fmt::Display) -> Result<()> {
        let n = self.calls.fetch_add(1, Ordering::Relaxed);
        let broken = match self.fault {
            Fault::Fail => n == self.at,
            Fault::Crash => n >= self.at,
        };
        if !broken {
            return Ok(());
        }
        let (location, path) = (self.location(), path.to_string());
        let (kind, message) = (ErrorKind::Transient, "a fault was injected".to_owned());
        Err(StorageError::Remote {
            location,
            action,
            path,
            kind,
            message,
        }
        .into())
    }
}

impl Storage for Faulty {
    fn list(&self, kind: FileKind) -> Result<Vec<(Id, u64)>> {
        self.call("list", kind.folder())?;
        self.inner.list(kind)
    }

    fn list_sidecar(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        self.call("list", prefix)?;
        self.inner.list_sidecar(prefix)
    }

    fn size(&self, file: &FileName) -> Result<Option<u64>> {
        self.call("look at", file)?;
        self.inner.size(file)
    }

    fn read(&self, file: &FileName) -> Result<Vec<u8>> {
        self.call("read", file)?;
        self.inner.read(file)
    }

    fn read_range(&self, file: &FileName, offset: u64, into: &mut [u8]) -> Result<()> {
        self.call("read", file)?;
        self.inner.read_range(file, offset, into)
    }

    fn read_up_to(&self, file: &FileName, offset: u64, most: usize) -> Result<Vec<u8>> {
        self.call("read", file)?;
        self.inner.read_up_to(file, offset, most)
    }

    fn put(&self, file: &FileName, bytes: &[u8]) -> Result<Put> {
        self.call("write", file)?;
        self.inner.put(file, bytes)
    }

    fn replace_damaged(&self, kind: FileKind, id: Id, bytes: &[u8]) -> Result<()> {
        self.call("replace", id)?;
        self.inner.replace_damaged(kind, id, bytes)
    }

    fn delete(&self, file: &FileName) -> Result<()> {
        self.call("delete", file)?;
        self.inner.delete(file)
    }

    fn barrier(&self) -> Result<()> {
        self.call("sync", "everything")?;
        *self.durable.lock().unwrap_or_else(PoisonError::into_inner) = self.inner.snapshot();
        Ok(())
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}
