//! How much of an invocation's time is left.

use holdfast_core::ports::Clock;
use jiff::{SignedDuration, Timestamp};

/// What is kept back for stopping and for the answer.
const RESERVE: SignedDuration = SignedDuration::from_secs(20);

/// The time of one invocation.
pub struct Budget<'a> {
    clock: &'a dyn Clock,
    started_at: Timestamp,
    deadline: Timestamp,
    reserve: SignedDuration,
}

impl<'a> Budget<'a> {
    /// The time from now until the deadline. Of a short one a fifth is kept back.
    pub fn new(clock: &'a dyn Clock, deadline: Timestamp) -> Self {
        let started_at = clock.now();
        let whole = deadline.duration_since(started_at).max(SignedDuration::ZERO);
        Self {
            clock,
            started_at,
            deadline,
            reserve: RESERVE.min(whole / 5),
        }
    }

    /// How long may still be worked; zero once only the reserve is left.
    pub fn left(&self) -> SignedDuration {
        let until_deadline = self.deadline.duration_since(self.clock.now());
        (until_deadline - self.reserve).max(SignedDuration::ZERO)
    }

    /// How long stopping may take: a quarter of the reserve is left for the answer.
    pub fn to_stop(&self) -> SignedDuration {
        let until_deadline = self.deadline.duration_since(self.clock.now());
        (until_deadline - self.reserve / 4).max(SignedDuration::ZERO)
    }

    /// Whether nothing new may be begun.
    pub fn is_spent(&self) -> bool {
        self.left().is_zero()
    }

    /// How long it has taken so far, in milliseconds.
    pub fn used_ms(&self) -> i64 {
        let used = self.clock.now().duration_since(self.started_at).as_millis();
        i64::try_from(used).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use holdfast_core::domain::Span;
    use holdfast_testkit::fakes::FakeClock;

    use super::*;

    #[test]
    fn twenty_seconds_are_kept_back_and_of_a_short_budget_a_fifth() {
        for (budget, worked) in [(900, 880), (100, 80), (10, 8), (0, 0)] {
            let clock = FakeClock::at(Timestamp::UNIX_EPOCH);
            let budget = Budget::new(&clock, Span::seconds(budget).after(Timestamp::UNIX_EPOCH));
            assert_eq!(budget.left().as_secs(), worked);
            clock.advance(Span::seconds(worked));
            assert!(budget.is_spent());
            assert_eq!(budget.used_ms(), worked * 1000);
            assert_eq!(budget.to_stop(), budget.reserve * 3 / 4);
        }
    }

    #[test]
    fn a_deadline_that_has_passed_leaves_nothing() {
        let clock = FakeClock::at(Span::hours(1).after(Timestamp::UNIX_EPOCH));
        assert!(Budget::new(&clock, Timestamp::UNIX_EPOCH).is_spent());
    }
}
