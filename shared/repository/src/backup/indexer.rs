//! [`Indexer`]: writes index files for the packs that are stored.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::id::Id;
use crate::index::IndexPack;

use super::run::Run;

/// Stored bytes after which an index file is written, so that a backup that is killed and run again finds its work.
const CHECKPOINT_BYTES: u64 = 1 << 30;
/// Blobs after which an index file is written. With one more pack it still holds fewer than 50,000.
const CHECKPOINT_BLOBS: usize = 40_000;

/// Collects stored packs into index files.
pub(super) struct Indexer<'a> {
    run: &'a Run<'a>,
    pending: Mutex<Pending>,
    written: Mutex<Vec<Id>>,
}

#[derive(Default)]
struct Pending {
    packs: Vec<IndexPack>,
    blobs: usize,
    bytes: u64,
}

impl<'a> Indexer<'a> {
    pub(super) fn new(run: &'a Run<'a>) -> Indexer<'a> {
        Indexer {
            run,
            pending: Mutex::default(),
            written: Mutex::default(),
        }
    }

    /// Takes note of a pack that was stored.
    pub(super) fn add(&self, pack: IndexPack, size: u64) -> Result<()> {
        let full = {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            pending.blobs += pack.blobs.len();
            pending.bytes += size;
            pending.packs.push(pack);
            let full = pending.blobs >= CHECKPOINT_BLOBS || pending.bytes >= CHECKPOINT_BYTES;
            full.then(|| std::mem::take(&mut *pending))
        };
        full.map_or(Ok(()), |pending| self.save(&pending.packs))
    }

    /// Writes the last index file. Every pack and index file is durable afterwards.
    pub(super) fn finish(&self) -> Result<()> {
        let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        self.save(&pending.packs)?;
        self.run.repository.storage().barrier()
    }

    /// The index files written, in order.
    pub(super) fn written(&self) -> MutexGuard<'_, Vec<Id>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An index file must never name a pack that a power cut can still take away: hence the barrier first.
    fn save(&self, packs: &[IndexPack]) -> Result<()> {
        if packs.is_empty() {
            return Ok(());
        }
        self.run.repository.storage().barrier()?;
        let ids = self.run.repository.save_index(packs)?;
        self.written().extend(ids);
        Ok(())
    }
}
