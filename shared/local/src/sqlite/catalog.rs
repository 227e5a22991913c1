//! The catalog in SQLite.

use async_trait::async_trait;
use holdfast_core::domain::{Failure, FailureKind};
use holdfast_core::ports::{Catalog, Draft, Entry, Inserted, Key, Wake};
use jiff::Timestamp;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql, params};

use super::{Database, Moment};

/// Durable records in the database file.
#[derive(Clone)]
pub struct SqliteCatalog {
    database: Database,
}

/// A record as the file has it.
struct Stored {
    key: Key,
    version: i64,
    body: String,
    wake: Option<(String, Moment)>,
}

const COLUMNS: &str = "SELECT partition, sort, version, body, wake_status, wake_second, wake_nanosecond FROM records";

/// The least text after every text that begins with `prefix`. It ends in a byte that no UTF-8 has, which SQLite does not
/// mind: it compares text byte by byte.
struct EndOf(Vec<u8>);

impl EndOf {
    fn prefix(prefix: &str) -> Self {
        let mut end = prefix.as_bytes().to_vec();
        end.push(u8::MAX);
        Self(end)
    }
}

impl ToSql for EndOf {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(&self.0)))
    }
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let wake = match row.get(4)? {
            Some(status) => Some((
                status,
                Moment {
                    second: row.get(5)?,
                    nanosecond: row.get(6)?,
                },
            )),
            None => None,
        };
        Ok(Self {
            key: Key {
                partition: row.get(0)?,
                sort: row.get(1)?,
            },
            version: row.get(2)?,
            body: row.get(3)?,
            wake,
        })
    }
}

fn one(connection: &Connection, key: &Key) -> rusqlite::Result<Option<Stored>> {
    connection
        .prepare_cached(&format!("{COLUMNS} WHERE partition = ?1 AND sort = ?2"))?
        .query_row(params![key.partition, key.sort], Stored::read)
        .optional()
}

impl SqliteCatalog {
    /// The catalog of a database.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    fn entry(&self, stored: Stored) -> Result<Entry, Failure> {
        let what = format!("record {}/{}", stored.key.partition, stored.key.sort);
        let body = serde_json::from_str(&stored.body).map_err(|error| self.database.unreadable(&what, error))?;
        let version = u64::try_from(stored.version).map_err(|error| self.database.unreadable(&what, error))?;
        let wake = match stored.wake {
            Some((status, moment)) => Some(Wake {
                status,
                at: moment
                    .try_into()
                    .map_err(|error| self.database.unreadable(&what, error))?,
            }),
            None => None,
        };
        Ok(Entry {
            key: stored.key,
            version,
            body,
            wake,
        })
    }

    fn many(&self, sql: &str, params: impl Params) -> Result<Vec<Entry>, Failure> {
        let stored = self.database.read("read the catalog", |connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(params, Stored::read)?;
            rows.collect::<rusqlite::Result<Vec<Stored>>>()
        })?;
        stored.into_iter().map(|stored| self.entry(stored)).collect()
    }

    fn conflict(key: &Key, expected: u64, found: Option<i64>) -> Failure {
        let Key { partition, sort } = key;
        let found = found.map_or("no record".to_owned(), |version| format!("version {version}"));
        let message = format!("record {partition}/{sort}: expected version {expected}, found {found}");
        Failure::new(FailureKind::Conflict, message)
    }
}

#[async_trait]
impl Catalog for SqliteCatalog {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, Failure> {
        let stored = self
            .database
            .read("read the catalog", |connection| one(connection, key))?;
        stored.map(|stored| self.entry(stored)).transpose()
    }

    async fn insert(&self, draft: Draft) -> Result<Inserted, Failure> {
        let Draft { key, body, wake } = draft;
        let (status, second, nanosecond) = columns(wake);
        let existing =
            self.database.write("write to the catalog", |transaction| {
                let inserted = transaction
                .prepare_cached(
                    "INSERT INTO records (partition, sort, version, body, wake_status, wake_second, wake_nanosecond)
                     VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
                )?
                .execute(params![key.partition, key.sort, body.to_string(), status, second, nanosecond])?;
                if inserted == 1 {
                    return Ok(None);
                }
                one(transaction, &key)
            })?;
        match existing {
            Some(stored) => Ok(Inserted::Exists(self.entry(stored)?)),
            None => Ok(Inserted::Created),
        }
    }

    async fn replace(&self, draft: Draft, expected: u64) -> Result<(), Failure> {
        let Draft { key, body, wake } = draft;
        let (status, second, nanosecond) = columns(wake);
        // A version that the column cannot hold was never written.
        let version = i64::try_from(expected).unwrap_or(i64::MIN);
        let refused = self.database.write("write to the catalog", |transaction| {
            let replaced = transaction
                .prepare_cached(
                    "UPDATE records
                     SET version = version + 1, body = ?1, wake_status = ?2, wake_second = ?3, wake_nanosecond = ?4
                     WHERE partition = ?5 AND sort = ?6 AND version = ?7",
                )?
                .execute(params![
                    body.to_string(),
                    status,
                    second,
                    nanosecond,
                    key.partition,
                    key.sort,
                    version
                ])?;
            if replaced == 1 {
                return Ok(None);
            }
            let found = one(transaction, &key)?.map(|stored| stored.version);
            Ok(Some(Self::conflict(&key, expected, found)))
        })?;
        refused.map_or(Ok(()), Err)
    }

    async fn list(&self, partition: &str, prefix: &str) -> Result<Vec<Entry>, Failure> {
        let sql = format!("{COLUMNS} WHERE partition = ?1 AND sort >= ?2 AND sort < ?3 ORDER BY sort");
        self.many(&sql, params![partition, prefix, EndOf::prefix(prefix)])
    }

    async fn last(&self, partition: &str, prefix: &str) -> Result<Option<Entry>, Failure> {
        let sql = format!("{COLUMNS} WHERE partition = ?1 AND sort >= ?2 AND sort < ?3 ORDER BY sort DESC LIMIT 1");
        Ok(self
            .many(&sql, params![partition, prefix, EndOf::prefix(prefix)])?
            .pop())
    }

    async fn waking(&self, status: &str, by: Timestamp) -> Result<Vec<Entry>, Failure> {
        let by = Moment::from(by);
        let sql = format!(
            "{COLUMNS} WHERE wake_status = ?1 AND (wake_second, wake_nanosecond) <= (?2, ?3)
             ORDER BY wake_second, wake_nanosecond, partition, sort"
        );
        self.many(&sql, params![status, by.second, by.nanosecond])
    }
}

fn columns(wake: Option<Wake>) -> (Option<String>, Option<i64>, Option<i32>) {
    match wake {
        Some(Wake { status, at }) => {
            let Moment { second, nanosecond } = at.into();
            (Some(status), Some(second), Some(nanosecond))
        }
        None => (None, None, None),
    }
}
