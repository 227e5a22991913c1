//! [`import()`]: an export, or some of its tables, into a database of a server.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;

use holdfast_repository::index::Lookup;
use holdfast_repository::{Id, Repository};

use super::super::address::Address;
use super::super::connection::{ClientOptions, Connection, Purpose};
use super::super::isolated::Programs;
use super::super::query::{quoted_name, quoted_text};
use super::export::SCHEMA;
use super::manifest::{Manifest, Table};
use super::restore::Definitions;
use super::stored::{Files, choose};
use super::tables::in_brackets;
use super::{LogicalError, SESSION};

/// Names that are told where one is not there.
const MOST_TOLD: usize = 20;

/// What to import, and how.
pub struct ImportRequest<'a> {
    /// Where from. Whoever asks holds a reader's lock.
    pub repository: &'a Repository,
    /// Its index.
    pub index: &'a dyn Lookup,
    /// What the server is called there.
    pub resource: &'a str,
    /// The database that was exported.
    pub database: &'a str,
    /// The beginning of an export's id; `None` for the newest.
    pub export: Option<&'a str>,
    /// Tables, as `schema.table`, or `table` where only one schema has it; none for the whole database.
    pub tables: &'a [String],
    /// The server and the database to import into, which has to be there, without what is imported.
    pub address: &'a Address,
    /// Whether owners and rights are left out, for servers that do not have the same roles.
    pub without_owners: bool,
    /// Where PostgreSQL's client programs are; `None` for where Debian installs them.
    pub programs: Option<&'a Path>,
    /// Tables that are copied, and indexes that are built, at one time.
    pub workers: usize,
    /// The time, and the flag that stops all of it.
    pub client: &'a ClientOptions,
}

/// What an import came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportReport {
    /// The snapshot of the export.
    pub snapshot: Id,
    /// Tables with rows.
    pub tables: u64,
    /// Their rows.
    pub rows: u64,
    /// What of the database was not in the export.
    pub left_out: Vec<String>,
}

/// Imports: first the definitions of tables, then their rows over several connections, then their indexes and constraints.
/// Where it breaks off, what was made stays: import into a new database, and drop that.
pub fn import(request: &ImportRequest<'_>) -> Result<ImportReport, LogicalError> {
    let export = choose(request.repository, request.resource, request.database, request.export)?;
    let (files, manifest) = Files::open(request.repository, request.index, request.resource, &export)?;
    let is_whole = request.tables.is_empty();
    let tables = wanted(&manifest, request.tables)?;
    let mut connection = connect(request)?;
    let major = connection.major().max(manifest.major);
    let programs = Programs::clients(request.programs, major)?;
    let definitions = Definitions::new(
        &programs,
        request.address,
        request.client,
        &files.read(SCHEMA)?,
        request.without_owners,
        (!is_whole).then_some((&manifest, &tables)),
    )?;
    if !is_whole {
        make_schemas(&mut connection, &tables)?;
    }
    definitions.make("pre-data", None)?;
    let rows = copy(request, &files, &tables)?;
    for sequence in &manifest.sequences {
        let is_owned = |table: &&Table| sequence.owner == Some(table.oid);
        if is_whole || tables.iter().any(is_owned) {
            let name = format!("{}.{}", quoted_name(&sequence.schema), quoted_name(&sequence.name));
            let (value, is_called) = (sequence.last_value, sequence.is_called);
            connection.query(&format!("SELECT setval({}, {value}, {is_called})", quoted_text(&name)))?;
        }
    }
    definitions.make("post-data", Some(request.workers.max(1)))?;
    if is_whole {
        // Oldest first: a view stands on those before it.
        for (schema, name) in &manifest.views {
            let name = format!("{}.{}", quoted_name(schema), quoted_name(name));
            connection.query(&format!("REFRESH MATERIALIZED VIEW {name}"))?;
        }
    }
    Ok(ImportReport {
        snapshot: export.snapshot,
        tables: tables.len() as u64,
        rows,
        left_out: manifest.left_out,
    })
}

