//! Logs and metrics: one JSON line each on standard output, which Lambda hands to CloudWatch.
//!
//! Lines about events have the same keys everywhere and hold ids, words and figures, never what a message says. Metrics are
//! in CloudWatch's embedded metric format, so that they cost no call; the only dimensions are the function and the Region.

use std::io::Write;

use holdfast_core::domain::{Detail, Event, Failure, FailureKind, FunctionName, Region};
use serde_json::{Value, json};
use tracing::Level;
use tracing_subscriber::EnvFilter;

/// What is logged where `HOLDFAST_LOG` does not say otherwise.
const DEFAULT_FILTER: &str = "info";

/// The namespace of the metrics in CloudWatch.
const NAMESPACE: &str = "Holdfast";

/// Starts logging. A filter that does not read is reported and replaced by the default.
pub fn start(filter: Option<&str>) {
    let read = filter.map(EnvFilter::try_new);
    let problem = read
        .as_ref()
        .and_then(|read| read.as_ref().err())
        .map(ToString::to_string);
    let filter = read
        .and_then(Result::ok)
        .unwrap_or_else(|| EnvFilter::new(DEFAULT_FILTER));
    let lines = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(filter);
    // A second start in one process finds the first one's subscriber, which logs the same.
    if lines.try_init().is_ok()
        && let Some(problem) = problem
    {
        tracing::warn!(
            problem,
            "HOLDFAST_LOG is not understood; logging at level {DEFAULT_FILTER}"
        );
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Handled,
    /// Not now: it comes again.
    Deferred,
    /// It could not be done.
    Failed,
}

impl Outcome {
    /// Waiting for others is no failure.
    pub fn of(result: &Result<(), Failure>) -> Self {
        match result {
            Ok(()) => Self::Handled,
            Err(failure) => match failure.kind {
                FailureKind::Deferred | FailureKind::Conflict | FailureKind::Throttled => Self::Deferred,
                FailureKind::Transient
                | FailureKind::Fenced
                | FailureKind::NotFound
                | FailureKind::Denied
                | FailureKind::Invalid
                | FailureKind::Integrity
                | FailureKind::Bug => Self::Failed,
            },
        }
    }

    /// The word for this outcome in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Handled => "handled",
            Self::Deferred => "deferred",
            Self::Failed => "failed",
        }
    }
}

/// A line about one message.
#[derive(Debug)]
pub struct Line<'a> {
    /// The function.
    pub function: FunctionName,
    /// The invocation.
    pub request_id: &'a str,
    /// The trace.
    pub trace: &'a str,
    /// The queue's id for the message.
    pub message_id: &'a str,
    /// The event's id.
    pub event_id: &'a str,
    /// What happened.
    pub detail_type: &'a str,
    /// What it belongs to.
    pub correlation: &'a str,
    /// What became of it.
    pub result: &'a Result<(), Failure>,
    /// How long that took.
    pub duration_ms: i64,
    /// What people must know besides.
    pub note: &'a str,
}

macro_rules! write_line {
    ($level:expr, $line:expr, $kind:expr, $text:expr) => {
        tracing::event!(
            $level,
            function = $line.function.as_str(),
            request_id = $line.request_id,
            trace = $line.trace,
            message_id = $line.message_id,
            event = $line.event_id,
            detail_type = $line.detail_type,
            correlation = $line.correlation,
            outcome = Outcome::of($line.result).as_str(),
            duration_ms = $line.duration_ms,
            failure_kind = $kind,
            "{}",
            $text
        )
    };
}

impl Line<'_> {
    /// Writes it: an error where somebody must act, a warning where time may mend it.
    pub fn write(&self) {
        let (kind, text) = match self.result {
            Ok(()) => (String::new(), "done".to_owned()),
            Err(failure) => (kind_of(failure), format!("{}{}", failure.message, self.note)),
        };
        let kind = kind.as_str();
        match Outcome::of(self.result) {
            Outcome::Handled | Outcome::Deferred => write_line!(Level::INFO, self, kind, text),
            Outcome::Failed if self.result.as_ref().is_err_and(|failure| failure.kind.may_pass()) => {
                write_line!(Level::WARN, self, kind, text);
            }
            Outcome::Failed => write_line!(Level::ERROR, self, kind, text),
        }
    }
}

