//! [`Index`]: which blob is in which pack, compact in memory; and index files.

mod file;
mod layered;
mod load;
mod lookup;
pub(crate) mod sidecar;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use crate::id::Id;
use crate::pack::{BlobKind, PackBlob, pack_size};

pub use file::{IndexPack, decode_index, encode_index, split_packs};
pub use layered::{IndexOptions, LayeredIndex};
pub(crate) use load::indexed_packs;
pub use lookup::Lookup;

/// Where a blob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The pack.
    pub pack: Id,
    /// First byte of the sealed blob.
    pub offset: u32,
    /// Sealed length.
    pub length: u32,
    /// Length of the plaintext when it is compressed.
    pub uncompressed_length: Option<u32>,
}

impl Location {
    /// Whether another place lies behind this one in the same pack, with at most `gap` bytes in between.
    pub(crate) fn is_soon_followed_by(&self, next: &Location, gap: u64) -> bool {
        let end = u64::from(self.offset) + u64::from(self.length);
        let between = u64::from(next.offset).checked_sub(end);
        self.pack == next.pack && between.is_some_and(|between| between <= gap)
    }

    /// Length of the plaintext.
    pub fn plaintext_length(&self) -> u32 {
        plaintext_length(self.length, self.uncompressed_length)
    }

    /// The same as an entry of a pack.
    pub fn blob(&self, kind: BlobKind, id: Id) -> PackBlob {
        let Location {
            offset,
            length,
            uncompressed_length,
            ..
        } = *self;
        PackBlob {
            kind,
            id,
            offset,
            length,
            uncompressed_length,
        }
    }
}

fn plaintext_length(length: u32, uncompressed_length: Option<u32>) -> u32 {
    uncompressed_length.unwrap_or(length.saturating_sub(crate::crypto::OVERHEAD as u32))
}

/// A pack that the index knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedPack {
    /// The pack.
    pub id: Id,
    /// Size its file must have, in bytes.
    pub size: u64,
    /// Number of its blobs.
    pub blobs: u32,
    /// It is going to be deleted: what is only there must be stored again.
    pub condemned: bool,
}

/// All index files together.
#[derive(Default)]
pub struct Index {
    packs: Vec<IndexedPack>,
    data: Vec<Entry>,
    trees: Vec<Entry>,
}

/// 48 bytes a blob. A plaintext length of 0 means uncompressed: nothing compresses to an empty blob.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    id: Id,
    pack: u32,
    offset: u32,
    length: u32,
    uncompressed_length: u32,
}

impl Entry {
    /// The same as a place, in the pack of that id.
    fn location(&self, pack: Id) -> Location {
        Location {
            pack,
            offset: self.offset,
            length: self.length,
            uncompressed_length: self.uncompressed_length(),
        }
    }

    fn uncompressed_length(&self) -> Option<u32> {
        (self.uncompressed_length != 0).then_some(self.uncompressed_length)
    }

    fn plaintext_length(&self) -> u32 {
        plaintext_length(self.length, self.uncompressed_length())
    }

    /// The entries of one id among `entries`, which are in ascending order.
    fn of<'a>(entries: &'a [Entry], id: &Id) -> &'a [Entry] {
        let start = entries.partition_point(|entry| entry.id < *id);
        let count = entries[start..].iter().take_while(|entry| entry.id == *id).count();
        &entries[start..start + count]
    }
}

impl Index {
    /// Puts index files' packs together. The same pack in several files counts once.
    pub fn new(packs: impl IntoIterator<Item = IndexPack>, condemned: &HashSet<Id>) -> Index {
        let mut index = Index::default();
        let mut seen = HashSet::new();
        for pack in packs {
            if seen.insert(pack.id) {
                index.push(&pack, condemned.contains(&pack.id));
            }
        }
        index.data.sort_unstable();
        index.trees.sort_unstable();
        index.data.shrink_to_fit();
        index.trees.shrink_to_fit();
        index
    }

