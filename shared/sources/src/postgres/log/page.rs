//! Headers of the pages that a log is made of.
//!
//! Numbers are in the byte order of the server's machine; every machine that servers run on today has the low byte first.

use super::super::lsn::Lsn;
use super::super::segment::SegmentSize;

/// The page begins with the rest of a record from the page before.
const CONTINUED: u16 = 1;
/// The header is a long one.
const LONG: u16 = 2;
/// What the page before began was given up.
const OVERWRITTEN: u16 = 8;
/// All flags that there are.
const FLAGS: u16 = 15;

/// Length of a page's header.
const SHORT_HEADER: usize = 24;
/// Length of the header of a segment's first page.
pub(super) const LONG_HEADER: usize = 40;
/// Pages are so long unless the server was built otherwise.
pub(super) const USUAL_PAGE: usize = 8 << 10;

/// The server's major version that a page's first two bytes mean.
pub fn major_version(magic: u16) -> Option<u32> {
    Some(match magic {
        0xD106 => 13,
        0xD10D => 14,
        0xD110 => 15,
        0xD113 => 16,
        0xD116 => 17,
        0xD118 => 18,
        _ => return None,
    })
}

/// What stands at the start of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageHeader {
    /// Major version of the server.
    pub version: u32,
    flags: u16,
    /// The timeline that wrote it.
    pub timeline: u32,
    /// The position of its first byte. A page from before the file was used anew has an old one.
    pub address: Lsn,
    /// Bytes that are left of the record that the page before began.
    pub remaining: u32,
    /// What the first page of a segment says besides.
    pub origin: Option<Origin>,
}

/// Which server wrote a segment, and how it cuts its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The server's system identifier, which its copies share.
    pub system: u64,
    /// Length of its segments.
    pub segment_size: SegmentSize,
    /// Length of its pages.
    pub page_size: usize,
}

impl PageHeader {
    /// Reads the start of a page; `None` where there is no header.
    pub fn parse(page: &[u8]) -> Option<PageHeader> {
        let flags = u16::from_le_bytes(array(page, 2)?);
        if page.len() < SHORT_HEADER || flags & !FLAGS != 0 {
            return None;
        }
        let mut header = PageHeader {
            version: major_version(u16::from_le_bytes(array(page, 0)?))?,
            flags,
            timeline: u32::from_le_bytes(array(page, 4)?),
            address: Lsn(u64::from_le_bytes(array(page, 8)?)),
            remaining: u32::from_le_bytes(array(page, 16)?),
            origin: None,
        };
        if flags & LONG != 0 {
            let page_size = u32::from_le_bytes(array(page, 36)?) as usize;
            header.origin = Some(Origin {
                system: u64::from_le_bytes(array(page, 24)?),
                segment_size: SegmentSize::new(u32::from_le_bytes(array(page, 32)?).into()).ok()?,
                page_size: Some(page_size)
                    .filter(|size| size.is_power_of_two() && (1 << 10..=64 << 10).contains(size))?,
            });
        }
        Some(header)
    }

    /// Its length.
    pub(super) fn length(&self) -> usize {
        match self.origin {
            Some(_) => LONG_HEADER,
            None => SHORT_HEADER,
        }
    }

    /// Whether the page begins with the rest of a record.
    pub fn is_continued(&self) -> bool {
        self.flags & CONTINUED != 0
    }

    /// Whether the record that the page before began was given up.
    pub fn is_overwritten(&self) -> bool {
        self.flags & OVERWRITTEN != 0
    }
}

/// `N` bytes from a place on.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}
