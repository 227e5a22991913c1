//! Bytes to measure with: the same on every machine.

/// A fixed sequence of numbers (SplitMix64, public domain: <https://prng.di.unimi.it/splitmix64.c>).
pub struct Numbers(u64);

impl Numbers {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.draw() % limit
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Bytes that no compression makes smaller.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    let mut bytes: Vec<u8> = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend(numbers.draw().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Lines of words, numbers and indentation that compress to about a third.
pub fn text(seed: u64, length: usize) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    let mut bytes: Vec<u8> = Vec::with_capacity(length + 64);
    while bytes.len() < length {
        let indent = numbers.below(5) * 4;
        bytes.extend(std::iter::repeat_n(b' ', usize::try_from(indent).unwrap_or(0)));
        for _ in 0..2 + numbers.below(8) {
            // Few words are frequent and many are rare, as in any language.
            let rank = numbers.below(64) * numbers.below(64);
            let mut letters = Numbers(rank);
            for _ in 0..2 + letters.below(8) {
                bytes.push(b'a' + u8::try_from(letters.below(26)).unwrap_or(0));
            }
            bytes.push(b' ');
        }
        bytes.extend(format!("{:x};\n", numbers.below(1 << 20)).bytes());
    }
    bytes.truncate(length);
    bytes
}
