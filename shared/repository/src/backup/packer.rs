//! [`Packer`]: compresses and seals new blobs of one kind into packs.

use std::sync::atomic::Ordering;

use crossbeam_channel::Sender;

use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::pack::{BlobEncoder, BlobKind, MAX_TREE_PACK, PackBuilder, PackGroup};

use super::run::Run;
use super::upload::Upload;

/// Blobs of one pack at most: an index file holds 50,000 and never part of a pack.
pub(super) const MAX_BLOBS: usize = 8_000;
/// Size of a backup's first packs, unless smaller ones are wanted.
const FIRST_PACKS: usize = 16 << 20;
/// A pack is closed when it holds this share of what was stored before it.
const SHARE: u64 = 4;

/// Fills packs of one kind; each worker has its own.
pub(super) struct Packer<'a> {
    run: &'a Run<'a>,
    kind: BlobKind,
    encoder: BlobEncoder,
    pack: PackBuilder,
    packs: Sender<Upload>,
}

impl<'a> Packer<'a> {
    pub(super) fn new(run: &'a Run<'a>, kind: BlobKind, packs: Sender<Upload>) -> Result<Packer<'a>> {
        let encoder = BlobEncoder::new(run.options.compression_level)?;
        Ok(Packer {
            run,
            kind,
            encoder,
            pack: PackBuilder::new(run.pack_buffers.take()),
            packs,
        })
    }

    /// Stores a blob that was claimed.
    pub(super) fn add(&mut self, id: Id, plaintext: &[u8]) -> Result<()> {
        let (payload, uncompressed_length) = self.encoder.encode(self.kind, plaintext)?;
        let repository = self.run.repository;
        let blob = (self.kind, id);
        let added = self.pack.add(
            repository.key(),
            repository.ambient(),
            blob,
            payload,
            uncompressed_length,
        )?;
        self.count(plaintext.len() as u64, added.length.into());
        self.send_full()
    }

    /// Stores a claimed blob that is compressed already.
    pub(super) fn add_compressed(&mut self, id: Id, compressed: &[u8], length: u32) -> Result<()> {
        let repository = self.run.repository;
        let blob = (self.kind, id);
        let added = self
            .pack
            .add(repository.key(), repository.ambient(), blob, compressed, Some(length))?;
        self.count(length.into(), added.length.into());
        self.send_full()
    }

    fn count(&self, bytes: u64, packed_bytes: u64) {
        let added = &self.run.added;
        let blobs = match self.kind {
            BlobKind::Data => &added.data_blobs,
            BlobKind::Tree => &added.tree_blobs,
        };
        blobs.fetch_add(1, Ordering::Relaxed);
        added.bytes.fetch_add(bytes, Ordering::Relaxed);
        added.packed_bytes.fetch_add(packed_bytes, Ordering::Relaxed);
    }

    fn send_full(&mut self) -> Result<()> {
        if self.pack.len() >= self.target() || self.pack.blob_count() >= MAX_BLOBS {
            self.send()?;
        }
        Ok(())
    }

    /// Packs grow with what is stored: little of it has several packs on their way at once, and much of it few files.
    fn target(&self) -> usize {
        let largest = match self.kind {
            BlobKind::Data => self.run.options.pack_size,
            BlobKind::Tree => self.run.options.pack_size.min(MAX_TREE_PACK),
        };
        let share = self.run.added.packed_bytes.load(Ordering::Relaxed) / SHARE;
        let share = usize::try_from(share).unwrap_or(usize::MAX);
        share.max(FIRST_PACKS).min(largest)
    }

    /// Adds the pack to those of all workers that wait for their names, and sends these off once they are enough. Where hashing
    /// them together gains nothing, whoever stores a pack gives it its name.
    fn send(&mut self) -> Result<()> {
        let repository = self.run.repository;
        let pack = std::mem::take(&mut self.pack).seal(repository.key(), repository.ambient())?;
        if Id::worth_gathering() > 1 {
            let group = {
                let mut unnamed = self.run.unnamed();
                unnamed.add(pack).then(|| std::mem::take(&mut *unnamed))
            };
            if let Some(group) = group {
                self.send_group(group)?;
            }
        } else {
            self.upload(Upload { name: None, pack })?;
        }
        // Not before: who took the pack has given back the buffer of the one before.
        self.pack = PackBuilder::new(self.run.pack_buffers.take());
        Ok(())
    }

    fn send_group(&self, group: PackGroup) -> Result<()> {
        group.name().try_for_each(|(id, pack)| {
            let name = Some(id);
            self.upload(Upload { name, pack })
        })
    }

    fn upload(&self, pack: Upload) -> Result<()> {
        self.packs.send(pack).map_err(|_| RepositoryError::Cancelled)
    }

    /// Sends the last pack, and with it whatever others wait.
    pub(super) fn finish(mut self) -> Result<()> {
        if !self.pack.is_empty() {
            self.send()?;
        }
        let group = std::mem::take(&mut *self.run.unnamed());
        self.send_group(group)
    }
}
