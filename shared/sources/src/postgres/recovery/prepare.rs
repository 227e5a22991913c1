//! [`prepare()`]: makes a restored data folder recover when a server is started over it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use super::{Recovery, settings};

/// How to prepare a data folder.
#[derive(Clone, Debug)]
pub struct PrepareOptions<'a> {
    /// How far to recover.
    pub recovery: &'a Recovery,
    /// The command that gives the server its log, with `%f` and `%p` in it.
    pub restore_command: &'a str,
    /// The server's major version that the folder has to be of.
    pub version: Option<u32>,
    /// Where tablespaces go, by their number. One that is not here goes where it was, if nothing is there.
    pub tablespaces: &'a BTreeMap<u32, PathBuf>,
}

/// Why a data folder was not prepared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// A server runs, or was killed.
    #[error("{} is there: a server runs over this folder, or was killed; stop it, or restore to another folder", .0.display())]
    Running(PathBuf),
    /// The folder is of another version.
    #[error("{} is of PostgreSQL {found}, not {expected}", .folder.display())]
    OtherVersion {
        /// The folder.
        folder: PathBuf,
        /// Its version.
        found: String,
        /// The wanted one.
        expected: u32,
    },
    /// The folder does not come from a base backup.
    #[error("{} has no backup_label: it is not a base backup, and recovery would begin in the wrong place", .0.display())]
    NoLabel(PathBuf),
    /// A line of the list of tablespaces makes no sense.
    #[error("{line:?} in tablespace_map is no number and path")]
    Map {
        /// The line.
        line: String,
    },
    /// The backup has no such tablespace.
    #[error("there is no tablespace {0} in this backup")]
    NoTablespace(u32),
    /// The place of a tablespace is taken.
    #[error("the tablespace {number} cannot go to {}: {reason}", .place.display())]
    Place {
        /// The tablespace.
        number: u32,
        /// Where it was to go.
        place: PathBuf,
        /// Why it cannot.
        reason: &'static str,
    },
    /// The file system refuses.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl PrepareError {
    /// Whether the base backup itself lacks what a recovery needs; otherwise the folder or the request is wrong.
    pub fn is_of_the_backup(&self) -> bool {
        matches!(self, Self::OtherVersion { .. } | Self::NoLabel(_) | Self::Map { .. })
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PrepareError {
    let path = path.to_owned();
    move |source| PrepareError::Io { action, path, source }
}

/// Makes the restored folder `data` recover when a server is started over it. May be done again after it failed.
pub fn prepare(data: &Path, options: &PrepareOptions<'_>) -> Result<(), PrepareError> {
    check(data, options.version)?;
    move_tablespaces(data, options.tablespaces)?;
    // A copy of a standby would wait for its primary for ever.
    let standby = data.join("standby.signal");
    match fs::remove_file(&standby) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("remove", &standby)(error)),
        _ => {}
    }
    // Before the settings: a server that finds this and no command refuses to start, where the other way round it would
    // start without the log.
    write_whole(&data.join("recovery.signal"), b"")?;
    let path = data.join("postgresql.auto.conf");
    let mut text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed("read", &path)(error)),
    };
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    text.extend_from_slice(settings(options.recovery, options.restore_command).as_bytes());
    write_whole(&path, &text)
}

fn check(data: &Path, version: Option<u32>) -> Result<(), PrepareError> {
    let pid = data.join("postmaster.pid");
    if pid.exists() {
        return Err(PrepareError::Running(pid));
    }
    let path = data.join("PG_VERSION");
    let found = fs::read_to_string(&path).map_err(failed("read", &path))?;
    let found = found.trim();
    if let Some(expected) = version.filter(|version| version.to_string() != found) {
        return Err(PrepareError::OtherVersion {
            folder: data.to_owned(),
            found: found.to_owned(),
            expected,
        });
    }
    match data.join("backup_label").exists() {
        true => Ok(()),
        false => Err(PrepareError::NoLabel(data.to_owned())),
    }
}

