//! One blob: compression before it is sealed, and the way back.

use std::cell::RefCell;
use std::io::{self, Read};

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

use crate::crypto::MasterKey;
use crate::error::{RepositoryError, Result};
use crate::id::Id;

use super::{BlobKind, PackBlob};

/// Data shorter than this is compressed without asking first.
const PROBE_FROM: usize = 64 << 10;
/// Bytes of each sample of a probe.
const SAMPLE: usize = 1 << 10;
/// The distance between samples: no multiple of a block size, so that data of alternating kinds cannot hide between them.
const SAMPLE_EVERY: usize = 10_125;

/// The level whose tables are made smaller than zstd makes them.
const TUNED_LEVEL: i32 = 3;
/// Entries of the tables in which that level looks up what it has seen, as powers of two: of eight bytes each time, and of five. Together
/// they take 384 KiB and stay in the second cache of a processor. The 768 KiB that zstd takes for a mebibyte of data do not where
/// that has a mebibyte itself: compression was 10 to 30 % slower with them, for 0.4 to 0.7 % fewer bytes.
const TABLES: (u32, u32) = (16, 15);

/// Bytes of plaintext held while blobs are opened together.
const OPENED_AT_ONCE: usize = 8 << 20;

/// Compresses blobs; kept by a worker so that its memory is used again and again.
pub struct BlobEncoder {
    compressor: Compressor<'static>,
    compressed: Vec<u8>,
}

impl BlobEncoder {
    /// Compresses at a zstd level. Frames carry no checksum: the blob's hash covers the content.
    pub fn new(level: i32) -> Result<BlobEncoder> {
        let error = RepositoryError::io("set up compression");
        let make = || -> io::Result<BlobEncoder> {
            let mut compressor = Compressor::new(level)?;
            compressor.set_parameter(CParameter::ChecksumFlag(false))?;
            if level == TUNED_LEVEL {
                compressor.set_parameter(CParameter::HashLog(TABLES.0))?;
                compressor.set_parameter(CParameter::ChainLog(TABLES.1))?;
            }
            Ok(BlobEncoder {
                compressor,
                compressed: Vec::new(),
            })
        };
        make().map_err(error)
    }

    /// What to seal for a plaintext, and the plaintext's length when that is compressed. Data that does not shrink
    /// stays as it is; trees are always compressed, as restic expects.
    pub fn encode<'a>(&'a mut self, kind: BlobKind, plaintext: &'a [u8]) -> Result<(&'a [u8], Option<u32>)> {
        let length = u32::try_from(plaintext.len())
            .map_err(|_| RepositoryError::invalid(format!("a {kind} blob"), "it is larger than 4 GiB"))?;
        if length == 0 || (kind == BlobKind::Data && looks_incompressible(plaintext)) {
            return Ok((plaintext, None));
        }
        self.compressed.clear();
        self.compressed
            .reserve(zstd::zstd_safe::compress_bound(plaintext.len()));
        self.compressor
            .compress_to_buffer(plaintext, &mut self.compressed)
            .map_err(RepositoryError::io(format!("compress a {kind} blob")))?;
        if kind == BlobKind::Data && self.compressed.len() >= plaintext.len() {
            return Ok((plaintext, None));
        }
        Ok((&self.compressed, Some(length)))
    }
}

/// Whether every sample looks like noise. One that does not is enough to try: the compressor itself steps over noise fast,
/// and a chunk that is noise in part is worth squeezing for the rest.
fn looks_incompressible(data: &[u8]) -> bool {
    data.len() >= PROBE_FROM
        && data
            .chunks(SAMPLE_EVERY)
            .filter_map(<[u8]>::first_chunk::<SAMPLE>)
            .all(looks_like_noise)
}