/// The word for a failure's kind.
pub fn kind_of(failure: &Failure) -> String {
    match serde_json::to_value(failure.kind) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

/// The word for what happened.
pub fn detail_type(event: &Event) -> String {
    word_in(&event.detail, |json| json["detail-type"].as_str())
}

/// What an event belongs to: the request, job, run, point or resource that it names, in this order.
pub fn correlation(event: &Event) -> String {
    word_in(&event.detail, |json| {
        let detail = &json["detail"];
        let named = ["request", "job", "run"].into_iter().map(|key| &detail[key]);
        let named = named.chain([
            &detail["point"]["id"],
            &detail["newest"]["resource"],
            &detail["resource"],
        ]);
        named.into_iter().find_map(Value::as_str)
    })
}

fn word_in(detail: &Detail, find: impl Fn(&Value) -> Option<&str>) -> String {
    let json = serde_json::to_value(detail).unwrap_or_default();
    find(&json).unwrap_or_default().to_owned()
}

/// The figures of one invocation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Messages that were done.
    pub handled: u64,
    /// Messages that come again.
    pub deferred: u64,
    /// Messages that could not be done.
    pub failed: u64,
    /// How long the invocation took.
    pub duration_ms: i64,
}

impl Figures {
    /// Counts a message.
    pub fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Handled => self.handled += 1,
            Outcome::Deferred => self.deferred += 1,
            Outcome::Failed => self.failed += 1,
        }
    }

    /// The line that CloudWatch reads them from.
    pub fn metric_line(&self, function: FunctionName, region: &Region, at_ms: i64, request_id: &str) -> Value {
        let metric = |name: &str, unit: &str| json!({ "Name": name, "Unit": unit });
        json!({
            "_aws": {
                "Timestamp": at_ms,
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": [["Function", "Region"]],
                    "Metrics": [
                        metric("Handled", "Count"),
                        metric("Deferred", "Count"),
                        metric("Failed", "Count"),
                        metric("DurationMs", "Milliseconds"),
                    ],
                }],
            },
            "Function": function,
            "Region": region,
            "Handled": self.handled,
            "Deferred": self.deferred,
            "Failed": self.failed,
            "DurationMs": self.duration_ms,
            "request_id": request_id,
        })
    }
}

/// Writes a metric line. Where standard output is gone nobody can be told.
pub fn write_metrics(line: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_in_the_embedded_format_and_every_metric_and_dimension_has_its_value() {
        let mut figures = Figures::default();
        for outcome in [Outcome::Handled, Outcome::Handled, Outcome::Deferred, Outcome::Failed] {
            figures.count(outcome);
        }
        let region = Region::new("eu-central-1").unwrap();
        let line = figures.metric_line(FunctionName::Verifier, &region, 1_763_000_000_000, "r-1");
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        for name in directive["Dimensions"][0].as_array().unwrap() {
            assert!(line[name.as_str().unwrap()].is_string(), "{name}");
        }
        for metric in directive["Metrics"].as_array().unwrap() {
            assert!(line[metric["Name"].as_str().unwrap()].is_i64(), "{metric}");
        }
        assert_eq!(line["Handled"], 2);
        assert_eq!(line["Function"], "verifier");
        assert!(line["_aws"]["Timestamp"].is_i64());
    }

    #[test]
    fn waiting_for_others_is_no_failure() {
        let outcome = |kind| Outcome::of(&Err(Failure::new(kind, "")));
        assert_eq!(outcome(FailureKind::Conflict), Outcome::Deferred);
        assert_eq!(outcome(FailureKind::Throttled), Outcome::Deferred);
        assert_eq!(outcome(FailureKind::Invalid), Outcome::Failed);
        assert_eq!(Outcome::of(&Ok(())), Outcome::Handled);
    }
}
