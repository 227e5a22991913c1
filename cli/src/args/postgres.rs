//! The words of `postgres` and `wal`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use super::RepositoryPlace;

/// Where backups of a server are kept.
#[derive(Debug, Clone, Args)]
pub struct ServerPlace {
    /// The repository.
    #[command(flatten)]
    pub place: RepositoryPlace,
    /// What the server is called in the repository: letters, digits, - and _.
    #[arg(long, value_name = "NAME")]
    pub name: String,
}

/// How a server is reached.
#[derive(Debug, Clone, Args)]
pub struct ServerAddress {
    /// The server, as PostgreSQL's own programs take it: "host=db user=backup" or postgresql://backup@db.
    #[arg(long, value_name = "CONNECTION")]
    pub server: String,
    /// A file with the role's password in its first line, and nothing else.
    #[arg(long, value_name = "FILE")]
    pub server_password_file: Option<PathBuf>,
}

/// Commands of `postgres`.
#[derive(Debug, Subcommand)]
pub enum PostgresCommand {
    /// Say whether a server can be backed up, and what stands in the way.
    Check {
        /// The server.
        #[command(flatten)]
        address: ServerAddress,
        /// The replication slot that should be there.
        #[arg(long)]
        slot: Option<String>,
    },
    /// Back up the whole cluster while it runs.
    Backup {
        /// Where to.
        #[command(flatten)]
        kept: ServerPlace,
        /// The server.
        #[command(flatten)]
        address: ServerAddress,
        /// Read everything, also where the server can tell what changed.
        #[arg(long)]
        full: bool,
    },
    /// Keep the server's log, second by second, until stopped.
    Receive {
        /// Where to.
        #[command(flatten)]
        kept: ServerPlace,
        /// The server.
        #[command(flatten)]
        address: ServerAddress,
        /// The replication slot that has the server keep its log for this.
        #[arg(long)]
        slot: String,
        /// Make the slot if it is not there.
        #[arg(long)]
        create_slot: bool,
        /// A folder that takes the log first; it must outlive this program.
        #[arg(long, value_name = "DIR")]
        spool: PathBuf,
        /// Store the segment that is not full this often.
        #[arg(long, value_name = "SPAN", default_value = "1m")]
        partial_every: String,
        /// End when all is kept that the server has now, as a scheduled pull.
        #[arg(long)]
        once: bool,
    },
    /// List base backups, and from when until when the server can be restored.
    Windows {
        /// Where they are.
        #[command(flatten)]
        kept: ServerPlace,
    },
    /// Forget old base backups, and the log that no base backup which stays needs; `repository prune` reclaims their space.
    Forget {
        /// Where they are.
        #[command(flatten)]
        kept: ServerPlace,
        /// How many of the newest base backups stay.
        #[arg(long, value_name = "N")]
        keep_last: NonZeroUsize,
        /// Say what would be forgotten, and do nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Make a data folder that recovers to where it is told once a server is started over it.
    Restore(PostgresRestoreOptions),
    /// Prove a backup: restore it to a private folder, start a server over it, recover, check everything, and remove it again.
    Prove(Box<PostgresProveOptions>),
    /// Take one database, or tables of it, out of a backup, over a private server that is gone afterwards.
    Extract(Box<PostgresExtractOptions>),
    /// Export one database, all tables as of one moment, from a server that allows no replication.
    Export(Box<PostgresExportOptions>),
    /// Import an export, or some of its tables, into a database.
    Import(Box<PostgresImportOptions>),
}

/// A restore of a cluster.
#[derive(Debug, Args)]
pub struct PostgresRestoreOptions {
    /// Where the backups are.
    #[command(flatten)]
    pub kept: ServerPlace,
    /// The data folder to be: absent or empty, unless --overwrite is given.
    #[arg(long, value_name = "DIR")]
    pub target: PathBuf,
    /// Where to.
    #[command(flatten)]
    pub recovery: RecoveryOptions,
    /// Restore over another state of the same cluster, which must stand still: only what differs is written, and what is not
    /// in the base backup is removed.
    #[arg(long)]
    pub overwrite: bool,
    /// Put a tablespace elsewhere, by its number; may be given several times.
    #[arg(long, value_name = "OID=DIR")]
    pub tablespace: Vec<String>,
}

/// Commands of `wal`.
#[derive(Debug, Subcommand)]
pub enum WalCommand {
    /// Store a finished file of the log: archive_command = 'holdfast wal push --repo … --name … "%p"'.
    Push {
        /// Where to.
        #[command(flatten)]
        kept: ServerPlace,
        /// The file.
        #[arg(value_name = "PATH")]
        path: PathBuf,
    },
    /// Give a file of the log back: restore_command = 'holdfast wal fetch --repo … --name … %f "%p"'. Exit code 1 says that it
    /// is not stored; one above 125, which ends the recovery, that it cannot be read.
    Fetch {
        /// Where from.
        #[command(flatten)]
        kept: ServerPlace,
        /// The file's name.
        #[arg(value_name = "FILE")]
        file: String,
        /// Where to put it.
        #[arg(value_name = "PATH")]
        path: PathBuf,
    },
}

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
