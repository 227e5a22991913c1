//! Due times: cron expressions in a time zone, and which occurrences a rule owes.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{self, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::domain::{OccurrenceKey, Policy, PolicyDraft, Resource, Rule, Span};

/// A cron expression or a time zone that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "fields are named as what the message says of them")]
pub enum ScheduleError {
    /// The expression does not read.
    #[error("cron expression \"{cron}\": {reason}")]
    Cron { cron: String, reason: String },
    /// The expression reads, but no day ever matches it.
    #[error("cron expression \"{cron}\" never comes due")]
    NeverDue { cron: String },
    /// The time zone is not in the IANA database.
    #[error("time zone \"{zone}\" is unknown: use a name of the IANA database such as Europe/Berlin or UTC")]
    Zone { zone: String },
}

/// The zone of that IANA name.
pub fn time_zone(zone: &str) -> Result<TimeZone, ScheduleError> {
    let unknown = || ScheduleError::Zone {
        zone: zone.chars().take(80).collect(),
    };
    let found = TimeZone::get(zone).map_err(|_| unknown())?;
    if found.is_unknown() || found.iana_name().is_none() {
        return Err(unknown());
    }
    Ok(found)
}

/// A cron expression of five fields, read in a time zone.
///
/// Daylight saving. A rule at fixed hours runs exactly once for each local time that it names: a time that the clock
/// skips runs at the first valid instant after the gap, a time that the clock repeats runs at its first pass. A rule
/// whose hour field is `*` or a step over all hours (`*/2`, `0-23`) follows elapsed time: in the repeated hour it runs
/// on both passes, and a skipped time runs as if the clock had not moved, so that an hourly rule stays hourly through
/// both nights. No instant is ever due twice.
///
/// As in other crons, a rule that restricts both the day of month and the day of week runs when either matches. `L`
/// alone as the day of month is the month's last day; six fields, `@` words, `W`, `#` and `?` are refused.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
    follows_elapsed_time: bool,
}

/// How far apart two offsets of one zone may lie: no zone has ever moved its clock by more than a day.
const WIDEST_SHIFT: Span = Span::hours(25);

/// How many due times [`Schedule::longest_interval`] looks at.
const INTERVALS_EXAMINED: usize = 10_000;

impl Schedule {
    /// Reads an expression. It must be due at some time.
    pub fn parse(cron: &str, zone: &str) -> Result<Self, ScheduleError> {
        let zone = time_zone(zone)?;
        let shown: String = cron.chars().take(80).collect();
        let bad = |reason: String| ScheduleError::Cron {
            cron: shown.clone(),
            reason,
        };
        let hours = check_fields(cron).map_err(bad)?;
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser.parse(cron).map_err(|error| bad(explain(error)))?;
        // 1 January 2000 began a cycle of 400 years: what is not due after it is never due.
        if cron
            .find_next_occurrence(&civil::datetime(2000, 1, 1, 0, 0, 0, 0), true)
            .is_err()
        {
            return Err(ScheduleError::NeverDue { cron: shown });
        }
        Ok(Self {
            cron,
            zone,
            follows_elapsed_time: matches!(hours.split('/').next(), Some("*" | "0-23")),
        })
    }

    /// Due times strictly after `after`, up to and including `until`, ascending, at most `limit` of them.
    pub fn due_after(&self, after: Timestamp, until: Timestamp, limit: usize) -> Vec<Timestamp> {
        self.occurrences(after)
            .take_while(|due| *due <= until)
            .take(limit)
            .collect()
    }

