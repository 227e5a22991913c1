//! How services of AWS say that something changed.

use holdfast_core::domain::{Failure, FailureKind};
use serde_json::Value;

use super::Hint;

/// Sources on the bus whose events are worth a look.
const SOURCES: [&str; 4] = ["aws.backup", "aws.events", "aws.rds", "aws.s3"];

/// How AWS Backup calls what it tells a topic, in the attribute `EventType`.
const BACKUP_NOTICES: [&str; 4] = ["BACKUP_", "COPY_", "RESTORE_", "RECOVERY_POINT_"];

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn hint(id: &str, source: &str, what: &str) -> Hint {
    Hint {
        id: id.to_owned(),
        source: source.to_owned(),
        what: what.to_owned(),
    }
}

/// An event of AWS on a bus.
pub(super) fn of_bus(envelope: &Value, source: &str) -> Result<Hint, Failure> {
    if SOURCES.contains(&source) {
        return Ok(hint(text(envelope, "id"), source, text(envelope, "detail-type")));
    }
    let message = format!(
        "event refused at `source`: \"{source}\" is not understood; holdfast, {} are",
        SOURCES.join(", ")
    );
    Err(Failure::new(FailureKind::Invalid, message))
}

/// A change of an object, as a bucket tells it.
pub(super) fn of_object(record: &Value) -> Hint {
    let id = text(&record["responseElements"], "x-amz-request-id");
    hint(id, "aws.s3", text(record, "eventName"))
}

/// What a service tells a topic in a shape of its own: an event subscription of RDS, or the test that a bucket sends when
/// it is told to notify (which changes nothing).
pub(super) fn of(value: &Value) -> Option<Option<Hint>> {
    if value.get("Event Source").is_some() && value.get("Event ID").is_some() {
        let id = text(value, "Event ID");
        let what = id.rsplit_once('#').map_or(id, |(_, code)| code);
        return Some(Some(hint(text(value, "Identifier Link"), "aws.rds", what)));
    }
    (text(value, "Event") == "s3:TestEvent").then_some(None)
}

/// What the attributes of a notification say of a message that is written for people, as AWS Backup's are.
pub(super) fn of_attributes(notification: &Value) -> Option<Hint> {
    let kind = text(&notification["MessageAttributes"]["EventType"], "Value");
    let known = BACKUP_NOTICES.iter().any(|start| kind.starts_with(start));
    known.then(|| hint(text(notification, "MessageId"), "aws.backup", kind))
}
