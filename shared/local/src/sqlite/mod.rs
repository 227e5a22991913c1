//! One SQLite file for catalog and queues.

mod catalog;
mod queue;

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_core::domain::{Failure, FailureKind};
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use crate::failure::io_failure;

pub use catalog::SqliteCatalog;
pub use queue::SqliteQueue;

/// Marks the file as ours: "HOLD" in ASCII.
const APPLICATION_ID: i64 = 0x484f_4c44;
/// The layout that this version writes. Kept in the file as SQLite's `user_version`.
const SCHEMA_VERSION: i64 = 1;
/// How long a statement waits for another connection, such as a person's `sqlite3`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const SCHEMA: &str = include_str!("schema.sql");

/// The database file. Clones share one connection; every write is durable when it returns.
#[derive(Clone)]
pub struct Database {
    connection: Arc<Mutex<Connection>>,
    path: Arc<Path>,
}

impl Database {
    /// Opens the file, making it where there is none.
    ///
    /// Fails with [`FailureKind::Invalid`] on the database of another program or of a newer Holdfast, and with
    /// [`FailureKind::Integrity`] on a file that is no database or a damaged one. Nothing is changed then.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Failure> {
        let path: Arc<Path> = path.into().into();
        create_private(&path)?;
        let connection = Connection::open(&path).map_err(|error| failure(&path, "open", error))?;
        let database = Self {
            connection: Arc::new(Mutex::new(connection)),
            path,
        };
        database.require_ours()?;
        database.configure()?;
        database.write("prepare", |transaction| {
            if schema_version(transaction)? == 0 {
                transaction.execute_batch(SCHEMA)?;
                transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
                transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            }
            Ok(())
        })?;
        Ok(database)
    }

    fn require_ours(&self) -> Result<(), Failure> {
        let (application, version, tables) = self.read("open", |connection| {
            let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
            let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            Ok((application, schema_version(connection)?, tables))
        })?;
        let path = self.path.display();
        let is_new = application == 0 && version == 0 && tables == 0;
        if application != APPLICATION_ID && !is_new {
            let message = format!("{path} is a database of another program: choose another data folder");
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        if version > SCHEMA_VERSION {
            let message = format!(
                "{path} has layout {version}, and this Holdfast knows layouts up to {SCHEMA_VERSION}: use a newer Holdfast"
            );
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        Ok(())
    }

    fn configure(&self) -> Result<(), Failure> {
        let mode = self.read("configure", |connection| {
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "trusted_schema", "OFF")?;
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
        })?;
        if mode == "wal" {
            return Ok(());
        }
        let message = format!(
            "{} cannot use a write-ahead log (its journal is \"{mode}\"): keep the data folder on a local disk",
            self.path.display()
        );
        Err(Failure::new(FailureKind::Invalid, message))
    }

    /// A panic in the middle of a statement rolls its transaction back, so what the lock protects is whole.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, what: &str, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Failure> {
        work(&self.connection()).map_err(|error| failure(&self.path, what, error))
    }

    /// Runs `work` in a transaction of its own, which holds the write lock from its start.
    fn write<T>(&self, what: &str, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, Failure> {
        let mut connection = self.connection();
        let run = || {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        run().map_err(|error| failure(&self.path, what, error))
    }

    /// A stored value that cannot be what was written.
    fn unreadable(&self, what: &str, error: impl std::fmt::Display) -> Failure {
        let path = self.path.display();
        Failure::new(
            FailureKind::Integrity,
            format!("{path}: {what} cannot be read: {error}"),
        )
    }
}

/// SQLite would make the file readable for everybody.
fn create_private(path: &Path) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(io_failure("create", path, error)),
    }
}

fn schema_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn failure(path: &Path, what: &str, error: rusqlite::Error) -> Failure {
    let path = path.display();
    let (kind, advice) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
            (FailureKind::Transient, "another program holds it; close that program")
        }
        Some(ErrorCode::DiskFull) => (
            FailureKind::Transient,
            "no space is left; free some, or extend the disk",
        ),
        Some(ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory) => {
            (FailureKind::Transient, "check the disk and the system's log")
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => (
            FailureKind::Integrity,
            "the file is damaged or no database; put it aside with its -wal and -shm files, and put back a copy, or what \
             `sqlite3 <file> .recover` gives",
        ),
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => (
            FailureKind::Denied,
            "check who owns the file and its folder, and their permissions",
        ),
        Some(ErrorCode::TooBig) => (FailureKind::Invalid, "it is too big for one record"),
        _ => (FailureKind::Bug, "this should not happen; please report it"),
    };
    Failure::caused(kind, format!("{path}: cannot {what}: {error} ({advice})"), error)
}

/// A time as two numbers that sort as the time does: SQLite's integers are too short for nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    second: i64,
    nanosecond: i32,
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        let (second, nanosecond) = (at.as_second(), at.subsec_nanosecond());
        if nanosecond < 0 {
            return Self {
                second: second - 1,
                nanosecond: nanosecond + 1_000_000_000,
            };
        }
        Self { second, nanosecond }
    }
}

impl TryFrom<Moment> for Timestamp {
    type Error = jiff::Error;

    fn try_from(moment: Moment) -> Result<Self, jiff::Error> {
        Timestamp::new(moment.second, moment.nanosecond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_sort_as_times_do_and_come_back_to_the_nanosecond() {
        let times: Vec<Timestamp> = [(-2, 0), (-2, 999_999_999), (-1, 0), (-1, 1), (0, 0), (0, 1), (5, 0)]
            .map(|(second, nanosecond)| Timestamp::new(second, nanosecond).unwrap())
            .to_vec();
        let moments: Vec<Moment> = times.iter().map(|time| Moment::from(*time)).collect();
        assert!(
            moments.is_sorted_by_key(|moment| (moment.second, moment.nanosecond)),
            "{moments:?}"
        );
        for (time, moment) in times.into_iter().zip(moments) {
            assert_eq!(Timestamp::try_from(moment).unwrap(), time);
        }
        for edge in [Timestamp::MIN, Timestamp::MAX] {
            assert_eq!(Timestamp::try_from(Moment::from(edge)).unwrap(), edge);
        }
    }

    #[test]
    fn a_full_disk_is_a_passing_failure_that_changes_nothing() {
        let folder = tempfile::TempDir::new().unwrap();
        let database = Database::open(folder.path().join("holdfast.db")).unwrap();
        let fill = |body: &str| {
            database.write("fill", |transaction| {
                let insert = "INSERT INTO records (partition, sort, version, body) VALUES ('P', 'a', 1, ?1)";
                transaction.execute(insert, [body])
            })
        };
        let limit = |pages: i64| {
            let limited = database.read("limit", |connection| {
                connection.pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, i64>(0))
            });
            limited.unwrap()
        };
        limit(1);
        let failure = fill(&"x".repeat(100_000)).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Transient, "{failure}");
        assert!(failure.message.contains("free some"), "{failure}");
        limit(100_000);
        assert_eq!(fill("x").unwrap(), 1, "nothing of the first try stayed");
    }
}
