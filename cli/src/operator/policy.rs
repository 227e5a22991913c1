//! `holdfast policy check`.

use holdfast_core::config::parse;
use holdfast_core::ports::Clock;
use holdfast_local::SystemClock;
use serde_json::json;

use crate::args::PolicyCommand;
use crate::error::{CliError, Done};
use crate::output;
use crate::output::say;

/// Checks a configuration file and prints every problem and every remark with its line.
pub fn run(command: &PolicyCommand, as_json: bool) -> Result<Done, CliError> {
    let PolicyCommand::Check { file } = command;
    let text = std::fs::read_to_string(file)
        .map_err(|error| CliError::usage(format!("{} cannot be read: {error}", file.display())))?;
    match parse(&text, SystemClock.now()) {
        Ok(config) => {
            let remarks: Vec<_> = config
                .warnings
                .iter()
                .map(|(line, finding)| (line, &finding.subject, &finding.message))
                .collect();
            if as_json {
                let remarks: Vec<_> = remarks
                    .iter()
                    .map(|(line, subject, message)| json!({ "line": line, "subject": subject, "message": message }))
                    .collect();
                output::json(&json!({ "problems": [], "remarks": remarks }))?;
                return Ok(Done::Done);
            }
            for (line, subject, message) in remarks {
                say!("{}:{line}: {subject}: {message}", file.display());
            }
            say!(
                "{} policies and {} recovery plans can be put into force",
                config.policies.len(),
                config.plans.len()
            );
            Ok(Done::Done)
        }
        Err(problems) => {
            if as_json {
                let problems: Vec<_> = problems
                    .iter()
                    .map(
                        |problem| json!({ "line": problem.line, "column": problem.column, "message": problem.message }),
                    )
                    .collect();
                output::json(&json!({ "problems": problems, "remarks": [] }))?;
            }
            let listed: Vec<String> = problems
                .iter()
                .map(|problem| {
                    format!(
                        "{}:{}:{}: {}",
                        file.display(),
                        problem.line,
                        problem.column,
                        problem.message
                    )
                })
                .collect();
            Err(CliError::usage(format!(
                "{} problems\n{}",
                problems.len(),
                listed.join("\n")
            )))
        }
    }
}
