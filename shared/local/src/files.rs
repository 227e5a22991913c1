//! Small files that are either whole or not there, also after a power cut.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_core::domain::{Failure, FailureKind};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::failure::io_failure;

/// Start of the names of files that are being written; listings pass over names with a dot in front.
const TEMPORARY: &str = ".writing-";

/// What [`write_once`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// The file was written.
    Created,
    /// A file was there and stays as it was.
    Exists,
}

/// The file, or none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_failure("read", path, error)),
    }
}

/// Writes a file for its owner alone, unless one is there. It appears whole, and is durable when this returns.
pub(crate) fn write_once(path: &Path, bytes: &[u8]) -> Result<Written, Failure> {
    let temporary = Temporary::write(path, bytes)?;
    let written = match temporary.rename_new(path) {
        Ok(()) => Written::Created,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Written::Exists,
        Err(error) => return Err(io_failure("write", path, error)),
    };
    sync_folder(folder_of(path))?;
    Ok(written)
}

/// Writes a file for its owner alone, in place of the one that may be there. A crash leaves the old one or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let temporary = Temporary::write(path, bytes)?;
    temporary
        .rename_over(path)
        .map_err(|error| io_failure("replace", path, error))?;
    sync_folder(folder_of(path))
}

/// A file whose bytes are durable and whose name is not final; removed unless it gets its final name.
struct Temporary {
    path: PathBuf,
    renamed: bool,
}

impl Temporary {
    #[expect(
        clippy::disallowed_methods,
        reason = "keeps the unfinished files of two processes apart; nothing else depends on it"
    )]
    fn write(path: &Path, bytes: &[u8]) -> Result<Self, Failure> {
        static WRITERS: AtomicU64 = AtomicU64::new(0);
        let name = path.file_name().unwrap_or_default().display();
        let pid = std::process::id();
        // Another process may have had the same number before, and died.
        let mut created = Err(io::Error::from(io::ErrorKind::AlreadyExists));
        let mut temporary = PathBuf::new();
        while created
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists)
        {
            let number = WRITERS.fetch_add(1, Ordering::Relaxed);
            temporary = folder_of(path).join(format!("{TEMPORARY}{pid}-{number}-{name}"));
            created = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&temporary);
        }
        let mut file = created.map_err(|error| io_failure("write", path, error))?;
        let temporary = Self {
            path: temporary,
            renamed: false,
        };
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        written.map_err(|error| io_failure("write", path, error))?;
        Ok(temporary)
    }

    /// Gives the file its final name, unless another file has it.
    fn rename_new(mut self, path: &Path) -> io::Result<()> {
        match renameat_with(CWD, &self.path, CWD, path, RenameFlags::NOREPLACE) {
            // Not every file system knows a rename that never replaces; a link never does.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => return fs::hard_link(&self.path, path),
            renamed => renamed?,
        }
        self.renamed = true;
        Ok(())
    }

    /// Gives the file its final name in place of whatever has it.
    fn rename_over(mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // What stays is hidden from listings and never read.
            let _unremovable = fs::remove_file(&self.path);
        }
    }
}

/// Fails with [`FailureKind::Denied`] unless the file is for its owner alone.
pub(crate) fn require_private(path: &Path) -> Result<(), Failure> {
    let metadata = fs::metadata(path).map_err(|error| io_failure("look at", path, error))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let path = path.display();
    let message = format!("others may read the secret in {path} (mode {mode:o}): run `chmod 600 {path}`");
    Err(Failure::new(FailureKind::Denied, message))
}

/// Makes a folder for its owner alone, with what is missing above it.
pub(crate) fn create_folder(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Ok(());
    }
    let above = folder_of(path);
    if above != path {
        create_folder(above)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => sync_folder(above),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(io_failure("create the folder", path, error)),
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), Failure> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| io_failure("sync the folder", path, error))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}
