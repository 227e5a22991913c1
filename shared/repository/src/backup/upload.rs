//! Stage: store packs, several at a time.

use crossbeam_channel::Receiver;

use crate::error::Result;
use crate::id::Id;
use crate::index::IndexPack;
use crate::pack::SealedPack;
use crate::storage::{FileKind, FileName};

use super::indexer::Indexer;
use super::run::Run;

/// A pack to store.
pub(super) struct Upload {
    /// Its id, where it is known already.
    pub(super) name: Option<Id>,
    pub(super) pack: SealedPack,
}

/// Runs until there are no more packs.
pub(super) fn upload(run: &Run<'_>, indexer: &Indexer<'_>, packs: Receiver<Upload>) -> Result<()> {
    for Upload { name, pack } in packs {
        let SealedPack { bytes, blobs } = pack;
        run.admit(bytes.len())?;
        run.check()?;
        let size = bytes.len() as u64;
        let storage = run.repository.storage();
        let (id, buffer) = match name {
            Some(id) => (id, storage.put_buffer(&FileName::Object(FileKind::Data, id), bytes)?),
            None => storage.put_unnamed(FileKind::Data, bytes)?,
        };
        run.pack_buffers.give(buffer);
        indexer.add(IndexPack { id, blobs }, size)?;
    }
    Ok(())
}
