//! A clock that stands still until it is told to move.

use std::sync::Mutex;

use holdfast_core::domain::Span;
use holdfast_core::ports::Clock;
use jiff::Timestamp;

use super::locked;

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct FakeClock {
    now: Mutex<Timestamp>,
}

impl FakeClock {
    /// A clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { now: Mutex::new(now) }
    }

    /// Shows another time, also an earlier one.
    pub fn set(&self, now: Timestamp) {
        *locked(&self.now) = now;
    }

    /// Moves forward.
    pub fn advance(&self, by: Span) {
        let mut now = locked(&self.now);
        *now = by.after(*now);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *locked(&self.now)
    }
}
