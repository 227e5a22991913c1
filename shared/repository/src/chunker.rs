//! [`Chunker`]: content-defined chunks by FastCDC over a Gear hash, with a table only this repository knows.

use sha2::{Digest, Sha256};

use crate::crypto::MasterKey;

/// Shortest chunk, but for the end of a file. Also the length of a blob of zeroes that restic restores as a hole.
pub const MIN_CHUNK: usize = 512 << 10;
/// Length that chunks have on average.
pub const AVERAGE_CHUNK: usize = 1 << 20;
/// Longest chunk.
pub const MAX_CHUNK: usize = 4 << 20;

/// Normalised chunking: a cut needs two bits more before the average length and two bits fewer after it, which keeps
/// lengths close to the average. Above the minimum of 512 KiB another 512 KiB are wanted, hence 2^19.
const BEFORE_AVERAGE: u64 = mask(21);
const AFTER_AVERAGE: u64 = mask(17);

/// The top bits of the hash depend on the last 64 bytes.
const fn mask(bits: u32) -> u64 {
    !0 << (64 - bits)
}

/// Finds where chunks end.
#[derive(Clone)]
pub struct Chunker {
    gear: Box<[u64; 256]>,
}

impl Chunker {
    /// The chunker of a repository. Its table derives from the master key, so that the lengths of chunks tell nothing
    /// to those who do not have it.
    pub fn new(key: &MasterKey) -> Chunker {
        let seed = key.derive("gear");
        let mut gear = Box::new([0; 256]);
        for (number, entries) in (0u8..).zip(gear.chunks_exact_mut(4)) {
            let random = Sha256::new().chain_update(seed).chain_update([number]).finalize();
            for (entry, bytes) in entries.iter_mut().zip(random.as_chunks::<8>().0) {
                *entry = u64::from_le_bytes(*bytes);
            }
        }
        Chunker { gear }
    }

    /// Length of the first chunk of `data`. At least [`MAX_CHUNK`] bytes must be given unless the data ends there.
    pub fn cut(&self, data: &[u8]) -> usize {
        if data.len() <= MIN_CHUNK {
            return data.len();
        }
        let end = data.len().min(MAX_CHUNK);
        let middle = end.min(AVERAGE_CHUNK);
        let mut hash = 0;
        if let Some(length) = self.scan(data, MIN_CHUNK..middle, BEFORE_AVERAGE, &mut hash) {
            return length;
        }
        self.scan(data, middle..end, AFTER_AVERAGE, &mut hash).unwrap_or(end)
    }

    fn scan(&self, data: &[u8], range: std::ops::Range<usize>, mask: u64, hash: &mut u64) -> Option<usize> {
        let start = range.start;
        let mut fingerprint = *hash;
        for (at, byte) in data[range].iter().enumerate() {
            fingerprint = (fingerprint << 1).wrapping_add(self.gear[usize::from(*byte)]);
            if fingerprint & mask == 0 {
                return Some(start + at + 1);
            }
        }
        *hash = fingerprint;
        None
    }
}

/// Number of zero bytes at the start of `data`.
pub fn leading_zeroes(data: &[u8]) -> usize {
    const BLOCK: usize = 4096;
    let blocks = data
        .chunks_exact(BLOCK)
        .take_while(|block| block.iter().fold(0, |all, byte| all | byte) == 0)
        .count();
    let start = blocks * BLOCK;
    start + data[start..].iter().take_while(|byte| **byte == 0).count()
}
