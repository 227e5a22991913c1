//! `postgres check`.

use holdfast_sources::postgres::{Expectations, ServerFacts, find_problems};
use serde_json::json;

use super::{address, client, failed};
use crate::args::ServerAddress;
use crate::error::{CliError, Done};
use crate::output::{self, say};
use crate::repository::interrupt::Interrupt;

/// Asks the server and says what stands in the way; failed where backups would not work.
pub fn run(server: &ServerAddress, slot: Option<String>, interrupt: &Interrupt, json: bool) -> Result<Done, CliError> {
    let slot = slot.map(|slot| slot.parse().map_err(|error| CliError::usage(format!("{error}"))));
    let facts = ServerFacts::ask(&address(server)?, &client(interrupt)).map_err(failed)?;
    let expected = Expectations {
        slot: slot.transpose()?,
        most_lag_bytes: None,
    };
    let problems = find_problems(&facts, &expected);
    if json {
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        output::json(&json!({
            "version": facts.version,
            "system": facts.identity.system_identifier.to_string(),
            "timeline": facts.identity.timeline,
            "checksums": facts.has_checksums,
            "in_recovery": facts.is_in_recovery,
            "problems": texts,
        }))?;
    } else {
        say!(
            "PostgreSQL {}.{}, cluster {}, timeline {}, log at {}",
            facts.version / 10_000,
            facts.version % 10_000,
            facts.identity.system_identifier,
            facts.identity.timeline,
            facts.identity.flushed
        );
        for slot in &facts.slots {
            let lag = slot.lag_bytes.map_or("?".to_owned(), output::bytes);
            say!("  slot {} holds back {lag}", slot.name);
        }
        for problem in &problems {
            say!(
                "  {}: {problem}",
                if problem.is_blocking() { "PROBLEM" } else { "note" }
            );
        }
        if problems.is_empty() {
            say!("  nothing stands in the way of backups");
        }
    }
    let blocked = problems.iter().any(holdfast_sources::postgres::Problem::is_blocking);
    Ok(if blocked { Done::Failed } else { Done::Done })
}
