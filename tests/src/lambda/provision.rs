//! Makes what a template describes, in an emulated AWS: queues, bus, rules, topics, subscriptions and tables.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::wire::Wire;
use super::wiring::{Queue, Wiring, name_in};

/// What a test may want otherwise than the template says.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// How long messages in hand stay hidden, in seconds: minutes in a deployment, which no test waits for.
    pub visibility_seconds: Option<u32>,
}

/// Makes everything; what is there already stays.
pub fn provision(wire: &Wire, wiring: &Wiring, changes: &Changes) -> Result<(), String> {
    let (dead_letters, others): (Vec<&Queue>, Vec<&Queue>) =
        wiring.queues.iter().partition(|queue| queue.redrive.is_none());
    for queue in dead_letters.into_iter().chain(others) {
        make_queue(wire, queue, changes)?;
    }
    for bus in &wiring.buses {
        if wire.events("DescribeEventBus", &json!({ "Name": bus })).is_err() {
            wire.events("CreateEventBus", &json!({ "Name": bus }))?;
        }
    }
    make_rules(wire, wiring)?;
    for topic in &wiring.topics {
        make_topic(wire, topic)?;
    }
    for subscription in &wiring.subscriptions {
        let mut fields = vec![
            ("TopicArn".to_owned(), subscription.topic.clone()),
            ("Protocol".to_owned(), subscription.protocol.clone()),
            ("Endpoint".to_owned(), subscription.endpoint.clone()),
        ];
        for (place, (key, value)) in subscription.attributes.iter().enumerate() {
            fields.push((format!("Attributes.entry.{}.key", place + 1), key.clone()));
            fields.push((format!("Attributes.entry.{}.value", place + 1), value.clone()));
        }
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        wire.sns("Subscribe", &fields)?;
    }
    for table in &wiring.tables {
        make_table(wire, table)?;
    }
    Ok(())
}

fn make_queue(wire: &Wire, queue: &Queue, changes: &Changes) -> Result<(), String> {
    let mut attributes: BTreeMap<String, String> = queue.attributes.clone();
    if let Some(seconds) = changes.visibility_seconds {
        attributes.insert("VisibilityTimeout".to_owned(), seconds.to_string());
    }
    if let Some((to, most)) = &queue.redrive {
        let asked = json!({ "QueueUrl": wire.queue_url(to)?, "AttributeNames": ["QueueArn"] });
        let arn = wire.sqs("GetQueueAttributes", &asked)?["Attributes"]["QueueArn"].clone();
        let policy = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": most.to_string() });
        attributes.insert("RedrivePolicy".to_owned(), policy.to_string());
    }
    let body = json!({ "QueueName": queue.name, "Attributes": attributes });
    wire.sqs("CreateQueue", &body).map(|_| ())
}

fn make_rules(wire: &Wire, wiring: &Wiring) -> Result<(), String> {
    for rule in &wiring.rules {
        let bus = rule.bus.as_deref().unwrap_or("default");
        let pattern = rule.pattern.to_string();
        let body = json!({ "Name": rule.name, "EventBusName": bus, "EventPattern": pattern, "State": "ENABLED" });
        wire.events("PutRule", &body)?;
        for target in &rule.targets {
            let arn = target["Arn"].as_str().unwrap_or_default();
            let is_queue = arn.starts_with("arn:aws:sqs:");
            if is_queue && !wiring.queues.iter().any(|queue| queue.name == name_in(arn)) {
                return Err(format!(
                    "rule {} delivers to {arn}, which the template does not make",
                    rule.name
                ));
            }
        }
        let body = json!({ "Rule": rule.name, "EventBusName": bus, "Targets": rule.targets });
        let answer = wire.events("PutTargets", &body)?;
        if answer["FailedEntryCount"].as_u64().unwrap_or(0) > 0 {
            return Err(format!("rule {}: {answer}", rule.name));
        }
    }
    Ok(())
}

/// Makes a topic.
pub fn make_topic(wire: &Wire, name: &str) -> Result<(), String> {
    wire.sns("CreateTopic", &[("Name", name)]).map(|_| ())
}

/// What a table has besides its keys and indexes is of no matter to an emulator.
const OF_A_TABLE: [&str; 5] = [
    "TableName",
    "AttributeDefinitions",
    "KeySchema",
    "BillingMode",
    "GlobalSecondaryIndexes",
];

/// Makes a table from CloudFormation's description of it.
pub fn make_table(wire: &Wire, description: &Value) -> Result<(), String> {
    let kept = OF_A_TABLE.iter().filter(|key| !description[**key].is_null());
    let body: Map<String, Value> = kept.map(|key| ((*key).to_owned(), description[*key].clone())).collect();
    wire.dynamodb("CreateTable", &Value::Object(body)).map(|_| ())
}

/// The catalog's table, which the infrastructure makes and not the template.
pub fn catalog_table(name: &str) -> Value {
    let text = |attribute: &str| json!({ "AttributeName": attribute, "AttributeType": "S" });
    let key = |attribute: &str, kind: &str| json!({ "AttributeName": attribute, "KeyType": kind });
    json!({
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [text("pk"), text("sk"), text("wake_status"), text("wake_at")],
        "KeySchema": [key("pk", "HASH"), key("sk", "RANGE")],
        "GlobalSecondaryIndexes": [{
            "IndexName": "waking",
            "KeySchema": [key("wake_status", "HASH"), key("wake_at", "RANGE")],
            "Projection": { "ProjectionType": "ALL" },
        }],
    })
}
