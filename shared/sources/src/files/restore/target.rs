//! [`Target`]: the folder that is restored into, and the marker that makes an unfinished restore resumable.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use holdfast_repository::Id;
use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, flock, statat, syncfs, unlinkat};
use rustix::io::{Errno, Result as SystemResult};
use serde::{Deserialize, Serialize};

use super::super::beneath::{Beneath, Place};
use super::{Cause, RestoreError, RestoreOptions};

/// The marker's name in the target.
pub(super) const MARKER: &str = ".holdfast-restore.json";
/// Longer than any marker of ours.
const MARKER_BYTES_MAX: u64 = 1 << 20;

/// What an unfinished restore is restoring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Marker {
    version: u32,
    repository: String,
    snapshot: String,
    include: Vec<String>,
    exclude: Vec<String>,
    /// Lossy where a path is not UTF-8: it only tells one restore from another.
    subfolder: Option<String>,
    /// Nothing else was in the target when the restore began, so every hard link in it is ours.
    empty_at_start: bool,
}

impl Marker {
    pub(super) fn new(repository: &str, snapshot: &Id, options: &RestoreOptions<'_>) -> Marker {
        Marker {
            version: 1,
            repository: repository.to_owned(),
            snapshot: snapshot.to_string(),
            include: options.include.clone(),
            exclude: options.exclude.clone(),
            subfolder: options
                .subfolder
                .as_ref()
                .map(|path| path.to_string_lossy().into_owned()),
            empty_at_start: true,
        }
    }

    fn same_restore(&self, other: &Marker) -> bool {
        *self
            == Marker {
                empty_at_start: self.empty_at_start,
                ..other.clone()
            }
    }
}

/// What may be found in the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing that we did not make just now.
    Empty,
    /// What an earlier attempt of this restore made, and nothing else.
    Ours,
    /// Anything.
    Foreign,
}

/// A folder prepared for one restore.
pub(super) struct Target {
    path: PathBuf,
    folder: Beneath,
    pub(super) standing: Standing,
    /// Held open for its lock.
    _marker: File,
}

