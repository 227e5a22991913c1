//! Invocations over fakes: partial batches, answers, deadlines, and work that goes on in the process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use holdfast_core::domain::{Event, Failure, FailureKind, FunctionName, Span};
use holdfast_core::ports::{Clock, Workers};
use holdfast_core::workflow::World;
use holdfast_runtime::{Call, Connected, Edge};
use holdfast_testkit::fakes::{FakeClock, fake_world};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

const START: &str = "2026-11-20T02:30:00Z";

fn start() -> Timestamp {
    START.parse().unwrap()
}

fn world(clock: Arc<FakeClock>) -> World {
    let mut world = fake_world(clock, &[]);
    world.settings.poll = SignedDuration::from_secs(5);
    world
}

/// Tasks that each take a while; waiting for them lets the time pass.
struct FakeWorkers {
    clock: Arc<FakeClock>,
    ends: Mutex<Vec<Timestamp>>,
    stopped: AtomicUsize,
    /// How long the last stop might take.
    to_stop: Mutex<Duration>,
}

impl FakeWorkers {
    fn new(clock: Arc<FakeClock>, lasting: &[i64]) -> Arc<Self> {
        let ends = lasting.iter().map(|seconds| Span::seconds(*seconds).after(start()));
        Arc::new(Self {
            ends: Mutex::new(ends.collect()),
            clock,
            stopped: AtomicUsize::new(0),
            to_stop: Mutex::default(),
        })
    }
}

#[async_trait]
impl Workers for FakeWorkers {
    fn working(&self) -> usize {
        let now = self.clock.now();
        self.ends.lock().unwrap().iter().filter(|end| **end > now).count()
    }

    async fn wait(&self, at_most: Duration) {
        let most = self.clock.now() + SignedDuration::try_from(at_most).unwrap();
        let next = self
            .ends
            .lock()
            .unwrap()
            .iter()
            .copied()
            .filter(|end| *end > self.clock.now())
            .min();
        self.clock.set(next.map_or(most, |next| next.min(most)));
    }

    async fn stop(&self, at_most: Duration) {
        *self.to_stop.lock().unwrap() = at_most;
        self.stopped.store(self.working(), Ordering::SeqCst);
        self.ends.lock().unwrap().clear();
    }
}

/// A function that remembers what it was given, and when.
struct Scene {
    edge: Edge,
    clock: Arc<FakeClock>,
    workers: Arc<FakeWorkers>,
    taken: Arc<Mutex<Vec<(String, i64)>>>,
}

impl Scene {
    /// Each event takes `seconds`, and fails as `fails` says of its id.
    fn new(seconds: i64, fails: fn(&str) -> Option<FailureKind>, lasting: &[i64]) -> Self {
        let clock = Arc::new(FakeClock::at(start()));
        let workers = FakeWorkers::new(clock.clone(), lasting);
        let taken: Arc<Mutex<Vec<(String, i64)>>> = Arc::default();
        let (log, time, resting) = (taken.clone(), clock.clone(), clock.clone());
        let edge = Edge {
            function: FunctionName::SnapshotTrigger,
            connected: Connected {
                world: world(clock.clone()),
                workers: workers.clone(),
            },
            handle: Box::new(move |_, event: &Event| {
                let since = time.now().duration_since(start()).as_secs();
                log.lock().unwrap().push((event.id.clone(), since));
                time.advance(Span::seconds(seconds));
                let failed = fails(&event.id).map_or(Ok(()), |kind| Err(Failure::new(kind, "as told")));
                async { failed }.boxed()
            }),
            answer: Box::new(|_, request| async move { Ok(json!({ "asked": request })) }.boxed()),
            rest: Box::new(move |span| {
                let woken = resting.now() + SignedDuration::try_from(span).unwrap();
                resting.set(woken);
                async {}.boxed()
            }),
        };
        Self {
            edge,
            clock,
            workers,
            taken,
        }
    }

    fn invoke(&self, payload: &Value, budget_seconds: i64) -> Result<Value, Failure> {
        let call = Call {
            request_id: "r-1".to_owned(),
            trace: None,
            deadline: Span::seconds(budget_seconds).after(self.clock.now()),
        };
        let answered = self.edge.invoke(payload, &call).now_or_never();
        answered.expect("fakes never wait")
    }

    fn taken(&self) -> Vec<(String, i64)> {
        self.taken.lock().unwrap().clone()
    }
}

fn request(id: &str) -> Value {
    json!({ "id": id, "source": "holdfast", "time": START, "detail-type": "Backup Requested",
        "detail": { "request": id, "resource": "photos", "requested_by": "ana" } })
}

fn wake_up(id: &str) -> Value {
    json!({ "id": id, "source": "holdfast", "time": START, "detail-type": "Scheduled Wake-Up", "detail": {} })
}

fn batch(bodies: &[(&str, String)]) -> Value {
    let record = |(id, body): &(&str, String)| {
        json!({ "messageId": id, "receiptHandle": "h", "body": body, "eventSource": "aws:sqs",
            "attributes": { "ApproximateReceiveCount": "1", "AWSTraceHeader": "Root=1-2-3" } })
    };
    json!({ "Records": bodies.iter().map(record).collect::<Vec<_>>() })
}

fn failed(answer: &Value) -> Vec<&str> {
    let list = answer["batchItemFailures"].as_array().expect("a list");
    list.iter()
        .map(|item| item["itemIdentifier"].as_str().unwrap())
        .collect()
}

