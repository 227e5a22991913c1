//! Extended attributes of any kind of file.

use std::ffi::{CStr, CString};
use std::path::PathBuf;

use rustix::fs::{self, XattrFlags};
use rustix::io::{Errno, Result};

/// Whose attributes are meant.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// The entry at this path itself, also where it is a symbolic link.
    Entry(PathBuf),
    /// What this path of an open handle leads to (`/proc/self/fd/…`, see [`super::beneath::handle_path`]).
    Handle(PathBuf),
}

impl Subject {
    /// The names of its attributes, in the kernel's order. A file system without attributes has none.
    pub(crate) fn names(&self) -> Result<Vec<CString>> {
        let list = match self {
            Subject::Entry(path) => grown(|| fs::llistxattr_query(path), |buffer| fs::llistxattr(path, buffer)),
            Subject::Handle(path) => grown(|| fs::listxattr_query(path), |buffer| fs::listxattr(path, buffer)),
        };
        let list = match list {
            Err(Errno::NOTSUP) => return Ok(Vec::new()),
            list => list?,
        };
        let names = list.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        Ok(names.filter_map(|name| CString::new(name).ok()).collect())
    }

    /// The value of one attribute; `None` where it is gone again, or the file system lists but does not give it.
    pub(crate) fn value(&self, name: &CStr) -> Result<Option<Vec<u8>>> {
        let value = match self {
            Subject::Entry(path) => grown(
                || fs::lgetxattr_query(path, name),
                |buffer| fs::lgetxattr(path, name, buffer),
            ),
            Subject::Handle(path) => grown(
                || fs::getxattr_query(path, name),
                |buffer| fs::getxattr(path, name, buffer),
            ),
        };
        match value {
            Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
            value => value.map(Some),
        }
    }

    /// Sets one attribute.
    pub(crate) fn set(&self, name: &str, value: &[u8]) -> Result<()> {
        match self {
            Subject::Entry(path) => fs::lsetxattr(path, name, value, XattrFlags::empty()),
            Subject::Handle(path) => fs::setxattr(path, name, value, XattrFlags::empty()),
        }
    }

    /// Removes one attribute.
    pub(crate) fn remove(&self, name: &CStr) -> Result<()> {
        match self {
            Subject::Entry(path) => fs::lremovexattr(path, name),
            Subject::Handle(path) => fs::removexattr(path, name),
        }
    }
}

/// Asks for the length, then for the bytes, again while they grow in between.
fn grown(length: impl Fn() -> Result<usize>, read: impl Fn(&mut [u8]) -> Result<usize>) -> Result<Vec<u8>> {
    loop {
        let mut buffer = vec![0; length()?];
        if buffer.is_empty() {
            return Ok(buffer);
        }
        match read(&mut buffer) {
            Err(Errno::RANGE) => {}
            outcome => {
                buffer.truncate(outcome?);
                return Ok(buffer);
            }
        }
    }
}
