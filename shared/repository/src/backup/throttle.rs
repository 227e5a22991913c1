//! [`Throttle`]: holds uploads back to a number of bytes per second.

use std::num::NonZeroU64;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::error::Result;

use super::run::Run;

/// How long a wait may go on without looking whether to stop.
const SLICE: Duration = Duration::from_millis(100);

/// A line that carries so many bytes per second. Every upload reserves it for as long as its bytes take, and waits for those
/// before it, also of another backup.
pub struct Throttle {
    bytes_per_second: NonZeroU64,
    free_at: Mutex<Option<Timestamp>>,
    never: Condvar,
}

impl Throttle {
    /// A line that nobody has reserved yet.
    pub fn new(bytes_per_second: NonZeroU64) -> Throttle {
        Throttle {
            bytes_per_second,
            free_at: Mutex::default(),
            never: Condvar::default(),
        }
    }

    /// Returns when `bytes` may be sent. A call that is to end does not wait: the few packs that it still holds go out
    /// at once.
    pub(super) fn admit(&self, run: &Run<'_>, bytes: usize) -> Result<()> {
        let now = (run.repository.ambient().now)();
        let turn = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second.get() as f64);
        let mut wait = self.reserve(now, turn);
        while !wait.is_zero() && !run.is_paused() {
            run.check()?;
            let slice = wait.min(SLICE);
            self.pause(slice);
            wait -= slice;
        }
        Ok(())
    }

    /// How long to wait from `now` for a turn that then lasts `turn`.
    fn reserve(&self, now: Timestamp, turn: Duration) -> Duration {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let start = free_at.map_or(now, |free_at| free_at.max(now));
        let turn = SignedDuration::try_from(turn).unwrap_or(SignedDuration::MAX);
        *free_at = Some(start.saturating_add(turn).unwrap_or(Timestamp::MAX));
        Duration::try_from(start.duration_since(now)).unwrap_or(Duration::ZERO)
    }

    fn pause(&self, time: Duration) {
        let nobody = Mutex::new(());
        let guard = nobody.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.never.wait_timeout(guard, time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_queue_up_and_an_idle_line_owes_nothing() {
        let throttle = Throttle::new(NonZeroU64::MIN);
        let second = Duration::from_secs(1);
        let start = Timestamp::UNIX_EPOCH;
        assert_eq!(throttle.reserve(start, second), Duration::ZERO);
        assert_eq!(throttle.reserve(start, second), second);
        assert_eq!(throttle.reserve(start, second * 3), second * 2);
        let later = start + SignedDuration::from_secs(4);
        assert_eq!(throttle.reserve(later, second), second);
        let much_later = start + SignedDuration::from_secs(100);
        assert_eq!(throttle.reserve(much_later, second), Duration::ZERO);
    }
}
