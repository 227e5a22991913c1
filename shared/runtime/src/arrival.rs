//! What arrives at a function, whoever sent it and however it is wrapped.
//!
//! Services of AWS wrap what they deliver: a queue in a batch of records, a topic in a notification, a bus in an envelope,
//! Lambda in a record of the call that failed, which comes back from the dead letters.
//! All of it comes down to three things: an event of Holdfast's own, a hint from AWS that something changed, or a request.

mod notices;

use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use holdfast_core::domain::{Detail, Event, Failure, FailureKind};
use jiff::Timestamp;
use serde_json::Value;

/// How often one thing may be wrapped in another; no service does it more often.
const MAX_WRAPS: usize = 4;

/// One thing that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// An event of Holdfast's own.
    Event(Event),
    /// A service of AWS says that something changed.
    Hint(Hint),
    /// A request that is no event.
    Request(Value),
}

/// Something changed at AWS: a reason to look, never the truth about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The sender's id for it; empty when it gave none.
    pub id: String,
    /// Which service, such as `aws.rds`.
    pub source: String,
    /// What it calls the change.
    pub what: String,
}

impl Arrival {
    /// The event to hand to a function; none for a request.
    pub fn event(&self, now: Timestamp) -> Option<Event> {
        match self {
            Self::Event(event) => Some(event.clone()),
            Self::Hint(hint) => Some(Event {
                id: hint.id.clone(),
                source: "holdfast".to_owned(),
                time: now,
                detail: Detail::WakeUp {},
            }),
            Self::Request(_) => None,
        }
    }

    /// Whether it only says that something may need doing. Any number of these are answered by looking once.
    pub fn is_hint(&self) -> bool {
        match self {
            Self::Hint(_) => true,
            Self::Request(_) => false,
            Self::Event(event) => !matches!(
                event.detail,
                Detail::BackupRequested { .. }
                    | Detail::VerificationRequested { .. }
                    | Detail::RestoreRequested { .. }
                    | Detail::RunRequested { .. }
            ),
        }
    }
}

/// A message and what it brought.
#[derive(Debug)]
pub struct Message {
    /// The queue's id for it; none when it came directly.
    pub id: Option<String>,
    /// How often the queue delivered it, this time included; none when it came directly.
    pub receive_count: Option<u32>,
    /// The trace that it belongs to, as X-Ray writes it.
    pub trace: Option<String>,
    /// What it brought, or why it could not be understood.
    pub arrivals: Result<Vec<Arrival>, Failure>,
}

/// What one invocation was given.
#[derive(Debug)]
pub enum Payload {
    /// Messages of a queue, each of which succeeds or fails by itself.
    Batch(Vec<Message>),
    /// Anything else, which succeeds or fails as a whole.
    Direct(Message),
}

/// Reads what a function was invoked with. Only a batch that is not shaped as one fails here; what is wrong with a message
/// is that message's failure.
pub fn decode(payload: &Value) -> Result<Payload, Failure> {
    if source_of_records(payload) != Some("aws:sqs") {
        return Ok(Payload::Direct(Message {
            id: None,
            receive_count: None,
            trace: None,
            arrivals: arrivals_in(payload, 0),
        }));
    }
    let batch: SqsEvent = serde_json::from_value(payload.clone())
        .map_err(|error| Failure::unreadable("a batch of messages from a queue", error))?;
    Ok(Payload::Batch(batch.records.into_iter().map(message).collect()))
}

fn message(record: SqsMessage) -> Message {
    let body = record.body.unwrap_or_default();
    Message {
        receive_count: record
            .attributes
            .get("ApproximateReceiveCount")
            .and_then(|count| count.parse().ok()),
        trace: record.attributes.get("AWSTraceHeader").cloned(),
        id: record.message_id,
        arrivals: arrivals_in_text(&body, 0),
    }
}

/// The service that a list of records comes from, if the payload is one.
fn source_of_records(payload: &Value) -> Option<&str> {
    let first = payload.get("Records")?.get(0)?;
    first.get("eventSource").or_else(|| first.get("EventSource"))?.as_str()
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Invalid, message)
}

fn arrivals_in_text(text: &str, wraps: usize) -> Result<Vec<Arrival>, Failure> {
    let value = serde_json::from_str(text).map_err(|error| {
        let message = format!("the message is no JSON: {error}");
        Failure::caused(FailureKind::Invalid, message, error)
    })?;
    arrivals_in(&value, wraps)
}

fn arrivals_in(value: &Value, wraps: usize) -> Result<Vec<Arrival>, Failure> {
    if wraps > MAX_WRAPS {
        return Err(invalid(format!("the message is wrapped more than {MAX_WRAPS} times")));
    }
    let Some(fields) = value.as_object() else {
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        return Err(invalid(format!("a payload is a JSON object, and this is {found}")));
    };
    if let Some(records) = fields.get("Records") {
        return records_in(records, wraps);
    }
    if let (Some(call), Some(payload)) = (fields.get("requestContext"), fields.get("requestPayload"))
        && call.get("functionArn").is_some()
    {
        return arrivals_in(payload, wraps + 1);
    }
    if ["detail-type", "detail", "source"]
        .iter()
        .any(|key| fields.contains_key(*key))
    {
        return envelope(value).map(|arrival| vec![arrival]);
    }
    if fields.get("Type").is_some() && fields.get("TopicArn").is_some() {
        return notification(value, wraps);
    }
    if let Some(notice) = notices::of(value) {
        return Ok(notice.into_iter().map(Arrival::Hint).collect());
    }
    Ok(vec![Arrival::Request(value.clone())])
}

/// An envelope of EventBridge.
fn envelope(value: &Value) -> Result<Arrival, Failure> {
    match value["source"].as_str() {
        Some(source) if source.starts_with("aws.") => notices::of_bus(value, source).map(Arrival::Hint),
        _ => Event::decode(&value.to_string()).map(Arrival::Event),
    }
}

fn records_in(records: &Value, wraps: usize) -> Result<Vec<Arrival>, Failure> {
    let Some(records) = records.as_array() else {
        return Err(invalid("`Records` is no list"));
    };
    let mut arrivals = Vec::new();
    for record in records {
        let source = record.get("eventSource").or_else(|| record.get("EventSource"));
        match source.and_then(Value::as_str) {
            Some("aws:sns") => arrivals.extend(notification(&record["Sns"], wraps)?),
            Some("aws:s3") => arrivals.push(Arrival::Hint(notices::of_object(record))),
            Some(other) => {
                let message = format!(
                    "`Records` of \"{other}\" are not understood; this function takes those of aws:sqs, aws:sns and aws:s3"
                );
                return Err(invalid(message));
            }
            None => return Err(invalid("`Records` without `eventSource`")),
        }
    }
    Ok(arrivals)
}

/// What a topic delivers: the message in it, or what its attributes say of a message for people.
fn notification(value: &Value, wraps: usize) -> Result<Vec<Arrival>, Failure> {
    let kind = value["Type"].as_str().unwrap_or("Notification");
    if kind != "Notification" {
        let topic = value["TopicArn"].as_str().unwrap_or("a topic");
        return Err(invalid(format!(
            "{kind} of {topic}: only notifications are taken; confirm the subscription where it was made"
        )));
    }
    if let Some(hint) = notices::of_attributes(value) {
        return Ok(vec![Arrival::Hint(hint)]);
    }
    let Some(text) = value["Message"].as_str() else {
        return Err(invalid("a notification without `Message`"));
    };
    arrivals_in_text(text, wraps + 1)
}
