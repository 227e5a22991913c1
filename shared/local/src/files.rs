//! Small files that are either whole or not there, also after a power cut.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_core::domain::Failure;

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
    let temporary = write_temporary(path, bytes)?;
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary).map_err(|error| io_failure("remove", &temporary, error))?;
    let written = match linked {
        Ok(()) => Written::Created,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Written::Exists,
        Err(error) => return Err(io_failure("write", path, error)),
    };
    sync_folder(folder_of(path))?;
    Ok(written)
}

/// Writes a file for its owner alone, in place of the one that may be there. A crash leaves the old one or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let temporary = write_temporary(path, bytes)?;
    fs::rename(&temporary, path).map_err(|error| io_failure("replace", path, error))?;
    sync_folder(folder_of(path))
}

/// The folder is locked for one process, so a number tells its threads apart, and what a dead process left half written
/// under the same name is overwritten.
fn write_temporary(path: &Path, bytes: &[u8]) -> Result<PathBuf, Failure> {
    static WRITERS: AtomicU64 = AtomicU64::new(0);
    let number = WRITERS.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().display();
    let temporary = folder_of(path).join(format!("{TEMPORARY}{number}-{name}"));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let write = || {
        let mut file = options.open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    match write() {
        Ok(()) => Ok(temporary),
        Err(error) => Err(io_failure("write", path, error)),
    }
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
