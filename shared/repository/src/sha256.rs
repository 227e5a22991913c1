//! SHA-256 of several messages at a time.
//!
//! Two hashes of every byte (the blob's and the pack's) are most of the work of a backup. A processor with instructions
//! for SHA-256 does one message after the other. One without them computes a single message four to eight times slower
//! than eight of them side by side in its vector registers.

#[cfg(target_arch = "x86_64")]
mod lanes;
mod parts;
#[cfg(target_arch = "x86_64")]
mod twice;

use std::cmp::Reverse;

use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

pub use parts::PartsHasher;

/// Messages that go side by side.
const LANES: usize = 8;
/// With fewer messages left than this, one after the other is faster.
const WORTHWHILE: usize = 2;

type Block = [u8; 64];
/// Word by word, the states of all messages: `state[word][lane]`.
type States = [[u32; LANES]; 8];
/// Takes as many blocks into every state as the slices hold, which are of the same length.
type Kernel = fn(&mut States, &[&[Block]; LANES]);

const START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const ROUND_KEYS: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

/// How many messages of about the same length are worth gathering before they are hashed: 1 where it makes no difference.
pub(crate) fn worth_gathering() -> usize {
    if kernel().is_some() { LANES } else { 1 }
}

/// The SHA-256 of each message, in their order.
pub(crate) fn digest_each(messages: &[&[u8]]) -> Vec<[u8; 32]> {
    match kernel() {
        Some(kernel) if messages.len() >= WORTHWHILE => side_by_side(kernel, messages),
        _ => messages.iter().map(|message| Sha256::digest(message).into()).collect(),
    }
}

#[cfg(target_arch = "x86_64")]
fn kernel() -> Option<Kernel> {
    // Tests of this crate take the lanes wherever they can: a machine with the instruction would never try them.
    if !cfg!(test) && std::arch::is_x86_feature_detected!("sha") {
        return None;
    }
    lanes::kernel()
}

#[cfg(not(target_arch = "x86_64"))]
fn kernel() -> Option<Kernel> {
    None
}

/// The last blocks of a message: what is left over, a one bit, and the length in bits.
struct Padded {
    blocks: [Block; 2],
    used: usize,
}

impl Padded {
    fn new(message: &[u8]) -> Padded {
        Padded::after(message.as_chunks::<64>().1, message.len() as u64)
    }

    /// Of a message of `length` bytes, of which `rest` is in no whole block.
    fn after(rest: &[u8], length: u64) -> Padded {
        let mut bytes = [0; 128];
        bytes[..rest.len()].copy_from_slice(rest);
        bytes[rest.len()] = 0x80;
        let used = if rest.len() < 56 { 1 } else { 2 };
        bytes[used * 64 - 8..used * 64].copy_from_slice(&(length * 8).to_be_bytes());
        let (blocks, _) = bytes.as_chunks();
        Padded {
            blocks: [blocks[0], blocks[1]],
            used,
        }
    }
}

/// A message on its way through a lane.
#[derive(Clone, Copy)]
struct Lane<'a> {
    /// Which message it is.
    number: usize,
    rest: &'a [Block],
    /// What comes after `rest`.
    end: &'a [Block],
}

impl<'a> Lane<'a> {
    fn new(number: usize, message: &'a [u8], padded: &'a Padded) -> Lane<'a> {
        let (rest, end) = (message.as_chunks().0, &padded.blocks[..padded.used]);
        let mut lane = Lane { number, rest, end };
        lane.advance(0);
        lane
    }

    /// Passes over blocks that were taken in.
    fn advance(&mut self, blocks: usize) {
        self.rest = &self.rest[blocks..];
        if self.rest.is_empty() {
            self.rest = std::mem::take(&mut self.end);
        }
    }
}

