//! The words of `repository`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use holdfast_core::config::Rate;

use crate::repository::memory::{self, Memory};

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
        /// Prune afterwards.
        #[arg(long)]
        prune: bool,
        /// How long a pack stays condemned before it is deleted; longer than the longest backup.
        #[arg(long, value_name = "SPAN", default_value = "1d", requires = "prune")]
        grace: String,
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

/// What a restore overwrites.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Overwriting {
    /// Whatever differs.
    Always,
    /// Whatever differs, of files whose size or time differs.
    IfChanged,
}
