//! Telling the person at the terminal, and subscribers in the same process.

use std::fs;
use std::sync::{Arc, Mutex};

use holdfast_core::domain::{Detail, Event, FunctionName, Span};
use holdfast_core::ports::{Bus, Page, Pager, Queue, Severity};
use holdfast_local::{LocalBus, StderrPager};
use holdfast_testkit::fakes::{FakeClock, FakeQueue};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

fn clock() -> Arc<FakeClock> {
    Arc::new(FakeClock::at(Timestamp::UNIX_EPOCH))
}

#[tokio::test]
async fn every_page_is_kept_as_one_line() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("pages.jsonl");
    for n in 0..2 {
        let pager = StderrPager::new(&path, clock());
        let page = Page {
            key: format!("matter-{n}"),
            severity: Severity::Critical,
            subject: "A subject".to_owned(),
            text: "Two\nlines".to_owned(),
        };
        pager.page(&page).await.expect("page");
    }
    let text = fs::read_to_string(&path).expect("the pages");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 2);
    let expected = json!({
        "at": "1970-01-01T00:00:00Z", "key": "matter-0", "severity": "critical", "subject": "A subject", "text": "Two\nlines"
    });
    assert_eq!(lines[0], expected);
}

#[tokio::test]
async fn a_subscriber_hears_of_an_event_after_the_queues_have_it() {
    let queue: Arc<dyn Queue> = Arc::new(FakeQueue::new(clock()));
    let bus = LocalBus::new(queue.clone());
    let heard: Arc<Mutex<Vec<Event>>> = Arc::default();
    let ears = heard.clone();
    bus.subscribe(Box::new(move |event| ears.lock().expect("ears").push(event.clone())));
    let event = Event::new(Detail::WakeUp {}, Timestamp::UNIX_EPOCH);
    bus.publish(&event).await.expect("publish");
    assert_eq!(*heard.lock().expect("ears"), [event]);
    let told = queue.receive(FunctionName::Scheduler, 10, Span::minutes(1)).await;
    assert_eq!(told.expect("receive").len(), 1);
}
