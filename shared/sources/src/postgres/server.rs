//! [`ServerFacts`]: what a server is and allows, asked before it is relied on.

use super::address::Address;
use super::connection::{ClientOptions, Connection, Purpose};
use super::error::Result;
use super::lsn::Lsn;
use super::query::{Row, quoted_text};
use super::replication::{Identity, SlotName, SlotPosition};

/// What matters of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// As PostgreSQL counts versions: 150008 is 15.8.
    pub version: u32,
    /// Which cluster it is, on which timeline, and how far its log is.
    pub identity: Identity,
    /// Bytes of a segment of its log.
    pub segment_bytes: u64,
    /// Whether pages have checksums.
    pub has_checksums: bool,
    /// `minimal`, `replica` or `logical`.
    pub wal_level: String,
    /// Connections for replication that it takes.
    pub max_wal_senders: u32,
    /// How many of them are in use.
    pub senders: u32,
    /// Slots that it has room for.
    pub max_replication_slots: u32,
    /// Whether it replays another server's log.
    pub is_in_recovery: bool,
    /// The role that asked.
    pub role: Role,
    /// Its physical slots.
    pub slots: Vec<SlotFacts>,
}

/// A role and its rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Whether it may do anything.
    pub is_superuser: bool,
    /// Whether it may replicate.
    pub may_replicate: bool,
}

/// A physical slot that outlives its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotFacts {
    /// Its name.
    pub name: String,
    /// Whether somebody receives over it.
    pub is_active: bool,
    /// The oldest position that the server keeps for it.
    pub restart: Option<Lsn>,
    /// `reserved`, `extended`, `unreserved` or `lost`.
    pub wal_status: Option<String>,
    /// Bytes of log since that position.
    pub lag_bytes: Option<u64>,
    /// Bytes of log that may come before the server drops what the slot needs; `None` without limit.
    pub safe_bytes: Option<i64>,
}

impl ServerFacts {
    /// Asks, over a connection of each kind: that replication is let in is one of the facts.
    pub fn ask(address: &Address, options: &ClientOptions) -> Result<ServerFacts> {
        let mut sql = Connection::open(address, Purpose::Sql, options)?;
        let row = sql.query_one(SETTINGS)?;
        let slots = sql.query(SLOTS)?.rows;
        let slots = slots.iter().map(|row| slot(&sql, row)).collect::<Result<_>>()?;
        let identity = Connection::open(address, Purpose::Replication, options)?.identify_system()?;
        Ok(ServerFacts {
            version: sql.parsed(&row, 0)?,
            identity,
            segment_bytes: sql.parsed(&row, 1)?,
            has_checksums: sql.required(&row, 2)? == "on",
            wal_level: sql.required(&row, 3)?.to_owned(),
            max_wal_senders: sql.parsed(&row, 4)?,
            senders: sql.parsed(&row, 5)?,
            max_replication_slots: sql.parsed(&row, 6)?,
            is_in_recovery: is_true(&sql, &row, 7)?,
            role: Role {
                name: sql.required(&row, 8)?.to_owned(),
                is_superuser: is_true(&sql, &row, 9)?,
                may_replicate: is_true(&sql, &row, 10)?,
            },
            slots,
        })
    }
}

const SETTINGS: &str = "SELECT current_setting('server_version_num'), \
    (SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'), current_setting('data_checksums'), \
    current_setting('wal_level'), current_setting('max_wal_senders'), (SELECT count(*) FROM pg_stat_replication), \
    current_setting('max_replication_slots'), pg_is_in_recovery(), rolname, rolsuper, rolreplication \
    FROM pg_roles WHERE rolname = current_user";

const SLOTS: &str = "SELECT slot_name, active, restart_lsn, wal_status, \
    greatest(0, pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() \
    THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) ELSE pg_current_wal_lsn() END, \
    restart_lsn))::bigint, safe_wal_size FROM pg_replication_slots \
    WHERE slot_type = 'physical' AND NOT temporary ORDER BY slot_name";

fn slot(connection: &Connection, row: &Row) -> Result<SlotFacts> {
    let restart = connection.optional(row, 2)?;
    Ok(SlotFacts {
        name: connection.required(row, 0)?.to_owned(),
        is_active: is_true(connection, row, 1)?,
        restart,
        wal_status: row.text(3).map(str::to_owned),
        lag_bytes: restart.map_or(Ok(None), |_: Lsn| connection.optional(row, 4))?,
        safe_bytes: connection.optional(row, 5)?,
    })
}

fn is_true(connection: &Connection, row: &Row, column: usize) -> Result<bool> {
    connection.required(row, column).map(|text| text == "t")
}

impl Connection {
    /// Reads a slot by SQL, which works in every version.
    pub(super) fn find_slot(&mut self, slot: &SlotName) -> Result<Option<SlotPosition>> {
        let name = quoted_text(slot.as_str());
        let sql = format!("SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = {name}");
        let rows = self.query(&sql)?.rows;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(SlotPosition {
            restart: self.optional(row, 0)?,
            timeline: None,
        }))
    }
}
