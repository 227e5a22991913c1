//! `holdfast run`: how far a run of a recovery plan is, and what people tell it.

use serde_json::{Value, json};

use crate::args::{RunCommand, RunOptions};
use crate::embedded::Session;
use crate::error::{CliError, Done};
use crate::output;
use crate::output::say;

/// Tells a run something, or only looks at it.
pub async fn tell(options: RunOptions, json: bool) -> Result<Done, CliError> {
    let (session, _) = Session::open(&options.place).await?;
    let (run, by) = (options.run, options.by);
    let told = |word: &str| json!({ "run": run, "instruct": word, "by": by });
    let with = |word: &str, more: &[(&str, String)]| {
        let mut payload = told(word);
        for (key, value) in more {
            payload[*key] = json!(value);
        }
        payload
    };
    let payload = match options.command {
        RunCommand::Status => json!({ "status": run }),
        RunCommand::Pause => told("pause"),
        RunCommand::Resume => told("resume"),
        RunCommand::Acknowledge => told("acknowledge"),
        RunCommand::Abort { reason } => with("abort", &[("reason", reason)]),
        RunCommand::Skip { step, reason } => with("skip", &[("step", step), ("reason", reason)]),
        RunCommand::Approve { step } => with("approve", &[("step", step)]),
    };
    let standing = holdfast_dr_failover::answer(&session.system.world, &payload).await?;
    if json {
        output::json(&standing)?;
    } else {
        print(&standing);
    }
    Ok(Done::Done)
}

fn print(standing: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, plan, state) = (&standing["kind"], &standing["plan"], &standing["state"]);
    say!("{} of {}: {}", text(kind), text(plan), text(state));
    for step in standing["steps"].as_array().into_iter().flatten() {
        let (state, name, note) = (text(&step["state"]), text(&step["name"]), text(&step["note"]));
        say!("{state:<9} {name:<20} {note}");
    }
    for (key, word) in [("went_back", "went back"), ("stuck", "STUCK")] {
        if let Some(why) = standing[key].as_str() {
            say!("{word}: {why}");
        }
    }
}
