//! Words of the commands that recover a cluster.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::{ServerAddress, ServerPlace};

/// Where a recovery starts and ends.
#[derive(Debug, Args)]
pub struct RecoveryOptions {
    /// Recover to "latest", the end of the log (the default), or "immediate", the first consistent state.
    #[arg(long, value_name = "WORD")]
    pub to: Option<String>,
    /// Recover to a time with its zone, as in 2026-03-01T12:00:00+01:00.
    #[arg(long)]
    pub time: Option<String>,
    /// Recover to a position of the log, as in 16/B374D848.
    #[arg(long)]
    pub lsn: Option<String>,
    /// Recover to the end of a transaction.
    #[arg(long, value_name = "XID")]
    pub transaction: Option<String>,
    /// Recover to a point that was named with pg_create_restore_point.
    #[arg(long, value_name = "NAME")]
    pub point: Option<String>,
    /// Along this timeline: "latest" (the default), "current" (that of the base backup), or a number.
    #[arg(long)]
    pub timeline: Option<String>,
    /// End right before a time, position or transaction.
    #[arg(long)]
    pub exclusive: bool,
    /// Start from this base backup [default: the newest that is before the target].
    #[arg(long, value_name = "SNAPSHOT")]
    pub base: Option<String>,
}

/// A server that is started over a restored cluster for as long as a command takes. Nobody else reaches it.
#[derive(Debug, Args)]
pub struct PrivateServer {
    /// A folder with room for the cluster; a private one is made in it and removed again. For root it must belong to the user
    /// who may run servers.
    #[arg(long, value_name = "DIR")]
    pub folder: PathBuf,
    /// The superuser of the cluster.
    #[arg(long, value_name = "ROLE", default_value = "postgres")]
    pub superuser: String,
    /// Where PostgreSQL's programs of the cluster's version are [default: /usr/lib/postgresql/VERSION/bin].
    #[arg(long, value_name = "DIR")]
    pub programs: Option<PathBuf>,
}

/// A trial of a backup.
#[derive(Debug, Args)]
pub struct PostgresProveOptions {
    /// Where the backups are.
    #[command(flatten)]
    pub kept: ServerPlace,
    /// The server to be.
    #[command(flatten)]
    pub server: PrivateServer,
    /// Where to.
    #[command(flatten)]
    pub recovery: RecoveryOptions,
    /// Statements that must give the right answer, and the heartbeat, in TOML.
    #[arg(long, value_name = "FILE")]
    pub checks: Option<PathBuf>,
}

/// One database, or tables of it, out of a backup.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("destination").required(true).args(["file", "into"])))]
pub struct PostgresExtractOptions {
    /// Where the backups are.
    #[command(flatten)]
    pub kept: ServerPlace,
    /// The database.
    #[arg(long, value_name = "NAME")]
    pub database: String,
    /// Only this table, as schema.table, or table where one schema alone has it; may be given several times.
    #[arg(long, value_name = "TABLE")]
    pub table: Vec<String>,
    /// A new file: of statements where its name ends in .sql, an archive for pg_restore otherwise.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// A database of a server, which must be there: "host=db user=admin dbname=shop". All of it goes there, or nothing.
    #[arg(long, value_name = "CONNECTION")]
    pub into: Option<String>,
    /// A file with that role's password in its first line, and nothing else.
    #[arg(long, value_name = "FILE", requires = "into")]
    pub into_password_file: Option<PathBuf>,
    /// Leave out owners and rights, for a server that does not have the same roles.
    #[arg(long)]
    pub no_owner: bool,
    /// The server to take it from.
    #[command(flatten)]
    pub server: PrivateServer,
    /// Where to recover to before.
    #[command(flatten)]
    pub recovery: RecoveryOptions,
}

/// A logical export.
#[derive(Debug, Args)]
pub struct PostgresExportOptions {
    /// Where to.
    #[command(flatten)]
    pub kept: ServerPlace,
    /// The server, with the database to export as its dbname.
    #[command(flatten)]
    pub address: ServerAddress,
    /// Where PostgreSQL's client programs are, of the server's version or a later one [default: /usr/lib/postgresql/VERSION/bin].
    #[arg(long, value_name = "DIR")]
    pub programs: Option<PathBuf>,
    /// Tables that are copied at one time.
    #[arg(long, value_name = "N", default_value = "4")]
    pub jobs: NonZeroUsize,
}

/// An import of a logical export.
#[derive(Debug, Args)]
pub struct PostgresImportOptions {
    /// Where the exports are.
    #[command(flatten)]
    pub kept: ServerPlace,
    /// The database that was exported.
    #[arg(long, value_name = "NAME")]
    pub database: String,
    /// This export [default: the newest].
    #[arg(long, value_name = "SNAPSHOT")]
    pub export: Option<String>,
    /// Only this table, as schema.table, or table where one schema alone has it; may be given several times.
    #[arg(long, value_name = "TABLE")]
    pub table: Vec<String>,
    /// A database of a server, which must be there, without what is imported: "host=db user=admin dbname=shop".
    #[arg(long, value_name = "CONNECTION")]
    pub into: String,
    /// A file with that role's password in its first line, and nothing else.
    #[arg(long, value_name = "FILE")]
    pub into_password_file: Option<PathBuf>,
    /// Leave out owners and rights, for a server that does not have the same roles.
    #[arg(long)]
    pub no_owner: bool,
    /// Where PostgreSQL's client programs are, of the servers' version or a later one [default: /usr/lib/postgresql/VERSION/bin].
    #[arg(long, value_name = "DIR")]
    pub programs: Option<PathBuf>,
    /// Tables that are copied, and indexes that are built, at one time.
    #[arg(long, value_name = "N", default_value = "4")]
    pub jobs: NonZeroUsize,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use crate::args::Arguments;

    #[test]
    fn no_two_words_of_a_command_are_the_same() {
        Arguments::command().debug_assert();
    }
}
