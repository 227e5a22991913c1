//! A second opinion on due times: every clock face of every day, tried one by one.

use holdfast_core::domain::Rule;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// The due times of a rule from `from` up to and including `until`, ascending.
pub fn due_times(rule: &Rule, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
    let fields: Vec<&str> = rule.cron.split(' ').collect();
    let [minute, hour, "*", "*", weekday] = fields[..] else {
        panic!("{} is beyond this walk", rule.cron)
    };
    let zone = TimeZone::get(&rule.zone).unwrap();
    let mut date = zone.to_datetime(from).date().yesterday().unwrap();
    let last = zone.to_datetime(until).date().tomorrow().unwrap();
    let mut due = Vec::new();
    while date <= last {
        if matches(weekday, weekday_number(date)) {
            for h in (0..24).filter(|h| matches(hour, *h)) {
                for m in (0..60).filter(|m| matches(minute, *m)) {
                    due.extend(instants(date, h, m, &zone, hour.starts_with('*')));
                }
            }
        }
        date = date.tomorrow().unwrap();
    }
    due.retain(|at| from <= *at && *at <= until);
    due.sort();
    due.dedup();
    due
}

fn matches(field: &str, value: i8) -> bool {
    match field.strip_prefix("*/") {
        Some(step) => value % step.parse::<i8>().unwrap() == 0,
        None => field == "*" || field.split(',').any(|one| one.parse::<i8>().unwrap() == value),
    }
}

fn weekday_number(date: Date) -> i8 {
    match date.weekday() {
        Weekday::Sunday => 0,
        other => other.to_monday_one_offset(),
    }
}

/// A face that the clock skips: elapsed time knows it an hour later, a fixed hour waits for the first minute after the gap.
/// A face that the clock repeats: twice for elapsed time, else the first.
fn instants(date: Date, hour: i8, minute: i8, zone: &TimeZone, elapsed: bool) -> Vec<Timestamp> {
    let face = date.at(hour, minute, 0, 0);
    let earlier = zone.to_ambiguous_zoned(face).earlier().unwrap().timestamp();
    let later = zone.to_ambiguous_zoned(face).later().unwrap().timestamp();
    if earlier == later {
        return vec![earlier];
    }
    let shows_face = |at: Timestamp| zone.to_datetime(at) == face;
    match (shows_face(earlier), elapsed) {
        (true, true) => vec![earlier, later],
        (true, false) => vec![earlier],
        (false, true) => vec![later],
        (false, false) => {
            let offset = |at: Timestamp| zone.to_offset(at);
            let mut at = earlier;
            while offset(at) == offset(earlier) {
                at = at.checked_add(Span::new().minutes(1)).unwrap();
            }
            vec![at]
        }
    }
}
