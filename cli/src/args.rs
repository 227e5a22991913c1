//! The program's words.

mod postgres;
mod recovery;
mod repository;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use holdfast_core::domain::Moment;

pub use postgres::{
    PostgresCommand, PostgresExportOptions, PostgresExtractOptions, PostgresImportOptions, PostgresProveOptions,
    PostgresRestoreOptions, PrivateServer, RecoveryOptions, ServerAddress, ServerPlace, WalCommand,
};
pub use recovery::{
    CleanPointOptions, MoveOptions, ObserveOptions, PlanCommand, PlanOptions, ReportOptions, RunCommand, RunOptions,
    ServeOptions,
};
pub use repository::{Overwriting, RepositoryArguments, RepositoryCommand, RepositoryPlace};

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
    Serve(ServeOptions),
    /// Policies.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Back up a resource now.
    Backup(BackupOptions),
    /// List recovery points.
    Points(PointsOptions),
    /// Find the newest recovery point from before the damage: by what backups saw, and by tests of restored points.
    CleanPoint(CleanPointOptions),
    /// Prove every byte of a recovery point now.
    Verify(VerifyOptions),
    /// Restore a recovery point into a folder.
    Restore(RestoreOptions),
    /// Recovery plans: checked, drawn, written down for people, and run on a model.
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Run a drill of a recovery plan.
    Drill(DrillOptions),
    /// Move a workload while both sides work: nothing is lost.
    Switchover(MoveOptions),
    /// Move a workload away from a side that does not work.
    Failover(MoveOptions),
    /// Look at a run of a recovery plan, or tell it something.
    Run(RunOptions),
    /// Write the report of a run of a recovery plan as a page that prints.
    Report(ReportOptions),
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
    /// Guard the PostgreSQL server on this machine: it takes writes only while its Region has authority. Until stopped.
    Guard(GuardOptions),
    /// Look again and again whether a workload answers, and tell the server of the recovery Region. Until stopped.
    Observe(ObserveOptions),
    /// What a guard starts beside itself.
    #[command(subcommand, hide = true)]
    GuardChild(GuardChildCommand),
}

/// Options of `guard`.
#[derive(Debug, Args)]
pub struct GuardOptions {
    /// The guard's settings.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// Commands of `guard-child`.
#[derive(Debug, Subcommand)]
pub enum GuardChildCommand {
    /// End the server when the guard does not say in time that it may go on.
    Watch {
        /// The server's data folder.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
    /// Become a program that ends with the guard.
    Run {
        /// The guard's process.
        #[arg(long, value_name = "PID")]
        parent: u32,
        /// The program.
        program: PathBuf,
        /// Its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
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
    /// The recovery point: its id, the first digits of it, or RESOURCE@latest; with --to also the name of a server.
    pub point: String,
    /// Have a server recover to this moment, from the base backup and the log that lead there: `latest`, or a time with its
    /// zone, as in 2026-03-01T12:30:00+02:00.
    #[arg(long, value_name = "MOMENT")]
    pub to: Option<Moment>,
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
    /// The incident level that is rehearsed [default: the plan's first].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=4))]
    pub level: Option<u8>,
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
