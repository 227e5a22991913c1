//! [`Chunker`]: content-defined chunks by FastCDC over a Gear hash, with a table only this repository knows.

use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::crypto::MasterKey;

/// Shortest chunk, but for the end of a file. Also the length of a blob of zeroes that restic restores as a hole.
pub const MIN_CHUNK: usize = 512 << 10;
/// Length that chunks have on average.
pub const AVERAGE_CHUNK: usize = 1 << 20;
/// Longest chunk.
pub const MAX_CHUNK: usize = 4 << 20;

/// Normalised chunking: a cut needs one bit more before the average length and one bit fewer after it, which keeps
/// lengths close to the average. With more bits, cuts depend more on where the chunk began, and after a change it takes
/// longer until they fall into the old places. Above the minimum of 512 KiB another 512 KiB are wanted, hence 2^19.
const BEFORE_AVERAGE: u64 = limit(20);
const AFTER_AVERAGE: u64 = limit(18);

/// Below this, so many of the top bits are zero. They depend on the last 64 bytes.
const fn limit(bits: u32) -> u64 {
    1 << (64 - bits)
}

/// Bytes that are taken in before the loop turns round: as long a way as one byte alone.
const UNROLLED: usize = 16;

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

    /// The end of the first byte of `range` after which the hash is below `limit`.
    fn scan(&self, data: &[u8], range: Range<usize>, limit: u64, hash: &mut u64) -> Option<usize> {
        let start = range.start;
        let (blocks, rest) = data[range].as_chunks::<UNROLLED>();
        let step = |at: usize, byte: u8, hash: &mut u64| {
            *hash = (*hash << 1).wrapping_add(self.gear[usize::from(byte)]);
            (*hash < limit).then_some(start + at + 1)
        };
        for (number, block) in blocks.iter().enumerate() {
            for (at, byte) in block.iter().enumerate() {
                if let Some(end) = step(number * UNROLLED + at, *byte, hash) {
                    return Some(end);
                }
            }
        }
        let begin = blocks.len() * UNROLLED;
        (begin..).zip(rest).find_map(|(at, byte)| step(at, *byte, hash))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn chunker(seed: u8) -> Chunker {
        Chunker::new(&MasterKey::from_random(&[seed; 64]))
    }

    fn noise(length: usize) -> Vec<u8> {
        (0..length.div_ceil(32) as u64)
            .flat_map(|n| crate::Id::of(&n.to_le_bytes()).0)
            .take(length)
            .collect()
    }

    fn cuts(chunker: &Chunker, mut data: &[u8]) -> Vec<usize> {
        let mut lengths = Vec::new();
        while !data.is_empty() {
            let (chunk, rest) = data.split_at(chunker.cut(data));
            lengths.push(chunk.len());
            data = rest;
        }
        lengths
    }

    #[test]
    fn chunks_keep_their_bounds_and_their_average() {
        let data = noise(64 << 20);
        let lengths = cuts(&chunker(1), &data);
        let (_, inner) = lengths.split_last().unwrap();
        assert!(
            inner.iter().all(|length| (MIN_CHUNK..=MAX_CHUNK).contains(length)),
            "{inner:?}"
        );
        let average = data.len() / lengths.len();
        assert!(
            (AVERAGE_CHUNK * 3 / 4..AVERAGE_CHUNK * 3 / 2).contains(&average),
            "{average}"
        );
    }

    #[test]
    fn a_chunk_ends_at_the_first_byte_whose_hash_is_low_enough() {
        let (data, chunker) = (noise(6 << 20), chunker(3));
        let mut start = 0;
        for length in cuts(&chunker, &data) {
            let (chunk, mut hash) = (&data[start..start + length], 0u64);
            let ends = |at: usize, hash: u64| {
                let bits = if at < AVERAGE_CHUNK { 20 } else { 18 };
                hash.leading_zeros() >= bits
            };
            for (at, byte) in chunk.iter().enumerate().skip(MIN_CHUNK) {
                hash = (hash << 1).wrapping_add(chunker.gear[usize::from(*byte)]);
                let last = at + 1 == length;
                let forced = start + length == data.len() || length == MAX_CHUNK;
                assert!(ends(at, hash) == last || (last && forced), "{at} of {length}");
            }
            start += length;
        }
    }

    #[test]
    fn after_a_change_cuts_soon_fall_into_the_old_places() {
        const CHANGED: Range<usize> = 4 << 20..5 << 20;
        const CHUNKERS: u8 = 16;
        let before = noise(16 << 20);
        let mut after = before.clone();
        after[CHANGED]
            .iter_mut()
            .for_each(|byte| *byte = byte.wrapping_mul(167).wrapping_add(3));
        let ends = |chunker: &Chunker, data: &[u8]| -> Vec<usize> {
            let lengths = cuts(chunker, data).into_iter();
            lengths
                .scan(0, |end, length| {
                    *end += length;
                    Some(*end)
                })
                .collect()
        };
        let stored_anew = |seed| {
            let (old, new) = (ends(&chunker(seed), &before), ends(&chunker(seed), &after));
            let first = new.iter().filter(|end| **end <= CHANGED.start).max().unwrap();
            let last = new
                .iter()
                .find(|end| **end >= CHANGED.end && old.contains(end))
                .unwrap();
            last - first
        };
        let average = (0..CHUNKERS).map(stored_anew).sum::<usize>() / usize::from(CHUNKERS);
        assert!(average < 4 << 20, "{average}");
    }

    #[test]
    fn another_repository_cuts_elsewhere() {
        let data = noise(8 << 20);
        assert_eq!(cuts(&chunker(1), &data), cuts(&chunker(1), &data));
        assert_ne!(cuts(&chunker(1), &data), cuts(&chunker(2), &data));
    }

    #[test]
    fn zeroes_are_counted_to_the_byte() {
        for length in [0, 1, 4095, 4096, 10_000] {
            let mut data = vec![0; length];
            assert_eq!(leading_zeroes(&data), length);
            data.extend([1, 0, 0]);
            assert_eq!(leading_zeroes(&data), length);
        }
    }
}
