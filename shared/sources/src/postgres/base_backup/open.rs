//! The start of a base backup, and the file that is being read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use holdfast_repository::PartsHasher;

use super::super::connection::{Connection, PATIENCE};
use super::super::error::Result;
use super::super::pages::{Layout, PageCheck};
use super::super::query::{Row, quoted_text};
use super::framing::{Framing, below};
use super::incoming::Incoming;
use super::incremental::Incremental;
use super::{BaseBackup, DamagedPages, LogPosition, READING, Tablespace};

/// A checkpoint comes first, and the server says nothing until it is done.
const CHECKPOINT: Duration = Duration::from_secs(30 * 60);

/// The file that is being read.
pub(super) struct OpenFile {
    pub path: PathBuf,
    /// As the server names it, and as it stands in the manifest.
    pub sent_as: PathBuf,
    /// Its bytes that come.
    pub size: u64,
    /// Its bytes once it is restored.
    pub whole: u64,
    /// Bytes that are still to come.
    pub left: u64,
    pub digest: PartsHasher,
    pub crc32c: u32,
    pub pages: Option<PageCheck>,
}

impl BaseBackup {
    /// Asks for a base backup over a connection for replication. The server makes a checkpoint at once.
    pub fn begin(connection: Connection, label: &str) -> Result<BaseBackup> {
        BaseBackup::ask(connection, label, None)
    }

    /// As [`BaseBackup::begin`], where of relations only those pages come that may have changed since an earlier base backup, of
    /// which this is the manifest. The server refuses where it does not know all that changed. What is stored has to be put
    /// together from both.
    pub fn begin_incremental(mut connection: Connection, label: &str, manifest: &[u8]) -> Result<BaseBackup> {
        let incremental = Incremental::prepare(&mut connection, manifest)?;
        BaseBackup::ask(connection, label, Some(incremental))
    }

    fn ask(mut connection: Connection, label: &str, incremental: Option<Incremental>) -> Result<BaseBackup> {
        let identity = connection.identify_system()?;
        let layout = layout(&mut connection)?;
        let passing = format!("holdfast_backup_{}", connection.backend());
        connection.create_passing_slot(&passing)?;
        connection.begin("starting a base backup");
        connection.set_patience(CHECKPOINT);
        let command = command(connection.major(), label, incremental.is_some());
        connection.send_query(&command)?;
        let start = position(&mut connection)?;
        connection.set_patience(PATIENCE);
        connection.begin(READING);
        let rows = connection.next_rows()?;
        let listed = rows
            .iter()
            .map(|row| tablespace(&connection, row))
            .collect::<Result<Vec<_>>>()?;
        let archives = listed
            .iter()
            .map(|tablespace| below(tablespace.as_ref().map(|tablespace| tablespace.oid)));
        let framing = match connection.major() {
            ..15 => Framing::Copies {
                archives: archives.collect::<Vec<_>>().into_iter(),
            },
            _ => Framing::Messages,
        };
        let tablespaces: Vec<Tablespace> = listed.into_iter().flatten().collect();
        Ok(BaseBackup {
            place: connection.place().to_owned(),
            incoming: Incoming::begin(connection, framing, tablespaces.clone()),
            pending: Bytes::new(),
            below: PathBuf::new(),
            file: None,
            instead: None,
            incremental,
            layout,
            system_identifier: identity.system_identifier,
            start,
            end: None,
            tablespaces,
            sums: BTreeMap::new(),
            manifest: Vec::new(),
            damaged: DamagedPages::default(),
            files: 0,
            bytes: 0,
            received: 0,
            warnings: Vec::new(),
        })
    }
}

/// The command in the words that a version knows. Waiting for the archiver is not needed, as the log comes along. The server
/// says the CRC-32C of each file, as it does where nobody asks for another checksum: what it sends is hashed here, and another
/// SHA-256 there would cost it more than all else of a base backup.
fn command(major: u32, label: &str, is_incremental: bool) -> String {
    let label = quoted_text(label);
    let incremental = if is_incremental { ", INCREMENTAL" } else { "" };
    match major {
        ..15 => format!(
            "BASE_BACKUP LABEL {label} FAST WAL NOWAIT TABLESPACE_MAP MANIFEST 'yes' MANIFEST_CHECKSUMS 'CRC32C'"
        ),
        _ => format!(
            "BASE_BACKUP (LABEL {label}, CHECKPOINT 'fast', WAL, WAIT false, TABLESPACE_MAP, MANIFEST 'yes', \
             MANIFEST_CHECKSUMS 'CRC32C'{incremental})"
        ),
    }
}

/// How pages are laid out, where they have checksums.
pub(in super::super) fn layout(connection: &mut Connection) -> Result<Option<Layout>> {
    if connection.show("data_checksums")? != "on" {
        return Ok(None);
    }
    let page = connection.show_size("block_size")?;
    let segment = connection.show_size("segment_size")?;
    let layout = || {
        Some(Layout {
            page: usize::try_from(page)
                .ok()
                .filter(|page| page.is_power_of_two() && *page >= 1024)?,
            segment: u32::try_from(segment / page).ok()?,
        })
    };
    match layout() {
        Some(layout) => Ok(Some(layout)),
        None => Err(connection.protocol(format!("pages of {page} bytes"))),
    }
}

/// The answer that is a position in the log.
pub(super) fn position(connection: &mut Connection) -> Result<LogPosition> {
    let rows = connection.next_rows()?;
    let row = rows
        .first()
        .ok_or_else(|| connection.protocol("no position in the log"))?;
    Ok(LogPosition {
        lsn: connection.parsed(row, 0)?,
        timeline: connection.parsed(row, 1)?,
    })
}

/// A tablespace, or the data folder itself.
fn tablespace(connection: &Connection, row: &Row) -> Result<Option<Tablespace>> {
    let Some(oid) = connection.optional(row, 0)? else {
        return Ok(None);
    };
    let location = PathBuf::from(connection.required(row, 1)?);
    Ok(Some(Tablespace { oid, location }))
}
