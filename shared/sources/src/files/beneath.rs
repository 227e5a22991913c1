//! [`Beneath`]: opens files below one folder and nowhere else.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, openat, openat2, statat};
use rustix::io::{Errno, Result};

/// Above this length the kernel may refuse a path that it can walk piece by piece.
const LONGEST_PATH_AT_ONCE: usize = 4000;

/// A folder held open. Everything is opened relative to it, and no symbolic link on the way is followed: one that
/// stands there is [`Errno::LOOP`].
#[derive(Debug)]
pub(crate) struct Beneath {
    root: OwnedFd,
    /// Cleared once the kernel (or a sandbox) turns out not to know `openat2`.
    whole_paths: AtomicBool,
}

impl Beneath {
    /// Holds `folder` open. This one path may lead through symbolic links: a person chose it.
    pub(crate) fn new(folder: &Path) -> Result<Beneath> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Beneath {
            root: rustix::fs::open(folder, flags, Mode::empty())?,
            whole_paths: AtomicBool::new(true),
        })
    }

    /// The folder itself, open for reading.
    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens `relative`; an empty path means the folder itself. With `O_PATH | O_NOFOLLOW` a symbolic link in last
    /// place is opened itself.
    pub(crate) fn open(&self, relative: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        if relative.components().any(|part| !matches!(part, Component::Normal(_))) {
            return Err(Errno::INVAL);
        }
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        // `openat2` refuses a mode where nothing is made.
        let mode = if flags.contains(OFlags::CREATE) {
            mode
        } else {
            Mode::empty()
        };
        if relative.as_os_str().is_empty() {
            return openat(&self.root, ".", flags, mode);
        }
        if self.whole_paths.load(Ordering::Relaxed) && relative.as_os_str().len() <= LONGEST_PATH_AT_ONCE {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            match openat2(&self.root, relative, flags, mode, resolve) {
                Err(Errno::NOSYS | Errno::PERM) => self.whole_paths.store(false, Ordering::Relaxed),
                // Walking shows whether a link or another file stands there.
                Err(Errno::AGAIN | Errno::NOTDIR) => {}
                outcome => return outcome,
            }
        }
        self.open_by_parts(relative, flags, mode)
    }

    /// The folder `relative` as a handle to work relative to.
    pub(crate) fn folder(&self, relative: &Path) -> Result<OwnedFd> {
        self.open(relative, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
    }

    /// The folder that holds `relative`, and the entry's name in it.
    pub(crate) fn place(&self, relative: &Path) -> Result<Place> {
        let name = relative.file_name().ok_or(Errno::INVAL)?;
        Ok(Place {
            folder: self.folder(relative.parent().unwrap_or(Path::new("")))?,
            name: name.to_owned(),
        })
    }

    fn open_by_parts(&self, relative: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut parts = relative.components().map(Component::as_os_str).peekable();
        let mut folder: Option<OwnedFd> = None;
        while let Some(part) = parts.next() {
            let at = folder.as_ref().map_or(self.root.as_fd(), AsFd::as_fd);
            let (flags, mode) = if parts.peek().is_some() {
                (step, Mode::empty())
            } else {
                (flags, mode)
            };
            let opened = openat(at, part, flags, mode).map_err(|error| name_symlink(at, part, error))?;
            folder = Some(opened);
        }
        folder.ok_or(Errno::INVAL)
    }
}

/// `O_DIRECTORY` on a symbolic link says "not a folder"; what matters to a person is that it is a link.
fn name_symlink(folder: BorrowedFd<'_>, name: &OsStr, error: Errno) -> Errno {
    match (error, statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)) {
        (Errno::NOTDIR, Ok(stat)) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => Errno::LOOP,
        _ => error,
    }
}

/// One entry of a folder that is held open.
#[derive(Debug)]
pub(crate) struct Place {
    /// The folder, as an `O_PATH` handle.
    pub(crate) folder: OwnedFd,
    /// The entry's name in it.
    pub(crate) name: OsString,
}

impl Place {
    /// A path for those system calls that take no folder handle; its last part is the entry itself.
    pub(crate) fn as_path(&self) -> PathBuf {
        handle_path(self.folder.as_fd()).join(OsStr::from_bytes(self.name.as_bytes()))
    }
}

/// A path that leads to exactly the file that `handle` holds, whatever was renamed meanwhile.
pub(crate) fn handle_path(handle: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox() -> (tempfile::TempDir, Beneath) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("in/a/b")).unwrap();
        std::fs::write(folder.path().join("secret"), "outside").unwrap();
        std::fs::write(folder.path().join("in/a/b/file"), "inside").unwrap();
        std::os::unix::fs::symlink("..", folder.path().join("in/up")).unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("in/a/top")).unwrap();
        let beneath = Beneath::new(&folder.path().join("in")).unwrap();
        (folder, beneath)
    }

    #[test]
    fn neither_way_of_opening_follows_a_link_or_leaves_the_folder() {
        for whole_paths in [true, false] {
            let (_folder, beneath) = sandbox();
            beneath.whole_paths.store(whole_paths, Ordering::Relaxed);
            let open = |path: &str| beneath.open(Path::new(path), OFlags::RDONLY, Mode::empty()).map(|_| ());
            assert_eq!(open("a/b/file"), Ok(()));
            assert_eq!(open("up/secret"), Err(Errno::LOOP));
            assert_eq!(open("up"), Err(Errno::LOOP));
            assert_eq!(open("a/top/etc"), Err(Errno::LOOP));
            assert_eq!(open("../secret"), Err(Errno::INVAL));
            assert_eq!(open("/etc/passwd"), Err(Errno::INVAL));
            assert_eq!(open("a/none"), Err(Errno::NOENT));
            assert_eq!(
                beneath.place(Path::new("up/secret")).map(|_| ()).unwrap_err(),
                Errno::LOOP
            );
            assert!(
                beneath.open(Path::new("up"), OFlags::PATH, Mode::empty()).is_ok(),
                "the link itself can be held"
            );
        }
    }

    #[test]
    fn a_path_too_long_for_the_kernel_is_walked_piece_by_piece() {
        let (_folder, beneath) = sandbox();
        let name = "n".repeat(250);
        let mut path = PathBuf::new();
        for _ in 0..20 {
            let parent = beneath.folder(&path).unwrap();
            rustix::fs::mkdirat(&parent, &name, Mode::RWXU).unwrap();
            path.push(&name);
        }
        assert!(path.as_os_str().len() > 4096);
        assert!(beneath.folder(&path).is_ok());
    }
}
