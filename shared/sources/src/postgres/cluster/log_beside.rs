//! [`RestoreLog`]: how a server that recovers gets its log, and the log as files in its data folder.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::lchown;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_repository::index::Index;
use rustix::fs::syncfs;

use super::super::log::{FetchOptions, Fetched, LogArchive, fetch};
use super::super::segment::LogFile;
use super::ClusterError;
use crate::files::RestoreError;

/// Where the log stands, in the data folder.
const FOLDER: &str = "holdfast-log";
/// What the server calls in its data folder. A file that is there and cannot be read must not look like the end of the log.
const COMMAND: &str = r#"test -f "holdfast-log/%f" || exit 1; cp "holdfast-log/%f" "%p" || exit 200"#;
/// Segments that are fetched at one time.
const AHEAD: usize = 16;

/// How a recovering server gets its log.
#[derive(Clone, Copy)]
pub enum RestoreLog<'a> {
    /// From a command, with `%f` and `%p` in it.
    Command(&'a str),
    /// From its own data folder: it needs nothing else then.
    Beside {
        /// What is stored.
        archive: &'a LogArchive,
        /// The files that it will ask for, in order.
        files: &'a [LogFile],
    },
}

impl RestoreLog<'_> {
    /// The command that the server calls.
    pub(super) fn command(&self) -> &str {
        match self {
            RestoreLog::Command(command) => command,
            RestoreLog::Beside { .. } => COMMAND,
        }
    }

    /// Puts the log where the command finds it: as the server would get each file, which is not at all where its base backup
    /// has more of a segment than is stored.
    pub(super) fn lay_out(
        &self,
        index: &Index,
        data: &Path,
        workers: usize,
        (uid, gid): (u32, u32),
        cancel: &AtomicBool,
    ) -> Result<(), ClusterError> {
        let RestoreLog::Beside { archive, files } = self else {
            return Ok(());
        };
        let Some(size) = archive.segment_size() else {
            return Ok(());
        };
        let (folder, wal) = (data.join(FOLDER), data.join("pg_wal"));
        fs::create_dir_all(&folder).map_err(ClusterError::io("make folder", &folder))?;
        let options = FetchOptions {
            spool: folder.join("ahead"),
            ahead: AHEAD,
            workers,
        };
        // Nobody wrote through to the disk what an earlier run left there.
        remove(&options.spool)?;
        let asked = wal.join("holdfast-asked");
        let give =
            |path: &Path| lchown(path, Some(uid), Some(gid)).map_err(ClusterError::io("change the owner of", path));
        for file in *files {
            if cancel.load(Ordering::Relaxed) {
                return Err(RestoreError::Cancelled.into());
            }
            let name = file.name(size);
            if fetch(archive, index, &name, &asked, &options)? == Fetched::Restored {
                let path = folder.join(&name);
                fs::rename(&asked, &path).map_err(ClusterError::io("write", &path))?;
                give(&path)?;
            }
        }
        remove(&options.spool)?;
        give(&folder)?;
        let synced = File::open(&folder).and_then(|folder| Ok(syncfs(folder)?));
        synced.map_err(ClusterError::io("make durable", &folder))
    }
}

/// Removes a folder, if it is there.
fn remove(folder: &Path) -> Result<(), ClusterError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(ClusterError::io("remove", folder)(error)),
        _ => Ok(()),
    }
}