    /// The first due time after `after`; none only at the end of the calendar.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.occurrences(after).next()
    }

    /// The longest time between two neighbouring due times of the coming 13 months (or of the first ten thousand due
    /// times; or the first two, where they lie further apart).
    pub fn longest_interval(&self, from: Timestamp) -> Span {
        longest_interval_of(std::slice::from_ref(self), from)
    }

    fn occurrences(&self, after: Timestamp) -> Occurrences<'_> {
        // The clock face may stand earlier before or after a nearby change; start from the earliest that could matter.
        let nearby = [WIDEST_SHIFT.before(after), after, WIDEST_SHIFT.after(after)];
        let start = nearby
            .iter()
            .map(|at| self.zone.to_offset(*at).to_datetime(after))
            .min()
            .unwrap_or(DateTime::MAX);
        Occurrences {
            schedule: self,
            after,
            face: self.cron.find_next_occurrence(&start, true).ok(),
            ready: BTreeSet::new(),
        }
    }

    /// The instants at which a clock face is due, and the earliest instant that it or any later face can be due at.
    fn resolve(&self, face: DateTime) -> Option<(Vec<Timestamp>, Timestamp)> {
        let instants = match self.zone.to_ambiguous_timestamp(face).offset() {
            AmbiguousOffset::Unambiguous { offset } => vec![offset.to_timestamp(face).ok()?],
            AmbiguousOffset::Fold { before, after } => {
                let first = before.to_timestamp(face).ok()?;
                let second = after.to_timestamp(face).ok()?;
                if self.follows_elapsed_time {
                    vec![first, second]
                } else {
                    vec![first]
                }
            }
            AmbiguousOffset::Gap { before, after } => {
                let before_change = after.to_timestamp(face).ok()?;
                let change = self.zone.following(before_change).next()?.timestamp();
                let due = if self.follows_elapsed_time {
                    before.to_timestamp(face).ok()?
                } else {
                    change
                };
                return Some((vec![due], change));
            }
        };
        let earliest = *instants.first()?;
        Some((instants, earliest))
    }
}

/// The longest time in which none of the schedules comes due, as [`Schedule::longest_interval`] looks at them.
pub(super) fn longest_interval_of(schedules: &[Schedule], from: Timestamp) -> Span {
    let horizon = Span::days(396).after(from);
    let mut walks: Vec<_> = schedules
        .iter()
        .map(|schedule| schedule.occurrences(from).peekable())
        .collect();
    let mut longest = Span::seconds(0);
    let mut previous: Option<Timestamp> = None;
    for _ in 0..INTERVALS_EXAMINED {
        let Some(due) = walks.iter_mut().filter_map(|walk| walk.peek().copied()).min() else {
            break;
        };
        for walk in &mut walks {
            walk.next_if_eq(&due);
        }
        if let Some(previous) = previous {
            longest = longest.max(Span::between(previous, due));
            if due > horizon {
                break;
            }
        }
        previous = Some(due);
    }
    longest
}

/// Walks the clock faces that match, and gives their instants in order.
struct Occurrences<'a> {
    schedule: &'a Schedule,
    after: Timestamp,
    /// The next face that matches; none at the end of the calendar.
    face: Option<DateTime>,
    /// Instants that wait for their turn.
    ready: BTreeSet<Timestamp>,
}

impl Iterator for Occurrences<'_> {
    type Item = Timestamp;

    fn next(&mut self) -> Option<Timestamp> {
        loop {
            let resolved = self.face.and_then(|face| Some((face, self.schedule.resolve(face)?)));
            let Some((face, (instants, earliest))) = resolved else {
                return self.ready.pop_first();
            };
            if self.ready.first().is_some_and(|first| *first < earliest) {
                return self.ready.pop_first();
            }
            let after = self.after;
            self.ready.extend(instants.into_iter().filter(|due| *due > after));
            self.face = self.schedule.cron.find_next_occurrence(&face, false).ok();
        }
    }
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

fn explain(error: CronError) -> String {
    match error {
        CronError::ComponentError(reason)
        | CronError::InvalidPattern(reason)
        | CronError::IllegalCharacters(reason) => reason,
        other => other.to_string(),
    }
}

/// Refuses what the parser would take in a sense of its own, and answers with the hour field.
fn check_fields(cron: &str) -> Result<&str, String> {
    let fields: Vec<&str> = cron.split_whitespace().collect();
    let &[minute, hour, day, month, weekday] = fields.as_slice() else {
        return Err(format!(
            "it has {} where five are needed (minute, hour, day of month, month, day of week)",
            match fields.len() {
                1 => "one field".to_owned(),
                count => format!("{count} fields"),
            }
        ));
    };
    check_field("minute", minute, 0..=59, &[])?;
    check_field("hour", hour, 0..=23, &[])?;
    if !day.eq_ignore_ascii_case("l") {
        check_field("day of month", day, 1..=31, &[])?;
    }
    check_field("month", month, 1..=12, &MONTHS)?;
    check_field("day of week", weekday, 0..=7, &WEEKDAYS)?;
    Ok(hour)
}

