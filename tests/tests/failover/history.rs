//! What clients were told, and what follows from it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An order that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    pub id: String,
    /// The Region that took it.
    pub region: String,
    pub timeline: u32,
    pub transaction: u64,
    /// When the application began to write it, and when it was committed, as time since the machine started: one clock.
    pub begun: Duration,
    pub done: Duration,
}

/// Acknowledged orders that are not there.
pub fn lost<'a>(acks: &'a [Ack], stored: &BTreeSet<String>) -> Vec<&'a Ack> {
    acks.iter().filter(|ack| !stored.contains(&ack.id)).collect()
}

/// Moments at which two servers took writes: an order that was committed somewhere after one was begun elsewhere, on a later
/// timeline.
pub fn two_writers(acks: &[Ack]) -> Vec<String> {
    let timelines: BTreeSet<u32> = acks.iter().map(|ack| ack.timeline).collect();
    let of = |timeline| acks.iter().filter(move |ack| ack.timeline == timeline);
    let mut found = Vec::new();
    for timeline in &timelines {
        let regions: BTreeSet<&str> = of(*timeline).map(|ack| ack.region.as_str()).collect();
        if regions.len() > 1 {
            found.push(format!("timeline {timeline} was written in {regions:?}"));
        }
    }
    for pair in timelines.iter().collect::<Vec<_>>().windows(2) {
        let last = of(*pair[0]).max_by_key(|ack| ack.done).unwrap();
        let first = of(*pair[1]).min_by_key(|ack| ack.begun).unwrap();
        if last.done >= first.begun {
            found.push(format!("{last:?} was committed after {first:?} was begun"));
        }
    }
    found
}

#[test]
fn overlapping_writers_and_lost_orders_are_found() {
    let ack = |id: &str, region: &str, timeline, begun, done| Ack {
        id: id.into(),
        region: region.into(),
        timeline,
        transaction: 1,
        begun: Duration::from_secs(begun),
        done: Duration::from_secs(done),
    };
    let good = [ack("1", "a", 1, 1, 2), ack("2", "a", 1, 2, 4), ack("3", "b", 2, 5, 6)];
    assert_eq!(two_writers(&good), Vec::<String>::new());
    let overlapping = [good[0].clone(), ack("2", "a", 1, 2, 5), good[2].clone()];
    assert_eq!(two_writers(&overlapping).len(), 1);
    let shared = [good[0].clone(), ack("2", "b", 1, 3, 4)];
    assert_eq!(two_writers(&shared).len(), 1);
    let stored = BTreeSet::from(["1".to_owned(), "3".to_owned()]);
    assert_eq!(lost(&good, &stored), [&good[1]]);
}
