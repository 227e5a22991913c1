//! [`push()`]: what a server's `archive_command` does.
//!
//! The server asks for one file at a time and waits. Whatever else is ready is stored along with it, so that the server's next
//! requests find their files stored already.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use holdfast_repository::backup::BackupOptions;
use holdfast_repository::index::Lookup;

use super::super::segment::{LogFile, SegmentSize};
use super::error::LogError;
use super::inspect::{LogFileOnDisk, segment_size};
use super::records::Chain;
use super::store::{LogArchive, Stored};

/// What the server's notes of files that wait to be archived end in.
const READY: &str = ".ready";

/// Stores the file at `path`, and up to `more` others in the same folder that are ready. When this returns without an error,
/// the file is stored and durable, and the server may remove it; doing it again is as good.
///
/// The file is an error when it is damaged, comes from another server than those before it, or another one of its name is
/// stored. Others beside it that are not in order are left for the server to ask for.
pub fn push(
    archive: &mut LogArchive,
    index: &dyn Lookup,
    path: &Path,
    more: usize,
    options: &BackupOptions<'_>,
) -> Result<Stored, LogError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let size = size_of(archive, path, folder)?;
    let mut chain = Chain::default();
    let mut files = vec![LogFileOnDisk::inspect(path, size, &mut chain)?];
    let asked = files[0].file;
    for file in ready(folder, size)?
        .into_iter()
        .filter(|file| *file != asked)
        .take(more)
    {
        match LogFileOnDisk::inspect(&folder.join(file.name(size)), size, &mut chain) {
            Ok(file) => files.push(file),
            Err(_) => break,
        }
    }
    // Segments become one snapshot where they follow one another.
    files.sort_by_key(|file| file.file);
    archive.store(index, files, options)
}

/// The files in a server's log folder that it wants archived, in the order of the log.
pub fn ready(folder: &Path, size: SegmentSize) -> Result<Vec<LogFile>, LogError> {
    let status = folder.join("archive_status");
    let failed = || LogError::io("list", &status);
    let entries = match fs::read_dir(&status) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed()(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed())?.file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(READY));
        files.extend(name.and_then(|name| LogFile::parse(name, size).ok()));
    }
    files.sort_unstable();
    Ok(files)
}

/// The length of the server's segments: as the file says, or those that are stored, or another one beside it.
fn size_of(archive: &LogArchive, path: &Path, folder: &Path) -> Result<SegmentSize, LogError> {
    let looks_like_segment = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = name.strip_suffix(".partial").unwrap_or(name);
        name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    if looks_like_segment(&path.to_owned()) {
        return segment_size(path);
    }
    if let Some(size) = archive.segment_size() {
        return Ok(size);
    }
    let entries = fs::read_dir(folder).map_err(LogError::io("list", folder))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    match paths.filter(looks_like_segment).min() {
        Some(segment) => segment_size(&segment),
        None => Ok(SegmentSize::DEFAULT),
    }
}
