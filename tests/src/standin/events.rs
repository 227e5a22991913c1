//! Events that the services send, or fail to send.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::state::{ACCOUNT, State};

/// How events arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Each once, at once.
    Prompt,
    /// Each once, this much later.
    Late(SignedDuration),
    /// Each twice.
    Doubled,
    /// None.
    Missing,
}

impl State {
    /// Sends an event of a service.
    pub(super) fn emit(&mut self, region: &str, source: &str, detail_type: &str, resource: &str, detail: &Value) {
        let at = match self.delivery {
            Delivery::Missing => return,
            Delivery::Late(by) => self.now.saturating_add(by).unwrap_or(Timestamp::MAX),
            Delivery::Prompt | Delivery::Doubled => self.now,
        };
        let id = self.next_id();
        let event = json!({
            "version": "0",
            "id": id,
            "detail-type": detail_type,
            "source": source,
            "account": ACCOUNT,
            "time": self.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "region": region,
            "resources": [resource],
            "detail": detail,
        });
        if self.delivery == Delivery::Doubled {
            self.events.push((at, event.clone()));
        }
        self.events.push((at, event));
    }

    /// An event of a snapshot, as RDS tells it.
    pub(super) fn emit_snapshot(
        &mut self,
        region: &str,
        is_cluster: bool,
        arn: &str,
        name: &str,
        id: &str,
        message: &str,
    ) {
        let (kind, source) = match is_cluster {
            true => ("RDS DB Cluster Snapshot Event", "CLUSTER_SNAPSHOT"),
            false => ("RDS DB Snapshot Event", "SNAPSHOT"),
        };
        let detail = json!({
            "EventCategories": ["backup"],
            "SourceType": source,
            "SourceArn": arn,
            "Date": self.now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
            "SourceIdentifier": name,
            "Message": message,
            "EventID": id,
        });
        self.emit(region, "aws.rds", kind, arn, &detail);
    }

    /// The events that arrive now.
    pub(super) fn due_events(&mut self) -> Vec<Value> {
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.events)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.events = later;
        let due: Vec<(Timestamp, Value)> = due;
        due.into_iter().map(|(_, event)| event).collect()
    }
}
