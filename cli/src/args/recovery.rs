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
