//! [`Reader`]: the bytes of one open file.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use holdfast_repository::backup::{Content, Unread, UnreadReason};
use holdfast_repository::tree::Node;
use rustix::fs::{SeekFrom, Stat, fstat, seek};
use rustix::io::{Errno, pread};

use super::super::attributes::Subject;
use super::super::beneath::handle_path;
use super::super::metadata::{self, Owners};

/// Bytes in the unit of `st_blocks`, whatever the file system's block size.
const STAT_BLOCK: i128 = 512;

/// Reads one regular file from start to end, skips its holes, and knows in the end whether it changed meanwhile.
pub(super) struct Reader {
    path: PathBuf,
    file: OwnedFd,
    before: Stat,
    owners: Arc<Owners>,
    position: u64,
    /// No hole starts before this.
    data_until: u64,
}

impl Reader {
    pub(super) fn new(path: PathBuf, file: OwnedFd, before: Stat, owners: Arc<Owners>) -> Reader {
        let sparse = i128::from(before.st_blocks) * STAT_BLOCK < i128::from(before.st_size);
        Reader {
            path,
            file,
            before,
            owners,
            position: 0,
            data_until: if sparse { 0 } else { u64::MAX },
        }
    }

    fn size_before(&self) -> u64 {
        u64::try_from(self.before.st_size).unwrap_or(0)
    }
}

impl Content for Reader {
    fn opened(&self) -> Result<Node, Unread> {
        metadata::node(&self.path, &self.before, &self.owners, None)
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match pread(&self.file, &mut *buf, self.position) {
                Err(Errno::INTR) => {}
                outcome => {
                    let count = outcome?;
                    self.position += count as u64;
                    return Ok(count);
                }
            }
        }
    }

    fn hole(&mut self) -> io::Result<u64> {
        if self.position < self.data_until || self.position >= self.size_before() {
            return Ok(0);
        }
        let data = match seek(&self.file, SeekFrom::Data(self.position)) {
            Ok(data) => data,
            // No data up to the end.
            Err(Errno::NXIO) => self.size_before(),
            // This file system does not know holes.
            Err(Errno::INVAL | Errno::NOTSUP) => {
                self.data_until = u64::MAX;
                return Ok(0);
            }
            Err(error) => return Err(error.into()),
        };
        if data > self.position {
            let skipped = data - self.position;
            self.position = data;
            return Ok(skipped);
        }
        self.data_until = match seek(&self.file, SeekFrom::Hole(self.position)) {
            Ok(hole) => hole,
            Err(Errno::NXIO) => self.position,
            Err(error) => return Err(error.into()),
        };
        Ok(0)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        self.position += bytes;
        Ok(())
    }

    fn finish(&mut self) -> Result<Node, Unread> {
        let unread = |reason| Unread {
            path: self.path.clone(),
            reason,
        };
        let after = fstat(&self.file).map_err(|error| unread(metadata::reason(error)))?;
        if self.position != self.size_before() || state(&after) != state(&self.before) {
            return Err(unread(UnreadReason::ChangedWhileRead));
        }
        // Through the handle, so that the attributes belong to the bytes that were read.
        let subject = Subject::Handle(handle_path(self.file.as_fd()));
        metadata::node(&self.path, &after, &self.owners, Some(&subject))
    }
}

/// What moves when a file changes.
fn state(stat: &Stat) -> impl PartialEq + use<> {
    (
        stat.st_size,
        stat.st_mtime,
        stat.st_mtime_nsec,
        stat.st_ctime,
        stat.st_ctime_nsec,
    )
}
