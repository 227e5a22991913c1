//! Pages of relation files: which files have them, and whether a page is what was written.

use std::path::Path;

use super::lsn::Lsn;

/// Sums that go side by side.
const LANES: usize = 32;
const PRIME: u32 = 16_777_619;
/// Where each sum starts.
const START: [u32; LANES] = [
    0x5B1F_36E9,
    0xB852_5960,
    0x02AB_50AA,
    0x1DE6_6D2A,
    0x79FF_467A,
    0x9BB9_F8A3,
    0x217E_7CD2,
    0x83E1_3D2C,
    0xF8D4_474F,
    0xE39E_B970,
    0x42C6_AE16,
    0x9932_16FA,
    0x7B09_3B5D,
    0x98DA_FF3C,
    0xF718_902A,
    0x0B1C_9CDB,
    0xE58F_764B,
    0x1876_36BC,
    0x5D7B_3BB1,
    0xE73D_E7DE,
    0x92BE_C979,
    0xCCA6_C0B2,
    0x304A_0979,
    0x85AA_43D4,
    0x7831_25BB,
    0x6CA8_EAA2,
    0xE407_EAC6,
    0x4B5C_FC3E,
    0x9FBF_8C76,
    0x15CA_20BE,
    0xF2CA_9FD3,
    0x959B_D756,
];
/// Bytes of a page's header that matter here.
const HEADER: usize = 16;

/// How a cluster lays out its relations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of a page, 8192 unless PostgreSQL was built otherwise.
    pub page: usize,
    /// Pages of a file; a larger relation goes on in the next file.
    pub segment: u32,
}

/// A page whose checksum is not that of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    /// Which page of the file, from 0.
    pub page: u32,
    /// What the page says.
    pub stored: u16,
    /// What its content gives.
    pub computed: u16,
}

/// The number of the file within its relation where `path`, below a data folder, is a file of a relation.
pub(super) fn segment_of(path: &Path) -> Option<u32> {
    let parts: Vec<&str> = path.iter().map(|part| part.to_str()).collect::<Option<_>>()?;
    let name = match parts[..] {
        ["global", name] => name,
        ["base", database, name] | ["pg_tblspc", _, _, database, name] if is_number(database) => name,
        _ => return None,
    };
    let (name, segment) = match name.split_once('.') {
        Some((name, segment)) if is_number(segment) => (name, segment.parse().ok()?),
        Some(_) => return None,
        None => (name, 0),
    };
    let number = match name.split_once('_') {
        Some((number, "fsm" | "vm" | "init")) => number,
        Some(_) => return None,
        None => name,
    };
    is_number(number).then_some(segment)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Checks the pages of one file as its bytes come.
pub(super) struct PageCheck {
    layout: Layout,
    /// Pages that were changed from here on may be torn; replay writes them anew.
    start: Lsn,
    /// The number within the relation of the file's first page.
    first: u32,
    /// The numbers within the file of the pages to come.
    numbers: Box<dyn Iterator<Item = u32> + Send>,
    /// The beginning of the next page.
    pending: Vec<u8>,
}

impl PageCheck {
    /// For all pages of the file with number `segment` of a relation, in a backup that starts at `start`.
    pub(super) fn new(layout: Layout, segment: u32, start: Lsn) -> PageCheck {
        PageCheck::of(layout, segment, start, 0..=u32::MAX)
    }

    /// For those pages of it that have these numbers.
    pub(super) fn of(
        layout: Layout,
        segment: u32,
        start: Lsn,
        numbers: impl IntoIterator<Item = u32, IntoIter: Send + 'static>,
    ) -> PageCheck {
        PageCheck {
            layout,
            start,
            first: segment.wrapping_mul(layout.segment),
            numbers: Box::new(numbers.into_iter()),
            pending: Vec::new(),
        }
    }

    /// Takes the next bytes. What is left in the end is no whole page and has no checksum.
    pub(super) fn take(&mut self, mut bytes: &[u8], mut found: impl FnMut(Mismatch)) {
        let size = self.layout.page;
        if !self.pending.is_empty() {
            let (missing, rest) = bytes.split_at(bytes.len().min(size - self.pending.len()));
            self.pending.extend_from_slice(missing);
            bytes = rest;
            if self.pending.len() < size {
                return;
            }
            let page = std::mem::take(&mut self.pending);
            self.look(&page, &mut found);
            self.pending = page;
            self.pending.clear();
        }
        let pages = bytes.chunks_exact(size);
        self.pending.extend_from_slice(pages.remainder());
        for page in pages {
            self.look(page, &mut found);
        }
    }

    fn look(&mut self, page: &[u8], found: &mut impl FnMut(Mismatch)) {
        let Some(number) = self.numbers.next() else { return };
        if is_new(page) || changed_at(page) >= self.start {
            return;
        }
        let stored = u16::from_le_bytes([page[8], page[9]]);
        let computed = checksum(page, self.first.wrapping_add(number));
        if stored != computed {
            found(Mismatch {
                page: number,
                stored,
                computed,
            });
        }
    }
}

/// Whether a page was added to its file but never written.
fn is_new(page: &[u8]) -> bool {
    page[14..HEADER] == [0, 0]
}

/// The position of the log's last word about a page.
fn changed_at(page: &[u8]) -> Lsn {
    let half = |at: usize| u32::from_le_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]]);
    Lsn(u64::from(half(0)) << 32 | u64::from(half(4)))
}

