//! Packs: many sealed blobs in one file, with a sealed header at its end.

mod blob;
mod group;
mod pieces;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ambient::Ambient;
use crate::crypto::{IV_LENGTH, MasterKey, OVERHEAD};
use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::repository::Repository;
use crate::storage::{FileKind, FileName};

#[cfg(feature = "kernels")]
pub(crate) use blob::decompress;
pub(crate) use blob::open_blobs;
pub use blob::{BlobEncoder, open_blob};
pub(crate) use group::{PackGroup, groups};
pub(crate) use pieces::pieces;

/// What a blob holds. Packs never mix the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlobKind {
    /// Part of a file.
    Data,
    /// One folder.
    Tree,
}

impl BlobKind {
    /// The word in index files.
    pub fn word(self) -> &'static str {
        match self {
            BlobKind::Data => "data",
            BlobKind::Tree => "tree",
        }
    }
}

impl fmt::Display for BlobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Where one blob is in a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackBlob {
    /// Data or tree.
    pub kind: BlobKind,
    /// SHA-256 of the plaintext.
    pub id: Id,
    /// First byte of its envelope in the pack.
    pub offset: u32,
    /// Length of its envelope.
    pub length: u32,
    /// Length of the plaintext when it is compressed.
    pub uncompressed_length: Option<u32>,
}

/// A pack that is ready to be stored. Its name is the SHA-256 of its bytes.
pub struct SealedPack {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// What it holds, in order.
    pub blobs: Vec<PackBlob>,
}

/// Puts blobs together to a pack.
#[derive(Default)]
pub struct PackBuilder {
    bytes: Vec<u8>,
    blobs: Vec<PackBlob>,
}

/// A pack's offsets are 32 bits wide; nothing larger is ever begun.
const MAX_PACK: usize = u32::MAX as usize;
/// Longest sealed header restic reads.
const MAX_HEADER: u64 = 16 << 20;

/// restic caches tree packs whole.
pub(crate) const MAX_TREE_PACK: usize = 16 << 20;
const PLAIN_ENTRY: usize = 37;
/// Bytes that a compressed blob takes in the header; one that is not takes fewer.
pub(crate) const COMPRESSED_ENTRY: usize = 41;

impl PackBuilder {
    /// An empty pack that is put together in `buffer`.
    pub(crate) fn new(buffer: Vec<u8>) -> PackBuilder {
        PackBuilder {
            bytes: buffer,
            blobs: Vec::new(),
        }
    }

    /// Seals a blob's payload (compressed when `uncompressed_length` is given) into the pack.
    pub fn add(
        &mut self,
        key: &MasterKey,
        ambient: &Ambient,
        (kind, id): (BlobKind, Id),
        payload: &[u8],
        uncompressed_length: Option<u32>,
    ) -> Result<PackBlob> {
        let offset = self.bytes.len();
        if payload.len() + OVERHEAD > MAX_PACK - offset {
            return Err(RepositoryError::invalid(
                format!("{kind} blob {id}"),
                "it makes its pack larger than 4 GiB",
            ));
        }
        let iv: [u8; IV_LENGTH] = ambient.random();
        key.seal(payload, iv, &mut self.bytes);
        Ok(self.record(offset, (kind, id), uncompressed_length))
    }

    /// Takes over a blob that is sealed already.
    pub fn add_sealed(
        &mut self,
        (kind, id): (BlobKind, Id),
        sealed: &[u8],
        uncompressed_length: Option<u32>,
    ) -> Result<PackBlob> {
        let offset = self.bytes.len();
        if sealed.len() > MAX_PACK - offset {
            return Err(RepositoryError::invalid(
                format!("{kind} blob {id}"),
                "it makes its pack larger than 4 GiB",
            ));
        }
        self.bytes.extend_from_slice(sealed);
        Ok(self.record(offset, (kind, id), uncompressed_length))
    }

    fn record(&mut self, offset: usize, (kind, id): (BlobKind, Id), uncompressed_length: Option<u32>) -> PackBlob {
        let narrow = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let length = narrow(self.bytes.len() - offset);
        let blob = PackBlob {
            kind,
            id,
            offset: narrow(offset),
            length,
            uncompressed_length,
        };
        self.blobs.push(blob);
        blob
    }

    /// Bytes so far, without the header.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether no blob was added.
    pub fn is_empty(&self) -> bool {
        self.blobs.is_empty()
    }

    /// Number of blobs.
    pub fn blob_count(&self) -> usize {
        self.blobs.len()
    }

    /// Its blobs so far, in order.
    pub(crate) fn blobs(&self) -> &[PackBlob] {
        &self.blobs
    }

    /// Writes the header.
    pub fn seal(mut self, key: &MasterKey, ambient: &Ambient) -> Result<SealedPack> {
        let start = self.bytes.len();
        key.seal(&encode_header(&self.blobs), ambient.random(), &mut self.bytes);
        let length = u32::try_from(self.bytes.len() - start)
            .map_err(|_| RepositoryError::Bug("a pack header longer than 4 GiB".into()))?;
        self.bytes.extend_from_slice(&length.to_le_bytes());
        Ok(SealedPack {
            bytes: self.bytes,
            blobs: self.blobs,
        })
    }
}

