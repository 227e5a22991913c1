//! All databases of a restored cluster, one after the other, each over several connections.

use std::sync::{Mutex, PoisonError};
use std::thread;

use holdfast_core::domain::Level;

use super::super::base_backup::layout;
use super::super::connection::Connection;
use super::super::error::PostgresError;
use super::super::isolated::{DATABASE, IsolatedError, Server};
use super::super::pages::Layout;
use super::relation::{HEAPS_SINCE, Relation, Seen, list, look};
use super::{Check, Fault, TableRows, TrialVerdict};

/// Where `amcheck` goes in a database that does not have it.
const SCHEMA: &str = "holdfast_trial";
/// What a check says that waited for a lock in vain.
const LOCKED: &str = "55P03";

/// What goes wrong with a question to the server.
enum Trouble {
    /// Somebody asked to stop.
    Stopped,
    /// The server is gone, or short of what its machine gives it.
    Gone(String),
    /// What was asked is locked.
    Locked,
    /// The server says that it cannot be.
    Fault(String),
}

impl From<PostgresError> for Trouble {
    fn from(error: PostgresError) -> Trouble {
        match error.report() {
            _ if matches!(error, PostgresError::Stopped { .. }) => Trouble::Stopped,
            _ if error.is_of_the_machine() => Trouble::Gone(error.to_string()),
            Some(report) if report.code == LOCKED => Trouble::Locked,
            Some(report) => Trouble::Fault(report.to_string()),
            None => Trouble::Fault(error.to_string()),
        }
    }
}

/// Looks through all databases; how pages are laid out, where they have checksums.
pub(super) fn all(
    server: &Server<'_>,
    workers: usize,
    verdict: &mut TrialVerdict,
) -> Result<Option<Layout>, IsolatedError> {
    let mut connection = server.connect(DATABASE)?;
    let layout = layout(&mut connection)?;
    let rows = connection
        .query("SELECT datname, datallowconn FROM pg_database ORDER BY datname")?
        .rows;
    drop(connection);
    for row in rows {
        let name = row.text(0).unwrap_or_default();
        match row.text(1) {
            Some("t") => {}
            _ if name == "template0" => continue,
            _ => {
                verdict.leave(format!("database {name}: it lets nobody in"));
                continue;
            }
        }
        match one(server, name, workers, verdict) {
            Ok(()) => verdict.counts.databases += 1,
            Err(Trouble::Stopped) => return Err(IsolatedError::Stopped),
            Err(Trouble::Locked) => verdict.leave(format!("database {name}: somebody's prepared transaction locks it")),
            Err(Trouble::Fault(reason)) => {
                verdict.add(Fault::of(Level::L4, Check::Database, reason).in_database(name));
            }
            Err(Trouble::Gone(reason)) => {
                let said = format!("database {name}: {reason}");
                return Err(IsolatedError::Gone { said });
            }
        }
    }
    Ok(layout)
}

fn one(server: &Server<'_>, database: &str, workers: usize, verdict: &mut TrialVerdict) -> Result<(), Trouble> {
    let mut connection = server.connect(database)?;
    let schema = amcheck(&mut connection)?;
    if schema.is_none() {
        verdict.leave(format!(
            "database {database}: heaps and indexes, as amcheck is not installed (postgresql-contrib)"
        ));
    } else if connection.major() < HEAPS_SINCE {
        verdict.leave(format!(
            "database {database}: heaps, which amcheck looks through from PostgreSQL {HEAPS_SINCE} on"
        ));
    }
    let relations = list(&mut connection, schema.is_some())?;
    drop(connection);
    let schema = schema.unwrap_or_default();
    let waiting = Mutex::new(relations.into_iter());
    let found = Mutex::new(Vec::new());
    let work = || -> Result<(), Trouble> {
        let mut connection = server.connect(database)?;
        loop {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(relation) = next else { return Ok(()) };
            let outcome = look(&mut connection, &relation, &schema).map_err(Trouble::from);
            let gone = match &outcome {
                Err(Trouble::Stopped) => return Err(Trouble::Stopped),
                Err(Trouble::Gone(reason)) => Some(format!("while {} was looked at: {reason}", relation.name)),
                _ => None,
            };
            found
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((relation, outcome));
            if let Some(reason) = gone {
                return Err(Trouble::Gone(reason));
            }
        }
    };
    let ended: Vec<Result<(), Trouble>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers.max(1)).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(thread::ScopedJoinHandle::join);
        joined
            .map(|outcome| outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by(|(one, _), (other, _)| (one.check, &one.name).cmp(&(other.check, &other.name)));
    for (relation, outcome) in found {
        note(database, &relation, outcome, verdict);
    }
    ended.into_iter().collect()
}

/// The schema of `amcheck`, which is made where the server has it; `None` where it has not.
fn amcheck(connection: &mut Connection) -> Result<Option<String>, Trouble> {
    let known = "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace \
        WHERE e.extname = 'amcheck'";
    if let Some(row) = connection.query(known)?.rows.first() {
        let schema = connection.required(row, 0)?.to_owned();
        connection.query("ALTER EXTENSION amcheck UPDATE")?;
        return Ok(Some(schema));
    }
    let available = "SELECT 1 FROM pg_available_extensions WHERE name = 'amcheck'";
    if connection.query(available)?.rows.is_empty() {
        return Ok(None);
    }
    connection.query(&format!(
        "CREATE SCHEMA {SCHEMA}; CREATE EXTENSION amcheck SCHEMA {SCHEMA}"
    ))?;
    Ok(Some(SCHEMA.to_owned()))
}

fn note(database: &str, relation: &Relation, outcome: Result<Seen, Trouble>, verdict: &mut TrialVerdict) {
    let seen = match outcome {
        Ok(seen) => seen,
        Err(Trouble::Locked) => {
            return verdict.leave(format!(
                "database {database}: {}, which somebody's prepared transaction locks",
                relation.name
            ));
        }
        Err(Trouble::Fault(reason)) => {
            let fault = Fault::of(Level::L4, relation.check, reason);
            return verdict.add(fault.in_database(database).at(&relation.name));
        }
        // Told once, for the database.
        Err(Trouble::Gone(_) | Trouble::Stopped) => return,
    };
    for fault in seen.faults {
        verdict.add(fault.in_database(database));
    }
    match relation.check {
        Check::Heap => verdict.counts.heaps += 1,
        Check::Index => verdict.counts.indexes += 1,
        _ => {}
    }
    if let Some((rows, is_exact)) = seen.rows {
        verdict.counts.rows += if is_exact { rows } else { 0 };
        verdict.tables.push(TableRows {
            database: database.to_owned(),
            table: relation.name.clone(),
            rows,
            is_exact,
        });
    }
}
