//! [`RangeReader`]: the bytes of one range of a file, one after the other.

use super::{FileName, Storage, StorageError};
use crate::error::Result;

/// What [`Storage::range`] gives.
pub trait RangeReader {
    /// Fills `into` with the next bytes. Fails as [`Storage::read_range`] does, also when the range has fewer; after that
    /// nothing more can be read of it.
    fn fill(&mut self, into: &mut [u8]) -> Result<()>;
}

/// Asks for what is wanted when it is wanted.
pub(super) fn in_pieces<S: Storage + ?Sized>(
    storage: &S,
    file: FileName,
    offset: u64,
    end: u64,
) -> Box<dyn RangeReader + '_> {
    Box::new(InPieces {
        storage,
        file,
        next: offset,
        end,
    })
}

struct InPieces<'a, S: ?Sized> {
    storage: &'a S,
    file: FileName,
    next: u64,
    end: u64,
}

impl<S: Storage + ?Sized> RangeReader for InPieces<'_, S> {
    fn fill(&mut self, into: &mut [u8]) -> Result<()> {
        let end = self.next.saturating_add(into.len() as u64);
        if end > self.end {
            return Err(StorageError::Short {
                location: self.storage.location(),
                file: self.file.clone(),
                end,
            }
            .into());
        }
        self.storage.read_range(&self.file, self.next, into)?;
        self.next = end;
        Ok(())
    }
}
