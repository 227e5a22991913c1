//! Sidecars of the index, below `holdfast/index/`: the same as a set of index files, in a form of which little must be
//! read to find a blob.
//!
//! ```text
//! index/<set>-head              sealed JSON: which index files, how many packs and blobs, how they are cut
//! index/<nonce>-packs-<n>       ids of packs
//! index/<nonce>-data-filter-<n> two bytes a blob: which ids may be there
//! index/<nonce>-data-<n>        entries of 48 bytes in ascending order of id, in sealed shards of about 512 KiB
//! index/<nonce>-tree…           the same of trees
//! ```
//!
//! Index files stay the truth. A sidecar is written once, its head last, and covers a set of index files for ever; it is
//! usable while all of them are there, as whoever removes a pack replaces the index files that name it. Everything is
//! sealed with the repository's key, and names inside what it is, so that neither a damaged nor a lying store can make a
//! blob look stored that is not.

mod filter;
mod head;
mod remove;
mod section;
mod write;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::pack::BlobKind;
use crate::repository::Repository;

use super::{Entry, Location};
use filter::Filter;
use head::{Head, Layout, PREFIX};
use section::{Part, Section, read_whole, sealed_length};

pub(crate) use remove::remove_superseded;
pub(super) use write::{is_worth_writing, write};

/// Bytes of an entry.
const ENTRY: usize = 48;
/// Shards in one file.
const SHARDS_PER_FILE: u32 = 64;
/// No length of a blob's plaintext.
const NOT_USABLE: u32 = u32::MAX;

/// A sidecar that is open: packs and filters are in memory, shards are read when they are asked for.
pub(super) struct Sidecar {
    repo: Repository,
    head: Head,
    stem: String,
    packs: Vec<Id>,
    /// Numbers of packs that are going to be deleted.
    condemned: HashSet<u32>,
    data: Shards<UsableBlobs>,
    trees: Shards<Vec<Entry>>,
    /// Bytes of shards that may still be kept. Ids are hashes, so all shards are asked for alike, and what is read first
    /// is as good to keep as any other.
    room: AtomicUsize,
}

/// The shards of one kind, kept in the form in which that kind is asked for.
struct Shards<T> {
    kind: BlobKind,
    layout: Layout,
    filter: Filter,
    kept: Vec<OnceLock<T>>,
}

/// What tells the ids of a shard apart, and the lengths of their plaintexts, in the order of its entries.
struct UsableBlobs {
    /// The bytes of each id that its place in the filter does not tell.
    rests: Vec<u8>,
    /// [`NOT_USABLE`] for what is in a condemned pack.
    lengths: Vec<u32>,
}

impl<T> Shards<T> {
    fn open(repo: &Repository, head: &Head, kind: BlobKind) -> Result<Self> {
        let layout = *head.layout(kind);
        let (bits, blobs) = (layout.bucket_bits, layout.blobs as usize);
        let bytes = read_whole(repo, head, Part::filter(kind), Filter::encoded_length(bits, blobs))?;
        let filter = Filter::decode(bits, blobs, &bytes)
            .ok_or_else(|| RepositoryError::damaged(head.file().to_string(), "its filter does not add up"))?;
        let kept = (0..layout.shards()).map(|_| OnceLock::new()).collect();
        Ok(Shards {
            kind,
            layout,
            filter,
            kept,
        })
    }

