//! [`TrialVerdict`]: what came of a trial.

use std::collections::BTreeMap;

use holdfast_core::domain::{Checks, Level};
use holdfast_repository::Id;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use super::super::cluster::StoredBase;
use super::super::isolated::Recovered;

/// Entries of each list that are kept. More of them say no more, and a signed statement has little room.
const MOST_LISTED: usize = 200;

/// What was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Every file is restored, and the log that is asked for can be read.
    Restore,
    /// A server starts over them and recovers to its target.
    Recovery,
    /// A database lets itself be looked at.
    Database,
    /// A table's rows hang together (`verify_heapam`).
    Heap,
    /// An index is in order and holds every row (`bt_index_check`).
    Index,
    /// A table's rows can be counted.
    Rows,
    /// A page is what its checksum says.
    Page,
    /// An operator's statement gives the answer that it must.
    Assertion,
    /// The heartbeat can be read.
    Heartbeat,
}

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The level that is not reached.
    pub level: Level,
    /// What was looked at.
    pub check: Check,
    /// In which database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The table, index, file or statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// What is wrong.
    pub reason: String,
}

impl Fault {
    pub(super) fn of(level: Level, check: Check, reason: impl Into<String>) -> Fault {
        Fault {
            level,
            check,
            database: None,
            object: None,
            reason: reason.into(),
        }
    }

    pub(super) fn in_database(self, database: &str) -> Fault {
        Fault {
            database: Some(database.to_owned()),
            ..self
        }
    }

    pub(super) fn at(self, object: &str) -> Fault {
        Fault {
            object: Some(object.to_owned()),
            ..self
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(database) = &self.database {
            write!(f, "database {database}: ")?;
        }
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        f.write_str(&self.reason)
    }
}

/// How much was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Databases.
    pub databases: u64,
    /// Tables, with those of the system.
    pub heaps: u64,
    /// B-tree indexes.
    pub indexes: u64,
    /// Pages, by their checksums.
    pub pages: u64,
    /// Rows of all tables that were counted.
    pub rows: u64,
}

/// The rows of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TableRows {
    /// The database.
    pub database: String,
    /// The table, with its schema.
    pub table: String,
    /// How many.
    pub rows: u64,
    /// Whether they were counted. Of very large tables it is what the server last estimated.
    pub is_exact: bool,
}

/// What became of an operator's statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The database.
    pub database: String,
    /// The statement.
    pub sql: String,
    /// Whether the answer was what it must be.
    pub passed: bool,
}

/// What the heartbeat tells.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Beat {
    /// The newest time that stands in it.
    pub at: Timestamp,
    /// Seconds from then to the time that was to be recovered to: what this restore lost. `None` where the target is no time.
    pub data_loss_seconds: Option<f64>,
}

/// When the parts of a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Times {
    /// When it began.
    pub started_at: Timestamp,
    /// When the base backup was restored.
    pub restored_at: Timestamp,
    /// When the server had recovered.
    pub recovered_at: Timestamp,
    /// When all checks had ended.
    pub ended_at: Timestamp,
}

impl Times {
    /// From the beginning until the server served: what a real restore would take.
    pub fn recovery_time(&self) -> SignedDuration {
        self.recovered_at.duration_since(self.started_at)
    }
}

/// What came of a trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrialVerdict {
    /// The base backup.
    pub base: Id,
    /// The cluster.
    pub system: u64,
    /// Its major version.
    pub major: u32,
    /// How far the server recovered; `None` where it did not.
    pub recovered: Option<Recovered>,
    /// How much was looked at.
    pub counts: Counts,
    /// The first of the tables, by name.
    pub tables: Vec<TableRows>,
    /// The operator's statements.
    pub answers: Vec<Answer>,
    /// The heartbeat, where there is one.
    pub heartbeat: Option<Beat>,
    /// The first of what does not hold.
    pub faults: Vec<Fault>,
    /// How many there are.
    pub fault_count: u64,
    /// What could not be looked at, and why.
    pub unchecked: Vec<String>,
    /// When.
    pub times: Times,
    has_checks: bool,
    lowest: Option<Level>,
}

impl TrialVerdict {
    pub(super) fn begin(base: &StoredBase, checks: &Checks, now: Timestamp) -> TrialVerdict {
        TrialVerdict {
            base: base.base.snapshot,
            system: base.system,
            major: base.major,
            recovered: None,
            counts: Counts::default(),
            tables: Vec::new(),
            answers: Vec::new(),
            heartbeat: None,
            faults: Vec::new(),
            fault_count: 0,
            unchecked: Vec::new(),
            times: Times {
                started_at: now,
                restored_at: now,
                recovered_at: now,
                ended_at: now,
            },
            has_checks: !checks.is_empty(),
            lowest: None,
        }
    }

    pub(super) fn add(&mut self, fault: Fault) {
        self.fault_count += 1;
        self.lowest = Some(self.lowest.map_or(fault.level, |lowest| lowest.min(fault.level)));
        if self.faults.len() < MOST_LISTED {
            self.faults.push(fault);
        }
    }

    /// Notes what could not be looked at.
    pub(super) fn leave(&mut self, what: String) {
        if self.unchecked.len() < MOST_LISTED {
            self.unchecked.push(what);
        }
    }

    pub(super) fn end(mut self, now: Timestamp) -> TrialVerdict {
        self.times.ended_at = now;
        self.times.recovered_at = self.times.recovered_at.max(self.times.restored_at);
        self.tables.sort();
        self.tables.truncate(MOST_LISTED);
        self
    }

    /// How much was tried: L4, that the engine accepts the restored cluster, or L5 where the operator has checks of their
    /// own; of a trial that failed, the lowest level that does not hold.
    pub fn level(&self) -> Level {
        self.lowest
            .unwrap_or(if self.has_checks { Level::L5 } else { Level::L4 })
    }

    /// Whether all that was tried holds.
    pub fn passed(&self) -> bool {
        self.lowest.is_none()
    }

    /// Figures and findings for a signed statement.
    pub fn findings(&self) -> BTreeMap<String, Value> {
        let seconds = |from: Timestamp, to: Timestamp| json!(to.duration_since(from).as_secs_f64());
        let times = &self.times;
        let findings = [
            ("base", json!(self.base)),
            ("system", json!(self.system.to_string())),
            ("postgresql", json!(self.major)),
            ("recovered", json!(self.recovered)),
            ("counts", json!(self.counts)),
            ("tables", json!(self.tables)),
            ("assertions", json!(self.answers)),
            ("heartbeat", json!(self.heartbeat)),
            ("faults", json!(self.faults)),
            ("fault_count", json!(self.fault_count)),
            ("unchecked", json!(self.unchecked)),
            ("restore_seconds", seconds(times.started_at, times.restored_at)),
            ("recovery_seconds", seconds(times.restored_at, times.recovered_at)),
            ("check_seconds", seconds(times.recovered_at, times.ended_at)),
        ];
        let named = findings.into_iter().filter(|(_, value)| !value.is_null());
        named.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
