//! [`Known`]: which blobs need not be stored, because the repository has them or this backup took them on.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::Id;
use crate::index::Index;
use crate::pack::BlobKind;

/// Enough that workers hardly ever meet in one.
const SHARDS: usize = 64;

/// The index from before, and what was claimed since.
pub(super) struct Known {
    index: Index,
    claimed: Vec<Mutex<HashSet<(BlobKind, Id)>>>,
}

impl Known {
    pub(super) fn new(index: Index) -> Known {
        Known {
            index,
            claimed: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// The index as it was when the backup began.
    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// Whether the blob need not be read or stored: it is in a pack that stays, or was claimed.
    pub(super) fn contains(&self, kind: BlobKind, id: &Id) -> bool {
        self.index.usable_for_dedup(kind, id) || self.shard(id).contains(&(kind, *id))
    }

    /// True for the one caller that has to store the blob. Claims are made before packing, so that two workers never
    /// store the same; a claim that is not kept fails the whole backup.
    pub(super) fn claim(&self, kind: BlobKind, id: Id) -> bool {
        !self.index.usable_for_dedup(kind, &id) && self.shard(&id).insert((kind, id))
    }

    fn shard(&self, id: &Id) -> MutexGuard<'_, HashSet<(BlobKind, Id)>> {
        self.claimed[usize::from(id.0[31]) % SHARDS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
