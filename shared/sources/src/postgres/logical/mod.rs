//! Logical exports: one database of a server that allows no replication, table by table, in one snapshot of the server.
//!
//! An export is one snapshot of the repository below `/NAME/export/DATABASE`: `manifest.json` says what is in it,
//! `schema.dump` is what `pg_dump --schema-only` makes, `roles.sql` what `pg_dumpall` tells of roles, and below `tables` are the
//! rows as `COPY` writes them, each table in parts that are cut between rows where the rows themselves say so: what did not
//! change since the last export makes the same parts, and is not stored again.

mod copy;
mod export;
mod import;
mod manifest;
mod objects;
mod parts;
mod restore;
mod stored;
mod stream;
mod tables;

use std::path::{Path, PathBuf};

use holdfast_core::domain::FailureKind;
use holdfast_repository::{Id, RepositoryError};

use super::error::PostgresError;
use super::isolated::IsolatedError;
use super::running::ProgramError;
use crate::content_engine::failure_kind;

pub use export::{ExportReport, ExportRequest, export};
pub use import::{ImportReport, ImportRequest, import};
pub use manifest::{Manifest, Sequence, Table};
pub use stored::{StoredExport, exports};

/// Why a database was not exported or imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogicalError {
    /// The server refused, or did not answer.
    #[error(transparent)]
    Server(#[from] PostgresError),
    /// The repository does not answer, or holds damage.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// PostgreSQL's programs are not there, or cannot be run.
    #[error(transparent)]
    Programs(#[from] IsolatedError),
    /// One of them failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// There is no such export.
    #[error("there is no export {wanted}: there are {known}")]
    NoExport {
        /// What was asked for.
        wanted: String,
        /// Those that there are.
        known: String,
    },
    /// The export has no such table.
    #[error("the export has no table {name}: it has {known}")]
    NoTable {
        /// The table.
        name: String,
        /// Some of those that it has.
        known: String,
    },
    /// Several schemas have it.
    #[error("{name} may be {found}: name the schema, too")]
    Ambiguous {
        /// The table.
        name: String,
        /// Where it is.
        found: String,
    },
    /// An export does not hold what it says.
    #[error("the export in snapshot {} is damaged: {reason}", .snapshot.short())]
    Damaged {
        /// The snapshot.
        snapshot: Id,
        /// What is wrong.
        reason: String,
    },
    /// The operating system refuses.
    #[error("cannot hand {what} to pg_restore: {source}")]
    Handing {
        /// What.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

impl LogicalError {
    /// What a caller can do about it.
    pub fn kind(&self) -> FailureKind {
        match self {
            LogicalError::Server(error) => error.kind(),
            LogicalError::Repository(error) => failure_kind(error),
            LogicalError::Programs(error) => error.kind(),
            LogicalError::Program(_) | LogicalError::Handing { .. } => FailureKind::Transient,
            LogicalError::NoExport { .. } | LogicalError::NoTable { .. } | LogicalError::Ambiguous { .. } => {
                FailureKind::Invalid
            }
            LogicalError::Damaged { .. } => FailureKind::Integrity,
        }
    }
}

/// The folder of a database's exports in their snapshots.
fn root(resource: &str, database: &str) -> PathBuf {
    Path::new("/").join(resource).join("export").join(folder_of(database))
}

/// A database's name as a folder: whatever a path cannot have is written as its number.
fn folder_of(database: &str) -> String {
    let mut name = String::new();
    for byte in database.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => name.push(char::from(byte)),
            other => name.push_str(&format!("%{other:02x}")),
        }
    }
    name
}

/// Settings under which rows are written and read the same everywhere, all of them are seen or it is an error, and no limit
/// that a role has for itself ends a long copy.
const SESSION: &str = "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
    SET client_encoding = 'UTF8'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC'; \
    SET extra_float_digits = 3; SET bytea_output = 'hex'; SET row_security = off; SET search_path = pg_catalog; \
    SET synchronize_seqscans = off";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_with_odd_names_have_folders_of_their_own() {
        assert_eq!(root("orders", "shop_1"), Path::new("/orders/export/shop_1"));
        assert_eq!(folder_of("../a/b%"), "%2e%2e%2fa%2fb%25");
    }
}
