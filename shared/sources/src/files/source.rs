//! [`FileTree`]: file trees of this machine as the [`Source`] of a backup.

mod reader;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use holdfast_repository::backup::{Content, Source, Unread, UnreadReason};
use holdfast_repository::tree::Node;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, lstat, stat, statat};
use rustix::io::Errno;

use super::attributes::Subject;
use super::beneath::Beneath;
use super::metadata::{self, Owners};
use super::patterns::{Patterns, Verdict};
use reader::Reader;

/// One or more folders (or single files), with the patterns that say what of each is backed up. Absolute patterns are
/// anchored at the root they are applied to.
///
/// Nothing is opened through a symbolic link below a root, so that nobody who may write there can have other files
/// read. Mount points below a root are crossed. Sockets are listed, as nodes without content.
pub struct FileTree {
    roots: Vec<Root>,
    patterns: Patterns,
    owners: Arc<Owners>,
}

struct Root {
    path: PathBuf,
    /// `None` where the root is no folder.
    folder: Option<Beneath>,
}

/// A root that cannot be backed up.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// No roots at all.
    #[error("no path to back up is given")]
    None,
    /// Only absolute paths without `.` and `..` mean the same tomorrow.
    #[error("{path} is not an absolute path without `.` and `..`")]
    NotAbsolute {
        /// The root.
        path: PathBuf,
    },
    /// The link would be backed up, not what it points to.
    #[error("{path} is a symbolic link: give the folder that it points to")]
    Symlink {
        /// The root.
        path: PathBuf,
    },
    /// One root lies in another.
    #[error("{inner} lies below {outer}, which is backed up as well: leave one of them out")]
    Nested {
        /// The root above.
        outer: PathBuf,
        /// The root below.
        inner: PathBuf,
    },
    /// The root is not there, or not readable.
    #[error("cannot open {path}: {source}")]
    Io {
        /// The root.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl FileTree {
    /// The trees below `roots`. Every root must exist; none may be a symbolic link or lie below another.
    pub fn new(roots: Vec<PathBuf>, patterns: Patterns) -> Result<FileTree, RootError> {
        let roots: BTreeSet<PathBuf> = roots.into_iter().map(normal).collect::<Result<_, _>>()?;
        let mut opened: Vec<Root> = Vec::with_capacity(roots.len());
        for path in roots {
            if let Some(outer) = opened.iter().find(|outer| path.starts_with(&outer.path)) {
                return Err(RootError::Nested {
                    outer: outer.path.clone(),
                    inner: path,
                });
            }
            opened.push(Root::open(path)?);
        }
        if opened.is_empty() {
            return Err(RootError::None);
        }
        Ok(FileTree {
            roots: opened,
            patterns,
            owners: Arc::default(),
        })
    }

    /// The root that `path` is or lies below, and the rest of the path.
    fn root_of<'a>(&self, path: &'a Path) -> Option<(&Root, &'a Path)> {
        self.roots
            .iter()
            .find_map(|root| Some((root, path.strip_prefix(&root.path).ok()?)))
    }

    fn open_beneath(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        match self.root_of(path) {
            Some((
                Root {
                    folder: Some(folder), ..
                },
                relative,
            )) => folder.open(relative, flags, Mode::empty()),
            _ => rustix::fs::open(path, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()),
        }
    }

    /// The entries of an open folder that the patterns keep, in no order.
    fn listed(&self, folder: &OwnedFd, relative: &Path) -> Result<Vec<OsString>, Errno> {
        let mut names = Vec::new();
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => continue,
                    stat => FileType::from_raw_mode(stat?.st_mode),
                },
                known => known,
            };
            let verdict = self.patterns.verdict(&relative.join(name), kind == FileType::Directory);
            if verdict != Verdict::Skipped {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }
}

impl Root {
    fn open(path: PathBuf) -> Result<Root, RootError> {
        let opened = lstat(&path).and_then(|stat| match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Ok(Some(Beneath::new(&path)?)),
            FileType::Symlink => Err(Errno::LOOP),
            _ => Ok(None),
        });
        match opened {
            Ok(folder) => Ok(Root { path, folder }),
            Err(Errno::LOOP) => Err(RootError::Symlink { path }),
            Err(error) => Err(RootError::Io {
                path,
                source: error.into(),
            }),
        }
    }
}

fn normal(path: PathBuf) -> Result<PathBuf, RootError> {
    let plain = path
        .components()
        .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    // `components` hides a `.` in the middle, which `PathBuf` would keep.
    if path.is_absolute() && plain {
        Ok(path.components().collect())
    } else {
        Err(RootError::NotAbsolute { path })
    }
}

impl Source for FileTree {
    fn paths(&self) -> Vec<PathBuf> {
        self.roots.iter().map(|root| root.path.clone()).collect()
    }

    fn stat(&self, path: &Path) -> Result<Node, Unread> {
        let unread = |error| Unread {
            path: path.to_owned(),
            reason: metadata::reason(error),
        };
        if self.root_of(path).is_some() {
            let stat = lstat(path).map_err(unread)?;
            return metadata::node(path, &stat, &self.owners, Some(&Subject::Entry(path.to_owned())));
        }
        // A folder above the roots: the way there may lead through links, and it is restored as a plain folder. Its
        // extended attributes are often not ours to read, and nobody asked for them.
        metadata::node(path, &stat(path).map_err(unread)?, &self.owners, None)
    }

    fn names(&self, folder: &Path) -> Result<Vec<OsString>, Unread> {
        let mut names = match self.root_of(folder) {
            Some((_, relative)) => self
                .open_beneath(folder, OFlags::RDONLY | OFlags::DIRECTORY)
                .and_then(|opened| self.listed(&opened, relative))
                .map_err(|error| Unread {
                    path: folder.to_owned(),
                    reason: replaced(error),
                })?,
            None => self
                .roots
                .iter()
                .filter_map(|root| next_step(folder, &root.path))
                .collect(),
        };
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Content>, Unread> {
        let unread = |reason| Unread {
            path: path.to_owned(),
            reason,
        };
        // NONBLOCK: a named pipe put there in place of the file must not hold up the backup.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let file = match self.open_beneath(path, flags | OFlags::NOATIME) {
            // Only the owner may leave the access time alone.
            Err(Errno::PERM) => self.open_beneath(path, flags),
            opened => opened,
        };
        let file = file.map_err(|error| unread(replaced(error)))?;
        let stat = rustix::fs::fstat(&file).map_err(|error| unread(metadata::reason(error)))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(unread(UnreadReason::ChangedWhileRead));
        }
        Ok(Box::new(Reader::new(
            path.to_owned(),
            file,
            stat,
            Arc::clone(&self.owners),
        )))
    }
}

/// What it means that something listed a moment ago does not open: a link, or a file in place of a folder, took its
/// place.
fn replaced(error: Errno) -> UnreadReason {
    match error {
        Errno::LOOP | Errno::NXIO => UnreadReason::ChangedWhileRead,
        other => metadata::reason(other),
    }
}

/// The entry of `folder` that leads to `root`.
fn next_step(folder: &Path, root: &Path) -> Option<OsString> {
    root.strip_prefix(folder)
        .ok()?
        .components()
        .next()
        .map(|part| part.as_os_str().to_owned())
}

#[cfg(test)]
mod tests;
