//! One database, or some of its tables, out of the backup of a whole cluster: the cluster is restored to a private folder, a
//! server recovers over it, and PostgreSQL's own `pg_dump` takes from it what is wanted, into a file or another server.

mod dump;
mod names;

use std::path::{Path, PathBuf};

use holdfast_core::domain::FailureKind;

use super::address::Address;
use super::error::PostgresError;
use super::isolated::{IsolatedError, Prepared, Recovered, Request, Server};
use super::running::ProgramError;
use holdfast_repository::Id;

/// Where what is extracted goes.
#[derive(Clone, Copy, Debug)]
pub enum Destination<'a> {
    /// A new file: of statements where its name ends in `.sql`, an archive for `pg_restore` otherwise.
    File(&'a Path),
    /// The address's database, which has to be there, in one transaction: all of it or nothing.
    Server(&'a Address),
}

/// What to extract.
#[derive(Clone, Copy)]
pub struct ExtractRequest<'a> {
    /// The cluster, and where its server runs.
    pub cluster: Request<'a>,
    /// The database.
    pub database: &'a str,
    /// Tables of it, as `schema.table`, or `table` where only one schema has it; none for all of the database.
    pub tables: &'a [String],
    /// Where it goes.
    pub to: Destination<'a>,
    /// Whether owners and rights are left out, for servers that do not have the same roles.
    pub without_owners: bool,
}

/// What was extracted.
#[derive(Clone, Debug)]
pub struct Extracted {
    /// The base backup.
    pub base: Id,
    /// How far the server recovered.
    pub recovered: Recovered,
    /// The tables, with the partitions of those that have some; none where it was the whole database.
    pub tables: Vec<String>,
}

/// Why nothing was extracted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// There is no server over the backup.
    #[error(transparent)]
    Isolated(#[from] IsolatedError),
    /// There is no such database.
    #[error("the cluster has no database {name}: it has {known}")]
    UnknownDatabase {
        /// Its name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// There is no such table.
    #[error("database {database} has no table {name}: it has {known}")]
    UnknownTable {
        /// The database.
        database: String,
        /// The table.
        name: String,
        /// Some of those that there are.
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
    /// The file is there already.
    #[error("{} is there already: name another file, or remove it", .0.display())]
    Exists(PathBuf),
    /// A program of PostgreSQL failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

impl From<PostgresError> for ExtractError {
    fn from(error: PostgresError) -> ExtractError {
        IsolatedError::from(error).into()
    }
}

impl ExtractError {
    /// What a caller can do about it.
    pub fn kind(&self) -> FailureKind {
        match self {
            ExtractError::Isolated(error) => error.kind(),
            ExtractError::UnknownDatabase { .. }
            | ExtractError::UnknownTable { .. }
            | ExtractError::Ambiguous { .. }
            | ExtractError::Exists(_) => FailureKind::Invalid,
            ExtractError::Program(_) => FailureKind::Transient,
        }
    }
}

/// Extracts. The private server and its folder are gone in the end, however it ends.
pub fn extract(request: &ExtractRequest<'_>) -> Result<Extracted, ExtractError> {
    if let Destination::File(path) = request.to
        && path.symlink_metadata().is_ok()
    {
        return Err(ExtractError::Exists(path.to_owned()));
    }
    let prepared = request.cluster.prepare()?;
    let extracted = take(request, &prepared);
    let removed = prepared.scratch.remove();
    let extracted = extracted?;
    removed?;
    Ok(extracted)
}

fn take(request: &ExtractRequest<'_>, prepared: &Prepared) -> Result<Extracted, ExtractError> {
    // Before the work: what is missing here would only be found missing at its end.
    prepared.programs.path("pg_dump")?;
    prepared.scratch.restore(&request.cluster, &prepared.base)?;
    let (server, recovered) = Server::recover(
        &prepared.scratch,
        &prepared.programs,
        &prepared.archive,
        &request.cluster,
    )?;
    names::require_database(&server, request.database)?;
    let tables = names::find(&server, request.database, request.tables)?;
    dump::dump(request, prepared, &server, &tables)?;
    Ok(Extracted {
        base: prepared.base.base.snapshot,
        recovered,
        tables,
    })
}
