//! The demo's clock: the machine's, moved forward to the next due time instead of waiting for it. What the demo measures
//! lies between two movements.

use std::sync::atomic::{AtomicI64, Ordering};

use holdfast_core::ports::Clock;
use holdfast_local::SystemClock;
use jiff::{SignedDuration, Timestamp};

static MOVED_SECONDS: AtomicI64 = AtomicI64::new(0);

/// The time in the demo.
pub fn now() -> Timestamp {
    let moved = SignedDuration::from_secs(MOVED_SECONDS.load(Ordering::SeqCst));
    SystemClock.now().checked_add(moved).unwrap_or(Timestamp::MAX)
}

/// Moves the clock forward to `at`; a time that has passed changes nothing.
pub fn move_to(at: Timestamp) {
    let ahead = at.duration_since(now()).as_secs() + 1;
    MOVED_SECONDS.fetch_add(ahead.max(0), Ordering::SeqCst);
}

/// The clock as a port.
pub struct DemoClock;

impl Clock for DemoClock {
    fn now(&self) -> Timestamp {
        now()
    }
}
