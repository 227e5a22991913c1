//! What the adapters stand on, made in an empty emulator.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use holdfast_aws::{Clients, DynamoCatalog, QueueUrls, SqsQueue};
use holdfast_core::domain::{FunctionName, Region};
use holdfast_core::ports::MAX_RECEIVES;
use holdfast_tests::moto::Moto;
use serde_json::{Value, json};

pub const HOME: &str = "eu-central-1";

/// An emulator and the clients that speak to it.
pub struct Ground {
    pub moto: Moto,
    pub clients: Arc<Clients>,
}

impl Ground {
    pub async fn new() -> Self {
        let moto = Moto::start();
        let clients = Clients::of_emulator(region(HOME), moto.endpoint()).await;
        Self {
            moto,
            clients: Arc::new(clients),
        }
    }

    pub fn call(&self, service: &str, target: &str, body: &Value) -> Value {
        self.moto.call(HOME, service, target, body)
    }

    /// An empty table, as the deployment makes it.
    pub fn table(&self) -> String {
        let name = fresh("table");
        let key = |name: &str, kind: &str| json!({"AttributeName": name, "KeyType": kind});
        let attributes =
            ["pk", "sk", "wake_status", "wake_at"].map(|name| json!({"AttributeName": name, "AttributeType": "S"}));
        let body = json!({
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": attributes,
            "KeySchema": [key("pk", "HASH"), key("sk", "RANGE")],
            "GlobalSecondaryIndexes": [{
                "IndexName": "waking",
                "KeySchema": [key("wake_status", "HASH"), key("wake_at", "RANGE")],
                "Projection": {"ProjectionType": "ALL"},
            }],
        });
        self.call("dynamodb", "DynamoDB_20120810.CreateTable", &body);
        name
    }

    pub fn catalog(&self) -> DynamoCatalog {
        DynamoCatalog::new(self.clients.home().dynamodb(), self.table())
    }

    /// A queue of SQS with these attributes: its URL and its ARN.
    pub fn sqs(&self, attributes: &Value) -> (String, String) {
        let body = json!({"QueueName": fresh("queue"), "Attributes": attributes});
        let made = self.call("sqs", "AmazonSQS.CreateQueue", &body);
        let url = text(&made["QueueUrl"]);
        let body = json!({"QueueUrl": url, "AttributeNames": ["QueueArn"]});
        let told = self.call("sqs", "AmazonSQS.GetQueueAttributes", &body);
        (url, text(&told["Attributes"]["QueueArn"]))
    }

    /// Empty queues for these functions, each with its dead letters, and their ARNs.
    pub fn queues(&self, functions: &[FunctionName]) -> (SqsQueue, BTreeMap<FunctionName, String>) {
        let mut urls = BTreeMap::new();
        let mut arns = BTreeMap::new();
        for function in functions {
            let (dead_letters, dead_arn) = self.sqs(&json!({}));
            let redrive = json!({"deadLetterTargetArn": dead_arn, "maxReceiveCount": MAX_RECEIVES});
            let (messages, arn) = self.sqs(&json!({"RedrivePolicy": redrive.to_string()}));
            urls.insert(*function, QueueUrls { messages, dead_letters });
            arns.insert(*function, arn);
        }
        (SqsQueue::new(self.clients.home().sqs(), urls), arns)
    }

    /// A topic of SNS and the URL of a queue that hears all of it.
    pub fn topic(&self) -> (String, String) {
        let name = fresh("topic");
        let topic = self
            .moto
            .query(HOME, "sns", &[("Action", "CreateTopic"), ("Name", &name)], "TopicArn");
        let (url, arn) = self.sqs(&json!({}));
        let subscribe = [
            ("Action", "Subscribe"),
            ("TopicArn", &topic),
            ("Protocol", "sqs"),
            ("Endpoint", &arn),
        ];
        self.moto.query(HOME, "sns", &subscribe, "SubscriptionArn");
        (topic, url)
    }

    /// Takes everything that a queue of SQS holds.
    pub fn drain(&self, url: &str) -> Vec<String> {
        let mut bodies = Vec::new();
        loop {
            let body = json!({"QueueUrl": url, "MaxNumberOfMessages": 10});
            let taken = self.call("sqs", "AmazonSQS.ReceiveMessage", &body);
            let Some(messages) = taken["Messages"].as_array().filter(|messages| !messages.is_empty()) else {
                return bodies;
            };
            bodies.extend(messages.iter().map(|message| text(&message["Body"])));
        }
    }

    /// A key of KMS: its ARN.
    pub fn key(&self, spec: &str, usage: &str) -> String {
        let made = self.call(
            "kms",
            "TrentService.CreateKey",
            &json!({"KeySpec": spec, "KeyUsage": usage}),
        );
        text(&made["KeyMetadata"]["Arn"])
    }

    /// A bucket with Object Lock.
    pub fn bucket(&self, region: &str) -> String {
        let name = fresh("bucket");
        self.moto.create_locked_bucket(region, &name);
        name
    }
}

pub fn region(name: &str) -> Region {
    Region::new(name).expect("a name")
}

/// A name that nothing else of this process has.
pub fn fresh(what: &str) -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}", MADE.fetch_add(1, Ordering::Relaxed))
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("text: {value}")).to_owned()
}
