//! Files on their way into the repository.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

/// Start of the names of files that are being written; no listing takes them for a file of the repository.
pub(super) const PREFIX: &str = ".writing-";

/// A file being written: locked as long as its writer lives, removed unless it was renamed away.
pub(super) struct Temporary {
    pub(super) file: File,
    pub(super) path: PathBuf,
    renamed: bool,
}

impl Temporary {
    #[expect(
        clippy::disallowed_methods,
        reason = "the name tells people whose file it is; nothing decides by it"
    )]
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let pid = std::process::id();
        loop {
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{PREFIX}{pid}-{n}"));
            let file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => file,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(e),
            };
            let locked = file.try_lock();
            let temporary = Self {
                file,
                path,
                renamed: false,
            };
            // Between creation and lock a cleaner may take the file for a leftover: then a new one is made. A file
            // system without locks has no cleaner either, since it cannot tell the living from the dead.
            let taken = matches!(locked, Err(TryLockError::WouldBlock)) || temporary.file.metadata()?.nlink() == 0;
            if !taken {
                return Ok(temporary);
            }
        }
    }

    /// Gives the file its final name if nothing has that name yet.
    pub(super) fn rename_new(mut self, path: &Path) -> io::Result<()> {
        match rustix::fs::renameat_with(CWD, &self.path, CWD, path, RenameFlags::NOREPLACE) {
            // Not every file system knows a rename that never replaces; a link never does.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => return fs::hard_link(&self.path, path),
            renamed => renamed?,
        }
        self.renamed = true;
        Ok(())
    }

    /// Gives the file its final name in place of whatever has it.
    pub(super) fn rename_over(mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // What cannot be removed now is removed when the repository is next opened.
            let _ = fs::remove_file(&self.path);
        }
    }
}
