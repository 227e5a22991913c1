//! The program's words.

mod postgres;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::repository::memory::{self, Memory};
use holdfast_core::config::Rate;

pub use postgres::{
    PostgresExportOptions, PostgresExtractOptions, PostgresImportOptions, PostgresProveOptions, PrivateServer,
    RecoveryOptions,
};

/// Backup and disaster recovery with proof.
///
/// Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 partial.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, propagate_version = true)]
pub struct Arguments {
    /// Print the result as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the whole of it on a private copy of real files: backup, proof, copy, damage, repair, loss, restore, drill.
    Demo(DemoOptions),
    /// Run the embedded server: scheduler and functions, until stopped.
    Serve(Place),
    /// Policies.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Back up a resource now.
    Backup(BackupOptions),
    /// List recovery points.
    Points(PointsOptions),
    /// Prove every byte of a recovery point now.
    Verify(VerifyOptions),
    /// Restore a recovery point into a folder.
    Restore(RestoreOptions),
    /// Run a drill of a recovery plan.
    Drill(DrillOptions),
    /// Signed evidence.
    #[command(subcommand)]
    Evidence(EvidenceCommand),
    /// The content engine by itself, on one repository in the restic format.
    Repository(RepositoryArguments),
    /// PostgreSQL servers: online base backups, their log as it is written, and restores to any point in time.
    #[command(subcommand)]
    Postgres(PostgresCommand),
    /// What a PostgreSQL server calls for its log: archive_command and restore_command.
    #[command(subcommand)]
    Wal(WalCommand),
}

/// Where the configuration and the data are.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "holdfast.toml")]
    pub config: PathBuf,
    /// The folder of the catalog, the keys and the Regions [default: holdfast-data beside the configuration file].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Options of `demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoOptions {
    /// The folder whose files to show it on; it is only read. Without it an application tree is generated.
    #[arg(long, value_name = "DIR")]
    pub source: Option<PathBuf>,
    /// The new folder that receives the private copy, the vaults and all else [default: holdfast-demo, or the next
    /// free name].
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Commands of `policy`.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Check a configuration file: every problem with its line, and what cannot work.
    Check {
        /// The configuration file.
        file: PathBuf,
    },
}

/// Options of `backup`.
#[derive(Debug, Args)]
pub struct BackupOptions {
    /// The resource.
    pub resource: String,
    /// Where the configuration and the data are.
    #[command(flatten)]
    pub place: Place,
}

/// Options of `points`.
#[derive(Debug, Args)]
pub struct PointsOptions {
    /// Only this resource.
    pub resource: Option<String>,
    /// Where the configuration and the data are.
    #[command(flatten)]
    pub place: Place,
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct VerifyOptions {
    /// The recovery point: its id or the first digits of it.
    pub point: String,
    /// The vault [default: every vault that holds it].
    #[arg(long)]
    pub vault: Option<String>,
    /// Where the configuration and the data are.
    #[command(flatten)]
    pub place: Place,
}

/// Options of `restore`.
#[derive(Debug, Args)]
pub struct RestoreOptions {
    /// The recovery point: its id, the first digits of it, or RESOURCE@latest.
    pub point: String,
    /// The folder that receives the content: absent or empty, unless --overwrite is given.
    #[arg(long, value_name = "DIR")]
    pub target: PathBuf,
    /// The vault to read from [default: the first that is proven].
    #[arg(long)]
    pub vault: Option<String>,
    /// Only what matches this pattern; may be given several times.
    #[arg(long, value_name = "PATTERN")]
    pub include: Vec<String>,
    /// Overwrite files that stand in the target and differ; others there are left alone.
    #[arg(long)]
    pub overwrite: bool,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Where the configuration and the data are.
    #[command(flatten)]
    pub place: Place,
}

/// Options of `drill`.
#[derive(Debug, Args)]
pub struct DrillOptions {
    /// The recovery plan.
    pub plan: String,
    /// Only simulate: evaluate the checks, change nothing.
    #[arg(long)]
    pub simulate: bool,
    /// Where the configuration and the data are.
    #[command(flatten)]
    pub place: Place,
}

/// Commands of `evidence`.
#[derive(Debug, Subcommand)]
pub enum EvidenceCommand {
    /// Check a whole chain of signed statements offline.
    Verify {
        /// The folder with the statements.
        dir: PathBuf,
        /// The public key, PEM.
        #[arg(long, value_name = "FILE")]
        public_key: PathBuf,
    },
}

/// Arguments of `repository`.
#[derive(Debug, Args)]
pub struct RepositoryArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: RepositoryCommand,
}

