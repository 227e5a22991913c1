//! A client that writes one order after the other and keeps what it was told of each.

use std::thread::{self, JoinHandle};

use holdfast_sources::postgres::{Address, Connection, Purpose};
use jiff::Timestamp;

use super::failed;
use super::server::client;
use crate::error::CliError;

/// An order that the server has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The server's clock when it was written, before it was committed.
    pub at: Timestamp,
}

/// Writes until the server is gone.
pub struct Writer(JoinHandle<Result<Vec<Line>, CliError>>);

impl Writer {
    /// Begins.
    pub fn start(address: &Address) -> Writer {
        let address = address.clone();
        Writer(thread::spawn(move || {
            let mut connection = Connection::open(&address, Purpose::Sql, &client()).map_err(failed)?;
            let mut lines = Vec::new();
            let order = "INSERT INTO ledger DEFAULT VALUES RETURNING (extract(epoch FROM at) * 1000000)::bigint";
            // An order that is not acknowledged does not count, whatever became of it.
            while let Ok(row) = connection.query_one(order) {
                let at = row.text(0).unwrap_or_default().parse().map_err(failed)?;
                lines.push(Line {
                    at: Timestamp::from_microsecond(at).map_err(failed)?,
                });
            }
            Ok(lines)
        }))
    }

    /// What was acknowledged, once the server is gone.
    pub fn ended(self) -> Result<Vec<Line>, CliError> {
        match self.0.join() {
            Ok(lines) => lines,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}
