//! [`Parts`]: a table's rows, cut into parts of a few MiB where the rows themselves say so.
//!
//! A row ends a part or does not, whatever comes before it, so that what is inserted or removed somewhere changes the part it
//! is in and no other.

use crc32c::crc32c;

/// The mean length of a part, as a power of two, in bytes.
const MEAN_BITS: u32 = 22;
/// A part is at least this long, unless the table ends.
const SHORTEST: usize = 1 << 20;
/// A part ends with the row that makes it this long.
const LONGEST: usize = 16 << 20;

/// Cuts rows into parts.
#[derive(Debug, Default)]
pub(super) struct Parts {
    part: Vec<u8>,
    /// How much of it is whole rows, and how many.
    whole: usize,
    rows: u64,
}

impl Parts {
    /// Takes what came, which may end within a row; gives each part that is full, with the number of its rows.
    pub(super) fn take(&mut self, bytes: &[u8], mut full: impl FnMut(Vec<u8>, u64)) {
        // A line break within a value is written as two other characters.
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.part.extend_from_slice(piece);
            if !piece.ends_with(b"\n") {
                continue;
            }
            let row = &self.part[self.whole..];
            let ends = ends_part(row);
            self.whole = self.part.len();
            self.rows += 1;
            if self.whole >= LONGEST || ends && self.whole >= SHORTEST {
                let (part, rows) = self.rest();
                full(part, rows);
            }
        }
    }

    /// What is left, with the number of its rows.
    pub(super) fn rest(&mut self) -> (Vec<u8>, u64) {
        self.whole = 0;
        (std::mem::take(&mut self.part), std::mem::take(&mut self.rows))
    }
}

/// Whether a part ends with this row: the longer it is the likelier, so that parts are of one mean length.
fn ends_part(row: &[u8]) -> bool {
    let share = (row.len() as u64) << (32 - MEAN_BITS);
    u64::from(crc32c(row)) < share
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize) -> Vec<u8> {
        (0..count)
            .flat_map(|number| format!("{number}\t{}\n", "x".repeat(number % 300)).into_bytes())
            .collect()
    }

    fn parts(bytes: &[u8], piece: usize) -> Vec<(Vec<u8>, u64)> {
        let (mut parts, mut all) = (Parts::default(), Vec::new());
        for piece in bytes.chunks(piece) {
            parts.take(piece, |part, rows| all.push((part, rows)));
        }
        all.push(parts.rest());
        all
    }

    #[test]
    fn a_new_row_changes_the_part_that_it_is_in() {
        let bytes = rows(200_000);
        let before = parts(&bytes, 10_000);
        assert!(before.len() > 4, "{}", before.len());
        assert_eq!(before, parts(&bytes, 777), "however they come");
        assert_eq!(before.iter().map(|(_, rows)| rows).sum::<u64>(), 200_000);
        let joined: Vec<u8> = before.iter().flat_map(|(part, _)| part.clone()).collect();
        assert!(joined == bytes);
        for (part, _) in &before {
            assert!(part.ends_with(b"\n") && part.len() < LONGEST + 1000);
        }
        let after = parts(&[b"new\trow\n", bytes.as_slice()].concat(), 10_000);
        let changed = after.iter().filter(|part| !before.contains(part)).count();
        assert_eq!(changed, 1);
    }
}
