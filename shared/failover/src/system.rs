//! Time of the machine for what lives beside a server: the one place where it is ambient.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Time since the machine started, with what it slept. It never goes back, and no correction of the clock touches it.
pub fn uptime() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Lets time pass, in a thread of its own.
#[expect(clippy::disallowed_methods, reason = "a guard lives beside its server, in real time")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}