/// Writes a file whole or not at all, and has it on disk.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), PrepareError> {
    let unfinished = path.with_extension("writing");
    let mut open = OpenOptions::new();
    let mut file = open
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(failed("write", &unfinished))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(failed("write", &unfinished))?;
    fs::rename(&unfinished, path).map_err(failed("write", path))?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(failed("sync", folder))
}

/// Puts every tablespace in its place, which `pg_tblspc` then links to. In a restored folder it stands in `pg_tblspc`.
fn move_tablespaces(data: &Path, wanted: &BTreeMap<u32, PathBuf>) -> Result<(), PrepareError> {
    let path = data.join("tablespace_map");
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed("read", &path)(error)),
    };
    let mut map = parse_map(&text)?;
    if let Some(number) = wanted.keys().find(|number| !map.contains_key(number)) {
        return Err(PrepareError::NoTablespace(*number));
    }
    for (number, place) in &mut map {
        if let Some(wanted) = wanted.get(number) {
            place.clone_from(wanted);
        }
        if place.starts_with(data) || !place.is_absolute() {
            return Err(PrepareError::Place {
                number: *number,
                place: place.clone(),
                reason: "it must be absolute and outside of the data folder",
            });
        }
    }
    for (number, place) in &map {
        move_tablespace(&data.join("pg_tblspc").join(number.to_string()), *number, place)?;
    }
    match map.is_empty() {
        true => Ok(()),
        false => write_whole(&path, &map_text(&map)),
    }
}

fn move_tablespace(restored: &Path, number: u32, place: &Path) -> Result<(), PrepareError> {
    match fs::symlink_metadata(restored) {
        Ok(metadata) if metadata.is_dir() => {
            let refuse = |reason| PrepareError::Place {
                number,
                place: place.to_owned(),
                reason,
            };
            if let Some(above) = place.parent() {
                fs::create_dir_all(above).map_err(failed("make folder", above))?;
            }
            // An empty folder is replaced; anything else may be the tablespace of a server that runs.
            fs::rename(restored, place).map_err(|error| match error.kind() {
                ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory => refuse("something is there already"),
                ErrorKind::CrossesDevices => {
                    refuse("it is on another file system: choose one on that of the data folder, or move it by hand")
                }
                _ => failed("move", restored)(error),
            })?;
        }
        Ok(_) => fs::remove_file(restored).map_err(failed("remove", restored))?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed("look at", restored)(error)),
    }
    symlink(place, restored).map_err(failed("make link", restored))
}

/// Lines of a number and a path, in which a backslash stands before line ends and backslashes.
fn parse_map(text: &[u8]) -> Result<BTreeMap<u32, PathBuf>, PrepareError> {
    let mut lines = vec![Vec::new()];
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, lines.last_mut()) {
            (b'\n' | b'\r', _) => lines.push(Vec::new()),
            (b'\\', Some(line)) => line.extend(bytes.next()),
            (byte, Some(line)) => line.push(byte),
            (_, None) => {}
        }
    }
    let entry = |line: Vec<u8>| {
        let parsed = line.iter().position(|byte| *byte == b' ').and_then(|at| {
            let number = std::str::from_utf8(&line[..at]).ok()?.parse().ok()?;
            let path = PathBuf::from(std::ffi::OsString::from_vec(line[at + 1..].to_vec()));
            path.is_absolute().then_some((number, path))
        });
        parsed.ok_or_else(|| PrepareError::Map {
            line: String::from_utf8_lossy(&line).into_owned(),
        })
    };
    lines.into_iter().filter(|line| !line.is_empty()).map(entry).collect()
}

fn map_text(map: &BTreeMap<u32, PathBuf>) -> Vec<u8> {
    let mut text = Vec::new();
    for (number, place) in map {
        text.extend_from_slice(format!("{number} ").as_bytes());
        for byte in place.as_os_str().as_bytes() {
            if matches!(byte, b'\n' | b'\r' | b'\\') {
                text.push(b'\\');
            }
            text.push(*byte);
        }
        text.push(b'\n');
    }
    text
}

#[cfg(test)]
mod tests;
