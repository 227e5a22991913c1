//! The adapters of AWS obey the same contracts as every other.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use holdfast_aws::{Clients, EventBridgeBus, KmsKeys, QueueUrls, SnsPager, SqsQueue};
use holdfast_core::domain::{Detail, FailureKind, FunctionName, JobId, JobKind, JobState, ResourceId, Span, routes};
use holdfast_core::ports::{Bus, Keys, Pager, Queue, Severity};
use holdfast_local::verify_with_public_key;
use holdfast_testkit::contract::pager::{Heard, PagerWorld};
use holdfast_testkit::contract::{self, queue::QueueWorld};
use holdfast_tests::front::{Front, Server};
use serde_json::{Value, json};

use crate::ground::{Ground, HOME, fresh, region, text};

#[tokio::test]
async fn the_dynamodb_catalog_obeys_the_contract() {
    let ground = Ground::new().await;
    contract::catalog::suite(async || Arc::new(ground.catalog()) as _).await;
}

struct Queues<'a> {
    ground: &'a Ground,
    queue: SqsQueue,
}

#[async_trait]
impl QueueWorld for Queues<'_> {
    fn queue(&self) -> &dyn Queue {
        &self.queue
    }

    async fn pass(&self, span: Span) {
        self.ground.moto.advance(span.as_seconds());
    }
}

#[tokio::test]
async fn the_sqs_queue_obeys_the_contract() {
    let ground = Ground::new().await;
    contract::queue::suite(async || {
        let (queue, _) = ground.queues(&[FunctionName::Verifier, FunctionName::Lifecycle]);
        Queues { ground: &ground, queue }
    })
    .await;
}

/// One detail of every type and kind that the contract publishes.
fn details() -> Vec<Detail> {
    let job = || JobId::derive(&["job"]);
    let kinds = [JobKind::Backup, JobKind::Copy, JobKind::Verify, JobKind::Delete];
    let mut details = vec![
        Detail::WakeUp {},
        Detail::ObjectiveBreached {
            resource: ResourceId::new("photos").expect("a name"),
            age_seconds: 2,
            rpo_seconds: 1,
        },
    ];
    for kind in kinds {
        details.push(Detail::JobRequested { job: job(), kind });
        details.push(Detail::JobStateChange {
            job: job(),
            kind,
            state: JobState::Completed,
        });
    }
    details
}

/// A bus whose rules lead each detail to the queues of its listeners.
fn bus_with_rules(ground: &Ground, arns: &BTreeMap<FunctionName, String>) -> EventBridgeBus {
    let bus = fresh("bus");
    ground.call("events", "AWSEvents.CreateEventBus", &json!({"Name": bus}));
    for detail in details() {
        let shape = serde_json::to_value(&detail).expect("JSON");
        let mut pattern = json!({"source": ["holdfast"], "detail-type": [shape["detail-type"]]});
        if let Some(kind) = shape["detail"].get("kind") {
            pattern["detail"] = json!({"kind": [kind]});
        }
        let listeners = routes(&detail)
            .iter()
            .map(|function| json!({"Id": function.as_str(), "Arn": arns[function]}));
        let listeners: Vec<Value> = listeners.collect();
        // A rule takes five targets, and the waking one has seven listeners.
        for targets in listeners.chunks(5) {
            let rule = fresh("rule");
            let body = json!({"Name": rule, "EventBusName": bus, "EventPattern": pattern.to_string()});
            ground.call("events", "AWSEvents.PutRule", &body);
            let body = json!({"Rule": rule, "EventBusName": bus, "Targets": targets});
            ground.call("events", "AWSEvents.PutTargets", &body);
        }
    }
    EventBridgeBus::new(ground.clients.home().eventbridge(), bus)
}

#[tokio::test]
async fn the_eventbridge_bus_obeys_the_contract() {
    let ground = Ground::new().await;
    contract::bus::suite(async || {
        let (queue, arns) = ground.queues(&FunctionName::ALL);
        let bus: Arc<dyn Bus> = Arc::new(bus_with_rules(&ground, &arns));
        (bus, Arc::new(queue) as Arc<dyn Queue>)
    })
    .await;
}

struct Topic<'a> {
    ground: &'a Ground,
    pager: SnsPager,
    listener: String,
}

#[async_trait]
impl PagerWorld for Topic<'_> {
    fn pager(&self) -> &dyn Pager {
        &self.pager
    }

    async fn heard(&self) -> Vec<Heard> {
        let heard = self.ground.drain(&self.listener).into_iter().map(|body| {
            let page: Value = serde_json::from_str(&body).expect("JSON");
            let attribute = |name: &str| text(&page["MessageAttributes"][name]["Value"]);
            let subject = text(&page["Subject"]);
            assert!(subject.is_ascii() && subject.len() < 100, "{subject}");
            let severity: Severity = serde_json::from_value(json!(attribute("severity"))).expect("a severity");
            Heard {
                key: attribute("key"),
                severity,
                words: format!("{subject}\n{}", text(&page["Message"])),
            }
        });
        heard.collect()
    }
}

#[tokio::test]
async fn the_sns_pager_obeys_the_contract() {
    let ground = Ground::new().await;
    contract::pager::suite(async || {
        let (topic, listener) = ground.topic();
        let pager = SnsPager::new(ground.clients.home().sns(), topic);
        Topic {
            ground: &ground,
            pager,
            listener,
        }
    })
    .await;
}

fn kms(ground: &Ground, wrapping: &str, signing: &str) -> KmsKeys {
    let client = |key: &str| (ground.clients.of_arn(key).kms(), key.to_owned());
    KmsKeys::new(client(wrapping), client(signing))
}

