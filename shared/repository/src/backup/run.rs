//! [`Run`]: what all stages of one backup share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::chunker::{Chunker, MAX_CHUNK};
use crate::error::{ErrorKind, RepositoryError, Result};
use crate::index::LayeredIndex;
use crate::pack::{COMPRESSED_ENTRY, PackGroup};
use crate::repository::Repository;

use super::buffers::Buffers;
use super::known::Known;
use super::packer::MAX_BLOBS;
use super::read::BATCH_BYTES;
use super::{BackupOptions, Portion};

/// One backup that is going on.
pub(super) struct Run<'a> {
    pub(super) repository: &'a Repository,
    pub(super) origin: Origin,
    pub(super) options: &'a BackupOptions<'a>,
    pub(super) portion: Portion<'a>,
    pub(super) known: Known,
    pub(super) chunker: Chunker,
    pub(super) added: Added,
    /// For batches of chunks.
    pub(super) chunk_buffers: Buffers,
    /// For packs.
    pub(super) pack_buffers: Buffers,
    unnamed: Mutex<PackGroup>,
    stopped: AtomicBool,
    failure: Mutex<Option<RepositoryError>>,
}

/// Where what is backed up comes from, as the snapshot says it.
pub(super) struct Origin {
    /// The absolute roots.
    pub(super) paths: Vec<PathBuf>,
    /// The host, where it is not this one.
    pub(super) host: Option<String>,
}

/// Blobs that this backup added.
#[derive(Default)]
pub(super) struct Added {
    pub(super) data_blobs: AtomicU64,
    pub(super) tree_blobs: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) packed_bytes: AtomicU64,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        repository: &'a Repository,
        origin: Origin,
        options: &'a BackupOptions<'a>,
        portion: Portion<'a>,
        index: Arc<LayeredIndex>,
    ) -> Run<'a> {
        Run {
            repository,
            origin,
            options,
            portion,
            known: Known::new(index),
            chunker: Chunker::new(repository.key()),
            added: Added::default(),
            chunk_buffers: Buffers::new(BATCH_BYTES + MAX_CHUNK),
            pack_buffers: Buffers::new(options.pack_size + MAX_CHUNK + MAX_BLOBS * COMPRESSED_ENTRY),
            unnamed: Mutex::default(),
            stopped: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    /// Fails with [`RepositoryError::Cancelled`] when the work is to stop, because the caller wants it or because
    /// another stage failed.
    pub(super) fn check(&self) -> Result<()> {
        if self.stopped.load(Ordering::Relaxed) || self.options.cancel.load(Ordering::Relaxed) {
            return Err(RepositoryError::Cancelled);
        }
        Ok(())
    }

    /// Returns when so many bytes may be stored.
    pub(super) fn admit(&self, bytes: usize) -> Result<()> {
        match self.options.throttle {
            Some(throttle) => throttle.admit(self, bytes),
            None => Ok(()),
        }
    }

    /// Packs that wait until enough are there to be hashed together.
    pub(super) fn unnamed(&self) -> MutexGuard<'_, PackGroup> {
        self.unnamed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this call is to end soon and keep what it has.
    pub(super) fn is_paused(&self) -> bool {
        self.portion.pause.load(Ordering::Relaxed)
    }

    /// Runs one stage; its error stops all others.
    pub(super) fn stage<T>(&self, work: impl FnOnce() -> Result<T>) -> Option<T> {
        work().map_err(|error| self.fail(error)).ok()
    }

    /// Stops every stage. A stage that finds its neighbours gone reports a cancellation, which never hides the cause.
    pub(super) fn fail(&self, error: RepositoryError) {
        self.stopped.store(true, Ordering::Relaxed);
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        match &*failure {
            Some(earlier) if earlier.kind() != ErrorKind::Cancelled => {}
            _ => *failure = Some(error),
        }
    }

    /// The first failure of any stage.
    pub(super) fn outcome(&self) -> Result<()> {
        match self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
