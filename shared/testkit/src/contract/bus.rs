//! What every bus promises.

use std::sync::Arc;

use holdfast_core::domain::{Detail, Event, FunctionName, JobId, JobKind, JobState, ResourceId, Span, routes};
use holdfast_core::ports::{Bus, Queue};
use jiff::Timestamp;

/// Runs every promise. A world is a bus and the queues it delivers into.
pub async fn suite(fresh: impl AsyncFn() -> (Arc<dyn Bus>, Arc<dyn Queue>)) {
    for detail in details() {
        let (bus, queue) = fresh().await;
        every_listener_is_told_and_nobody_else(&*bus, &*queue, detail).await;
    }
    let (bus, queue) = fresh().await;
    publishing_again_tells_again(&*bus, &*queue).await;
}

fn details() -> [Detail; 4] {
    [
        Detail::WakeUp {},
        Detail::JobRequested {
            job: JobId::derive(&["job"]),
            kind: JobKind::Copy,
        },
        Detail::JobStateChange {
            job: JobId::derive(&["job"]),
            kind: JobKind::Backup,
            state: JobState::Completed,
        },
        Detail::ObjectiveBreached {
            resource: ResourceId::new("photos").expect("a name"),
            age_seconds: 2,
            rpo_seconds: 1,
        },
    ]
}

async fn told(queue: &dyn Queue, function: FunctionName) -> Vec<Event> {
    let deliveries = queue.receive(function, 10, Span::hours(1)).await.expect("receive");
    let events = deliveries.iter().map(|delivery| Event::decode(&delivery.body));
    events
        .collect::<Result<_, _>>()
        .expect("an event that a function can read")
}

/// Whether both tell of the same. Some buses give each publication an id of its own.
fn is_told(told: &[Event], published: &[&Event]) -> bool {
    let same = |(told, event): (&Event, &&Event)| {
        !told.id.is_empty() && (&told.source, told.time, &told.detail) == (&event.source, event.time, &event.detail)
    };
    told.len() == published.len() && told.iter().zip(published).all(same)
}

/// Each function that the routes name receives the event whole; no other function hears of it.
pub async fn every_listener_is_told_and_nobody_else(bus: &dyn Bus, queue: &dyn Queue, detail: Detail) {
    let event = Event::new(detail, Timestamp::UNIX_EPOCH);
    bus.publish(&event).await.expect("publish");
    for function in FunctionName::ALL {
        let listens = routes(&event.detail).contains(&function);
        let expected = if listens { vec![&event] } else { vec![] };
        let told = told(queue, function).await;
        assert!(is_told(&told, &expected), "{function}: {told:?}");
    }
}

/// A repeated publication is told again: it is for the listener to know what it has done already.
pub async fn publishing_again_tells_again(bus: &dyn Bus, queue: &dyn Queue) {
    let event = Event::new(Detail::WakeUp {}, Timestamp::UNIX_EPOCH);
    bus.publish(&event).await.expect("publish");
    bus.publish(&event).await.expect("publish");
    let told = told(queue, FunctionName::Scheduler).await;
    assert!(is_told(&told, &[&event, &event]), "{told:?}");
}