/// The public key of KMS as an operator gets it, in PEM.
fn public_key(ground: &Ground, key: &str) -> String {
    let told = ground.call("kms", "TrentService.GetPublicKey", &json!({"KeyId": key}));
    let der = BASE64.decode(text(&told["PublicKey"])).expect("base64");
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        BASE64.encode(der)
    )
}

#[tokio::test]
async fn the_kms_keys_obey_the_contract() {
    let ground = Ground::new().await;
    for spec in ["ECC_NIST_P256", "ECC_NIST_EDWARDS25519"] {
        let named: RefCell<BTreeMap<String, (String, String)>> = RefCell::default();
        contract::keys::suite(async |name: &str| {
            let mut named = named.borrow_mut();
            let (wrapping, signing) = named.entry(name.to_owned()).or_insert_with(|| {
                (
                    ground.key("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"),
                    ground.key(spec, "SIGN_VERIFY"),
                )
            });
            Arc::new(kms(&ground, wrapping, signing)) as _
        })
        .await;
    }
}

#[tokio::test]
async fn anybody_can_verify_a_signature_of_kms_offline() {
    let ground = Ground::new().await;
    let wrapping = ground.key("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT");
    for (spec, name) in [("ECC_NIST_P256", "ecdsa-p256:"), ("ECC_NIST_EDWARDS25519", "ed25519:")] {
        let signing = ground.key(spec, "SIGN_VERIFY");
        let keys = kms(&ground, &wrapping, &signing);
        let pem = public_key(&ground, &signing);
        let other = public_key(&ground, &ground.key(spec, "SIGN_VERIFY"));
        for length in [1, 4096, 4097, 100_000] {
            let message = vec![b'a'; length];
            let signature = keys.sign(&message).await.expect("sign");
            assert!(signature.key_id.starts_with(name), "{}", signature.key_id);
            let is_good = |pem: &str, message: &[u8]| {
                verify_with_public_key(pem, message, &signature.bytes).expect("a public key")
            };
            assert!(is_good(&pem, &message), "{spec}, {length} bytes");
            assert!(!is_good(&other, &message), "another key");
            assert!(!is_good(&pem, &message[1..]), "another message");
        }
    }
}

#[tokio::test]
async fn a_key_of_another_kind_is_refused_and_says_what_to_make() {
    let ground = Ground::new().await;
    let wrapping = ground.key("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT");
    let keys = kms(&ground, &wrapping, &ground.key("RSA_2048", "SIGN_VERIFY"));
    let refused = keys.sign(b"a statement").await.expect_err("RSA");
    assert!(refused.message.contains("ECC_NIST_P256"), "{refused}");
    let too_long = keys.wrap(&[0; 4096], "context").await.expect_err("too long");
    assert!(too_long.message.contains("4095"), "{too_long}");
}

/// A service that answers each operation as told, and its clients.
async fn service(answer: impl Fn(&str) -> Value + Send + Sync + 'static) -> (Front, Clients) {
    let server: Server = Box::new(move |parts, _| {
        let target = parts.headers["x-amz-target"].to_str().expect("text");
        let body = answer(target.rsplit('.').next().unwrap_or_default()).to_string();
        let kind = ("content-type", "application/x-amz-json-1.0");
        Box::pin(async move { ([kind], body).into_response() })
    });
    // It has a runtime of its own, which is not started inside another.
    let front = tokio::task::spawn_blocking(|| Front::before(server));
    let front = front.await.expect("a front");
    let clients = Clients::of_emulator(region(HOME), &front.endpoint()).await;
    (front, clients)
}

/// Reading many dead letters takes longer than those that were seen first stay hidden.
#[tokio::test]
async fn dead_letters_that_come_again_while_they_are_read_are_told_once() {
    let letter = |id: &str| {
        let attributes = json!({"ApproximateReceiveCount": "9", "SentTimestamp": "1772359200000"});
        json!({"MessageId": id, "ReceiptHandle": format!("receipt of {id}"), "Body": id, "Attributes": attributes})
    };
    let messages = json!({"Messages": [letter("a"), letter("b")]});
    let (_front, clients) = service(move |operation| match operation {
        "GetQueueAttributes" => json!({"Attributes": {"ApproximateNumberOfMessages": "2"}}),
        "ReceiveMessage" => messages.clone(),
        _ => json!({"Successful": [], "Failed": []}),
    })
    .await;
    let urls = QueueUrls {
        messages: "http://queue".to_owned(),
        dead_letters: "http://dead".to_owned(),
    };
    let queue = SqsQueue::new(clients.home().sqs(), BTreeMap::from([(FunctionName::Verifier, urls)]));
    let read = tokio::time::timeout(Duration::from_secs(20), queue.dead_letters()).await;
    let letters = read.expect("an end").expect("letters");
    let bodies: Vec<&str> = letters.iter().map(|letter| letter.body.as_str()).collect();
    assert_eq!(bodies, ["a", "b"]);
}

#[tokio::test]
async fn an_empty_signature_is_none() {
    let (_front, clients) = service(|operation| match operation {
        "GetPublicKey" => json!({"KeySpec": "ECC_NIST_P256", "PublicKey": BASE64.encode([4; 91])}),
        _ => json!({}),
    })
    .await;
    let client = || (clients.home().kms(), "key".to_owned());
    let refused = KmsKeys::new(client(), client()).sign(b"a statement").await;
    let refused = refused.expect_err("no signature");
    assert_eq!(refused.kind, FailureKind::Transient, "{refused}");
    assert!(refused.message.contains("an empty answer"), "{refused}");
}