fn check_field(what: &str, field: &str, numbers: RangeInclusive<u8>, words: &[&str]) -> Result<(), String> {
    let (least, most) = (numbers.start(), numbers.end());
    let refuse = |part: &str| {
        let shown: String = part.chars().take(20).collect();
        format!("the {what} field cannot hold \"{shown}\"; it goes from {least} to {most}")
    };
    for part in field.split(',') {
        let (range, step) = part
            .split_once('/')
            .map_or((part, None), |(range, step)| (range, Some(step)));
        let is_any = range == "*" && part.len() == field.len();
        let is_known = |atom: &str| {
            let word = atom.to_ascii_lowercase();
            is_number(atom) && numbers.contains(&atom.parse().unwrap_or(u8::MAX)) || words.contains(&word.as_str())
        };
        let is_step = |step: &str| is_number(step) && (1..=*most).contains(&step.parse().unwrap_or(0));
        if !(is_any || range.split('-').all(is_known)) || !step.is_none_or(is_step) {
            return Err(refuse(part));
        }
    }
    Ok(())
}

fn is_number(atom: &str) -> bool {
    (1..=2).contains(&atom.len()) && atom.chars().all(|c| c.is_ascii_digit())
}

/// How many missed occurrences one call of [`plan_occurrences`] lists at most.
pub const MAX_MISSED: usize = 10_000;

/// What a rule owes for a resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OccurrencePlan {
    /// Due times that passed and that a later one stands for; oldest first.
    pub missed: Vec<OccurrenceKey>,
    /// The due time to start now, and whether it is a catch-up: later than the rule allows, or in place of missed ones.
    pub due: Option<(OccurrenceKey, bool)>,
}

/// Which occurrences of one rule for one resource have become due since the last recorded one.
///
/// All but the newest are missed; the newest is due. After an outage that missed more than [`MAX_MISSED`], the oldest of
/// them are listed and nothing is due yet: record them and ask again.
pub fn plan_occurrences(
    policy: &Policy,
    rule: &Rule,
    resource: &Resource,
    last_due: Option<Timestamp>,
    now: Timestamp,
) -> Result<OccurrencePlan, ScheduleError> {
    let schedule = Schedule::parse(&rule.cron, &rule.zone)?;
    let begins = rule.since.max(resource.registered_at);
    // A due time that falls on the very beginning counts; the last recorded one does not.
    let just_before = begins
        .checked_sub(SignedDuration::from_nanos(1))
        .unwrap_or(Timestamp::MIN);
    let after = last_due.map_or(just_before, |last| last.max(just_before));
    let mut due: Vec<Timestamp> = schedule.due_after(after, now, MAX_MISSED + 1);
    let key = |due_at: Timestamp| OccurrenceKey {
        policy: policy.id.clone(),
        rule: rule.name.clone(),
        resource: resource.id.clone(),
        due_at,
    };
    if due.len() > MAX_MISSED {
        due.truncate(MAX_MISSED);
        let missed = due.into_iter().map(key).collect();
        return Ok(OccurrencePlan { missed, due: None });
    }
    let newest = due.pop();
    let others_missed = !due.is_empty();
    Ok(OccurrencePlan {
        missed: due.into_iter().map(key).collect(),
        due: newest.map(|due_at| (key(due_at), others_missed || rule.start_within.after(due_at) < now)),
    })
}

/// Gives rules that stand as they stood the time since which they stand, so that applying a policy again forgets no
/// occurrence that was already owed.
pub fn carry_over(previous: &PolicyDraft, next: &mut PolicyDraft) {
    for rule in &mut next.rules {
        let same = |old: &&Rule| old.name == rule.name && old.cron == rule.cron && old.zone == rule.zone;
        if let Some(old) = previous.rules.iter().find(same) {
            rule.since = old.since;
        }
    }
}

/// Whether two drafts say the same, whenever their rules began.
pub fn same_policy(a: &PolicyDraft, b: &PolicyDraft) -> bool {
    let timeless = |draft: &PolicyDraft| {
        let mut draft = draft.clone();
        for rule in &mut draft.rules {
            rule.since = Timestamp::UNIX_EPOCH;
        }
        draft
    };
    timeless(a) == timeless(b)
}
