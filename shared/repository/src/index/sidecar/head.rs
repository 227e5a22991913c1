//! [`Head`]: what a sidecar covers, and the names of its files.

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::pack::BlobKind;
use crate::repository::Repository;
use crate::storage::FileName;

use super::filter::{Filter, MAX_BUCKET_BITS, leading};

const VERSION: u32 = 1;
/// Everything that belongs to sidecars of the index.
pub(super) const PREFIX: &str = "index/";
const HEAD: &str = "-head";

/// Bytes of blobs' entries in one shard, about: little enough to read for one blob, much enough for all to be read in
/// few requests.
const SHARD_BYTES: u64 = 512 << 10;

/// The first file of a sidecar to be read and the last to be written: it vouches for the others.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    version: u32,
    /// Drawn for this sidecar alone. All its parts carry it, so that none can be taken for one of another sidecar.
    pub(super) nonce: Id,
    /// The index files that it covers, in ascending order.
    pub(super) files: Vec<Id>,
    /// Number of packs.
    pub(super) packs: u32,
    pub(super) data: Layout,
    pub(super) trees: Layout,
}

/// How the blobs of one kind are cut into shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Layout {
    /// Number of entries.
    pub(super) blobs: u32,
    /// First bits of an id, which are the number of its shard.
    pub(super) shard_bits: u32,
    /// First bits of an id, which choose its bucket in the filter.
    pub(super) bucket_bits: u32,
}

impl Layout {
    /// What suits a number of entries; they are filled in when they are written.
    pub(super) fn for_about(entries: u64) -> Layout {
        let bytes = entries.saturating_mul(super::ENTRY as u64);
        let bucket_bits = Filter::bits_for(entries);
        Layout {
            blobs: 0,
            shard_bits: bytes.div_ceil(SHARD_BYTES).next_power_of_two().ilog2().min(bucket_bits),
            bucket_bits,
        }
    }

    pub(super) fn shards(&self) -> u32 {
        1 << self.shard_bits
    }

    /// The shard that holds an id.
    pub(super) fn shard_of(&self, id: &Id) -> u32 {
        leading(id, self.shard_bits)
    }

    /// Enough bits are left for fingerprints and few enough buckets for their number to be believed.
    fn is_sound(&self) -> bool {
        self.shard_bits <= self.bucket_bits && self.bucket_bits <= MAX_BUCKET_BITS
    }
}

impl Head {
    pub(super) fn new(nonce: Id, mut files: Vec<Id>, packs: u32, data: Layout, trees: Layout) -> Head {
        files.sort_unstable();
        files.dedup();
        Head {
            version: VERSION,
            nonce,
            files,
            packs,
            data,
            trees,
        }
    }

    pub(super) fn layout(&self, kind: BlobKind) -> &Layout {
        match kind {
            BlobKind::Data => &self.data,
            BlobKind::Tree => &self.trees,
        }
    }

    /// Entries of both kinds.
    pub(super) fn blobs(&self) -> u64 {
        u64::from(self.data.blobs) + u64::from(self.trees.blobs)
    }

    /// Whether a file is a sidecar's head, by its name.
    pub(super) fn is_name_of_one(file: &FileName) -> bool {
        matches!(file, FileName::Sidecar(name) if name.ends_with(HEAD))
    }

    /// How the names of its parts begin.
    pub(super) fn stem(&self) -> String {
        stem(&self.nonce)
    }

    /// Its own name, which all sidecars that cover the same share.
    pub(super) fn file(&self) -> FileName {
        file(&set_of(&self.files))
    }

    /// The sealed head.
    pub(super) fn encode(&self, repo: &Repository) -> Result<Vec<u8>> {
        let json = serde_json::to_vec(self)
            .map_err(|e| RepositoryError::Bug(format!("cannot encode a sidecar's head: {e}")))?;
        let mut sealed = Vec::new();
        repo.key().seal(&json, repo.ambient().random(), &mut sealed);
        Ok(sealed)
    }

    /// Reads a head and checks that it is whole and has its own name.
    fn read(repo: &Repository, file: &FileName) -> Result<Head> {
        let damaged = |reason: &dyn ToString| RepositoryError::damaged(file.to_string(), reason.to_string());
        let json = repo.key().open(&repo.storage().read(file)?).map_err(|e| damaged(&e))?;
        let head: Head = serde_json::from_slice(&json).map_err(|e| damaged(&e))?;
        if head.version != VERSION {
            return Err(damaged(&format!("it has version {}, which is not known", head.version)));
        }
        if head.file() != *file || !head.data.is_sound() || !head.trees.is_sound() {
            return Err(damaged(&"it contradicts itself or its name"));
        }
        Ok(head)
    }
}

/// How the names of a sidecar's parts begin.
pub(super) fn stem(nonce: &Id) -> String {
    format!("{PREFIX}{nonce}-")
}

/// The head of a sidecar of these index files.
pub(super) fn file(set: &Id) -> FileName {
    FileName::Sidecar(format!("{PREFIX}{set}{HEAD}"))
}

/// The name of a set of index files, which are in ascending order.
pub(super) fn set_of(files: &[Id]) -> Id {
    let bytes: Vec<u8> = files.iter().flat_map(|id| id.0).collect();
    Id::of(&bytes)
}

/// The sidecars that may be used when these index files are there, the fullest first: those that cover no
/// other. A sidecar of a file that is gone may know blobs that are gone. `unreadable` hears of every head that is not usable.
pub(super) fn usable_heads(
    repo: &Repository,
    names: impl Iterator<Item = String>,
    present: &HashSet<Id>,
    unreadable: &mut dyn FnMut(RepositoryError) -> Result<()>,
) -> Result<Vec<Head>> {
    let heads: BTreeSet<String> = names.filter(|name| name.ends_with(HEAD)).collect();
    let mut usable = Vec::new();
    for name in heads {
        match Head::read(repo, &FileName::Sidecar(name)) {
            Ok(head) if head.files.iter().all(|file| present.contains(file)) => usable.push(head),
            Ok(_) => {}
            Err(error) => unreadable(error)?,
        }
    }
    usable.sort_by_key(|head| std::cmp::Reverse(head.blobs()));
    Ok(usable)
}