    fn push(&mut self, pack: &IndexPack, condemned: bool) {
        let number = u32::try_from(self.packs.len()).unwrap_or(u32::MAX);
        self.packs.push(IndexedPack {
            id: pack.id,
            size: pack_size(&pack.blobs),
            blobs: u32::try_from(pack.blobs.len()).unwrap_or(u32::MAX),
            condemned,
        });
        for blob in &pack.blobs {
            let entries = match blob.kind {
                BlobKind::Data => &mut self.data,
                BlobKind::Tree => &mut self.trees,
            };
            entries.push(Entry {
                id: blob.id,
                pack: number,
                offset: blob.offset,
                length: blob.length,
                uncompressed_length: blob.uncompressed_length.unwrap_or(0),
            });
        }
    }

    /// A place of the blob: in a pack that stays, where there is one.
    pub fn lookup(&self, kind: BlobKind, id: &Id) -> Option<Location> {
        self.lookup_all(kind, id).next()
    }

    /// All places of the blob: packs that stay first, condemned ones after them.
    pub fn lookup_all(&self, kind: BlobKind, id: &Id) -> impl Iterator<Item = Location> {
        let found = self.find(kind, id);
        let staying = found.iter().filter(|entry| !self.is_condemned(entry));
        staying
            .chain(found.iter().filter(|entry| self.is_condemned(entry)))
            .map(|entry| self.location(entry))
    }

    /// Whether a backup may refer to the blob instead of storing it: it is in a pack that is not condemned.
    pub fn usable_for_dedup(&self, kind: BlobKind, id: &Id) -> bool {
        self.find(kind, id).iter().any(|entry| !self.is_condemned(entry))
    }

    /// Every pack, in the order they were read.
    pub fn packs(&self) -> &[IndexedPack] {
        &self.packs
    }

    /// Every place of every blob, in ascending order of id, data before trees.
    pub fn iter(&self) -> impl Iterator<Item = (BlobKind, Id, Location)> {
        let each = |kind| move |entry: &Entry| (kind, entry.id, self.location(entry));
        self.data
            .iter()
            .map(each(BlobKind::Data))
            .chain(self.trees.iter().map(each(BlobKind::Tree)))
    }

    /// Number of a blob's first place, counted in the order of [`Index::iter`].
    pub(crate) fn position(&self, kind: BlobKind, id: &Id) -> Option<usize> {
        let (entries, before) = match kind {
            BlobKind::Data => (&self.data, 0),
            BlobKind::Tree => (&self.trees, self.data.len()),
        };
        let start = entries.partition_point(|entry| entry.id < *id);
        entries
            .get(start)
            .filter(|entry| entry.id == *id)
            .map(|_| before + start)
    }

    /// The place of that number: which of [`Index::packs`] it is in, and what is there.
    pub(crate) fn place(&self, number: usize) -> (usize, PackBlob) {
        let (kind, entry) = match number.checked_sub(self.data.len()) {
            None => (BlobKind::Data, &self.data[number]),
            Some(number) => (BlobKind::Tree, &self.trees[number]),
        };
        (entry.pack as usize, self.location(entry).blob(kind, entry.id))
    }

    /// Number of places of blobs, copies counted.
    pub fn len(&self) -> usize {
        self.data.len() + self.trees.len()
    }

    /// Whether it knows no blob.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn find(&self, kind: BlobKind, id: &Id) -> &[Entry] {
        Entry::of(self.entries(kind), id)
    }

    fn entries(&self, kind: BlobKind) -> &[Entry] {
        match kind {
            BlobKind::Data => &self.data,
            BlobKind::Tree => &self.trees,
        }
    }

    fn is_condemned(&self, entry: &Entry) -> bool {
        self.packs[entry.pack as usize].condemned
    }

    fn location(&self, entry: &Entry) -> Location {
        entry.location(self.packs[entry.pack as usize].id)
    }
}