fn never(_: &str) -> Option<FailureKind> {
    None
}

#[test]
fn the_messages_of_a_batch_fail_by_themselves() {
    let fails = |id: &str| match id {
        "denied" => Some(FailureKind::Denied),
        "busy" => Some(FailureKind::Conflict),
        _ => None,
    };
    let scene = Scene::new(0, fails, &[]);
    let answer = scene
        .invoke(
            &batch(&[
                ("m1", request("good").to_string()),
                ("m2", request("denied").to_string()),
                ("m3", request("busy").to_string()),
                ("m4", "no JSON".to_owned()),
                ("m5", request("fine").to_string()),
            ]),
            900,
        )
        .unwrap();
    assert_eq!(failed(&answer), ["m2", "m3", "m4"]);
    let ids: Vec<String> = scene.taken().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["good", "denied", "busy", "fine"]);
}

#[test]
fn hints_of_a_batch_are_answered_by_one_look_after_the_requests() {
    let scene = Scene::new(1, never, &[]);
    let rds = json!({ "id": "aws-1", "source": "aws.rds", "detail-type": "RDS DB Snapshot Event", "detail": {} });
    let messages = [
        ("m1", wake_up("w1").to_string()),
        ("m2", rds.to_string()),
        ("m3", request("r1").to_string()),
        ("m4", wake_up("w2").to_string()),
    ];
    let answer = scene.invoke(&batch(&messages), 900).unwrap();
    assert_eq!(failed(&answer), [""; 0]);
    assert_eq!(scene.taken(), [("r1".to_owned(), 0), ("w1".to_owned(), 1)]);

    let scene = Scene::new(1, |_| Some(FailureKind::Transient), &[]);
    let answer = scene.invoke(&batch(&messages), 900).unwrap();
    assert_eq!(
        failed(&answer),
        ["m3"],
        "the next wake-up looks again for what only hinted"
    );
}

#[test]
fn an_event_of_another_function_is_refused() {
    let scene = Scene::new(0, never, &[]);
    let mut event = request("r1");
    event["detail-type"] = "Restore Requested".into();
    event["detail"] = json!({ "request": "r1", "resource": "photos", "target": "/x", "requested_by": "ana" });
    let failure = scene.invoke(&event, 900).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert!(failure.message.contains("goes to: restore-runner"), "{failure}");
    assert!(scene.taken().is_empty());
}

#[test]
fn nothing_new_is_taken_near_the_deadline() {
    // 100 s, of which 20 are kept back; each takes 30 s: the third begins at 60 and the fourth would at 90.
    let scene = Scene::new(30, never, &[]);
    let ids = ["m1", "m2", "m3", "m4", "m5"];
    let messages: Vec<_> = ids.iter().map(|id| (*id, request(id).to_string())).collect();
    let answer = scene.invoke(&batch(&messages), 100).unwrap();
    assert_eq!(failed(&answer), ["m4", "m5"]);
    assert_eq!(scene.taken().len(), 3);
}

#[test]
fn hints_are_left_too_when_requests_took_the_time() {
    let scene = Scene::new(90, never, &[]);
    let messages = [("m1", wake_up("w").to_string()), ("m2", request("r").to_string())];
    let answer = scene.invoke(&batch(&messages), 100).unwrap();
    assert_eq!(failed(&answer), ["m1"]);
}

#[test]
fn direct_payloads_are_answered() {
    let scene = Scene::new(0, never, &[]);
    let asked = json!({ "plan": "evacuate" });
    assert_eq!(scene.invoke(&asked, 900).unwrap(), json!({ "asked": asked }));
    assert_eq!(
        scene.invoke(&wake_up("w"), 900).unwrap(),
        json!({ "outcome": "handled" })
    );
    let scene = Scene::new(0, |_| Some(FailureKind::Denied), &[]);
    assert_eq!(scene.invoke(&wake_up("w"), 900).unwrap_err().kind, FailureKind::Denied);
    let failure = scene.invoke(&json!([1]), 900).unwrap_err();
    assert!(failure.message.contains("this is a list"), "{failure}");
}

#[test]
fn work_goes_on_and_each_end_is_followed_by_a_look_that_finds_it() {
    let scene = Scene::new(0, never, &[7, 30, 31]);
    scene.invoke(&wake_up("w"), 900).unwrap();
    let looks: Vec<i64> = scene.taken().into_iter().map(|(_, since)| since).collect();
    // Ends at 7, at 30 and at 31, looked for five seconds after the look before them at the earliest.
    assert_eq!(looks, [0, 7, 30, 35]);
    assert_eq!(scene.workers.stopped.load(Ordering::SeqCst), 0);
    assert_eq!(scene.workers.working(), 0);
}

#[test]
fn work_is_stopped_before_the_deadline() {
    let scene = Scene::new(0, never, &[10, 5000]);
    scene.invoke(&wake_up("w"), 900).unwrap();
    let now = scene.clock.now().duration_since(start()).as_secs();
    assert_eq!(now, 880);
    assert_eq!(scene.workers.stopped.load(Ordering::SeqCst), 1);
    assert_eq!(
        *scene.workers.to_stop.lock().unwrap(),
        Duration::from_secs(15),
        "and five for the answer"
    );
    let looks: Vec<i64> = scene.taken().into_iter().map(|(_, since)| since).collect();
    assert_eq!(looks, [0, 10]);
}
