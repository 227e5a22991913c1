//! [`export()`]: a database into a repository, over several connections in one snapshot of the server.

use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use holdfast_repository::Repository;
use holdfast_repository::backup::{BackupOptions, BackupReport, backup_stream};
use jiff::Timestamp;

use super::super::address::Address;
use super::super::connection::{ClientOptions, Connection, Purpose};
use super::super::isolated::Programs;
use super::super::query::quoted_text;
use super::super::running::{Running, give_password};
use super::manifest::{Manifest, Table, VERSION};
use super::parts::Parts;
use super::stored;
use super::stream::{ExportStream, Part};
use super::tables::{Source, large_objects, sequences, tables, views};
use super::{LogicalError, SESSION, root};

/// Where things are below an export's root.
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const SCHEMA: &str = "schema.dump";
const ROLES: &str = "roles.sql";

/// What to export, and how.
pub struct ExportRequest<'a> {
    /// Where to.
    pub repository: &'a Repository,
    /// What the server is called there.
    pub resource: &'a str,
    /// The server and the database.
    pub address: &'a Address,
    /// Where PostgreSQL's client programs are, of the server's version or a later one; `None` for where Debian installs them.
    pub programs: Option<&'a Path>,
    /// Tables that are copied at one time.
    pub workers: usize,
    /// The time, and the flag that stops all of it.
    pub client: &'a ClientOptions,
    /// Those of the snapshot, but for tags and parent.
    pub options: &'a BackupOptions<'a>,
}

/// What an export came to.
#[derive(Debug)]
pub struct ExportReport {
    /// The snapshot.
    pub report: BackupReport,
    /// What is in it.
    pub manifest: Manifest,
}

/// A connection that sees what another one's snapshot sees.
fn connect(request: &ExportRequest<'_>, snapshot: Option<&str>) -> Result<Connection, LogicalError> {
    let mut connection = Connection::open(request.address, Purpose::Sql, request.client)?;
    connection.query(SESSION)?;
    connection.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    if let Some(snapshot) = snapshot {
        connection.query(&format!("SET TRANSACTION SNAPSHOT {}", quoted_text(snapshot)))?;
    }
    Ok(connection)
}

/// Exports the address's database. All tables are as they were at one moment. There is a snapshot only if all of it came.
pub fn export(request: &ExportRequest<'_>) -> Result<ExportReport, LogicalError> {
    // Its snapshot lasts for as long as its transaction, which this connection holds to the end.
    let mut leader = connect(request, None)?;
    let row = leader.query_one("SELECT pg_export_snapshot()")?;
    let snapshot = leader.required(&row, 0)?.to_owned();
    let began_at = (request.client.now)();
    let programs = Programs::clients(request.programs, leader.major())?;
    let sources = tables(&mut leader)?;
    let mut manifest = Manifest {
        version: VERSION,
        database: request.address.database.clone(),
        major: leader.major(),
        tables: Vec::new(),
        sequences: sequences(&mut leader)?,
        views: views(&mut leader)?,
        left_out: Vec::new(),
    };
    let large = large_objects(&mut leader)?;
    if large > 0 {
        manifest
            .left_out
            .push(format!("{large} large objects: they are not exported"));
    }
    let mut files = vec![Part {
        path: SCHEMA.into(),
        bytes: schema(request, &programs, &snapshot)?,
    }];
    match roles(request, &programs)? {
        Ok(bytes) => files.push(Part {
            path: ROLES.into(),
            bytes,
        }),
        Err(reason) => manifest.left_out.push(format!("roles: {reason}")),
    }
    copy(request, &leader, &snapshot, sources, files, manifest, began_at)
}

/// The definitions of everything, as `pg_restore` reads them.
fn schema(request: &ExportRequest<'_>, programs: &Programs, snapshot: &str) -> Result<Vec<u8>, LogicalError> {
    let running = Running::start(programs, "pg_dump", |command| {
        command.args(["--schema-only", "--format=custom", "--compress=0", "--no-password"]);
        command
            .arg(format!("--snapshot={snapshot}"))
            .arg("--dbname")
            .arg(request.address.words());
        give_password(command.stdout(Stdio::piped()), request.address);
    })?;
    Ok(running.output(&request.client.stop)??)
}

/// The roles of the server without their passwords, or why they cannot be read.
fn roles(request: &ExportRequest<'_>, programs: &Programs) -> Result<Result<Vec<u8>, String>, LogicalError> {
    let running = Running::start(programs, "pg_dumpall", |command| {
        command.args(["--roles-only", "--no-role-passwords", "--no-password"]);
        command.arg("--dbname").arg(request.address.words());
        give_password(command.stdout(Stdio::piped()), request.address);
    })?;
    Ok(running.output(&request.client.stop)?.map_err(|error| error.to_string()))
}

