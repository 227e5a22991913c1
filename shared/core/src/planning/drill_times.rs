//! When drills of a plan are due, and when they may begin.

use jiff::{SignedDuration, Timestamp};

use crate::domain::{DrillSchedule, DrillWindow, Drills};

use super::schedule::{MAX_MISSED, Schedule, ScheduleError};

/// How many due times [`due_outside`] looks at: a year of daily drills.
const DUE_EXAMINED: usize = 366;

/// Whether a drill may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Open,
    /// Not before this window opens; none only at the end of the calendar.
    Closed {
        /// When.
        opens_at: Option<Timestamp>,
    },
}

/// Whether a drill may begin at this time.
pub fn admit_drill(windows: &[DrillWindow], at: Timestamp) -> Result<Admission, ScheduleError> {
    let mut next: Option<Timestamp> = None;
    for window in windows {
        let opens = Schedule::parse(&window.opens, &window.zone)?;
        // One that opened longer ago than it stays open is closed again.
        match opens.next_after(window.open_for.before(at)) {
            Some(opened_at) if opened_at <= at => return Ok(Admission::Open),
            Some(opens_at) => {
                next = Some(next.map_or(opens_at, |next| next.min(opens_at)));
            }
            None => {}
        }
    }
    Ok(match windows.is_empty() {
        true => Admission::Open,
        false => Admission::Closed { opens_at: next },
    })
}

/// The drills that a schedule owes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DrillsDue {
    /// Due times that passed and that a later one stands for; oldest first.
    pub missed: Vec<Timestamp>,
    /// The due time to begin now.
    pub due: Option<Timestamp>,
}

/// Which drills have become due since those that were dealt with until `settled_until`: the newest is due, all before it are
/// missed.
pub fn plan_drills(
    schedule: &DrillSchedule,
    settled_until: Option<Timestamp>,
    now: Timestamp,
) -> Result<DrillsDue, ScheduleError> {
    let cron = Schedule::parse(&schedule.cron, &schedule.zone)?;
    // A due time that falls on the very beginning counts.
    let begins = schedule.since.checked_sub(SignedDuration::from_nanos(1));
    let begins = begins.unwrap_or(Timestamp::MIN);
    let after = settled_until.map_or(begins, |settled| settled.max(begins));
    let mut missed = cron.due_after(after, now, MAX_MISSED);
    let due = missed.pop();
    Ok(DrillsDue { missed, due })
}

/// The first due time at which no window is open.
pub fn due_outside(drills: &Drills, from: Timestamp) -> Result<Option<Timestamp>, ScheduleError> {
    let Some(schedule) = &drills.schedule else {
        return Ok(None);
    };
    let cron = Schedule::parse(&schedule.cron, &schedule.zone)?;
    for due in cron.due_after(from, Timestamp::MAX, DUE_EXAMINED) {
        if admit_drill(&drills.windows, due)? != Admission::Open {
            return Ok(Some(due));
        }
    }
    Ok(None)
}

/// Gives a schedule that stands as it stood the time since which it stands, so that applying a plan again forgets no drill
/// that was already owed.
pub fn carry_over_drills(previous: &Drills, next: &mut Drills) {
    let (Some(old), Some(new)) = (&previous.schedule, &mut next.schedule) else {
        return;
    };
    if (&old.cron, &old.zone) == (&new.cron, &new.zone) {
        new.since = old.since;
    }
}