    /// Asks the shard of an id about the entries, by their numbers in it, that may be of this id; none when there are none.
    /// What is read is kept while there is room.
    fn ask<R>(
        &self,
        sidecar: &Sidecar,
        id: &Id,
        form: impl Fn(Vec<Entry>) -> (T, usize),
        ask: impl Fn(&T, Range<usize>) -> Option<R>,
    ) -> Result<Option<R>> {
        let candidates = self.filter.candidates(id);
        if candidates.is_empty() {
            return Ok(None);
        }
        let number = self.layout.shard_of(id);
        let start = self.filter.beginning(self.layout.shard_bits, number).start;
        let candidates = candidates.start - start..candidates.end - start;
        let kept = &self.kept[number as usize];
        if let Some(shard) = kept.get() {
            return Ok(ask(shard, candidates));
        }
        let (shard, bytes) = form(self.read(sidecar, number)?);
        let answer = ask(&shard, candidates);
        let room = (sidecar.room).fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(bytes));
        if room.is_ok() && kept.set(shard).is_err() {
            // Another thread was faster.
            sidecar.room.fetch_add(bytes, Ordering::Relaxed);
        }
        Ok(answer)
    }

    /// The entries of a shard.
    fn read(&self, sidecar: &Sidecar, number: u32) -> Result<Vec<Entry>> {
        let part = Part::entries(self.kind);
        let in_file = number % SHARDS_PER_FILE;
        let file = part.file(&sidecar.stem, number / SHARDS_PER_FILE);
        let of = |number| self.filter.beginning(self.layout.shard_bits, number);
        let (blobs, before) = (of(number), of(number - in_file).start);
        let offset = (blobs.start - before) * ENTRY + in_file as usize * sealed_length(0);
        let mut sealed = vec![0; sealed_length(blobs.len() * ENTRY)];
        sidecar.repo.storage().read_range(&file, offset as u64, &mut sealed)?;
        let nonce = &sidecar.head.nonce;
        let payload = Section { nonce, part, number }.open(&sidecar.repo, &file, &sealed)?;
        let entries: Vec<Entry> = payload.as_chunks().0.iter().map(Entry::decode).collect();
        if entries.iter().any(|entry| entry.pack as usize >= sidecar.packs.len()) {
            return Err(RepositoryError::damaged(
                file.to_string(),
                "it names a pack that it does not have",
            ));
        }
        Ok(entries)
    }
}

impl Sidecar {
    /// The fullest sidecar that is usable while exactly the index files `present` are there. One that cannot be read is
    /// passed over, with the reason in `problems`. Up to `memory` bytes of what is read later are kept.
    pub(super) fn find(
        repo: &Repository,
        present: &HashSet<Id>,
        condemned: &HashSet<Id>,
        memory: usize,
        problems: &mut Vec<String>,
    ) -> Option<Sidecar> {
        let mut note = |error: RepositoryError| problems.push(error.to_string());
        let heads = repo.storage().list_sidecar(PREFIX).and_then(|names| {
            let names = names.into_iter().map(|(name, _)| name);
            head::usable_heads(repo, names, present, &mut |error| {
                note(error);
                Ok(())
            })
        });
        let heads = heads.map_err(&mut note).unwrap_or_default();
        let opened = heads
            .into_iter()
            .map(|head| Sidecar::open(repo, head, condemned, memory));
        opened.filter_map(|sidecar| sidecar.map_err(&mut note).ok()).next()
    }

    fn open(repo: &Repository, head: Head, condemned: &HashSet<Id>, memory: usize) -> Result<Sidecar> {
        let packs = read_whole(repo, &head, Part::Packs, head.packs as usize * size_of::<Id>())?;
        let packs: Vec<Id> = packs.as_chunks().0.iter().map(|id| Id(*id)).collect();
        let numbered = (0..).zip(&packs).filter(|(_, pack)| condemned.contains(pack));
        Ok(Sidecar {
            repo: repo.clone(),
            stem: head.stem(),
            condemned: numbered.map(|(number, _)| number).collect(),
            data: Shards::open(repo, &head, BlobKind::Data)?,
            trees: Shards::open(repo, &head, BlobKind::Tree)?,
            packs,
            head,
            room: AtomicUsize::new(memory),
        })
    }

    /// The index files that it covers.
    pub(super) fn files(&self) -> &[Id] {
        &self.head.files
    }

    /// Number of places of blobs.
    pub(super) fn len(&self) -> u64 {
        self.head.blobs()
    }