/// The longest messages first, so that the lanes end at about the same time.
fn side_by_side(kernel: Kernel, messages: &[&[u8]]) -> Vec<[u8; 32]> {
    let padded: Vec<Padded> = messages.iter().map(|message| Padded::new(message)).collect();
    let mut order: Vec<usize> = (0..messages.len()).collect();
    order.sort_by_key(|number| Reverse(messages[*number].len()));
    let mut waiting = order
        .into_iter()
        .map(|number| Lane::new(number, messages[number], &padded[number]));
    let mut digests = vec![[0; 32]; messages.len()];
    let mut states: States = START.map(|word| [word; LANES]);
    let mut lanes: [Option<Lane<'_>>; LANES] = std::array::from_fn(|_| waiting.next());
    while lanes.iter().flatten().count() >= WORTHWHILE {
        let shortest = lanes.iter().flatten().min_by_key(|lane| lane.rest.len());
        let Some(filler) = shortest.map(|lane| lane.rest) else {
            break;
        };
        let next = lanes.each_ref().map(|lane| match lane {
            Some(lane) => &lane.rest[..filler.len()],
            None => filler,
        });
        kernel(&mut states, &next);
        for (at, slot) in lanes.iter_mut().enumerate() {
            let Some(lane) = slot else { continue };
            lane.advance(filler.len());
            if lane.rest.is_empty() {
                digests[lane.number] = to_bytes(states.map(|word| word[at]));
                *slot = waiting.next();
                for (word, start) in states.iter_mut().zip(START) {
                    word[at] = start;
                }
            }
        }
    }
    for (at, lane) in lanes.iter().enumerate() {
        let Some(lane) = lane else { continue };
        let mut state = states.map(|word| word[at]);
        compress256(&mut state, lane.rest);
        compress256(&mut state, lane.end);
        digests[lane.number] = to_bytes(state);
    }
    digests
}

fn to_bytes(state: [u32; 8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *to = word.to_be_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kernel this processor can run, and the plain one that they must agree with.
    fn kernels() -> Vec<Kernel> {
        let plain: Kernel = |states, blocks| {
            for lane in 0..LANES {
                let mut state = states.map(|word| word[lane]);
                compress256(&mut state, blocks[lane]);
                for (word, value) in states.iter_mut().zip(state) {
                    word[lane] = value;
                }
            }
        };
        #[cfg(target_arch = "x86_64")]
        let all = [plain].into_iter().chain(lanes::kernels()).collect();
        #[cfg(not(target_arch = "x86_64"))]
        let all = vec![plain];
        all
    }

    fn message(seed: usize, length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 7 + seed * 31 + at / 251) as u8).collect()
    }

    fn agree(kernel: Kernel, messages: &[Vec<u8>]) {
        let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let expected: Vec<[u8; 32]> = messages.iter().map(|message| Sha256::digest(message).into()).collect();
        assert!(side_by_side(kernel, &messages) == expected, "{:?}", messages.len());
        assert!(digest_each(&messages) == expected);
    }

    #[test]
    fn messages_of_every_length_around_a_block_hash_as_they_do_alone() {
        for kernel in kernels() {
            for first in 0..200 {
                let messages: Vec<Vec<u8>> = (first..first + 9).map(|length| message(first, length)).collect();
                agree(kernel, &messages);
            }
        }
    }

    #[test]
    fn any_number_of_messages_hash_as_they_do_alone() {
        for kernel in kernels() {
            for count in 0..40 {
                let length = |n: usize| (n * 7919 + count * 104_729) % 5000;
                let messages: Vec<Vec<u8>> = (0..count).map(|n| message(n, length(n))).collect();
                agree(kernel, &messages);
            }
        }
    }

    #[test]
    fn one_long_message_among_short_ones_comes_out_right() {
        for kernel in kernels() {
            let mut messages: Vec<Vec<u8>> = (0..20).map(|n| message(n, n)).collect();
            messages[13] = message(1, 1_000_003);
            agree(kernel, &messages);
        }
    }
}
