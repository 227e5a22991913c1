//! The event bus on EventBridge. Its rules route events to the queues of the functions that listen.

use async_trait::async_trait;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use holdfast_core::domain::{Event, Failure, FailureKind};
use holdfast_core::ports::Bus;
use serde_json::Value;

use crate::failure::{failure, kind_of_code};

/// The most bytes of one entry.
const MOST_ENTRY: usize = 256 * 1024;
/// What the time of an entry counts for.
const TIME: usize = 14;

/// Publishes to a bus of EventBridge, which gives every publication an id of its own: whoever listens knows work by what
/// the detail names, never by the envelope. The time of an event keeps its seconds only.
#[derive(Debug, Clone)]
pub struct EventBridgeBus {
    client: Client,
    name: String,
}

impl EventBridgeBus {
    /// The bus called `name`.
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self {
            client,
            name: name.into(),
        }
    }
}

/// The detail type and the detail of an event, as EventBridge wants them apart.
fn parts(event: &Event) -> Result<(String, String), Failure> {
    let unwritable = |error| Failure::caused(FailureKind::Bug, format!("event {} cannot be written", event.id), error);
    let whole = serde_json::to_value(&event.detail).map_err(unwritable)?;
    let detail_type = whole.get("detail-type").and_then(Value::as_str);
    let detail = whole.get("detail");
    let (Some(detail_type), Some(detail)) = (detail_type, detail) else {
        let message = format!("event {} has no type or no detail", event.id);
        return Err(Failure::new(FailureKind::Bug, message));
    };
    let detail = detail.to_string();
    let size = TIME + event.source.len() + detail_type.len() + detail.len();
    if size > MOST_ENTRY {
        let message = format!(
            "event \"{detail_type}\" has {size} bytes, and EventBridge takes {MOST_ENTRY}: let it name fewer things"
        );
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    Ok((detail_type.to_owned(), detail))
}

#[async_trait]
impl Bus for EventBridgeBus {
    async fn publish(&self, event: &Event) -> Result<(), Failure> {
        let (detail_type, detail) = parts(event)?;
        let on = format!("\"{detail_type}\" on bus {}", self.name);
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(&event.source)
            .time(DateTime::from_secs(event.time.as_second()))
            .detail_type(&detail_type)
            .detail(detail)
            .build();
        let answer = self
            .client
            .put_events()
            .entries(entry)
            .send()
            .await
            .map_err(|error| failure("EventBridge PutEvents", &on, &error))?;
        // The call may succeed and the entry fail.
        let entry = answer.entries.unwrap_or_default().into_iter().next();
        match entry.map(|entry| (entry.error_code, entry.error_message)) {
            Some((None, _)) => Ok(()),
            Some((Some(code), message)) => {
                let message = message.unwrap_or_default();
                let text = format!("EventBridge PutEvents on {on}: {code}: {message}");
                Err(Failure::new(kind_of_code(&code), text))
            }
            None => {
                let text = format!("EventBridge PutEvents on {on}: no word about the event");
                Err(Failure::new(FailureKind::Transient, text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use holdfast_core::domain::{Detail, ResourceId};
    use jiff::Timestamp;

    use super::*;

    fn requested(by: &str) -> Event {
        let detail = Detail::BackupRequested {
            request: "r".to_owned(),
            resource: ResourceId::new("photos").unwrap(),
            requested_by: by.to_owned(),
        };
        Event::new(detail, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn an_event_is_taken_apart_as_eventbridge_wants_it() {
        let (detail_type, detail) = parts(&requested("me")).unwrap();
        assert_eq!(detail_type, "Backup Requested");
        let detail: Value = serde_json::from_str(&detail).unwrap();
        assert_eq!(
            detail,
            serde_json::json!({"request": "r", "resource": "photos", "requested_by": "me"})
        );
    }

    #[test]
    fn an_event_that_is_too_large_is_refused_before_it_is_sent() {
        assert!(parts(&requested(&"x".repeat(200_000))).is_ok());
        let refused = parts(&requested(&"x".repeat(MOST_ENTRY))).unwrap_err();
        assert_eq!(refused.kind, FailureKind::Invalid);
        assert!(refused.message.contains("Backup Requested"), "{refused}");
    }
}
