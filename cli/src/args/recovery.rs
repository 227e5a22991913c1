//! What recovery plans are asked with, and the search for a clean point.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use holdfast_core::domain::{Span, WorkloadName};
use holdfast_core::planning::Outage;

use super::Place;

/// A recovery plan of a configuration.
#[derive(Debug, Args)]
pub struct PlanOptions {
    /// The recovery plan.
    pub plan: String,
    /// Where the configuration and the data are.
    #[command(flatten)]
    pub place: Place,
}

/// Commands of `plan`. None of them changes anything.
#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// Say what of a plan cannot work, and what its author should know.
    Check {
        /// The recovery plan [default: every one].
        plan: Option<String>,
        /// Where the configuration and the data are.
        #[command(flatten)]
        place: Place,
    },
    /// Draw a plan, in Mermaid's notation.
    Show(PlanOptions),
    /// Write the runbook of a plan, in Markdown.
    Runbook(PlanOptions),
    /// Run a plan on a model: which steps still run when something is not there, and how long they take by what was measured.
    Simulate {
        /// The recovery plan.
        #[command(flatten)]
        of: PlanOptions,
        /// What is not there: region, route53-control-plane, iam-sts, dynamodb-home, lambda-slow, restore-api or health-checks;
        /// may be given several times [default: each of them, after a day on which all is well].
        #[arg(long, value_name = "OUTAGE")]
        outage: Vec<Outage>,
    },
}

/// Options of `clean-point`.
#[derive(Debug, Args)]
pub struct CleanPointOptions {
    /// The resource.
    pub resource: String,
    /// A recovery point that was restored, tested and found good; may be given several times.
    #[arg(long, value_name = "POINT")]
    pub good: Vec<String>,
    /// A recovery point that was restored, tested and found bad; may be given several times.
    #[arg(long, value_name = "POINT")]
    pub bad: Vec<String>,
    /// Where the configuration and the data are.
    #[command(flatten)]
    pub place: Place,
}

/// Options of `report`.
#[derive(Debug, Args)]
pub struct ReportOptions {
    /// The run: its id or the first digits of it. One that is not known is answered with the latest ones.
    pub run: String,
    /// The file that receives the page.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub page: PathBuf,
    /// Where the configuration and the data are.
    #[command(flatten)]
    pub place: Place,
}

/// The server.
#[derive(Debug, Args)]
pub struct ServeOptions {
    /// Tell guards who may write, and hear observers, at this address, as in 10.0.0.5:7080.
    #[arg(long, value_name = "ADDRESS", requires = "token_file")]
    pub authority: Option<std::net::SocketAddr>,
    /// The file whose first line is the secret that guards and observers show.
    #[arg(long, value_name = "FILE", requires = "authority")]
    pub token_file: Option<PathBuf>,
    /// Where the configuration and the data are.
    #[command(flatten)]
    pub place: Place,
}

/// What to look at, from where, and whom to tell.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("question").required(true).args(["http", "tcp"])))]
pub struct ObserveOptions {
    /// The workload.
    pub workload: WorkloadName,
    /// The name of the place that this program looks from. Each place counts once, however many look from it.
    #[arg(long, value_name = "NAME")]
    pub place: String,
    /// The workload is up when this address (http://) answers.
    #[arg(long, value_name = "URL")]
    pub http: Option<String>,
    /// With this status.
    #[arg(long, value_name = "STATUS", default_value_t = 200, requires = "http")]
    pub status: u16,
    /// The workload is up when this address, as in 10.0.0.3:5432, takes a connection.
    #[arg(long, value_name = "ADDRESS")]
    pub tcp: Option<String>,
    /// Where `holdfast serve --authority` listens, as in http://10.0.0.5:7080; may be given several times, for paths that fail apart.
    #[arg(long, value_name = "URL", required = true)]
    pub authority: Vec<String>,
    /// The file whose first line is the secret that this server knows its callers by.
    #[arg(long, value_name = "FILE")]
    pub token_file: PathBuf,
    /// How often to look.
    #[arg(long, value_name = "SPAN", default_value = "5s")]
    pub every: Span,
}

/// A move of a workload.
#[derive(Debug, Args)]
pub struct MoveOptions {
    /// The recovery plan.
    pub plan: String,
    /// Who asks for it.
    #[arg(long, value_name = "NAME")]
    pub by: String,
    /// The incident level [default: the plan's first].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=4))]
    pub level: Option<u8>,
    /// Where the configuration and the data are.
    #[command(flatten)]
    pub place: Place,
}

/// What a run is told.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// The run.
    pub run: String,
    /// What to tell it.
    #[command(subcommand)]
    pub command: RunCommand,
    /// Who says it.
    #[arg(long, value_name = "NAME", global = true, default_value = "nobody named")]
    pub by: String,
    /// Where the configuration and the data are.
    #[command(flatten)]
    pub place: Place,
}

/// What a run can be told.
#[derive(Debug, Subcommand)]
pub enum RunCommand {
    /// Only say how far it is.
    Status,
    /// Begin nothing more until told to go on.
    Pause,
    /// Go on; one that is stuck tries again what failed.
    Resume,
    /// Say that you know of it and take care of it: no other contact is told.
    Acknowledge,
    /// Take back what was changed, and end.
    Abort {
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Go on without a step.
    Skip {
        /// The step.
        step: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Agree to a step that waits for people.
    Approve {
        /// The step.
        step: String,
    },
}
