//! What the operator wants to hold, asked of the restored server.

use holdfast_core::domain::{Assertion, Checks, Column, Heartbeat, Level};
use jiff::Timestamp;

use super::super::error::PostgresError;
use super::super::isolated::{IsolatedError, Server};
use super::super::query::quoted_name;
use super::super::recovery::{Recovery, Target};
use super::{Answer, Beat, Check, Fault, TrialVerdict};

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

/// What the server says instead of an answer; unless it is gone, or somebody asked to stop.
fn said(error: &PostgresError) -> Result<String, IsolatedError> {
    match (error.report(), error) {
        (_, PostgresError::Stopped { .. }) => Err(IsolatedError::Stopped),
        _ if error.is_of_the_machine() => Err(IsolatedError::Gone {
            said: error.to_string(),
        }),
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
        let row = connection.query_one(&newest_time(&heartbeat.column))?;
        connection.optional::<i64>(&row, 0)
    });
    match asked {
        Ok(Some(at)) => Ok(Timestamp::from_microsecond(at).map_err(|_| format!("{at} microseconds are no time"))),
        Ok(None) => Ok(Err("it holds no time".to_owned())),
        Err(error) => said(&error).map(Err),
    }
}

/// The statement that gives the newest time in a column, in microseconds since 1970.
fn newest_time(column: &Column) -> String {
    let [schema, table, column] = column.parts().each_ref().map(|name| quoted_name(name));
    format!("SELECT (extract(epoch FROM max({column})) * 1000000)::bigint FROM {schema}.{table}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_column_are_quoted() {
        assert_eq!(
            newest_time(&"public.beat\"s.at".parse().unwrap()),
            r#"SELECT (extract(epoch FROM max("at")) * 1000000)::bigint FROM "public"."beat""s""#
        );
    }
}