fn connect(request: &ImportRequest<'_>) -> Result<Connection, LogicalError> {
    let mut connection = Connection::open(request.address, Purpose::Sql, request.client)?;
    connection.query(SESSION)?;
    Ok(connection)
}

/// The tables that are meant.
fn wanted<'a>(manifest: &'a Manifest, names: &[String]) -> Result<Vec<&'a Table>, LogicalError> {
    if names.is_empty() {
        return Ok(manifest.tables.iter().collect());
    }
    let mut wanted: Vec<&Table> = Vec::new();
    for name in names {
        let found: Vec<&Table> = manifest.tables.iter().filter(|table| table.is_called(name)).collect();
        let [table] = found.as_slice() else {
            let (name, names) = (name.clone(), |tables: &[&Table]| {
                let names = tables.iter().take(MOST_TOLD).map(|table| table.full_name());
                names.collect::<Vec<_>>()
            });
            return Err(match found.as_slice() {
                [] => LogicalError::NoTable {
                    name,
                    known: names(&manifest.tables.iter().collect::<Vec<_>>()).join(", "),
                },
                several => LogicalError::Ambiguous {
                    name,
                    found: names(several).join(" or "),
                },
            });
        };
        if !wanted.iter().any(|known| known.oid == table.oid) {
            wanted.push(table);
        }
    }
    Ok(wanted)
}

fn make_schemas(connection: &mut Connection, tables: &[&Table]) -> Result<(), LogicalError> {
    let mut schemas: Vec<&str> = tables.iter().map(|table| table.schema.as_str()).collect();
    schemas.sort_unstable();
    schemas.dedup();
    for schema in schemas {
        connection.query(&format!("CREATE SCHEMA IF NOT EXISTS {}", quoted_name(schema)))?;
    }
    Ok(())
}

/// Copies the rows of all tables, the largest first; how many they are.
fn copy(request: &ImportRequest<'_>, files: &Files<'_>, tables: &[&Table]) -> Result<u64, LogicalError> {
    let mut order = tables.to_vec();
    order.sort_by_key(|table| std::cmp::Reverse(table.bytes));
    let waiting = Mutex::new(order.into_iter());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut rows = 0;
        let mut connection = connect(request)?;
        while let Some(table) = next() {
            let copied = copy_table(&mut connection, files, table);
            if copied.is_err() {
                // Nobody begins another one.
                while next().is_some() {}
            }
            rows += copied?;
        }
        Ok(rows)
    };
    let outcomes: Vec<Result<u64, LogicalError>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..request.workers.max(1)).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(thread::ScopedJoinHandle::join);
        joined
            .map(|outcome| outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    outcomes.into_iter().sum()
}

fn copy_table(connection: &mut Connection, files: &Files<'_>, table: &Table) -> Result<u64, LogicalError> {
    let parts = files.parts(table.oid)?;
    let target = format!("{}.{}", quoted_name(&table.schema), quoted_name(&table.name));
    let name = table.full_name();
    connection.begin_copy_in(
        &name,
        &format!("COPY {target}{} FROM STDIN", in_brackets(&table.columns)),
    )?;
    let (mut rows, mut bytes) = (0, 0);
    for part in &parts {
        files.each(part, |piece| {
            bytes += piece.len() as u64;
            rows += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
            Ok(connection.send_copy_data(piece)?)
        })?;
    }
    // Before the server is told that this was all.
    if (parts.len(), rows, bytes) != (table.parts as usize, table.rows, table.bytes) {
        return Err(files.damaged(format!(
            "{name} has {} parts with {rows} rows in {bytes} bytes, not {} with {} in {}",
            parts.len(),
            table.parts,
            table.rows,
            table.bytes
        )));
    }
    connection.end_copy_in()?;
    Ok(rows)
}