/// The repository to work on, and its password.
#[derive(Debug, Clone, Args)]
pub struct RepositoryPlace {
    /// The repository's folder, or s3://BUCKET/PREFIX where this program was built with S3.
    #[arg(long, value_name = "PLACE")]
    pub repo: PathBuf,
    /// A file with the password in its first line [default: the environment variable HOLDFAST_PASSWORD].
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// The most memory to take, the repository's index aside.
    #[arg(long, value_name = "SIZE", default_value = memory::DEFAULT)]
    pub memory: Memory,
}

/// Commands of `repository`.
#[derive(Debug, Subcommand)]
pub enum RepositoryCommand {
    /// Make a new repository.
    Init {
        /// The repository.
        #[command(flatten)]
        place: RepositoryPlace,
    },
    /// Back up files and folders.
    Backup {
        /// The repository.
        #[command(flatten)]
        place: RepositoryPlace,
        /// The files and folders, or s3://BUCKET/PREFIX where this program was built with S3.
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Leave out what matches this pattern; may be given several times.
        #[arg(long, value_name = "PATTERN")]
        exclude: Vec<String>,
        /// Only what matches this pattern; may be given several times.
        #[arg(long, value_name = "PATTERN")]
        include: Vec<String>,
        /// Tag the snapshot; may be given several times.
        #[arg(long)]
        tag: Vec<String>,
        /// Read every file again, whatever its metadata says.
        #[arg(long)]
        full: bool,
        /// Compare with this snapshot [default: the newest of the same paths and host].
        #[arg(long, value_name = "SNAPSHOT", conflicts_with = "full")]
        parent: Option<String>,
        /// Read with so many processes side by side, each with the memory of --memory; of one that dies others take over.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
        workers: u32,
        /// Store no more than this in a second, as in 50MB/s; with --workers each.
        #[arg(long, value_name = "RATE")]
        limit_upload: Option<Rate>,
        /// Be one of the workers: read slices from standard input.
        #[arg(long, hide = true)]
        worker: bool,
    },
    /// List snapshots.
    Snapshots {
        /// The repository.
        #[command(flatten)]
        place: RepositoryPlace,
    },
    /// List the content of a snapshot.
    Ls {
        /// The repository.
        #[command(flatten)]
        place: RepositoryPlace,
        /// The snapshot: its id, the first digits of it, or latest.
        snapshot: String,
    },
    /// Restore a snapshot; paths inside it are absolute, below the target.
    Restore {
        /// The repository.
        #[command(flatten)]
        place: RepositoryPlace,
        /// The snapshot: its id, the first digits of it, or latest.
        snapshot: String,
        /// The folder that receives it.
        #[arg(long, value_name = "DIR")]
        target: PathBuf,
        /// Only what matches this path or pattern; may be given several times.
        #[arg(long, value_name = "PATTERN")]
        include: Vec<String>,
        /// Overwrite files that stand in the target and differ; others there are left alone. "always" compares every byte,
        /// "if-changed" believes files that have the size and the time of the snapshot.
        #[arg(long, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "always")]
        overwrite: Option<Overwriting>,
    },
    /// Check the structure, and with --read-data every byte.
    Check {
        /// The repository.
        #[command(flatten)]
        place: RepositoryPlace,
        /// Read, decrypt and hash everything.
        #[arg(long)]
        read_data: bool,
    },
    /// Forget snapshots; their space is reclaimed by prune.
    Forget {
        /// The repository.
        #[command(flatten)]
        place: RepositoryPlace,
        /// The snapshots.
        #[arg(required = true)]
        snapshots: Vec<String>,
    },
    /// Reclaim space in two phases: condemn packs that nothing needs, delete those condemned long enough ago.
    Prune {
        /// The repository.
        #[command(flatten)]
        place: RepositoryPlace,
        /// How long a pack stays condemned before it is deleted; longer than the longest backup.
        #[arg(long, value_name = "SPAN", default_value = "1d")]
        grace: String,
        /// Say what would be done, and do nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Copy snapshots verbatim into another repository, which is made if it does not exist.
    Copy {
        /// The repository.
        #[command(flatten)]
        place: RepositoryPlace,
        /// The other repository's folder, or its address on S3.
        #[arg(long, value_name = "PLACE")]
        to: PathBuf,
        /// Only these snapshots [default: all].
        #[arg(value_name = "SNAPSHOT")]
        snapshots: Vec<String>,
    },
}

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

/// What a restore overwrites.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Overwriting {
    /// Whatever differs.
    Always,
    /// Whatever differs, of files whose size or time differs.
    IfChanged,
}
