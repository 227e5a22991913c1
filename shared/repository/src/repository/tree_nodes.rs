//! A stored tree read node by node, however large it is.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::index::Lookup;
use crate::pack::BlobKind;
use crate::storage::{FileKind, FileName};
use crate::tree::NodeStream;

use super::Repository;

/// Trees longer than this are decompressed while they are read.
const HELD_PLAIN: u32 = 16 << 20;

/// The nodes of a stored tree in order.
pub type TreeNodes = NodeStream<Box<dyn Read + Send>>;

impl Repository {
    /// The nodes of a folder one by one: a folder of a million entries needs little memory. A tree that does not match
    /// its id ends in an error.
    pub fn stream_tree(&self, index: &dyn Lookup, id: &Id) -> Result<TreeNodes> {
        match index.places(BlobKind::Tree, id)?.first() {
            Some(location) if location.uncompressed_length.is_some_and(|length| length > HELD_PLAIN) => {
                let damaged = |reason: String| RepositoryError::damaged(format!("tree blob {id}"), reason);
                let mut sealed = vec![0; location.length as usize];
                let file = FileName::Object(FileKind::Data, location.pack);
                self.storage().read_range(&file, location.offset.into(), &mut sealed)?;
                let compressed = self.key().open(&sealed).map_err(|error| damaged(error.to_string()))?;
                drop(sealed);
                let plain =
                    zstd::Decoder::new(io::Cursor::new(compressed)).map_err(|error| damaged(error.to_string()))?;
                Ok(NodeStream::new(Box::new(Verified {
                    inner: plain,
                    hasher: Sha256::new(),
                    id: *id,
                })))
            }
            _ => {
                let plain = self.load_blob(index, BlobKind::Tree, id)?;
                Ok(NodeStream::new(Box::new(io::Cursor::new(plain))))
            }
        }
    }
}

/// Fails at the end when what was read does not hash to `id`.
struct Verified<R> {
    inner: R,
    hasher: Sha256,
    id: Id,
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        if count == 0 && !buffer.is_empty() && self.hasher.clone().finalize()[..] != self.id.0 {
            let reason = format!("tree blob {} does not hash to its id", self.id);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(count)
    }
}
