//! What recovery plans are asked with, and the search for a clean point.

use std::path::PathBuf;

use clap::{Args, Subcommand};
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
    /// Tell guards who may write, at this address, as in 10.0.0.5:7080.
    #[arg(long, value_name = "ADDRESS", requires = "token_file")]
    pub authority: Option<std::net::SocketAddr>,
    /// The file whose first line is the secret that guards show.
    #[arg(long, value_name = "FILE", requires = "authority")]
    pub token_file: Option<PathBuf>,
    /// Where the configuration and the data are.
    #[command(flatten)]
    pub place: Place,
}

/// A move of a workload.
#[derive(Debug, Args)]
pub struct MoveOptions {
    /// The recovery plan.
    pub plan: String,
    /// Who asks for it.
    #[arg(long, value_name = "NAME")]
    pub by: String,
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
