//! Stage: store packs, several at a time.

use crossbeam_channel::Receiver;

use crate::error::Result;
use crate::index::IndexPack;
use crate::pack::FinishedPack;
use crate::storage::{FileKind, FileName};

use super::indexer::Indexer;
use super::run::Run;

/// Runs until there are no more packs.
pub(super) fn upload(run: &Run<'_>, indexer: &Indexer<'_>, packs: Receiver<FinishedPack>) -> Result<()> {
    for FinishedPack { id, bytes, blobs } in packs {
        run.admit(bytes.len())?;
        run.check()?;
        let size = bytes.len() as u64;
        let file = FileName::Object(FileKind::Data, id);
        let buffer = run.repository.storage().put_buffer(&file, bytes)?;
        run.pack_buffers.give(buffer);
        indexer.add(IndexPack { id, blobs }, size)?;
    }
    Ok(())
}
