//! The compression of SHA-256 for eight messages side by side, one in each lane of 256-bit registers.
//!
//! One source, compiled twice: with the instructions of AVX-512 a rotation is one of them, and so are three-way logic
//! functions.

#![expect(
    unsafe_code,
    reason = "what is compiled for instructions that not every processor has may be called only after asking for them"
)]

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_andnot_si256, _mm256_extract_epi32, _mm256_or_si256,
    _mm256_permute2x128_si256, _mm256_set1_epi32, _mm256_setr_epi8, _mm256_setr_epi32, _mm256_setr_epi64x,
    _mm256_shuffle_epi8, _mm256_slli_epi32, _mm256_srli_epi32, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64,
    _mm256_unpacklo_epi32, _mm256_unpacklo_epi64, _mm256_xor_si256,
};

use super::{Block, Kernel, LANES, ROUND_KEYS, States};

/// The fastest kernel this processor can run.
pub(super) fn kernel() -> Option<Kernel> {
    kernels().next()
}

/// Every kernel this processor can run, the fastest first.
pub(super) fn kernels() -> impl Iterator<Item = Kernel> {
    let avx2 = is_x86_feature_detected!("avx2");
    let avx512 = avx2 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
    // SAFETY: the processor was asked for just the instructions that each of the two is compiled for.
    let compress_avx512: Kernel = |states, blocks| unsafe { avx512::compress(states, blocks) };
    let compress_avx2: Kernel = |states, blocks| unsafe { avx2::compress(states, blocks) };
    let all = [(avx512, compress_avx512), (avx2, compress_avx2)];
    all.into_iter().filter_map(|(known, kernel)| known.then_some(kernel))
}

macro_rules! kernel {
    ($module:ident, $features:literal) => {
        mod $module {
            use super::*;

            /// Takes the blocks of each lane into its state.
            #[target_feature(enable = $features)]
            pub(super) fn compress(states: &mut States, blocks: &[&[Block]; LANES]) {
                let mut state = states.map(|word| load(&word));
                for number in 0..blocks[0].len() {
                    let block = blocks.map(|blocks| halves(&blocks[number]));
                    let words = [
                        transpose(block.map(|[low, _]| low)),
                        transpose(block.map(|[_, high]| high)),
                    ];
                    let after = rounds(state, words);
                    for (word, after) in state.iter_mut().zip(after) {
                        *word = add(*word, after);
                    }
                }
                *states = state.map(|word| store(word));
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn rounds(state: [__m256i; 8], [low, high]: [[__m256i; 8]; 2]) -> [__m256i; 8] {
                let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
                let mut words: [__m256i; 16] = std::array::from_fn(|n| if n < 8 { low[n] } else { high[n - 8] });
                for (pass, keys) in ROUND_KEYS.as_chunks::<16>().0.iter().enumerate() {
                    if pass > 0 {
                        for n in 0..16 {
                            let (before, after) = (words[(n + 1) % 16], words[(n + 14) % 16]);
                            let small0 = xor(
                                xor(rotate::<7, 25>(before), rotate::<18, 14>(before)),
                                _mm256_srli_epi32::<3>(before),
                            );
                            let small1 = xor(
                                xor(rotate::<17, 15>(after), rotate::<19, 13>(after)),
                                _mm256_srli_epi32::<10>(after),
                            );
                            words[n] = add(add(words[n], small0), add(words[(n + 9) % 16], small1));
                        }
                    }
                    for (word, key) in words.iter().zip(keys) {
                        let big1 = xor(xor(rotate::<6, 26>(e), rotate::<11, 21>(e)), rotate::<25, 7>(e));
                        let choice = xor(_mm256_and_si256(e, f), _mm256_andnot_si256(e, g));
                        let keyed = add(*word, _mm256_set1_epi32(key.cast_signed()));
                        let first = add(add(add(h, keyed), choice), big1);
                        let big0 = xor(xor(rotate::<2, 30>(a), rotate::<13, 19>(a)), rotate::<22, 10>(a));
                        let majority = xor(_mm256_and_si256(a, b), _mm256_and_si256(c, xor(a, b)));
                        (h, g, f, e) = (g, f, e, add(d, first));
                        (d, c, b, a) = (c, b, a, add(first, add(big0, majority)));
                    }
                }
                [a, b, c, d, e, f, g, h]
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn add(a: __m256i, b: __m256i) -> __m256i {
                _mm256_add_epi32(a, b)
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn xor(a: __m256i, b: __m256i) -> __m256i {
                _mm256_xor_si256(a, b)
            }

            /// To the right by `RIGHT`; `LEFT` is what is missing to 32.
            #[inline]
            #[target_feature(enable = $features)]
            fn rotate<const RIGHT: i32, const LEFT: i32>(words: __m256i) -> __m256i {
                _mm256_or_si256(
                    _mm256_srli_epi32::<RIGHT>(words),
                    _mm256_slli_epi32::<LEFT>(words),
                )
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn load(words: &[u32; 8]) -> __m256i {
                let [a, b, c, d, e, f, g, h] = words.map(u32::cast_signed);
                _mm256_setr_epi32(a, b, c, d, e, f, g, h)
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn store(words: __m256i) -> [u32; 8] {
                [
                    _mm256_extract_epi32::<0>(words),
                    _mm256_extract_epi32::<1>(words),
                    _mm256_extract_epi32::<2>(words),
                    _mm256_extract_epi32::<3>(words),
                    _mm256_extract_epi32::<4>(words),
                    _mm256_extract_epi32::<5>(words),
                    _mm256_extract_epi32::<6>(words),
                    _mm256_extract_epi32::<7>(words),
                ]
                .map(i32::cast_unsigned)
            }

            /// The two halves of a block, as they stand in memory.
            #[inline]
            #[target_feature(enable = $features)]
            fn halves(block: &Block) -> [__m256i; 2] {
                let (quarters, _) = block.as_chunks::<8>();
                let quarter = |n: usize| i64::from_le_bytes(quarters[n]);
                [
                    _mm256_setr_epi64x(quarter(0), quarter(1), quarter(2), quarter(3)),
                    _mm256_setr_epi64x(quarter(4), quarter(5), quarter(6), quarter(7)),
                ]
            }

            /// From the words of each lane to the lanes of each word, which are in the order of the processor then.
            #[inline]
            #[target_feature(enable = $features)]
            fn transpose(rows: [__m256i; 8]) -> [__m256i; 8] {
                let swap = _mm256_setr_epi8(
                    3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, //
                    3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12,
                );
                let [a, b, c, d, e, f, g, h] = rows;
                let quads = |a, b, c, d| {
                    let (low0, high0) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
                    let (low1, high1) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
                    [
                        _mm256_unpacklo_epi64(low0, low1),
                        _mm256_unpackhi_epi64(low0, low1),
                        _mm256_unpacklo_epi64(high0, high1),
                        _mm256_unpackhi_epi64(high0, high1),
                    ]
                };
                let (top, bottom) = (quads(a, b, c, d), quads(e, f, g, h));
                let low = |n: usize| _mm256_permute2x128_si256::<0x20>(top[n], bottom[n]);
                let high = |n: usize| _mm256_permute2x128_si256::<0x31>(top[n], bottom[n]);
                [low(0), low(1), low(2), low(3), high(0), high(1), high(2), high(3)]
                    .map(|words| _mm256_shuffle_epi8(words, swap))
            }
        }
    };
}

kernel!(avx2, "avx2");
kernel!(avx512, "avx2,avx512f,avx512vl");
