//! [`Merge`]: a whole file from the pages that changed and what an earlier base backup has of it.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;

use holdfast_repository::Id;

use super::super::base_backup::Changes;

/// Chunks of the earlier file that are read at one time.
const READ_TOGETHER: usize = 64;

/// Reads chunks, and gives their bytes in the same order.
pub(super) type Load<'a> = dyn FnMut(&[Id]) -> io::Result<Vec<Vec<u8>>> + 'a;

/// What a chunk of the whole file is made of.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    /// Its bytes.
    length: usize,
    /// So many bytes at its beginning come from the same chunk of the earlier file, unless they lie in a page that is given;
    /// what is neither kept nor given is zeroes.
    kept: usize,
    /// The pages that are given, by their places in the list of changes.
    pages: Range<usize>,
    /// Whether it is the earlier chunk as it is.
    is_same: bool,
    /// Whether bytes of the earlier chunk are in it.
    needs_earlier: bool,
}

/// A file that is put together chunk by chunk.
pub(super) struct Merge {
    changes: Changes,
    /// Bytes of a chunk.
    cut: usize,
    /// The earlier file.
    earlier: Vec<Id>,
    earlier_length: u64,
    /// The number of the next chunk.
    next: usize,
    /// Earlier chunks that will be needed next, in their order.
    loaded: VecDeque<Vec<u8>>,
    chunk: Vec<u8>,
}

/// The next chunk of a merged file.
pub(super) enum Merged<'a> {
    /// The earlier chunk, and its length.
    Same(Id, usize),
    /// These bytes.
    Made(&'a [u8]),
}

impl Merge {
    /// Of a file that was `earlier_length` bytes long and is stored in chunks of `cut` bytes. An error says why these cannot be
    /// its chunks.
    pub(super) fn new(changes: Changes, cut: usize, earlier: Vec<Id>, earlier_length: u64) -> Result<Merge, String> {
        if changes.page == 0 || !cut.is_multiple_of(changes.page) {
            return Err(format!(
                "chunks of {cut} bytes do not hold whole pages of {}",
                changes.page
            ));
        }
        let expected = earlier_length.div_ceil(cut as u64);
        if earlier.len() as u64 != expected {
            let chunks = earlier.len();
            return Err(format!(
                "its {earlier_length} bytes are in {chunks} chunks and not in {expected}"
            ));
        }
        Ok(Merge {
            changes,
            cut,
            earlier,
            earlier_length,
            next: 0,
            loaded: VecDeque::new(),
            chunk: Vec::new(),
        })
    }

    /// What a chunk is made of; `None` behind the end of the file.
    fn part(&self, number: usize) -> Option<Part> {
        let (cut, page) = (self.cut as u64, self.changes.page as u64);
        let start = number as u64 * cut;
        let length = self
            .changes
            .length()
            .checked_sub(start)
            .filter(|left| *left > 0)?
            .min(cut);
        // Only whole pages of the earlier file count.
        let earlier_pages = self.earlier_length / page;
        let kept_below = earlier_pages.min(self.changes.kept_below.into()) * page;
        let kept = kept_below.saturating_sub(start).min(length);
        let place = |end: u64| {
            self.changes
                .pages
                .partition_point(|number| u64::from(*number) * page < end)
        };
        let pages = place(start)..place(start + length);
        let given_of_kept = place(start + kept) - pages.start;
        let is_same = pages.is_empty() && kept == length && self.earlier_chunk(number) == length;
        Some(Part {
            length: small(length),
            kept: small(kept),
            is_same,
            needs_earlier: !is_same && (given_of_kept as u64) * page < kept,
            pages,
        })
    }

    /// Bytes of a chunk of the earlier file.
    fn earlier_chunk(&self, number: usize) -> u64 {
        let cut = self.cut as u64;
        self.earlier_length.saturating_sub(number as u64 * cut).min(cut)
    }