/// What all that copy share.
struct Work<'a> {
    request: &'a ExportRequest<'a>,
    snapshot: &'a str,
    waiting: Mutex<std::vec::IntoIter<Source>>,
    done: Mutex<Vec<Table>>,
    trouble: Mutex<Option<LogicalError>>,
}

impl Work<'_> {
    /// Copies one table after another until there is none, or nobody takes them any more.
    fn run(&self, parts: &SyncSender<Part>) {
        if let Err(error) = self.tables(parts) {
            let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
            trouble.get_or_insert(error);
        }
    }

    fn tables(&self, parts: &SyncSender<Part>) -> Result<(), LogicalError> {
        let mut connection = None;
        loop {
            if self.trouble.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
                return Ok(());
            }
            let next = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(source) = next else { return Ok(()) };
            let connection = match &mut connection {
                Some(connection) => connection,
                none => none.insert(connect(self.request, Some(self.snapshot))?),
            };
            let table = table(connection, source, parts)?;
            self.done.lock().unwrap_or_else(PoisonError::into_inner).push(table);
        }
    }
}

fn table(connection: &mut Connection, source: Source, parts: &SyncSender<Part>) -> Result<Table, LogicalError> {
    let statement = source.copy();
    let mut table = source.table;
    let name = table.full_name();
    let mut cut = Parts::default();
    // Where nobody takes parts any more, the rest is read and lost: the reason is known elsewhere.
    let mut send = |bytes: Vec<u8>, rows: u64| {
        let path = part_path(table.oid, table.parts);
        table.parts += 1;
        table.rows += rows;
        table.bytes += bytes.len() as u64;
        let _ = parts.send(Part { path, bytes });
    };
    connection.copy_out(&name, &statement, |bytes| cut.take(bytes, &mut send))?;
    let (rest, rows) = cut.rest();
    if !rest.is_empty() {
        send(rest, rows);
    }
    Ok(table)
}

/// Where a part of a table is, below the root of its export.
pub(super) fn part_path(oid: u32, number: u32) -> PathBuf {
    Path::new("tables")
        .join(oid.to_string())
        .join(format!("{number:06}.copy"))
}

fn copy(
    request: &ExportRequest<'_>,
    leader: &Connection,
    snapshot: &str,
    sources: Vec<Source>,
    files: Vec<Part>,
    mut manifest: Manifest,
    began_at: Timestamp,
) -> Result<ExportReport, LogicalError> {
    let work = Work {
        request,
        snapshot,
        waiting: Mutex::new(sources.into_iter()),
        done: Mutex::default(),
        trouble: Mutex::default(),
    };
    let (sender, parts) = sync_channel(request.workers.max(1));
    let mut tags = stored::tags(&manifest, began_at);
    tags.extend(request.options.tags.iter().cloned());
    let options = BackupOptions {
        parent: None,
        tags: Vec::new(),
        ..request.options.clone()
    };
    let last = || {
        if let Some(error) = &*work.trouble.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(io::Error::other(error.to_string()));
        }
        manifest.tables = std::mem::take(&mut *work.done.lock().unwrap_or_else(PoisonError::into_inner));
        manifest
            .tables
            .sort_by(|one, other| (&one.schema, &one.name).cmp(&(&other.schema, &other.name)));
        let bytes = serde_json::to_vec_pretty(&manifest)?;
        Ok(Part {
            path: MANIFEST.into(),
            bytes,
        })
    };
    let mut stream = ExportStream {
        root: root(request.resource, &request.address.database),
        place: leader.place().to_owned(),
        tags,
        time: began_at,
        parts,
        last: Some(last),
        current: Cursor::default(),
    };
    let stored = thread::scope(|scope| {
        let work = &work;
        let first = sender.clone();
        scope.spawn(move || files.into_iter().try_for_each(|file| first.send(file)));
        for _ in 0..request.workers.max(1) {
            let sender = sender.clone();
            scope.spawn(move || work.run(&sender));
        }
        drop(sender);
        let stored = backup_stream(request.repository, &mut stream, &options);
        // Whoever still sends finds nobody.
        drop(stream);
        stored
    });
    match (
        work.trouble.into_inner().unwrap_or_else(PoisonError::into_inner),
        stored,
    ) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(error.into()),
        (None, Ok(report)) => Ok(ExportReport { report, manifest }),
    }
}