impl Target {
    /// Opens or makes the folder, refuses one that holds something else, and writes the marker.
    pub(super) fn prepare(path: &Path, mut marker: Marker, overwrite: bool) -> Result<Target, RestoreError> {
        let io = |action, source| RestoreError::Io {
            action,
            path: path.to_owned(),
            source,
        };
        std::fs::create_dir_all(path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => RestoreError::NotFolder {
                target: path.to_owned(),
            },
            _ => io("make the folder", source),
        })?;
        let folder = Beneath::new(path).map_err(|error| io("open the folder", error.into()))?;
        let empty = is_empty(&folder).map_err(|error| io("list", error.into()))?;
        let refuse = |of: String| RestoreError::Unfinished {
            target: path.to_owned(),
            of,
        };
        let standing = match (read_marker(&folder), empty) {
            (_, true) => Standing::Empty,
            (Ok(Some(found)), false) if found.same_restore(&marker) => {
                marker.empty_at_start = found.empty_at_start;
                if found.empty_at_start {
                    Standing::Ours
                } else {
                    Standing::Foreign
                }
            }
            (_, false) if overwrite => Standing::Foreign,
            (Ok(Some(found)), false) => {
                return Err(refuse(format!(
                    "snapshot {} of repository {}",
                    found.snapshot, found.repository
                )));
            }
            (Ok(None), false) => {
                return Err(RestoreError::NotEmpty {
                    target: path.to_owned(),
                });
            }
            (Err(reason), false) => {
                return Err(refuse(format!(
                    "something unknown ({MARKER} is not readable: {reason})"
                )));
            }
        };
        marker.empty_at_start = standing != Standing::Foreign;
        let held = write_marker(&folder, &marker).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => RestoreError::Busy {
                target: path.to_owned(),
            },
            _ => trouble("write the marker in", path.to_owned(), source),
        })?;
        Ok(Target {
            path: path.to_owned(),
            folder,
            standing,
            _marker: held,
        })
    }

    /// The full path of an entry, for messages.
    pub(super) fn shown(&self, relative: &Path) -> PathBuf {
        if relative.as_os_str().is_empty() {
            self.path.clone()
        } else {
            self.path.join(relative)
        }
    }

    pub(super) fn place(&self, relative: &Path) -> SystemResult<Place> {
        self.folder.place(relative)
    }

    pub(super) fn open(&self, relative: &Path, flags: OFlags, mode: Mode) -> SystemResult<std::os::fd::OwnedFd> {
        self.folder.open(relative, flags, mode)
    }

    /// What a failed system call on an entry means: an error where it stops the restore, a cause where it concerns this
    /// entry alone.
    pub(super) fn refused(&self, action: &'static str, relative: &Path, error: Errno) -> Result<Cause, RestoreError> {
        match error {
            Errno::LOOP => Err(RestoreError::SymlinkInTheWay {
                path: self.shown(&self.symlink_on(relative)),
            }),
            Errno::NOSPC | Errno::DQUOT | Errno::ROFS | Errno::IO | Errno::MFILE | Errno::NFILE | Errno::NOMEM => {
                Err(trouble(action, self.shown(relative), error.into()))
            }
            _ => Ok(Cause::Refused {
                action,
                reason: io::Error::from(error).to_string(),
            }),
        }
    }

    /// The first symbolic link on the way to an entry.
    fn symlink_on(&self, relative: &Path) -> PathBuf {
        let mut way: Vec<&Path> = relative
            .ancestors()
            .filter(|path| !path.as_os_str().is_empty())
            .collect();
        way.reverse();
        let is_link = |path: &&&Path| {
            self.place(path)
                .and_then(|place| statat(&place.folder, &place.name, AtFlags::SYMLINK_NOFOLLOW))
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
        };
        way.iter().find(is_link).copied().unwrap_or(relative).to_owned()
    }

    /// Makes everything durable; the marker stays.
    pub(super) fn sync(&self) -> Result<(), RestoreError> {
        syncfs(self.folder.root()).map_err(|error| trouble("make durable", self.path.clone(), error.into()))
    }

    /// Makes everything durable and removes the marker.
    pub(super) fn finish(&self) -> Result<(), RestoreError> {
        self.sync()?;
        unlinkat(self.folder.root(), MARKER, AtFlags::empty())
            .and_then(|()| rustix::fs::fsync(self.folder.root()))
            .map_err(|error| trouble("remove the marker in", self.path.clone(), error.into()))
    }
}

fn trouble(action: &'static str, path: PathBuf, source: io::Error) -> RestoreError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => RestoreError::Full { action, path, source },
        _ => RestoreError::Io { action, path, source },
    }
}

/// Whether the folder holds nothing but perhaps a marker. A marker alone says nothing: nothing was restored yet.
fn is_empty(folder: &Beneath) -> SystemResult<bool> {
    for entry in Dir::read_from(folder.root())? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." && name != MARKER {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read_marker(folder: &Beneath) -> io::Result<Option<Marker>> {
    let file = match folder.open(Path::new(MARKER), OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        file => File::from(file?),
    };
    Ok(Some(serde_json::from_reader(io::Read::take(file, MARKER_BYTES_MAX))?))
}

/// Writes the marker and holds it locked, so that two restores do not work in one target.
fn write_marker(folder: &Beneath, marker: &Marker) -> io::Result<File> {
    let mut file = lock_marker(folder)?;
    if read_marker(folder).is_ok_and(|found| found.as_ref() == Some(marker)) {
        return Ok(file);
    }
    // Anew, since writing through a hard link would change a file elsewhere.
    unlinkat(folder.root(), MARKER, AtFlags::empty())?;
    file = lock_marker(folder)?;
    file.write_all(&serde_json::to_vec_pretty(marker)?)?;
    file.sync_all()?;
    rustix::fs::fsync(folder.root())?;
    Ok(file)
}

fn lock_marker(folder: &Beneath) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK;
    let file = File::from(folder.open(Path::new(MARKER), flags, Mode::from_raw_mode(0o600))?);
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}