fn encode_header(blobs: &[PackBlob]) -> Vec<u8> {
    let mut header = Vec::with_capacity(blobs.len() * COMPRESSED_ENTRY);
    for blob in blobs {
        let kind = match blob.kind {
            BlobKind::Data => 0,
            BlobKind::Tree => 1,
        };
        header.push(if blob.uncompressed_length.is_some() {
            kind + 2
        } else {
            kind
        });
        header.extend_from_slice(&blob.length.to_le_bytes());
        if let Some(length) = blob.uncompressed_length {
            header.extend_from_slice(&length.to_le_bytes());
        }
        header.extend_from_slice(&blob.id.0);
    }
    header
}

/// Size in bytes of the pack file that holds these blobs.
pub fn pack_size(blobs: &[PackBlob]) -> u64 {
    blobs.iter().fold(OVERHEAD as u64 + 4, |size, blob| {
        let entry = if blob.uncompressed_length.is_some() {
            COMPRESSED_ENTRY
        } else {
            PLAIN_ENTRY
        };
        size + u64::from(blob.length) + entry as u64
    })
}

/// Reads the header of a whole pack and checks that its blobs fill the file exactly.
pub fn decode_header(key: &MasterKey, pack: &[u8]) -> Result<Vec<PackBlob>, HeaderError> {
    let (rest, length) = pack.split_last_chunk::<4>().ok_or(HeaderError::TooShort)?;
    let length = u32::from_le_bytes(*length) as usize;
    let start = rest.len().checked_sub(length).ok_or(HeaderError::TooShort)?;
    decode_sealed_header(key, &rest[start..], pack.len() as u64)
}

/// Why a pack's header is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The file ends before its header begins.
    #[error("it is too short to hold its header")]
    TooShort,
    /// Longer than any reader takes.
    #[error("its header is longer than 16 MiB")]
    TooLong,
    /// The envelope does not open.
    #[error("its header does not open: {0}")]
    Sealed(#[from] crate::crypto::OpenError),
    /// An entry is cut off or of an unknown type.
    #[error("entry {0} of its header is malformed")]
    Entry(usize),
    /// Lengths do not add up to the file's size.
    #[error("its blobs make a file of {expected} bytes, but it has {actual}")]
    Size {
        /// What the header says.
        expected: u64,
        /// What is there.
        actual: u64,
    },
}

pub(crate) fn decode_sealed_header(key: &MasterKey, sealed: &[u8], size: u64) -> Result<Vec<PackBlob>, HeaderError> {
    let header = key.open(sealed)?;
    let mut blobs = Vec::with_capacity(header.len() / PLAIN_ENTRY);
    let mut rest = header.as_slice();
    let mut offset = 0u32;
    while !rest.is_empty() {
        let malformed = || HeaderError::Entry(blobs.len());
        let (blob, after) = decode_entry(rest, offset).ok_or_else(malformed)?;
        offset = offset.checked_add(blob.length).ok_or_else(malformed)?;
        blobs.push(blob);
        rest = after;
    }
    let expected = pack_size(&blobs);
    if expected != size {
        return Err(HeaderError::Size { expected, actual: size });
    }
    Ok(blobs)
}

fn decode_entry(entry: &[u8], offset: u32) -> Option<(PackBlob, &[u8])> {
    let (&kind, rest) = entry.split_first()?;
    let (length, mut rest) = rest.split_first_chunk::<4>()?;
    let uncompressed_length = if kind & 2 == 0 {
        None
    } else {
        let (length, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        Some(u32::from_le_bytes(*length))
    };
    let (id, rest) = rest.split_first_chunk::<32>()?;
    let kind = match kind {
        0 | 2 => BlobKind::Data,
        1 | 3 => BlobKind::Tree,
        _ => return None,
    };
    Some((
        PackBlob {
            kind,
            id: Id(*id),
            offset,
            length: u32::from_le_bytes(*length),
            uncompressed_length,
        },
        rest,
    ))
}

/// Reads the header of a stored pack of `size` bytes without reading its blobs.
pub fn read_header(repository: &Repository, pack: Id, size: u64) -> Result<Vec<PackBlob>> {
    let file = FileName::Object(FileKind::Data, pack);
    let damaged = |error: HeaderError| RepositoryError::damaged(format!("pack {pack}"), error);
    let mut length = [0; 4];
    let end = size.checked_sub(4).ok_or_else(|| damaged(HeaderError::TooShort))?;
    repository.storage().read_range(&file, end, &mut length)?;
    let length = u64::from(u32::from_le_bytes(length));
    if length > MAX_HEADER {
        return Err(damaged(HeaderError::TooLong));
    }
    let start = end.checked_sub(length).ok_or_else(|| damaged(HeaderError::TooShort))?;
    let mut sealed = vec![0; usize::try_from(length).map_err(|_| damaged(HeaderError::TooLong))?];
    repository.storage().read_range(&file, start, &mut sealed)?;
    decode_sealed_header(repository.key(), &sealed, size).map_err(damaged)
}

#[cfg(test)]
mod tests;
