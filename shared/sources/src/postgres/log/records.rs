//! [`Chain`]: follows the records of a log from page to page and checks each, so that a flipped byte is found.

use std::io::{self, Read};

use crc32c::{crc32c, crc32c_append};
use jiff::Timestamp;

use super::super::lsn::Lsn;
use super::super::segment::{Segment, SegmentSize};
use super::page::{Origin, PageHeader, USUAL_PAGE, array};

/// Length of a record's header.
const HEADER: usize = 24;
/// Where in it the checksum is, over everything but itself.
const CHECKSUM: usize = 20;
/// Longest record.
const LONGEST: usize = 1 << 30;
/// Records begin at multiples of this.
const ALIGNMENT: usize = 8;
/// Seconds from 1970 to 2000, from which servers count.
const EPOCH_2000: i64 = 946_684_800;

/// Where following a segment came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// To its last byte. A record may go on in the next one.
    Whole,
    /// To where the server changed to the next segment before this one was full. The rest means nothing.
    Switched,
    /// To a place where no valid record or page follows: the end of what is written, or damage.
    Broken {
        /// The end of the last whole record, or the start of the page.
        at: Lsn,
        /// What is there.
        reason: String,
    },
}

/// What a segment is found to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Major version of the server.
    pub version: u32,
    /// Which server wrote it.
    pub origin: Origin,
    /// How far its records go.
    pub end: End,
    /// Time of the last commit or rollback in it.
    pub last_commit: Option<Timestamp>,
}

/// A file that is no segment, or not the one it is said to be.
#[derive(Debug, thiserror::Error)]
pub enum SegmentFault {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// Its first page has no header of a segment.
    #[error("it does not begin with the header of a log segment of PostgreSQL 13 to 18")]
    NoHeader,
    /// It is another one.
    #[error("its first page says that it begins at {found} on timeline {timeline}, not at {expected}")]
    Elsewhere {
        /// Where it belongs.
        found: Lsn,
        /// On which timeline.
        timeline: u32,
        /// Where its name says it belongs.
        expected: Lsn,
    },
    /// Its server has segments of another length.
    #[error("its server has segments of {found}, not of {expected}")]
    OtherSize {
        /// The server's.
        found: SegmentSize,
        /// What was assumed.
        expected: SegmentSize,
    },
}

/// Follows records through segments that come one after another. Of the first one, what a segment before it began is
/// passed over.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// The beginning of a record that goes on in the next page.
    unfinished: Option<Unfinished>,
    /// Where the record before began.
    previous: Option<Lsn>,
    /// The position that the next segment has to begin at for the chain to hold.
    next: Option<Lsn>,
}

#[derive(Clone, Debug)]
struct Unfinished {
    start: Lsn,
    bytes: Vec<u8>,
    length: usize,
}

struct Page<'a> {
    header: PageHeader,
    bytes: &'a [u8],
}

impl Chain {
    /// Follows the records of the next segment, read page by page.
    pub fn follow(
        &mut self,
        segment: Segment,
        size: SegmentSize,
        content: &mut dyn Read,
    ) -> Result<Followed, SegmentFault> {
        let start = segment.start(size);
        if self.next != Some(start) {
            *self = Chain::default();
        }
        let mut bytes = Vec::with_capacity(USUAL_PAGE);
        fill(content, &mut bytes, USUAL_PAGE)?;
        let (first, origin) = first_page(&bytes, segment, size)?;
        fill(content, &mut bytes, origin.page_size)?;
        // A server with shorter pages than usual has given several of them.
        let mut surplus = bytes.split_off(origin.page_size.min(bytes.len()));
        let mut followed = Followed {
            version: first.version,
            origin,
            end: End::Whole,
            last_commit: None,
        };
        let mut at = start;
        loop {
            if let Some(end) = self.page(at, segment, &bytes, &mut followed) {
                followed.end = end;
                *self = Chain::default();
                return Ok(followed);
            }
            at = Lsn(at.0 + origin.page_size as u64);
            if at >= segment.end(size) {
                self.next = Some(at);
                return Ok(followed);
            }
            bytes = std::mem::take(&mut surplus);
            surplus = bytes.split_off(origin.page_size.min(bytes.len()));
            fill(content, &mut bytes, origin.page_size)?;
        }
    }

    /// Follows the records of one page; where they end, if they do.
    fn page(&mut self, at: Lsn, segment: Segment, bytes: &[u8], followed: &mut Followed) -> Option<End> {
        let broken = |at, reason: &str| {
            Some(End::Broken {
                at,
                reason: reason.to_owned(),
            })
        };
        let page = match PageHeader::parse(bytes) {
            None => return broken(at, "no page of a log begins here"),
            Some(header) if header.address != at => {
                return broken(at, &format!("a page of {} is here", header.address));
            }
            Some(header) if header.timeline == 0 || header.timeline > segment.timeline => {
                return broken(at, &format!("a page of timeline {} is here", header.timeline));
            }
            Some(header) => Page { header, bytes },
        };
        let mut place = match self.rest(&page, followed) {
            Ok(place) => place,
            Err(end) => return Some(end),
        };
        while place < followed.origin.page_size {
            let start = Lsn(at.0 + place as u64);
            let length = array(bytes, place).map(u32::from_le_bytes).unwrap_or(0) as usize;
            if !(HEADER..=LONGEST).contains(&length) {
                return broken(start, "no record begins here");
            }
            let here = length.min(followed.origin.page_size - place);
            let Some(record) = bytes.get(place..place + here) else {
                return broken(start, "the record is not whole");
            };
            place = (place + here).next_multiple_of(ALIGNMENT);
            if here < length {
                let bytes = record.to_vec();
                self.unfinished = Some(Unfinished { start, bytes, length });
                return None;
            }
            if let Err(end) = self.record(start, record, followed) {
                return Some(end);
            }
        }
        None
    }