    /// As [`super::Lookup::usable`]; an error when the shard cannot be read or is damaged.
    pub(super) fn usable(&self, kind: BlobKind, id: &Id) -> Result<Option<u32>> {
        match kind {
            BlobKind::Data => {
                let known = self.data.filter.known_bytes();
                let form = |entries: Vec<Entry>| self.usable_blobs(&entries, known);
                self.data.ask(self, id, form, |blobs, mut candidates| {
                    let rest = &id.0[known..];
                    let is_it = |at: usize| blobs.rests[at * rest.len()..].starts_with(rest);
                    let usable = candidates.find(|at| is_it(*at) && blobs.lengths[*at] != NOT_USABLE);
                    usable.map(|at| blobs.lengths[at])
                })
            }
            BlobKind::Tree => self.trees.ask(self, id, whole, |entries, candidates| {
                let mut staying = entries[candidates]
                    .iter()
                    .filter(|entry| entry.id == *id && self.stays(entry));
                staying.next().map(Entry::plaintext_length)
            }),
        }
    }

    /// Every place of the blob; an error when the shard cannot be read or is damaged. Shards of data are not kept for this.
    pub(super) fn places(&self, kind: BlobKind, id: &Id) -> Result<Vec<Location>> {
        let locate = |entries: &[Entry]| {
            let places = Entry::of(entries, id).iter();
            places
                .map(|entry| entry.location(self.packs[entry.pack as usize]))
                .collect()
        };
        match kind {
            BlobKind::Tree => {
                let places = (self.trees).ask(self, id, whole, |entries, found| Some(locate(&entries[found])))?;
                Ok(places.unwrap_or_default())
            }
            BlobKind::Data if self.data.filter.candidates(id).is_empty() => Ok(Vec::new()),
            BlobKind::Data => Ok(locate(&self.data.read(self, self.data.layout.shard_of(id))?)),
        }
    }

    /// Every entry of a kind in ascending order, shard by shard; nothing is kept.
    fn entries(&self, kind: BlobKind) -> impl Iterator<Item = Result<Entry>> {
        (0..self.head.layout(kind).shards()).flat_map(move |number| {
            let shard = match kind {
                BlobKind::Data => self.data.read(self, number),
                BlobKind::Tree => self.trees.read(self, number),
            };
            let (entries, error) = match shard {
                Ok(entries) => (entries, None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            entries.into_iter().map(Ok).chain(error)
        })
    }

    fn usable_blobs(&self, entries: &[Entry], known: usize) -> (UsableBlobs, usize) {
        let length = |entry: &Entry| match self.stays(entry) {
            true => entry.plaintext_length(),
            false => NOT_USABLE,
        };
        let mut rests = Vec::with_capacity(entries.len() * (size_of::<Id>() - known));
        entries
            .iter()
            .for_each(|entry| rests.extend_from_slice(&entry.id.0[known..]));
        let blobs = UsableBlobs {
            lengths: entries.iter().map(length).collect(),
            rests,
        };
        let bytes = blobs.rests.len() + blobs.lengths.len() * size_of::<u32>();
        (blobs, bytes)
    }

    fn stays(&self, entry: &Entry) -> bool {
        !self.condemned.contains(&entry.pack)
    }
}

fn whole(entries: Vec<Entry>) -> (Vec<Entry>, usize) {
    let bytes = entries.len() * ENTRY;
    (entries, bytes)
}

impl Entry {
    fn encode(&self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        let numbers = [self.pack, self.offset, self.length, self.uncompressed_length];
        bytes[..32].copy_from_slice(&self.id.0);
        for (to, number) in bytes[32..].as_chunks_mut().0.iter_mut().zip(numbers) {
            *to = number.to_le_bytes();
        }
        bytes
    }

    fn decode(bytes: &[u8; ENTRY]) -> Entry {
        let mut id = Id([0; 32]);
        id.0.copy_from_slice(&bytes[..32]);
        let number = |at: usize| u32::from_le_bytes(std::array::from_fn(|n| bytes[32 + 4 * at + n]));
        Entry {
            id,
            pack: number(0),
            offset: number(1),
            length: number(2),
            uncompressed_length: number(3),
        }
    }
}
