//! [`Filter`]: which ids may be there, in about two bytes an id.

use std::ops::Range;

use crate::id::Id;

/// Ids that share a bucket, at most, when they are spread evenly: of ids that are not there, one in a thousand looks as
/// if it were.
const PER_BUCKET: u64 = 64;
/// Bits that choose a bucket at most: enough for 2^32 ids.
pub(super) const MAX_BUCKET_BITS: u32 = 26;

/// Sixteen bits of each of many ids, in buckets by the bits before them. Ids are hashes, so any of their bits will do.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Filter {
    bits: u32,
    /// For every bucket, the number of ids in it and those before.
    ends: Vec<u32>,
    fingerprints: Vec<u16>,
}

/// The first `bits` bits of an id.
pub(super) fn leading(id: &Id, bits: u32) -> u32 {
    (u64::from(first_bytes(id, 0)) >> (32 - bits)) as u32
}

fn first_bytes(id: &Id, from: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&id.0[from..from + 4]);
    u32::from_be_bytes(bytes)
}

/// The sixteen bits after the first `bits`.
fn fingerprint(id: &Id, bits: u32) -> u16 {
    let first = u64::from(first_bytes(id, 0)) << 32 | u64::from(first_bytes(id, 4));
    (first >> (48 - bits)) as u16
}

impl Filter {
    /// Bits that suit a number of ids.
    pub(super) fn bits_for(ids: u64) -> u32 {
        ids.div_ceil(PER_BUCKET)
            .next_power_of_two()
            .ilog2()
            .min(MAX_BUCKET_BITS)
    }

    /// The filter of ids in ascending order, each as often as it comes.
    pub(super) fn builder(bits: u32) -> FilterBuilder {
        FilterBuilder {
            filter: Filter {
                bits,
                ends: vec![0; 1 << bits],
                fingerprints: Vec::new(),
            },
        }
    }

    /// The numbers of all ids that may be this one; it is none of the others. They begin with the same
    /// [`Filter::known_bytes`].
    pub(super) fn candidates(&self, id: &Id) -> Range<usize> {
        let bucket = leading(id, self.bits) as usize;
        let range = self.range(bucket, bucket + 1);
        let (print, prints) = (fingerprint(id, self.bits), &self.fingerprints[range.clone()]);
        // They are in ascending order, as the ids are.
        let first = range.start + prints.partition_point(|other| *other < print);
        let equal = self.fingerprints[first..range.end]
            .iter()
            .take_while(|other| **other == print);
        first..first + equal.count()
    }

    /// Bytes that an id has in common with its candidates.
    pub(super) fn known_bytes(&self) -> usize {
        (self.bits as usize + 16) / 8
    }

    /// Which of all ids, by number, begin with these `bits` bits, at most as many as choose a bucket.
    pub(super) fn beginning(&self, bits: u32, with: u32) -> Range<usize> {
        let (first, wide) = ((with as usize) << (self.bits - bits), 1 << (self.bits - bits));
        self.range(first, first + wide)
    }

    fn range(&self, first: usize, end: usize) -> Range<usize> {
        let start = first.checked_sub(1).map_or(0, |before| self.ends[before]);
        start as usize..self.ends[end - 1] as usize
    }

    /// What [`Filter::decode`] reads.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Filter::encoded_length(self.bits, self.fingerprints.len()));
        bytes.extend(self.ends.iter().flat_map(|end| end.to_le_bytes()));
        bytes.extend(self.fingerprints.iter().flat_map(|print| print.to_le_bytes()));
        bytes
    }

    /// Bytes of a filter of so many ids.
    pub(super) fn encoded_length(bits: u32, ids: usize) -> usize {
        (4 << bits) + 2 * ids
    }

    /// None when the bytes are not those of a filter of so many ids.
    pub(super) fn decode(bits: u32, ids: usize, bytes: &[u8]) -> Option<Filter> {
        let (ends, prints) = bytes.split_at_checked(4 << bits)?;
        let ends: Vec<u32> = ends.as_chunks().0.iter().map(|end| u32::from_le_bytes(*end)).collect();
        let fingerprints: Vec<u16> = prints
            .as_chunks()
            .0
            .iter()
            .map(|print| u16::from_le_bytes(*print))
            .collect();
        let is_whole = fingerprints.len() == ids && prints.len() == 2 * ids;
        let adds_up = ends.is_sorted() && ends.last().is_some_and(|end| *end as usize == ids);
        (is_whole && adds_up).then_some(Filter {
            bits,
            ends,
            fingerprints,
        })
    }
}

/// Makes a [`Filter`].
pub(super) struct FilterBuilder {
    filter: Filter,
}

impl FilterBuilder {
    pub(super) fn push(&mut self, id: &Id) {
        let filter = &mut self.filter;
        filter.ends[leading(id, filter.bits) as usize] += 1;
        filter.fingerprints.push(fingerprint(id, filter.bits));
    }

    pub(super) fn finish(self) -> Filter {
        let mut filter = self.filter;
        let mut sum = 0;
        for end in &mut filter.ends {
            sum += *end;
            *end = sum;
        }
        filter.fingerprints.shrink_to_fit();
        filter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: Range<u32>) -> Vec<Id> {
        let mut ids: Vec<Id> = numbers.map(|n| Id::of(&n.to_le_bytes())).collect();
        ids.sort_unstable();
        ids
    }

    fn filter(ids: &[Id]) -> Filter {
        let mut builder = Filter::builder(Filter::bits_for(ids.len() as u64));
        ids.iter().for_each(|id| builder.push(id));
        builder.finish()
    }

    #[test]
    fn what_is_there_is_never_denied_and_little_else_is_let_through() {
        let there = ids(0..100_000);
        let filter = filter(&there);
        for (number, id) in there.iter().enumerate() {
            let candidates = filter.candidates(id);
            assert!(candidates.contains(&number));
            let known = filter.known_bytes();
            assert!(there[candidates].iter().all(|other| other.0[..known] == id.0[..known]));
        }
        let wrong = ids(100_000..300_000)
            .iter()
            .filter(|id| !filter.candidates(id).is_empty())
            .count();
        assert!(wrong < 250, "{wrong} of 200,000 absent ids pass");
        assert!(filter.encode().len() <= 213_000, "{} bytes", filter.encode().len());
    }

    #[test]
    fn ids_that_begin_alike_are_found_by_number() {
        let ids = ids(0..10_000);
        let filter = filter(&ids);
        for bits in [0, 1, 5] {
            for with in 0..1 << bits {
                let range = filter.beginning(bits, with);
                let alike = |id: &Id| leading(id, bits) == with;
                assert!(ids[range.clone()].iter().all(alike));
                assert_eq!(range.len(), ids.iter().filter(|id| alike(id)).count());
            }
        }
    }

    #[test]
    fn a_filter_survives_its_bytes_and_other_bytes_are_refused() {
        for count in [0, 1, 64, 65, 5_000] {
            let ids = ids(0..count);
            let filter = filter(&ids);
            let (bits, bytes) = (filter.bits, filter.encode());
            assert_eq!(bytes.len(), Filter::encoded_length(bits, ids.len()));
            assert_eq!(Filter::decode(bits, ids.len(), &bytes).as_ref(), Some(&filter));
            assert_eq!(Filter::decode(bits, ids.len() + 1, &bytes), None);
            assert_eq!(Filter::decode(bits, ids.len(), &[&bytes[..], &[0]].concat()), None);
            assert_eq!(Filter::decode(bits, ids.len(), &bytes[..bytes.len() - 1]), None);
        }
    }
}
