//! What invokes functions by itself: queues and schedules.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::environment::{Answer, elapsed};
use super::wire::Wire;
use super::wiring::{Mapping, Schedule, name_in};
use super::{ACCOUNT, Functions, Invoked, api};

/// How long to wait after a queue could not be asked.
const AFTER_TROUBLE: Duration = Duration::from_millis(200);

/// How long a queue is asked for messages when it has none: the emulator's time is scarce.
const LONG_POLL_SECONDS: u32 = 5;

/// Calls are made by threads that may wait; a call that never ran because the service ends is an error like any other.
async fn on_wire<T: Send + 'static>(
    wire: &Wire,
    call: impl FnOnce(&Wire) -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let wire = wire.clone();
    let called = tokio::task::spawn_blocking(move || call(&wire)).await;
    called.unwrap_or_else(|error| Err(error.to_string()))
}

/// Hands the messages of a queue to a function, one batch after the other, for as long as the service lives.
pub(super) async fn poll(functions: Arc<Functions>, wire: Wire, mapping: Mapping) {
    let url = loop {
        let queue = mapping.queue.clone();
        match on_wire(&wire, move |wire| wire.queue_url(&queue)).await {
            Ok(url) => break url,
            Err(_) => elapsed(AFTER_TROUBLE).await,
        }
    };
    loop {
        if poll_once(&functions, &wire, &mapping, &url).await.is_err() {
            elapsed(AFTER_TROUBLE).await;
        }
    }
}

async fn poll_once(functions: &Functions, wire: &Wire, mapping: &Mapping, url: &str) -> Result<(), String> {
    let url = url.to_owned();
    let body = json!({
        "QueueUrl": url,
        "MaxNumberOfMessages": mapping.batch.clamp(1, 10),
        "WaitTimeSeconds": LONG_POLL_SECONDS,
        "AttributeNames": ["All"],
        "MessageSystemAttributeNames": ["All"],
        "MessageAttributeNames": ["All"],
    });
    let received = on_wire(wire, move |wire| wire.sqs("ReceiveMessage", &body)).await?;
    let messages = received["Messages"].as_array().cloned().unwrap_or_default();
    if messages.is_empty() {
        return Ok(());
    }
    let arn = format!("arn:aws:sqs:{}:{ACCOUNT}:{}", wire.region(), mapping.queue);
    let records: Vec<Value> = messages
        .iter()
        .map(|message| record(message, &arn, wire.region()))
        .collect();
    let payload = json!({ "Records": records }).to_string();
    let invoked = functions.invoke_in_turn(&mapping.function, payload).await;
    let done = match invoked {
        Ok(Invoked { answer, .. }) => done(&messages, &answer, mapping.is_partial),
        Err(_) => Vec::new(),
    };
    on_wire(wire, move |wire| {
        for receipt in done {
            wire.sqs("DeleteMessage", &json!({ "QueueUrl": url, "ReceiptHandle": receipt }))?;
        }
        Ok(())
    })
    .await
}

/// A message as a function sees it.
fn record(message: &Value, arn: &str, region: &str) -> Value {
    json!({
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": region,
    })
}

/// The receipts of the messages that are done. As on AWS, an answer that names a message that was not in the batch, or is
/// not understood, fails the whole batch.
fn done(messages: &[Value], answer: &Answer, is_partial: bool) -> Vec<Value> {
    let Answer::Done(answer) = answer else {
        return Vec::new();
    };
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let mut failed = BTreeSet::new();
    if is_partial {
        for failure in answer["batchItemFailures"].as_array().into_iter().flatten() {
            match failure["itemIdentifier"].as_str() {
                Some(id) if messages.iter().any(|message| message["MessageId"] == id) => failed.insert(id.to_owned()),
                _ => return Vec::new(),
            };
        }
    }
    let kept = |message: &&Value| message["MessageId"].as_str().is_some_and(|id| !failed.contains(id));
    messages
        .iter()
        .filter(kept)
        .map(|message| message["ReceiptHandle"].clone())
        .collect()
}

/// Lets a schedule fire, with time running faster, for as long as the service lives.
pub(super) async fn fire_each(functions: Arc<Functions>, wire: Wire, schedule: Schedule, faster: u32) {
    let mut ticks = tokio::time::interval(schedule.every / faster.max(1));
    loop {
        ticks.tick().await;
        if fire(&functions, &wire, &schedule).await.is_err() {
            elapsed(AFTER_TROUBLE).await;
        }
    }
}

/// Tells the target of a schedule what it is to be told.
pub(super) async fn fire(functions: &Arc<Functions>, wire: &Wire, schedule: &Schedule) -> Result<(), String> {
    let request = functions.request_id();
    let at = functions.time.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let input = schedule
        .input
        .replace("<aws.scheduler.scheduled-time>", &at)
        .replace("<aws.scheduler.execution-id>", &request)
        .replace("<aws.scheduler.attempt-number>", "1");
    let target = schedule.target.clone();
    if target.starts_with("arn:aws:lambda:") {
        tokio::spawn(api::until_done(functions.clone(), target, input));
        return Ok(());
    }
    if !target.starts_with("arn:aws:sqs:") {
        return Err(format!(
            "schedule {} tells {target}, which is not understood here",
            schedule.name
        ));
    }
    on_wire(wire, move |wire| wire.send(name_in(&target), &input)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages() -> Vec<Value> {
        let message = |id: &str| json!({ "MessageId": id, "ReceiptHandle": format!("r-{id}"), "Body": "{}" });
        ["a", "b", "c"].map(message).to_vec()
    }

    fn answered(answer: &Value, is_partial: bool) -> Vec<Value> {
        done(&messages(), &Answer::Done(answer.to_string()), is_partial)
    }

    #[test]
    fn what_a_function_did_not_fail_is_done() {
        let one = json!({ "batchItemFailures": [{ "itemIdentifier": "b" }] });
        assert_eq!(answered(&one, true), ["r-a", "r-c"]);
        assert_eq!(answered(&one, false), ["r-a", "r-b", "r-c"]);
        assert_eq!(answered(&Value::Null, true).len(), 3);
        assert_eq!(done(&messages(), &Answer::Failed("{}".to_owned()), true).len(), 0);
        let stranger = json!({ "batchItemFailures": [{ "itemIdentifier": "z" }] });
        assert_eq!(answered(&stranger, true).len(), 0);
    }
}