/// PostgreSQL's checksum of a page: 32 FNV-1a sums over columns of words, where the field of the checksum itself counts
/// as zero, folded with the page's number within its relation. It is never 0.
pub(super) fn checksum(page: &[u8], number: u32) -> u16 {
    let mut sums = START;
    let (rows, _) = page.as_chunks::<{ LANES * 4 }>();
    for (at, row) in rows.iter().enumerate() {
        let mut words = words(row);
        if at == 0 {
            // The field is the lower half of the third word.
            words[2] &= 0xFFFF_0000;
        }
        mix(&mut sums, &words);
    }
    for _ in 0..2 {
        mix(&mut sums, &[0; LANES]);
    }
    let folded = sums.iter().fold(0, |folded, sum| folded ^ sum) ^ number;
    u16::try_from(folded % 65_535 + 1).unwrap_or(u16::MAX)
}

fn words(row: &[u8; LANES * 4]) -> [u32; LANES] {
    let mut words = [0; LANES];
    for (word, bytes) in words.iter_mut().zip(row.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

fn mix(sums: &mut [u32; LANES], words: &[u32; LANES]) {
    for (sum, word) in sums.iter_mut().zip(words) {
        let mixed = *sum ^ word;
        *sum = mixed.wrapping_mul(PRIME) ^ (mixed >> 17);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_relations_are_known_by_their_path() {
        for (path, segment) in [
            ("global/1262", Some(0)),
            ("base/5/1259", Some(0)),
            ("base/5/1259_fsm", Some(0)),
            ("base/5/16384.12", Some(12)),
            ("base/5/16384_vm.3", Some(3)),
            ("base/5/16384_init", Some(0)),
            ("pg_tblspc/16390/PG_15_202209061/5/16391.1", Some(1)),
            ("global/pg_control", None),
            ("base/5/pg_filenode.map", None),
            ("base/5/PG_VERSION", None),
            ("base/5/16384_other", None),
            ("base/5/16384.x", None),
            ("base/pgsql_tmp/16384", None),
            ("pg_wal/000000010000000000000001", None),
            ("1259", None),
        ] {
            assert_eq!(segment_of(Path::new(path)), segment, "{path}");
        }
    }

    const LAYOUT: Layout = Layout {
        page: 8192,
        segment: 131_072,
    };

    /// A page with a right checksum.
    fn page(number: u32, changed_at: u32) -> Vec<u8> {
        let mut page: Vec<u8> = (0..8192_u32).map(|at| (at * 7 + number) as u8).collect();
        page[..4].fill(0);
        page[4..8].copy_from_slice(&changed_at.to_le_bytes());
        let sum = checksum(&page, number);
        page[8..10].copy_from_slice(&sum.to_le_bytes());
        page
    }

    fn damaged(bytes: &[u8], pieces: usize, segment: u32) -> Vec<u32> {
        let mut check = PageCheck::new(LAYOUT, segment, Lsn(1000));
        let mut found = Vec::new();
        for piece in bytes.chunks(pieces) {
            check.take(piece, |mismatch| found.push(mismatch.page));
        }
        found
    }

    #[test]
    fn a_flipped_bit_is_found_however_the_bytes_come() {
        let first = 2 * LAYOUT.segment;
        let mut bytes: Vec<u8> = (0..5).flat_map(|number| page(first + number, 10)).collect();
        for pieces in [1, 100, 8191, 8192, 8193, 20_000, 100_000] {
            assert_eq!(damaged(&bytes, pieces, 2), [] as [u32; 0], "{pieces}");
        }
        assert_eq!(damaged(&bytes, 8192, 0), [0, 1, 2, 3, 4], "the page's number counts");
        bytes[3 * 8192 + 5000] ^= 1;
        for pieces in [1, 100, 8191, 8192, 8193, 20_000, 100_000] {
            assert_eq!(damaged(&bytes, pieces, 2), [3], "{pieces}");
        }
    }

    #[test]
    fn pages_that_come_alone_are_checked_by_their_own_numbers() {
        let numbers = [3, 4, 90];
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| page(*number, 10)).collect();
        let damaged = |bytes: &[u8]| {
            let mut check = PageCheck::of(LAYOUT, 0, Lsn(1000), numbers);
            let mut found = Vec::new();
            check.take(bytes, |mismatch| found.push(mismatch.page));
            found
        };
        assert_eq!(damaged(&bytes), [] as [u32; 0]);
        bytes[2 * 8192 + 5000] ^= 1;
        assert_eq!(damaged(&bytes), [90]);
    }

    #[test]
    fn pages_that_replay_writes_anew_and_new_pages_are_not_judged() {
        let mut bytes = page(0, 1000);
        bytes[5000] ^= 1;
        assert_eq!(damaged(&bytes, 8192, 0), [] as [u32; 0]);
        assert_eq!(damaged(&[0; 8192], 8192, 0), [] as [u32; 0]);
        assert_eq!(
            damaged(&page(0, 10)[..8000], 8192, 0),
            [] as [u32; 0],
            "a part of a page"
        );
    }
}
