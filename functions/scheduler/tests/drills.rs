//! Drills that are due by themselves.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use futures::FutureExt;
use holdfast_core::config;
use holdfast_core::domain::{Detail, Event, RunKind, Span};
use holdfast_core::ports::Clock;
use holdfast_core::workflow::{World, apply};
use holdfast_testkit::fakes::{FakeBus, FakeClock, FakePager, FakeQueue, fake_world};
use jiff::Timestamp;

/// Due at 2:00 on Sundays, in a window from midnight to 4:00.
const WEEKLY: &str = r#"
region = "eu-central-1"
[[plan]]
name = "rehearsed"
rpo = "1h"
rto = "1h"
step = [{ name = "wait", wait = "1m" }]
[plan.drills]
schedule = "0 2 * * sun"
window = [{ opens = "0 0 * * sun", for = "4h" }]
"#;

const NOTHING: &str = "region = \"eu-central-1\"\n";

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("fakes never wait")
}

struct Ground {
    clock: Arc<FakeClock>,
    bus: Arc<FakeBus>,
    pager: Arc<FakePager>,
    world: World,
}

impl Ground {
    /// On a Friday.
    fn new() -> Self {
        let clock = Arc::new(FakeClock::at("2026-11-20T02:00:00Z".parse().unwrap()));
        let mut world = fake_world(clock.clone(), &[("home", "eu-central-1")]);
        let bus = Arc::new(FakeBus::new(Arc::new(FakeQueue::new(clock.clone()))));
        let pager = Arc::<FakePager>::default();
        world.bus = bus.clone();
        world.pager = pager.clone();
        let ground = Self {
            clock,
            bus,
            pager,
            world,
        };
        ground.apply(WEEKLY);
        ground
    }

    fn apply(&self, text: &str) {
        let config = config::parse(text, self.clock.now()).unwrap_or_else(|problems| panic!("{problems:?}"));
        now(apply::apply(&self.world, &[], &[], &config.plans)).unwrap();
    }

    /// Looks, at this time.
    fn look_at(&self, time: &str) {
        let time: Timestamp = time.parse().unwrap();
        self.clock.advance(Span::between(self.clock.now(), time));
        now(holdfast_scheduler::handle(
            &self.world,
            &Event::new(Detail::WakeUp {}, time),
        ))
        .unwrap();
    }

    /// The requests that were made so far.
    fn asked(&self) -> Vec<String> {
        let events = self.bus.events().into_iter();
        let asked = events.filter_map(|event| match event.detail {
            Detail::RunRequested {
                request,
                kind: RunKind::Drill,
                ..
            } => Some(request),
            _ => None,
        });
        asked.collect()
    }
}

#[test]
fn each_due_time_is_one_drill_however_often_it_is_looked_at() {
    let ground = Ground::new();
    for time in ["2026-11-20T12:00:00Z", "2026-11-22T01:59:00Z"] {
        ground.look_at(time);
    }
    assert_eq!(ground.asked(), Vec::<String>::new());
    for time in [
        "2026-11-22T02:00:00Z",
        "2026-11-22T02:01:00Z",
        "2026-11-29T01:00:00Z",
        "2026-11-29T02:00:30Z",
    ] {
        ground.apply(WEEKLY);
        ground.look_at(time);
    }
    assert_eq!(
        ground.asked(),
        [
            "drill/rehearsed/2026-11-22T02:00:00Z",
            "drill/rehearsed/2026-11-29T02:00:00Z"
        ]
    );
    assert!(ground.pager.pages().is_empty());
}

#[test]
fn one_that_comes_late_waits_for_the_next_window_and_people_hear_of_those_that_were_missed() {
    let ground = Ground::new();
    // Two due times pass while nothing runs; it is Monday when it does again.
    ground.look_at("2026-11-30T10:00:00Z");
    assert_eq!(ground.asked(), Vec::<String>::new());
    ground.look_at("2026-12-06T00:00:00Z");
    ground.look_at("2026-12-06T00:01:00Z");
    assert_eq!(ground.asked(), ["drill/rehearsed/2026-11-29T02:00:00Z"]);
    let pages = ground.pager.pages();
    assert_eq!(pages.len(), 1, "{pages:?}");
    assert_eq!(pages[0].subject, "drills of recovery plan rehearsed were missed");
}

#[test]
fn a_plan_that_is_no_longer_in_the_configuration_is_not_drilled_any_more() {
    let ground = Ground::new();
    ground.apply(NOTHING);
    ground.look_at("2026-11-22T02:00:00Z");
    assert_eq!(ground.asked(), Vec::<String>::new());
    ground.apply(WEEKLY);
    ground.look_at("2026-11-29T02:00:00Z");
    assert_eq!(ground.asked(), ["drill/rehearsed/2026-11-29T02:00:00Z"]);
}
