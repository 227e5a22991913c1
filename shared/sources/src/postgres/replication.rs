//! Commands of the streaming replication protocol (chapter 55.4 of PostgreSQL's manual): who are you, slots, history.

use std::fmt;
use std::str::FromStr;

use super::connection::{Connection, Reply};
use super::error::{PostgresError, Result};
use super::lsn::Lsn;
use super::query::{Row, quoted_name};

/// Which cluster a server is, and how far its log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What a cluster gets when it is made, and keeps; its replicas have the same.
    pub system_identifier: u64,
    /// The timeline it writes, or replays.
    pub timeline: u32,
    /// How far its log is on disk.
    pub flushed: Lsn,
}

/// How a timeline came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// As in `00000002.history`.
    pub name: String,
    /// The file, as the server has it.
    pub content: Vec<u8>,
}

/// How far a slot holds the log back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotPosition {
    /// The oldest position that the server must keep; `None` where the slot has never been used.
    pub restart: Option<Lsn>,
    /// The timeline of that position.
    pub timeline: Option<u32>,
}

/// The name of a replication slot: lower-case letters, digits and underscores, at most 63.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotName(String);

impl SlotName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text that is no name of a slot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot name a replication slot: use 1 to 63 lower-case letters, digits and underscores")]
pub struct SlotNameError(String);

impl FromStr for SlotName {
    type Err = SlotNameError;

    fn from_str(text: &str) -> Result<SlotName, SlotNameError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        match matches!(text.len(), 1..=63) && text.bytes().all(allowed) {
            true => Ok(SlotName(text.to_owned())),
            false => Err(SlotNameError(text.chars().take(80).collect())),
        }
    }
}

impl Connection {
    /// Asks which cluster this is.
    pub fn identify_system(&mut self) -> Result<Identity> {
        let row = self.query_one("IDENTIFY_SYSTEM")?;
        Ok(Identity {
            system_identifier: self.parsed(&row, 0)?,
            timeline: self.parsed(&row, 1)?,
            flushed: self.parsed(&row, 2)?,
        })
    }

    /// Fetches the history of a timeline other than the first, which has none.
    pub fn timeline_history(&mut self, timeline: u32) -> Result<History> {
        let row = self.query_one(&format!("TIMELINE_HISTORY {timeline}"))?;
        let name = self.required(&row, 0)?.to_owned();
        if name != format!("{timeline:08X}.history") {
            return Err(self.protocol(format!("{name:?} as the history of timeline {timeline}")));
        }
        let content = row.bytes(1).ok_or_else(|| self.protocol("a history without content"))?;
        Ok(History {
            name,
            content: content.to_vec(),
        })
    }

    /// Makes a slot that holds the log back from now on.
    pub fn create_slot(&mut self, slot: &SlotName) -> Result<()> {
        self.create_physical_slot(slot.as_str(), "")
    }

    /// Sees to it that a slot holds the log back, which it may have done for long.
    pub fn ensure_slot(&mut self, slot: &SlotName) -> Result<()> {
        match self.create_slot(slot) {
            Err(PostgresError::Exists { .. }) => Ok(()),
            made => made,
        }
    }

    /// Makes a slot that goes away with this connection.
    pub(super) fn create_passing_slot(&mut self, name: &str) -> Result<()> {
        self.create_physical_slot(name, "TEMPORARY ")
    }

    fn create_physical_slot(&mut self, name: &str, temporary: &str) -> Result<()> {
        let name = quoted_name(name);
        // Versions 13 and 14 know only the words, later ones both forms.
        let command = format!("CREATE_REPLICATION_SLOT {name} {temporary}PHYSICAL RESERVE_WAL");
        self.query(&command).map(|_| ())
    }

    /// Reads a slot; `None` where there is none. Only servers from version 15 know this command.
    pub fn read_slot(&mut self, slot: &SlotName) -> Result<Option<SlotPosition>> {
        let row = self.query_one(&format!("READ_REPLICATION_SLOT {}", quoted_name(slot.as_str())))?;
        if row.text(0).is_none() {
            return Ok(None);
        }
        Ok(Some(SlotPosition {
            restart: self.optional(&row, 1)?,
            timeline: self.optional(&row, 2)?,
        }))
    }

    /// Removes a slot that nobody uses now. What it held back may be gone at once.
    pub fn drop_slot(&mut self, slot: &SlotName) -> Result<()> {
        self.query(&format!("DROP_REPLICATION_SLOT {}", quoted_name(slot.as_str())))
            .map(|_| ())
    }

    /// A value that may be missing.
    pub(super) fn optional<T: FromStr>(&self, row: &Row, column: usize) -> Result<Option<T>> {
        match row.bytes(column) {
            None => Ok(None),
            Some(_) => self.parsed(row, column).map(Some),
        }
    }

    /// The rows of the next answer of a command that gives several.
    pub(super) fn next_rows(&mut self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        loop {
            match self.receive()? {
                Reply::Columns(_) => {}
                Reply::Row(body) => rows.push(self.row(&body)?),
                Reply::Done => return Ok(rows),
                Reply::Error(report) => return Err(self.fail(report)),
                _ => return Err(self.protocol("something else than rows")),
            }
        }
    }
}
