//! What copy, prune and repair share: writing new packs from old blobs, and index files without certain packs.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;

use crate::check::index_files;
use crate::error::{ErrorKind, RepositoryError, Result};
use crate::id::Id;
use crate::index::IndexPack;
use crate::lock::Lock;
use crate::pack::{BlobEncoder, BlobKind, MAX_TREE_PACK, PackBlob, PackBuilder, SealedPack};
use crate::parallel;
use crate::reach::is_damage;
use crate::repository::Repository;
use crate::storage::{FileKind, FileName, Storage, quarantine_name};

/// Compression of blobs that are written anew.
const LEVEL: i32 = 3;

/// Writes blobs into new packs, data and trees apart.
pub(crate) struct PackWriter<'a> {
    repo: &'a Repository,
    /// A pack is closed when it reaches this size in bytes.
    target: usize,
    data: PackBuilder,
    trees: PackBuilder,
    encoder: BlobEncoder,
    /// Full packs that are not stored yet, and how many are stored at one time.
    full: Vec<(Id, SealedPack)>,
    uploads: usize,
    /// Stored packs that no index file names yet.
    written: Vec<IndexPack>,
}

impl<'a> PackWriter<'a> {
    /// Packs are closed at `target` bytes, and stored when `uploads` of them are full.
    pub(crate) fn new(repo: &'a Repository, target: usize, uploads: usize) -> Result<Self> {
        let (data, trees) = (PackBuilder::default(), PackBuilder::default());
        Ok(Self {
            repo,
            target,
            data,
            trees,
            encoder: BlobEncoder::new(LEVEL)?,
            full: Vec::new(),
            uploads,
            written: Vec::new(),
        })
    }

    /// Takes over a sealed blob, which the caller has verified.
    pub(crate) fn add_sealed(&mut self, blob: &PackBlob, sealed: &[u8]) -> Result<()> {
        self.builder(blob.kind)
            .add_sealed((blob.kind, blob.id), sealed, blob.uncompressed_length)?;
        self.close_if_full(blob.kind)
    }

    /// Seals a plaintext, which the caller has verified.
    pub(crate) fn add(&mut self, kind: BlobKind, id: Id, plaintext: &[u8]) -> Result<()> {
        let (payload, uncompressed_length) = self.encoder.encode(kind, plaintext)?;
        let builder = match kind {
            BlobKind::Data => &mut self.data,
            BlobKind::Tree => &mut self.trees,
        };
        builder.add(
            self.repo.key(),
            self.repo.ambient(),
            (kind, id),
            payload,
            uncompressed_length,
        )?;
        self.close_if_full(kind)
    }

    fn builder(&mut self, kind: BlobKind) -> &mut PackBuilder {
        match kind {
            BlobKind::Data => &mut self.data,
            BlobKind::Tree => &mut self.trees,
        }
    }

    fn close_if_full(&mut self, kind: BlobKind) -> Result<()> {
        let target = match kind {
            BlobKind::Data => self.target,
            BlobKind::Tree => self.target.min(MAX_TREE_PACK),
        };
        if self.builder(kind).len() >= target {
            self.close(kind)
        } else {
            Ok(())
        }
    }

    fn close(&mut self, kind: BlobKind) -> Result<()> {
        let builder = std::mem::take(self.builder(kind));
        if builder.is_empty() {
            return Ok(());
        }
        let pack = builder.seal(self.repo.key(), self.repo.ambient())?;
        self.full.push((Id::of(&pack.bytes), pack));
        if self.full.len() >= self.uploads {
            self.store()?;
        }
        Ok(())
    }

    /// Stores the packs that are full.
    fn store(&mut self) -> Result<()> {
        let storage = self.repo.storage();
        parallel::map(&self.full, self.uploads, |(id, pack)| {
            storage.put(&FileName::Object(FileKind::Data, *id), &pack.bytes)
        })?;
        let stored = self
            .full
            .drain(..)
            .map(|(id, SealedPack { blobs, .. })| IndexPack { id, blobs });
        self.written.extend(stored);
        Ok(())
    }

    /// Stores what is left, then the index files that name the new packs. Everything is durable on return. Returns the packs
    /// that were not published before.
    pub(crate) fn finish(mut self) -> Result<Vec<IndexPack>> {
        self.close(BlobKind::Data)?;
        self.close(BlobKind::Tree)?;
        self.store()?;
        publish_index(self.repo, &self.written)?;
        Ok(self.written)
    }

    /// Writes the index files that name the packs that are full. All but [`PackWriter::unstored`] is durable on return.
    pub(crate) fn publish(&mut self) -> Result<()> {
        self.store()?;
        publish_index(self.repo, &std::mem::take(&mut self.written))
    }

    /// The blobs that are in no full pack yet.
    pub(crate) fn unstored(&self) -> impl Iterator<Item = (BlobKind, Id)> {
        let blobs = self.data.blobs().iter().chain(self.trees.blobs());
        blobs.map(|blob| (blob.kind, blob.id))
    }
}

/// Makes earlier packs durable, then writes the index files that name them and makes those durable.
pub(crate) fn publish_index(repo: &Repository, packs: &[IndexPack]) -> Result<()> {
    repo.storage().barrier()?;
    if !packs.is_empty() {
        repo.save_index(packs)?;
        repo.storage().barrier()?;
    }
    Ok(())
}

/// Replaces all index files that name one of `drop` by new ones that do not, and that name `add`. A crash leaves packs
/// that two index files name, which harms nothing. Needs an exclusive lock.
pub(crate) fn drop_from_index(
    repo: &Repository,
    lock: &Lock,
    drop: &HashSet<Id>,
    add: Vec<IndexPack>,
    workers: usize,
    cancel: &AtomicBool,
) -> Result<()> {
    let (mut old, mut kept, mut named) = (Vec::new(), add, HashSet::new());
    for (id, file) in index_files(repo, workers, cancel)? {
        let packs = file.map_err(|reason| RepositoryError::damaged(format!("index file {id}"), reason))?;
        if packs.iter().any(|pack| drop.contains(&pack.id)) {
            old.push(id);
            kept.extend(packs.into_iter().filter(|pack| !drop.contains(&pack.id)));
        } else {
            named.extend(packs.into_iter().map(|pack| pack.id));
        }
    }
    kept.retain(|pack| named.insert(pack.id));
    publish_index(repo, &kept)?;
    lock.verify()?;
    parallel::for_each(
        &old,
        workers,
        cancel,
        || (),
        |(), id| repo.storage().delete(&FileName::Object(FileKind::Index, *id)),
    )?;
    repo.storage().barrier()
}

/// Moves a damaged file out of the way: its bytes, as far as they can be read, stay under `holdfast/quarantine/`.
pub(crate) fn quarantine(storage: &dyn Storage, kind: FileKind, id: Id) -> Result<()> {
    let file = FileName::Object(kind, id);
    match storage.read(&file) {
        Ok(bytes) => {
            let mut names = (0..u32::MAX).map(|n| quarantine_name(kind, id, n));
            let kept = names.find_map(|name| match storage.put(&name, &bytes) {
                Err(e) if e.kind() == ErrorKind::Conflict => None,
                put => Some(put),
            });
            kept.transpose()?;
            storage.barrier()?;
        }
        Err(e) if is_damage(&e) => {}
        Err(e) => return Err(e),
    }
    storage.delete(&file)?;
    storage.barrier()
}
