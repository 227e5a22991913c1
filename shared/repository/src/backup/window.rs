//! [`Window`]: the part of a file that is in memory, from which chunks are cut.

use std::io;

use crate::chunker::{Chunker, MAX_CHUNK, MIN_CHUNK, leading_zeroes};

use super::Content;

/// What must be in memory to know where a chunk ends: the longest chunk, and a whole run of zeroes that may begin at
/// its end.
const NEEDED: usize = MAX_CHUNK + MIN_CHUNK;
const CAPACITY: usize = 2 * NEEDED;
/// Zero runs are looked for at this distance; every run of [`MIN_CHUNK`] covers such a place.
const STRIDE: usize = MIN_CHUNK / 2;

/// The next piece of a file.
pub(super) enum Piece<'a> {
    /// Exactly [`MIN_CHUNK`] zero bytes.
    Zeroes,
    /// Data.
    Data(&'a [u8]),
}

/// Bytes that chunks are cut from, and the holes in them where these are known.
pub(super) trait Bytes {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize>;
    fn hole(&mut self) -> io::Result<u64>;
}

impl Bytes for dyn Content + '_ {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Content::read(self, buf)
    }

    fn hole(&mut self) -> io::Result<u64> {
        Content::hole(self)
    }
}

impl Bytes for dyn io::Read + '_ {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        io::Read::read(self, buf)
    }

    fn hole(&mut self) -> io::Result<u64> {
        Ok(0)
    }
}

/// A buffer over a file's bytes.
pub(super) struct Window {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Zero bytes that come after the buffer and were not read.
    hole: u64,
    at_end: bool,
}

impl Window {
    pub(super) fn new() -> Window {
        Window {
            buffer: vec![0; CAPACITY],
            start: 0,
            end: 0,
            hole: 0,
            at_end: false,
        }
    }

    /// Makes ready for another file.
    pub(super) fn clear(&mut self) {
        (self.start, self.end, self.hole, self.at_end) = (0, 0, 0, false);
    }

    /// The next piece of the file, `None` at its end. Where pieces end depends on the bytes alone, not on whether
    /// zeroes were read or skipped as a hole.
    pub(super) fn next<B: Bytes + ?Sized>(
        &mut self,
        content: &mut B,
        chunker: &Chunker,
    ) -> io::Result<Option<Piece<'_>>> {
        if self.start == self.end && self.hole >= MIN_CHUNK as u64 {
            self.hole -= MIN_CHUNK as u64;
            return Ok(Some(Piece::Zeroes));
        }
        self.fill(content)?;
        let data = &self.buffer[self.start..self.end];
        if data.is_empty() {
            return Ok(None);
        }
        if starts_with_zero_run(data) {
            self.start += MIN_CHUNK;
            return Ok(Some(Piece::Zeroes));
        }
        let length = before_zero_run(data, chunker.cut(data));
        self.start += length;
        Ok(Some(Piece::Data(&data[..length])))
    }

    /// Reads until enough is in memory or the file ends.
    fn fill<B: Bytes + ?Sized>(&mut self, content: &mut B) -> io::Result<()> {
        if self.at_end || self.end - self.start >= NEEDED {
            return Ok(());
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        while self.end < NEEDED {
            if self.hole == 0 {
                self.hole = content.hole()?;
            }
            if self.hole > 0 {
                if self.end == 0 && self.hole >= MIN_CHUNK as u64 {
                    // Nothing is before it: it needs no memory.
                    return self.materialise(MIN_CHUNK);
                }
                let room = self.buffer.len() - self.end;
                self.materialise(room.min(usize::try_from(self.hole).unwrap_or(room)))?;
                continue;
            }
            match content.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.at_end = true;
                    break;
                }
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Moves zeroes from the hole into the buffer.
    fn materialise(&mut self, count: usize) -> io::Result<()> {
        self.buffer[self.end..self.end + count].fill(0);
        self.end += count;
        self.hole -= count as u64;
        Ok(())
    }
}

fn starts_with_zero_run(data: &[u8]) -> bool {
    data.len() >= MIN_CHUNK && data[0] == 0 && leading_zeroes(&data[..MIN_CHUNK]) == MIN_CHUNK
}

/// The length of a chunk, cut short where a run of at least [`MIN_CHUNK`] zeroes begins within it.
fn before_zero_run(data: &[u8], length: usize) -> usize {
    let mut place = STRIDE;
    while place < data.len() && place < length + STRIDE {
        if data[place] != 0 {
            place += STRIDE;
            continue;
        }
        let begin = data[..place]
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        if begin >= length {
            break;
        }
        let run = leading_zeroes(&data[begin..data.len().min(begin + MIN_CHUNK)]);
        if run >= MIN_CHUNK {
            return begin;
        }
        place = (begin + run).max(place + 1).next_multiple_of(STRIDE);
    }
    length
}
