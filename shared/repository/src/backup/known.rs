//! [`Known`]: which blobs need not be stored, because the repository has them or this backup took them on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::id::Id;
use crate::index::{LayeredIndex, Lookup};
use crate::pack::BlobKind;

/// Enough that workers hardly ever meet in one, and that few ids of millions make way for a new one.
const SHARDS: usize = 4096;

/// The index from before, and what was claimed since. What is in the index is known without a lock.
pub(super) struct Known {
    index: Arc<LayeredIndex>,
    claimed: Vec<Mutex<Claimed>>,
}

/// Ids of new blobs that begin alike.
#[derive(Default)]
struct Claimed {
    data: Ids,
    trees: Ids,
}

/// Ids in ascending order: at most 36 bytes each once they are many, where a hash table takes up to twice as much.
#[derive(Default)]
struct Ids(Vec<Id>);

impl Ids {
    fn contains(&self, id: &Id) -> bool {
        self.0.binary_search(id).is_ok()
    }

    /// Whether it was not there before.
    fn insert(&mut self, id: Id) -> bool {
        let Err(at) = self.0.binary_search(&id) else {
            return false;
        };
        if self.0.len() == self.0.capacity() {
            self.0.reserve_exact(self.0.len() / 8 + 1);
        }
        self.0.insert(at, id);
        true
    }
}

impl Claimed {
    fn ids(&mut self, kind: BlobKind) -> &mut Ids {
        match kind {
            BlobKind::Data => &mut self.data,
            BlobKind::Tree => &mut self.trees,
        }
    }
}

impl Known {
    pub(super) fn new(index: Arc<LayeredIndex>) -> Known {
        Known {
            index,
            claimed: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// The index as it was when the backup began.
    pub(super) fn index(&self) -> &LayeredIndex {
        &self.index
    }

    /// Whether the blob need not be read or stored: it is in a pack that stays, or was claimed.
    pub(super) fn contains(&self, kind: BlobKind, id: &Id) -> Result<bool> {
        Ok(self.index.usable(kind, id)?.is_some() || self.shard(id).ids(kind).contains(id))
    }

    /// True for the one caller that has to store the blob. Claims are made before packing, so that two workers never
    /// store the same; a claim that is not kept fails the whole backup.
    pub(super) fn claim(&self, kind: BlobKind, id: Id) -> Result<bool> {
        Ok(self.index.usable(kind, &id)?.is_none() && self.shard(&id).ids(kind).insert(id))
    }

    fn shard(&self, id: &Id) -> MutexGuard<'_, Claimed> {
        self.claimed[usize::from(u16::from_be_bytes([id.0[0], id.0[1]])) % SHARDS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::index::IndexOptions;

    #[test]
    fn each_blob_is_claimed_once_and_its_kind_matters() {
        let (_, repo) = crate::testing::memory();
        let known = Known::new(Arc::new(repo.open_index(IndexOptions::default()).unwrap()));
        for number in 0..20_000u32 {
            let id = Id::of(&(number % 9_000).to_le_bytes());
            assert_eq!(known.contains(BlobKind::Data, &id).unwrap(), number >= 9_000);
            assert_eq!(known.claim(BlobKind::Data, id).unwrap(), number < 9_000);
            assert!(!known.contains(BlobKind::Tree, &id).unwrap());
        }
    }

    #[test]
    fn a_claimed_id_takes_at_most_48_bytes() {
        let (mut ids, mut seen) = (Ids::default(), HashSet::new());
        for number in 0..10_000u32 {
            let id = Id::of(&(number / 2).to_le_bytes());
            assert_eq!(ids.insert(id), seen.insert(id));
            assert!(ids.0.capacity() * size_of::<Id>() <= 48 * ids.0.len(), "{number}");
        }
        assert!(ids.0.is_sorted() && ids.0.len() == seen.len());
    }
}
