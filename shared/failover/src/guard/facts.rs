//! What a running server says of itself.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use holdfast_core::domain::{Failure, FailureKind};
use holdfast_sources::postgres::{Address, ClientOptions, Connection, Lsn, PostgresError, Purpose};
use jiff::Timestamp;

/// What a running server says.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Whether it is a standby.
    pub is_in_recovery: bool,
    /// Its timeline; of a standby, that which it receives.
    pub timeline: Option<u32>,
    /// Where its log ends; of a standby, how far it has replayed.
    pub position: Option<Lsn>,
    /// How far a standby has received.
    pub received: Option<Lsn>,
    /// Whether a standby receives.
    pub is_streaming: bool,
    /// Age of the last commit that a standby has replayed, in seconds.
    pub lag_seconds: Option<f64>,
}

const QUESTION: &str = "SELECT pg_is_in_recovery(), \
    CASE WHEN pg_is_in_recovery() THEN (SELECT received_tli FROM pg_stat_wal_receiver) \
    ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END, \
    CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, \
    pg_last_wal_receive_lsn(), \
    EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'), \
    extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())";

/// For connections to the guard's own server.
pub fn client(now: fn() -> Timestamp, stop: &Arc<AtomicBool>) -> ClientOptions {
    ClientOptions {
        now,
        stop: Arc::clone(stop),
    }
}

/// Asks the server. While it starts it answers nothing, which is an error as well.
pub fn ask(server: &Address, options: &ClientOptions) -> Result<Facts, Failure> {
    let mut connection = Connection::open(server, Purpose::Sql, options).map_err(refused)?;
    let row = connection.query_one(QUESTION).map_err(refused)?;
    Ok(Facts {
        is_in_recovery: row.text(0) == Some("t"),
        timeline: row.text(1).and_then(|text| text.parse().ok()),
        position: row.text(2).and_then(|text| text.parse().ok()),
        received: row.text(3).and_then(|text| text.parse().ok()),
        is_streaming: row.text(4) == Some("t"),
        lag_seconds: row.text(5).and_then(|text| text.parse().ok()),
    })
}

/// Makes a checkpoint: after a promotion only that writes the new timeline where `pg_rewind` looks for it.
pub fn checkpoint(server: &Address, options: &ClientOptions) -> Result<(), Failure> {
    let mut connection = Connection::open(server, Purpose::Sql, options).map_err(refused)?;
    connection.query("CHECKPOINT").map(drop).map_err(refused)
}

pub(super) fn refused(error: PostgresError) -> Failure {
    Failure::caused(FailureKind::Transient, error.to_string(), error)
}
