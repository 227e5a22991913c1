//! [`BaseBackup`]: a server's whole data folder, as a stream of files that are checked while they pass.
//!
//! Every file's checksum is compared with the server's manifest, and every page of a relation with its own. The manifest that is
//! given has the SHA-256 of every file, computed while it passed. Tablespaces
//! come as folders below `pg_tblspc`. The log between start and end comes along, below `pg_wal`, so that what was received
//! restores by itself; a passing slot keeps the server from dropping it meanwhile.

mod content;
mod damage;
mod framing;
mod incoming;
mod incremental;
mod open;

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use jiff::Timestamp;

use super::error::{PostgresError, Result, ServerReport};
use super::lsn::Lsn;
use super::manifest::Sum;
use super::pages::Layout;
pub use damage::{DamagedPage, DamagedPages};
use incoming::Incoming;
pub use incremental::Changes;
use incremental::Incremental;
use open::OpenFile;
pub(super) use open::layout;

/// The manifest's name in the data folder.
pub const MANIFEST: &str = "backup_manifest";
/// What is being done while it comes, for messages.
const READING: &str = "reading a base backup";

/// A position in the log, on a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPosition {
    /// The position.
    pub lsn: Lsn,
    /// The timeline.
    pub timeline: u32,
}

/// A tablespace other than the two that are part of the data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tablespace {
    /// Its number, which is the name of its folder below `pg_tblspc`.
    pub oid: u32,
    /// Where it is on the server.
    pub location: PathBuf,
}

/// A file or folder of a base backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Below the data folder.
    pub path: PathBuf,
    /// What it is.
    pub kind: MemberKind,
    /// Permission bits.
    pub mode: u32,
    /// When it was changed on the server.
    pub modified_at: Timestamp,
    /// What is given of its content, where that is not all of it but the pages that changed.
    pub changes: Option<Changes>,
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberKind {
    /// A folder. Files in it may come before it does, or it may not come at all.
    Folder,
    /// A file of this many bytes.
    File {
        /// Its size.
        size: u64,
    },
}

/// What a finished base backup is.
#[derive(Clone, Debug)]
pub struct BaseBackupReport {
    /// The cluster.
    pub system_identifier: u64,
    /// Where replay starts.
    pub start: LogPosition,
    /// Where replay must have come for the restored cluster to be consistent.
    pub end: LogPosition,
    /// The tablespaces that came.
    pub tablespaces: Vec<Tablespace>,
    /// Files that came, the manifest among them.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of these bytes came. The rest did not change since an earlier backup.
    pub received: u64,
    /// Pages that are damaged on the server.
    pub damaged: DamagedPages,
    /// What the server warned of.
    pub warnings: Vec<ServerReport>,
}

/// A base backup on its way. After [`BaseBackup::next_member`] gave a file, [`std::io::Read`] gives its content; what is
/// not read is passed over, and checked all the same.
pub struct BaseBackup {
    /// The host and port, or the socket, for messages.
    place: String,
    incoming: Incoming,
    /// What came of the current archive and is not used yet.
    pending: Bytes,
    /// Where the current archive belongs below the data folder.
    below: PathBuf,
    file: Option<OpenFile>,
    /// What is given of the current file in place of what came.
    instead: Option<Bytes>,
    /// Where only what changed comes.
    incremental: Option<Incremental>,
    /// Where pages have checksums.
    layout: Option<Layout>,
    system_identifier: u64,
    start: LogPosition,
    end: Option<LogPosition>,
    tablespaces: Vec<Tablespace>,
    sums: BTreeMap<Vec<u8>, Sum>,
    manifest: Vec<u8>,
    damaged: DamagedPages,
    files: u64,
    bytes: u64,
    received: u64,
    warnings: Vec<ServerReport>,
}

impl BaseBackup {
    /// The cluster.
    pub fn system_identifier(&self) -> u64 {
        self.system_identifier
    }

    /// Whether pages have checksums, by which they are checked.
    pub fn has_checksums(&self) -> bool {
        self.layout.is_some()
    }

    /// Where replay starts.
    pub fn start(&self) -> LogPosition {
        self.start
    }

    /// The tablespaces that come.
    pub fn tablespaces(&self) -> &[Tablespace] {
        &self.tablespaces
    }

    /// Takes what is left, and says what came. Whatever does not agree with the manifest is an error; damaged pages are
    /// not, since they are damaged on the server.
    pub fn finish(mut self) -> Result<BaseBackupReport> {
        while self.next_member()?.is_some() {}
        let end = self.end.ok_or_else(|| self.wrong("a base backup without end"))?;
        Ok(BaseBackupReport {
            system_identifier: self.system_identifier,
            start: self.start,
            end,
            tablespaces: self.tablespaces,
            files: self.files,
            bytes: self.bytes,
            received: self.received,
            damaged: self.damaged,
            warnings: self.warnings,
        })
    }

    /// What came makes no sense.
    fn wrong(&self, what: impl Into<String>) -> PostgresError {
        PostgresError::Protocol {
            place: self.place.clone(),
            doing: READING.to_owned(),
            what: what.into(),
        }
    }
}
