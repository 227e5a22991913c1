//! [`Lookup`]: what is asked of an index, whether all of it is in memory or not.

use crate::error::Result;
use crate::id::Id;
use crate::pack::BlobKind;

use super::{Index, Location};

/// Which blobs there are, and where. Calls may run from many threads, and never wait for each other.
pub trait Lookup: Sync {
    /// Length of the plaintext of a blob that a backup may refer to instead of storing it: it is in a pack that is not
    /// condemned. Fails when a part of the index that is not in memory can be read in no way.
    fn usable(&self, kind: BlobKind, id: &Id) -> Result<Option<u32>>;

    /// All places of the blob: packs that stay first, condemned ones after them. Fails as [`Lookup::usable`] does.
    fn places(&self, kind: BlobKind, id: &Id) -> Result<Vec<Location>>;
}

impl Lookup for Index {
    fn usable(&self, kind: BlobKind, id: &Id) -> Result<Option<u32>> {
        let mut staying = self.find(kind, id).iter().filter(|entry| !self.is_condemned(entry));
        Ok(staying.next().map(super::Entry::plaintext_length))
    }

    fn places(&self, kind: BlobKind, id: &Id) -> Result<Vec<Location>> {
        Ok(self.lookup_all(kind, id).collect())
    }
}
