//! A pack that is read piece by piece.

use std::ops::Range;

/// Bytes that are in memory at one time, unless one blob has more.
const PIECE: u64 = 2 << 20;

/// Cuts the parts of a pack, sorted by where they are, into those that are in memory at one time.
pub(crate) fn pieces<T>(mut parts: &[T], place: impl Fn(&T) -> Range<u64>) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let start = place(parts.first()?).start;
        let fits = parts.iter().take_while(|part| place(part).end - start <= PIECE).count();
        let (piece, rest) = parts.split_at(fits.max(1));
        parts = rest;
        Some(piece)
    })
}