    /// The next chunk, `None` at the end. `given` gives the pages of the changes, one after another; `load` reads chunks of the
    /// earlier file.
    pub(super) fn next(&mut self, given: &mut dyn Read, load: &mut Load<'_>) -> io::Result<Option<Merged<'_>>> {
        let number = self.next;
        let Some(part) = self.part(number) else { return Ok(None) };
        self.next += 1;
        if part.is_same {
            return Ok(Some(Merged::Same(self.earlier[number], part.length)));
        }
        self.chunk.clear();
        if part.needs_earlier {
            let earlier = self.earlier(number, load)?;
            self.chunk.extend_from_slice(&earlier[..part.kept]);
        }
        self.chunk.resize(part.length, 0);
        let page = self.changes.page;
        for place in part.pages {
            let at = small(u64::from(self.changes.pages[place]) * page as u64 - number as u64 * self.cut as u64);
            given.read_exact(&mut self.chunk[at..at + page])?;
        }
        Ok(Some(Merged::Made(&self.chunk)))
    }

    /// The chunk of the earlier file with this number, which is the next that is needed. Those that are needed after it are
    /// read with it.
    fn earlier(&mut self, number: usize, load: &mut Load<'_>) -> io::Result<Vec<u8>> {
        if self.loaded.is_empty() {
            let parts = (number..).map_while(|number| Some((number, self.part(number)?)));
            let needed = parts.filter(|(_, part)| part.needs_earlier).map(|(number, _)| number);
            let numbers: Vec<usize> = needed.take(READ_TOGETHER).collect();
            let ids: Vec<Id> = numbers.iter().map(|number| self.earlier[*number]).collect();
            let chunks = load(&ids)?;
            for (number, chunk) in numbers.iter().zip(chunks) {
                let expected = self.earlier_chunk(*number);
                if chunk.len() as u64 != expected {
                    let id = self.earlier[*number];
                    let found = chunk.len();
                    return Err(io::Error::other(format!(
                        "chunk {id} has {found} bytes and not {expected}"
                    )));
                }
                self.loaded.push_back(chunk);
            }
        }
        self.loaded
            .pop_front()
            .ok_or_else(|| io::Error::other("a chunk was not read"))
    }
}

/// A length or place within a chunk.
fn small(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// Pages are small here, and four make a chunk.
    const PAGE: usize = 8;
    const CUT: usize = 32;

    fn chunks_of(file: &[u8]) -> (Vec<Id>, HashMap<Id, Vec<u8>>) {
        let ids = file.chunks(CUT).map(Id::of).collect();
        (
            ids,
            file.chunks(CUT).map(|chunk| (Id::of(chunk), chunk.to_vec())).collect(),
        )
    }

    /// The merged file, and how many of its chunks are the earlier ones; none of those may be read.
    fn merge(changes: &Changes, earlier: &[u8], mut given: &[u8]) -> (Vec<u8>, usize, usize) {
        let (ids, stored) = chunks_of(earlier);
        let mut merge = Merge::new(changes.clone(), CUT, ids, earlier.len() as u64).unwrap();
        let (mut file, mut same, mut loaded) = (Vec::new(), 0, 0);
        let mut load = |ids: &[Id]| {
            loaded += ids.len();
            Ok(ids.iter().map(|id| stored[id].clone()).collect())
        };
        while let Some(merged) = merge.next(&mut given, &mut load).unwrap() {
            match merged {
                Merged::Same(id, length) => {
                    assert_eq!(stored[&id].len(), length);
                    file.extend_from_slice(&stored[&id]);
                    same += 1;
                }
                Merged::Made(bytes) => file.extend_from_slice(bytes),
            }
        }
        assert!(given.is_empty(), "pages are left");
        (file, same, loaded)
    }

    /// The rule, page by page.
    fn naive(changes: &Changes, earlier: &[u8], given: &[u8]) -> Vec<u8> {
        let mut file = vec![0; changes.length() as usize];
        for (number, page) in file.chunks_mut(PAGE).enumerate() {
            let old = earlier.chunks_exact(PAGE).nth(number);
            match changes.pages.iter().position(|given| *given as usize == number) {
                Some(place) => page.copy_from_slice(&given[place * PAGE..][..PAGE]),
                None if number < changes.kept_below as usize => page.copy_from_slice(old.unwrap_or(&[0; PAGE])),
                None => {}
            }
        }
        file
    }

    fn changes(kept_below: u32, pages: &[u32]) -> Changes {
        Changes {
            page: PAGE,
            pages: pages.to_vec(),
            kept_below,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn a_merged_file_is_what_the_rule_says(
            earlier in prop::collection::vec(1_u8..=255, 0..700),
            kept_below in 0_u32..90,
            pages in prop::collection::btree_set(0_u32..100, 0..60),
            seed: u8,
        ) {
            let pages: Vec<u32> = pages.into_iter().collect();
            let changes = changes(kept_below, &pages);
            let given: Vec<u8> = (0..pages.len() * PAGE).map(|at| (at as u8).wrapping_mul(31) ^ seed).collect();
            let (file, _, _) = merge(&changes, &earlier, &given);
            prop_assert_eq!(file, naive(&changes, &earlier, &given));
        }
    }

    #[test]
    fn chunks_without_a_change_are_taken_over_and_only_those_with_one_are_read() {
        let earlier: Vec<u8> = (0..10 * CUT + 2 * PAGE).map(|at| at as u8 | 1).collect();
        // Of a file with as many pages as before, one page in chunk 3, and all of chunk 7.
        let same = changes(42, &[13, 28, 29, 30, 31]);
        let (file, taken, loaded) = merge(&same, &earlier, &[0; 5 * PAGE]);
        assert_eq!((file.len(), taken, loaded), (earlier.len(), 9, 1));
        // Cut off within a chunk, which is read for that.
        let (file, taken, loaded) = merge(&changes(6, &[]), &earlier, &[]);
        assert_eq!((file, taken, loaded), (earlier[..6 * PAGE].to_vec(), 1, 1));
        // Longer than before: the last chunk grows, and what nobody wrote is zeroes.
        let (file, taken, loaded) = merge(&changes(50, &[]), &earlier, &[]);
        assert_eq!((file.len(), taken, loaded), (50 * PAGE, 10, 1));
        assert!(file[earlier.len()..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn chunks_that_are_not_those_of_the_file_are_refused() {
        let earlier = vec![1; 3 * CUT];
        let (ids, _) = chunks_of(&earlier);
        let refused = Merge::new(changes(12, &[]), CUT, ids.clone(), 2 * CUT as u64)
            .err()
            .unwrap();
        assert!(refused.contains("in 3 chunks and not in 2"), "{refused}");
        let mut merge = Merge::new(changes(12, &[0]), CUT, ids, 3 * CUT as u64).unwrap();
        let mut load = |ids: &[Id]| Ok(vec![vec![1; CUT - 1]; ids.len()]);
        let error = merge.next(&mut &[0; PAGE][..], &mut load).err().unwrap().to_string();
        assert!(error.contains("has 31 bytes and not 32"), "{error}");
    }
}
