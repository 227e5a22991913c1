//! Calls to an emulated AWS in plain HTTP, so that nothing of ours stands between a test and the wire.

use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;

/// An emulated AWS that answers for every service at one address.
#[derive(Debug, Clone)]
pub struct Wire {
    endpoint: String,
    region: String,
    agent: Agent,
}

impl Wire {
    /// Speaks to `endpoint`, such as `http://127.0.0.1:5000`, as in `region`.
    pub fn new(endpoint: &str, region: &str) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(30)))
            .http_status_as_error(false)
            .build();
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            region: region.to_owned(),
            agent: config.into(),
        }
    }

    /// The Region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// An emulator tells services and Regions apart by what a call was signed for; it checks no signature.
    fn signed_for(&self, service: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential=testing/20260101/{}/{service}/aws4_request, SignedHeaders=host, Signature=0",
            self.region
        )
    }

    fn answer(&self, service: &str, kind: &str, target: Option<&str>, body: &str) -> Result<String, String> {
        let mut call = self
            .agent
            .post(format!("{}/", self.endpoint))
            .header("authorization", self.signed_for(service))
            .header("content-type", kind);
        if let Some(target) = target {
            call = call.header("x-amz-target", target);
        }
        let mut answer = call.send(body).map_err(|error| format!("{service}: {error}"))?;
        let text = answer
            .body_mut()
            .read_to_string()
            .map_err(|error| format!("{service}: {error}"))?;
        if answer.status().is_success() {
            return Ok(text);
        }
        let what = target.unwrap_or(body);
        Err(format!("{what}: {} {text}", answer.status()))
    }

    fn json(&self, service: &str, version: &str, target: &str, body: &Value) -> Result<Value, String> {
        let kind = format!("application/x-amz-json-{version}");
        let text = self.answer(service, &kind, Some(target), &body.to_string())?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|error| format!("{target}: {error}: {text}"))
    }

    /// A call to SQS.
    pub fn sqs(&self, operation: &str, body: &Value) -> Result<Value, String> {
        self.json("sqs", "1.0", &format!("AmazonSQS.{operation}"), body)
    }

    /// A call to EventBridge.
    pub fn events(&self, operation: &str, body: &Value) -> Result<Value, String> {
        self.json("events", "1.1", &format!("AWSEvents.{operation}"), body)
    }

    /// A call to DynamoDB.
    pub fn dynamodb(&self, operation: &str, body: &Value) -> Result<Value, String> {
        self.json("dynamodb", "1.0", &format!("DynamoDB_20120810.{operation}"), body)
    }

    /// A call to SNS, which takes forms and answers in XML.
    pub fn sns(&self, operation: &str, fields: &[(&str, &str)]) -> Result<String, String> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", operation)
            .append_pair("Version", "2010-03-31");
        form.extend_pairs(fields);
        self.answer("sns", "application/x-www-form-urlencoded", None, &form.finish())
    }

    /// The URL of a queue.
    pub fn queue_url(&self, queue: &str) -> Result<String, String> {
        let answer = self.sqs("GetQueueUrl", &json!({ "QueueName": queue }))?;
        let url = answer["QueueUrl"].as_str();
        url.map(str::to_owned)
            .ok_or_else(|| format!("queue {queue} has no URL"))
    }

    /// Puts a message into a queue.
    pub fn send(&self, queue: &str, body: &str) -> Result<(), String> {
        let message = json!({ "QueueUrl": self.queue_url(queue)?, "MessageBody": body });
        self.sqs("SendMessage", &message).map(|_| ())
    }

    /// How many messages a queue holds: those that wait, and those in somebody's hands.
    pub fn depth(&self, queue: &str) -> Result<(u64, u64), String> {
        let waiting = "ApproximateNumberOfMessages";
        let in_hand = "ApproximateNumberOfMessagesNotVisible";
        let asked = json!({ "QueueUrl": self.queue_url(queue)?, "AttributeNames": [waiting, in_hand] });
        let answer = self.sqs("GetQueueAttributes", &asked)?;
        let count = |name: &str| answer["Attributes"][name].as_str().and_then(|count| count.parse().ok());
        count(waiting)
            .zip(count(in_hand))
            .ok_or_else(|| format!("no counts in {answer}"))
    }
}
