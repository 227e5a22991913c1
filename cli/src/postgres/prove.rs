//! `postgres prove`.

use std::fs;
use std::path::Path;

use holdfast_core::domain::Checks;
use holdfast_sources::postgres::trial::{TrialRequest, TrialVerdict, run as try_out};
use serde_json::json;

use super::isolated::with_cluster;
use super::of_kind;
use crate::args::PostgresProveOptions;
use crate::error::{CliError, Done};
use crate::output::{self, say};
use crate::repository::interrupt::Interrupt;

/// Tries a backup; failed where it does not hold.
pub fn run(options: &PostgresProveOptions, interrupt: &Interrupt, json: bool) -> Result<Done, CliError> {
    let checks = options
        .checks
        .as_deref()
        .map_or_else(|| Ok(Checks::default()), checks)?;
    let verdict = with_cluster(
        &options.kept,
        &options.recovery,
        &options.server,
        interrupt,
        |cluster| {
            let request = TrialRequest {
                cluster,
                checks: &checks,
            };
            try_out(&request).map_err(|error| of_kind(error.kind(), &error))
        },
    )?;
    if json {
        let (level, passed) = (verdict.level(), verdict.passed());
        output::json(&json!({ "level": level, "passed": passed, "findings": verdict.findings() }))?;
    } else {
        print(&verdict);
    }
    Ok(if verdict.passed() { Done::Done } else { Done::Failed })
}

fn checks(path: &Path) -> Result<Checks, CliError> {
    let usage = |error: &dyn std::fmt::Display| CliError::usage(format!("{}: {error}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| usage(&error))?;
    toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = 1 + before.matches('\n').count();
        usage(&format!("line {line}: {}", error.message()))
    })
}

fn print(verdict: &TrialVerdict) {
    let held = if verdict.passed() { "proven" } else { "NOT proven" };
    say!("base backup {}: {:?} {held}", verdict.base.short(), verdict.level());
    if let Some(recovered) = &verdict.recovered {
        let at = recovered.last_commit_at.map(output::time);
        let at = at.map_or_else(String::new, |at| format!(", last commit at {at}"));
        say!(
            "  recovered to {}{at}, in {}",
            recovered.lsn,
            output::seconds(verdict.times.recovery_time().as_secs_f64())
        );
        let counts = &verdict.counts;
        say!(
            "  looked at: {} databases, {} tables, {} indexes, {} pages; {} rows counted",
            counts.databases,
            counts.heaps,
            counts.indexes,
            counts.pages,
            counts.rows
        );
    }
    if !verdict.answers.is_empty() {
        let held = verdict.answers.iter().filter(|answer| answer.passed).count();
        say!(
            "  {held} of {} statements gave the answer that they must",
            verdict.answers.len()
        );
    }
    if let Some(beat) = &verdict.heartbeat {
        let loss = beat.data_loss_seconds.map(output::seconds);
        let loss = loss.map_or_else(String::new, |loss| format!(": {loss} are lost"));
        say!("  last heartbeat at {}{loss}", output::time(beat.at));
    }
    for what in &verdict.unchecked {
        say!("  not looked at: {what}");
    }
    for fault in &verdict.faults {
        say!("  FAULT: {fault}");
    }
    let more = verdict.fault_count - verdict.faults.len() as u64;
    if more > 0 {
        say!("  and {more} more faults");
    }
}
