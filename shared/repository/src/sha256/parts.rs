//! [`PartsHasher`]: hashes a message, and parts of it, in one pass.

use sha2::block_api::compress256;

use super::{Block, Padded, START, to_bytes};
use crate::id::Id;

/// SHA-256 of a message that comes piece by piece, and of parts of it: where the processor has instructions for SHA-256, both
/// together take little longer than one.
pub struct PartsHasher {
    whole: Running,
    part: Running,
}

impl Default for PartsHasher {
    fn default() -> PartsHasher {
        PartsHasher::new()
    }
}

impl PartsHasher {
    /// Nothing has come yet.
    pub fn new() -> PartsHasher {
        PartsHasher {
            whole: Running::new(),
            part: Running::new(),
        }
    }

    /// Whether hashing a part along with the message is faster than by itself.
    pub fn is_worthwhile() -> bool {
        kernel().is_some()
    }

    /// Takes the next bytes of the message, which are in no part.
    pub fn pass(&mut self, bytes: &[u8]) {
        self.whole.update(bytes);
    }

    /// Takes the next bytes of the message and of its current part.
    pub fn update(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if let Some(kernel) = kernel().filter(|_| self.whole.is_aligned() && self.part.is_aligned()) {
            let (blocks, after) = bytes.as_chunks();
            kernel(&mut self.whole.state, &mut self.part.state, blocks);
            let taken = (bytes.len() - after.len()) as u64;
            (self.whole.length, self.part.length) = (self.whole.length + taken, self.part.length + taken);
            rest = after;
        }
        self.whole.update(rest);
        self.part.update(rest);
    }

    /// The hash of the current part; what comes next is in another.
    pub fn end_part(&mut self) -> Id {
        Id(std::mem::replace(&mut self.part, Running::new()).finish())
    }

    /// The hash of the message.
    pub fn finish(self) -> [u8; 32] {
        self.whole.finish()
    }
}

/// Takes the same blocks into two states.
pub(super) type Kernel = fn(&mut [u32; 8], &mut [u32; 8], &[Block]);

#[cfg(target_arch = "x86_64")]
fn kernel() -> Option<Kernel> {
    super::twice::kernel()
}

#[cfg(not(target_arch = "x86_64"))]
fn kernel() -> Option<Kernel> {
    None
}

/// A hash that is not finished.
struct Running {
    state: [u32; 8],
    /// The beginning of a block, if not all of it has come.
    block: Block,
    length: u64,
}

impl Running {
    fn new() -> Running {
        Running {
            state: START,
            block: [0; 64],
            length: 0,
        }
    }

    /// How many bytes of a block have come.
    fn filled(&self) -> usize {
        (self.length % 64) as usize
    }

    fn is_aligned(&self) -> bool {
        self.filled() == 0
    }

    fn update(&mut self, mut bytes: &[u8]) {
        let filled = self.filled();
        self.length += bytes.len() as u64;
        if filled > 0 {
            let (head, rest) = bytes.split_at(bytes.len().min(64 - filled));
            self.block[filled..filled + head.len()].copy_from_slice(head);
            if filled + head.len() < 64 {
                return;
            }
            compress256(&mut self.state, &[self.block]);
            bytes = rest;
        }
        let (blocks, rest) = bytes.as_chunks();
        compress256(&mut self.state, blocks);
        self.block[..rest.len()].copy_from_slice(rest);
    }

    fn finish(mut self) -> [u8; 32] {
        let padded = Padded::after(&self.block[..self.filled()], self.length);
        compress256(&mut self.state, &padded.blocks[..padded.used]);
        to_bytes(self.state)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    proptest! {
        /// Parts that begin and end anywhere, and come in pieces of any length, with bytes in between that are in none.
        #[test]
        fn a_message_and_its_parts_hash_as_they_do_alone(
            pieces in prop::collection::vec((0usize..3, 0usize..5, 0usize..100), 0..60)
        ) {
            let mut hasher = PartsHasher::new();
            let (mut message, mut part) = (Vec::new(), Vec::new());
            for (what, blocks, more) in pieces {
                let bytes: Vec<u8> = (0..blocks * 64 + more % 70).map(|at| (at * 7 + more) as u8).collect();
                match what {
                    0 => {
                        prop_assert_eq!(hasher.end_part(), Id::of(&part));
                        part.clear();
                        hasher.pass(&bytes);
                    }
                    1 => {
                        hasher.update(&bytes);
                        part.extend_from_slice(&bytes);
                    }
                    _ => {
                        // As pages come: whole blocks.
                        let bytes = &bytes[..blocks * 64];
                        hasher.update(bytes);
                        part.extend_from_slice(bytes);
                        message.extend_from_slice(bytes);
                        continue;
                    }
                }
                message.extend_from_slice(&bytes);
            }
            prop_assert_eq!(hasher.end_part(), Id::of(&part));
            let expected: [u8; 32] = Sha256::digest(&message).into();
            prop_assert_eq!(hasher.finish(), expected);
        }
    }
}
