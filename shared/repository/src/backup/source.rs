//! [`Source`] and [`Content`]: what a backup reads, implemented for file trees in `holdfast-sources`.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{RepositoryError, Result};
use crate::tree::Node;

/// A tree of files to back up.
pub trait Source: Sync {
    /// The absolute roots, recorded in the snapshot.
    fn paths(&self) -> Vec<PathBuf>;
    /// Where these files are, recorded in the snapshot; `None` for this host.
    fn host(&self) -> Option<String> {
        None
    }
    /// Metadata alone: `content` and `subtree` are `None`. Also called for the folders above the roots.
    fn stat(&self, path: &Path) -> Result<Node, Unread>;
    /// As [`Source::stat`], where `before` is what was stored of it earlier. A source that pays for every look at metadata
    /// may take over what cannot have changed since.
    fn stat_after(&self, path: &Path, before: &[&Node]) -> Result<Node, Unread> {
        let _ = before;
        self.stat(path)
    }
    /// The names in a folder that are to be backed up, in ascending order of their raw bytes.
    fn names(&self, folder: &Path) -> Result<Vec<OsString>, Unread>;
    /// Opens a regular file for reading.
    fn open(&self, path: &Path) -> Result<Box<dyn Content>, Unread>;
}

/// The bytes of one open file, read once from start to end.
pub trait Content: Send {
    /// Metadata as it was when this was opened: it may have changed since it was listed.
    fn opened(&self) -> Result<Node, Unread>;
    /// Fills part of `buf` with the next bytes; 0 at the end.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize>;
    /// The number of zero bytes from here that need no reading, skipped by this call; 0 when data follows.
    fn hole(&mut self) -> io::Result<u64>;
    /// Passes over this many bytes, holes included, before anything was read. The end of the file may not be passed.
    fn skip(&mut self, bytes: u64) -> io::Result<()>;
    /// Metadata again after reading; [`UnreadReason::ChangedWhileRead`] where size, mtime or ctime moved.
    fn finish(&mut self) -> Result<Node, Unread>;
}

/// Something a backup could not read, or not read as one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// The file or folder.
    pub path: PathBuf,
    /// Why.
    pub reason: UnreadReason,
}

/// Why something was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnreadReason {
    /// It was listed, but is gone.
    Vanished,
    /// It changed while it was read: what was read is kept, but it may mix two states.
    ChangedWhileRead,
    /// Not permitted.
    Denied,
    /// Its metadata holds something the format cannot, named here.
    Unsupported(String),
    /// Reading failed.
    Io(String),
    /// Whatever holds it does not answer now, named here. It passes, so the backup fails and is tried again: a snapshot
    /// that leaves out what can be read a minute later is worth less than a later one.
    Unavailable(String),
}

impl Unread {
    /// What a backup may go on without; a failure that passes where it may not.
    pub(super) fn passed_over(self) -> Result<Unread> {
        match self.reason {
            UnreadReason::Unavailable(why) => Err(RepositoryError::Io {
                what: format!("read {}", self.path.display()),
                source: io::Error::new(io::ErrorKind::ConnectionAborted, why),
            }),
            _ => Ok(self),
        }
    }
}

impl UnreadReason {
    /// The reason an I/O error means.
    pub fn from_io(error: &io::Error) -> UnreadReason {
        match error.kind() {
            io::ErrorKind::NotFound => UnreadReason::Vanished,
            io::ErrorKind::PermissionDenied => UnreadReason::Denied,
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::TimedOut => {
                UnreadReason::Unavailable(error.to_string())
            }
            _ => UnreadReason::Io(error.to_string()),
        }
    }
}

impl fmt::Display for UnreadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnreadReason::Vanished => f.write_str("it vanished"),
            UnreadReason::ChangedWhileRead => f.write_str("it changed while it was read"),
            UnreadReason::Denied => f.write_str("permission denied"),
            UnreadReason::Unsupported(what) | UnreadReason::Io(what) | UnreadReason::Unavailable(what) => {
                f.write_str(what)
            }
        }
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}
