//! Two hashes of the same blocks with the processor's instructions for SHA-256. Each of them waits for its own result, so that a
//! second hash fits in between, and the words that a block is spread to are the same for both.

#![expect(
    unsafe_code,
    reason = "what is compiled for instructions that not every processor has may be called only after asking for them"
)]

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x, _mm_setr_epi32,
    _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32,
};

use super::parts::Kernel;
use super::{Block, ROUND_KEYS};

/// The kernel, if this processor can run it.
pub(super) fn kernel() -> Option<Kernel> {
    let known =
        is_x86_feature_detected!("sha") && is_x86_feature_detected!("sse4.1") && is_x86_feature_detected!("ssse3");
    // SAFETY: the processor was asked for just the instructions that it is compiled for.
    let compress: Kernel = |first, second, blocks| unsafe { compress(first, second, blocks) };
    known.then_some(compress)
}

/// The words of a state in the order of the instruction: A, B, E and F, and C, D, G and H, the first of them highest.
struct State(__m128i, __m128i);

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn compress(first: &mut [u32; 8], second: &mut [u32; 8], blocks: &[Block]) {
    let (mut one, mut two) = (load(first), load(second));
    for block in blocks {
        let (before_one, before_two) = (State(one.0, one.1), State(two.0, two.1));
        let mut words = spread(block);
        for (group, keys) in ROUND_KEYS.as_chunks::<4>().0.iter().enumerate() {
            if group >= 4 {
                let [a, b, c, d] = [0, 1, 2, 3].map(|n| words[(group + n) % 4]);
                let next = _mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8::<4>(d, c));
                words[group % 4] = _mm_sha256msg2_epu32(next, d);
            }
            let keyed = _mm_add_epi32(words[group % 4], quad(*keys));
            one.1 = _mm_sha256rnds2_epu32(one.1, one.0, keyed);
            two.1 = _mm_sha256rnds2_epu32(two.1, two.0, keyed);
            let keyed = _mm_shuffle_epi32::<0x0e>(keyed);
            one.0 = _mm_sha256rnds2_epu32(one.0, one.1, keyed);
            two.0 = _mm_sha256rnds2_epu32(two.0, two.1, keyed);
        }
        one = State(_mm_add_epi32(one.0, before_one.0), _mm_add_epi32(one.1, before_one.1));
        two = State(_mm_add_epi32(two.0, before_two.0), _mm_add_epi32(two.1, before_two.1));
    }
    (*first, *second) = (store(&one), store(&two));
}

/// The sixteen words of a block.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn spread(block: &Block) -> [__m128i; 4] {
    let to_big_endian = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let (halves, _) = block.as_chunks::<8>();
    let half = |n: usize| i64::from_le_bytes(halves[n]);
    [0, 2, 4, 6].map(|n| _mm_shuffle_epi8(_mm_set_epi64x(half(n + 1), half(n)), to_big_endian))
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn quad(words: [u32; 4]) -> __m128i {
    let [a, b, c, d] = words.map(u32::cast_signed);
    _mm_setr_epi32(a, b, c, d)
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn load(state: &[u32; 8]) -> State {
    let [a, b, c, d, e, f, g, h] = state.map(u32::cast_signed);
    State(_mm_set_epi32(a, b, e, f), _mm_set_epi32(c, d, g, h))
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn store(State(abef, cdgh): &State) -> [u32; 8] {
    [
        _mm_extract_epi32::<3>(*abef),
        _mm_extract_epi32::<2>(*abef),
        _mm_extract_epi32::<3>(*cdgh),
        _mm_extract_epi32::<2>(*cdgh),
        _mm_extract_epi32::<1>(*abef),
        _mm_extract_epi32::<0>(*abef),
        _mm_extract_epi32::<1>(*cdgh),
        _mm_extract_epi32::<0>(*cdgh),
    ]
    .map(i32::cast_unsigned)
}
