//! What the operator wants to hold, asked of the restored server.

use holdfast_core::domain::Level;
use jiff::Timestamp;

use super::super::error::PostgresError;
use super::super::isolated::{IsolatedError, Server};
use super::super::recovery::{Recovery, Target};
use super::{Answer, Assertion, Beat, Check, Checks, Fault, Heartbeat, TrialVerdict};

/// Characters of an answer that are told.
const MOST_TOLD: usize = 100;

/// Asks all of it.
pub(super) fn all(
    server: &Server<'_>,
    checks: &Checks,
    recovery: &Recovery,
    verdict: &mut TrialVerdict,
) -> Result<(), IsolatedError> {
    for assertion in &checks.assertions {
        let wrong = wrong_with(server, assertion)?;
        verdict.answers.push(Answer {
            database: assertion.database.clone(),
            sql: assertion.sql.clone(),
            passed: wrong.is_none(),
        });
        if let Some(reason) = wrong {
            let fault = Fault::of(Level::L5, Check::Assertion, reason);
            verdict.add(fault.in_database(&assertion.database).at(&assertion.sql));
        }
    }
    let Some(heartbeat) = &checks.heartbeat else {
        return Ok(());
    };
    match newest(server, heartbeat)? {
        Ok(at) => {
            let until = match recovery.target {
                Target::Latest => Some(verdict.times.started_at),
                Target::Time(time) => Some(time),
                Target::Immediate | Target::Lsn(_) | Target::Transaction(_) | Target::Name(_) => None,
            };
            let loss = until.map(|until| until.duration_since(at).as_secs_f64());
            verdict.heartbeat = Some(Beat {
                at,
                data_loss_seconds: loss,
            });
        }
        Err(reason) => {
            let fault = Fault::of(Level::L5, Check::Heartbeat, reason);
            verdict.add(fault.in_database(&heartbeat.database).at(&heartbeat.column.to_string()));
        }
    }
    Ok(())
}

/// What the server says instead of an answer; unless somebody asked to stop.
fn said(error: &PostgresError) -> Result<String, IsolatedError> {
    match (error.report(), error) {
        (_, PostgresError::Stopped { .. }) => Err(IsolatedError::Stopped),
        (Some(report), _) => Ok(report.to_string()),
        (None, _) => Ok(error.to_string()),
    }
}

/// Why an assertion does not hold.
fn wrong_with(server: &Server<'_>, assertion: &Assertion) -> Result<Option<String>, IsolatedError> {
    let asked = server.connect(&assertion.database).and_then(|mut connection| {
        connection.query("SET search_path TO DEFAULT; SET default_transaction_read_only = on")?;
        connection.query(&assertion.sql)
    });
    let answer = match asked {
        Ok(answer) => answer,
        Err(error) => return said(&error).map(Some),
    };
    let [row] = answer.rows.as_slice() else {
        return Ok(Some(format!(
            "{} rows, where one with one value is expected",
            answer.rows.len()
        )));
    };
    if answer.columns.len() != 1 {
        return Ok(Some(format!("{} columns, where one is expected", answer.columns.len())));
    }
    let found = row.bytes(0).map(String::from_utf8_lossy);
    if found.as_deref() == Some(assertion.expects.as_str()) {
        return Ok(None);
    }
    let told: String = found.as_deref().unwrap_or("nothing").chars().take(MOST_TOLD).collect();
    Ok(Some(format!("{told}, where {} is expected", assertion.expects)))
}

/// The newest time of a heartbeat, or why there is none.
fn newest(server: &Server<'_>, heartbeat: &Heartbeat) -> Result<Result<Timestamp, String>, IsolatedError> {
    let asked = server.connect(&heartbeat.database).and_then(|mut connection| {
        let row = connection.query_one(&heartbeat.column.newest())?;
        connection.optional::<i64>(&row, 0)
    });
    match asked {
        Ok(Some(at)) => Ok(Timestamp::from_microsecond(at).map_err(|_| format!("{at} microseconds are no time"))),
        Ok(None) => Ok(Err("it holds no time".to_owned())),
        Err(error) => said(&error).map(Err),
    }
}