/// Whether no bytes are more frequent than chance makes them. In noise, one pair of bytes in 256 are equal; a quarter
/// more than that is ten times what chance explains.
fn looks_like_noise(sample: &[u8; SAMPLE]) -> bool {
    const PAIRS: u32 = (SAMPLE * (SAMPLE - 1)) as u32;
    let mut counts = [0u32; 256];
    for byte in sample {
        counts[usize::from(*byte)] += 1;
    }
    let equal: u32 = counts.iter().map(|count| count * count.saturating_sub(1)).sum();
    equal < PAIRS / 256 * 5 / 4
}

thread_local! {
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Decrypts, decompresses and verifies one blob. An error says what is wrong with it.
pub fn open_blob(key: &MasterKey, blob: &PackBlob, sealed: &[u8]) -> Result<Vec<u8>> {
    let plaintext = unseal(key, blob, sealed)?;
    verified(blob, Id::of(&plaintext), plaintext)
}

/// The same for many blobs, a few at a time so that they are hashed together. `take` gets the number and the outcome of
/// every one, in order.
pub(crate) fn open_blobs(
    key: &MasterKey,
    blobs: &[(PackBlob, &[u8])],
    mut take: impl FnMut(usize, Result<Vec<u8>>) -> Result<()>,
) -> Result<()> {
    let limit = if Id::worth_gathering() > 1 { OPENED_AT_ONCE } else { 1 };
    let mut next = 0;
    while next < blobs.len() {
        let (first, mut bytes) = (next, 0);
        let mut opened = Vec::new();
        while next < blobs.len() && bytes < limit {
            let (blob, sealed) = &blobs[next];
            let plaintext = unseal(key, blob, sealed);
            bytes += plaintext.as_ref().map_or(0, Vec::len).max(1);
            opened.push(plaintext);
            next += 1;
        }
        let ids = Id::of_each(&opened.iter().flatten().map(Vec::as_slice).collect::<Vec<_>>());
        let mut ids = ids.into_iter();
        for (number, outcome) in (first..).zip(opened) {
            let outcome = outcome.and_then(|plaintext| match ids.next() {
                Some(found) => verified(&blobs[number].0, found, plaintext),
                None => Err(RepositoryError::Bug("a blob was not hashed".into())),
            });
            take(number, outcome)?;
        }
    }
    Ok(())
}

fn damaged(blob: &PackBlob, reason: String) -> RepositoryError {
    RepositoryError::damaged(format!("{} blob {}", blob.kind, blob.id), reason)
}

fn verified(blob: &PackBlob, found: Id, plaintext: Vec<u8>) -> Result<Vec<u8>> {
    if found == blob.id {
        return Ok(plaintext);
    }
    Err(damaged(blob, format!("its content hashes to {found}")))
}

/// Decrypts and decompresses one blob.
fn unseal(key: &MasterKey, blob: &PackBlob, sealed: &[u8]) -> Result<Vec<u8>> {
    let damaged = |reason: String| damaged(blob, reason);
    let opened = key.open(sealed).map_err(|error| damaged(error.to_string()))?;
    match blob.uncompressed_length {
        None => Ok(opened),
        Some(length) => decompress(&opened, length as usize).map_err(|error| damaged(error.to_string())),
    }
}

/// Decompresses exactly `length` bytes; more or fewer is an error. Memory grows with what comes out, so a forged
/// length costs nothing.
pub(crate) fn decompress(compressed: &[u8], length: usize) -> io::Result<Vec<u8>> {
    const TRUSTED: usize = 64 << 20;
    if length > TRUSTED {
        let mut plaintext = Vec::new();
        zstd::Decoder::with_buffer(compressed)?
            .take(length as u64 + 1)
            .read_to_end(&mut plaintext)?;
        return check_length(plaintext, length);
    }
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(Decompressor::new()?),
        };
        check_length(decompressor.decompress(compressed, length)?, length)
    })
}

fn check_length(plaintext: Vec<u8>, length: usize) -> io::Result<Vec<u8>> {
    if plaintext.len() != length {
        let reason = format!("it decompresses to {} bytes, not {length}", plaintext.len());
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(plaintext)
}
