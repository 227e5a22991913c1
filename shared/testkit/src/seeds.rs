//! Seeds: which ones to run, and the random numbers they give.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The seeds to run: those that `HOLDFAST_SIM_SEEDS` names (numbers and ranges such as `7,100..200`), or else the given
/// ones. Panics on a word that is neither, so that a mistyped seed does not pass as a run.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where a person tells the tests which seeds to run"
)]
pub fn seeds(usually: Range<u64>) -> Vec<u64> {
    match std::env::var("HOLDFAST_SIM_SEEDS") {
        Ok(words) => parse(&words).unwrap_or_else(|word| {
            panic!("HOLDFAST_SIM_SEEDS: \"{word}\" is no seed: write numbers and ranges such as 7,100..200")
        }),
        Err(std::env::VarError::NotPresent) => usually.collect(),
        Err(error) => panic!("HOLDFAST_SIM_SEEDS: {error}"),
    }
}

/// The seeds that the words name, or the first word that names none.
fn parse(words: &str) -> Result<Vec<u64>, &str> {
    let mut seeds = Vec::new();
    for word in words.split(',').map(str::trim) {
        let number = |text: &str| text.parse::<u64>().map_err(|_| word);
        match word.split_once("..") {
            Some((first, end)) => seeds.extend(number(first)?..number(end)?),
            None => seeds.push(number(word)?),
        }
    }
    Ok(seeds)
}

/// Bytes that do not compress, the same for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// Random numbers that depend on the seed alone.
#[derive(Debug, Clone)]
pub struct SeededRandom {
    numbers: ChaCha8Rng,
}

impl SeededRandom {
    /// The numbers of one seed.
    pub fn new(seed: u64) -> Self {
        Self {
            numbers: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// A number below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        let scaled = u128::from(self.numbers.next_u64()) * u128::from(n);
        (scaled >> 64) as u64
    }

    /// True with probability `p`, which lies between 0 and 1.
    pub fn chance(&mut self, p: f64) -> bool {
        let unit = (self.numbers.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        unit < p
    }

    /// One of the items. Panics when there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_numbers_and_ranges_and_nothing_else() {
        assert_eq!(parse("7, 10..13"), Ok(vec![7, 10, 11, 12]));
        assert_eq!(parse("7,x"), Err("x"));
        assert_eq!(parse(""), Err(""));
    }

    #[test]
    fn one_seed_gives_the_same_numbers_and_another_gives_others() {
        let draw = |seed| {
            let mut random = SeededRandom::new(seed);
            (0..32).map(|_| random.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn numbers_stay_below_their_bound_and_chances_keep_their_odds() {
        let mut random = SeededRandom::new(3);
        assert!((0..1000).all(|_| random.below(7) < 7));
        assert!((0..100).all(|_| !random.chance(0.0) && random.chance(1.0)));
        let hits = (0..10_000).filter(|_| random.chance(0.25)).count();
        assert!((2300..2700).contains(&hits), "{hits}");
    }
}