    /// Takes the rest of a record that the page before began; where the next one begins.
    fn rest(&mut self, page: &Page<'_>, followed: &mut Followed) -> Result<usize, End> {
        let begin = page.header.length();
        let room = followed.origin.page_size - begin;
        let remaining = page.header.remaining as usize;
        if page.header.is_overwritten() {
            (self.unfinished, self.previous) = (None, None);
            return Ok(begin);
        }
        let Some(unfinished) = &mut self.unfinished else {
            return Ok(match page.header.is_continued() {
                true => (begin + remaining.min(room)).next_multiple_of(ALIGNMENT),
                false => begin,
            });
        };
        let here = remaining.min(room);
        let expected = unfinished.length - unfinished.bytes.len();
        let part = page.bytes.get(begin..begin + here);
        let (true, true, Some(part)) = (page.header.is_continued(), remaining == expected, part) else {
            return Err(End::Broken {
                at: unfinished.start,
                reason: format!("the record does not go on at {}", page.header.address),
            });
        };
        unfinished.bytes.extend_from_slice(part);
        if here == expected
            && let Some(Unfinished { start, bytes, .. }) = self.unfinished.take()
        {
            self.record(start, &bytes, followed)?;
        }
        Ok((begin + here).next_multiple_of(ALIGNMENT))
    }

    /// Checks a whole record.
    fn record(&mut self, start: Lsn, record: &[u8], followed: &mut Followed) -> Result<(), End> {
        let broken = |reason: String| Err(End::Broken { at: start, reason });
        let number = |at| array(record, at).map(u32::from_le_bytes).unwrap_or(0);
        if crc32c_append(crc32c(&record[HEADER..]), &record[..CHECKSUM]) != number(CHECKSUM) {
            return broken("the checksum of the record is wrong".to_owned());
        }
        let previous = Lsn(array(record, 8).map(u64::from_le_bytes).unwrap_or(0));
        if let Some(expected) = self.previous.replace(start).filter(|expected| *expected != previous) {
            return broken(format!("the record says that {previous} is before it, not {expected}"));
        }
        let (information, manager) = (record[16], record[17]);
        match (manager, information & 0x70) {
            (0, 0x40) => return Err(End::Switched),
            // Commit and rollback, also of what was prepared before.
            (1, 0x00 | 0x20 | 0x30 | 0x40) => {
                followed.last_commit = commit_time(&record[HEADER..]).or(followed.last_commit);
            }
            _ => {}
        }
        Ok(())
    }
}

/// The time that a commit or rollback begins with. Before it stand where it was replicated from and which transaction it
/// is part of, if anything, and the length of what follows.
fn commit_time(mut data: &[u8]) -> Option<Timestamp> {
    let content = loop {
        match data.first()? {
            252 => data = data.get(5..)?,
            253 => data = data.get(3..)?,
            254 => break data.get(5..)?,
            255 => break data.get(2..)?,
            _ => return None,
        }
    };
    let micros = i64::from_le_bytes(array(content, 0)?);
    Timestamp::from_microsecond(micros.checked_add(EPOCH_2000 * 1_000_000)?).ok()
}

fn first_page(bytes: &[u8], segment: Segment, size: SegmentSize) -> Result<(PageHeader, Origin), SegmentFault> {
    let header = PageHeader::parse(bytes).ok_or(SegmentFault::NoHeader)?;
    let origin = header.origin.ok_or(SegmentFault::NoHeader)?;
    if origin.segment_size != size {
        return Err(SegmentFault::OtherSize {
            found: origin.segment_size,
            expected: size,
        });
    }
    let expected = segment.start(size);
    if header.address != expected || header.timeline > segment.timeline {
        return Err(SegmentFault::Elsewhere {
            found: header.address,
            timeline: header.timeline,
            expected,
        });
    }
    Ok((header, origin))
}

/// Reads until there are `length` bytes, or no more come.
fn fill(content: &mut dyn Read, bytes: &mut Vec<u8>, length: usize) -> io::Result<()> {
    let missing = length.saturating_sub(bytes.len());
    content.take(missing as u64).read_to_end(bytes)?;
    Ok(())
}

/// Which server a segment comes from, by its first page.
pub fn origin(content: &mut dyn Read) -> Result<Origin, SegmentFault> {
    let mut bytes = Vec::new();
    fill(content, &mut bytes, super::page::LONG_HEADER)?;
    let header = PageHeader::parse(&bytes).and_then(|header| header.origin);
    header.ok_or(SegmentFault::NoHeader)
}

#[cfg(test)]
mod tests;
