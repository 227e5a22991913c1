use std::collections::BTreeSet;

use holdfast_core::domain::{BackupKind, Span};
use holdfast_core::planning::{MAX_MISSED, Schedule, carry_over, plan_occurrences, same_policy, time_zone};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::AmbiguousOffset;
use proptest::prelude::*;

use crate::make::{at, draft, policy, resource, rule, span};

fn due(cron: &str, zone: &str, after: &str, until: &str) -> Vec<String> {
    let schedule = Schedule::parse(cron, zone).unwrap();
    let zone = time_zone(zone).unwrap();
    let due = schedule.due_after(at(after), at(until), 1000);
    due.into_iter()
        .map(|due| due.to_zoned(zone.clone()).strftime("%m-%d %H:%M %Z").to_string())
        .collect()
}

// Berlin: 29 March 2026, 02:00 CET -> 03:00 CEST; 25 October 2026, 03:00 CEST -> 02:00 CET.
const SPRING: (&str, &str) = ("2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z");
const AUTUMN: (&str, &str) = ("2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z");

#[test]
fn a_daily_time_that_is_skipped_runs_at_the_first_valid_instant() {
    let runs = due("30 2 * * *", "Europe/Berlin", SPRING.0, SPRING.1);
    assert_eq!(runs, ["03-29 03:00 CEST", "03-30 02:30 CEST"]);
}

#[test]
fn a_daily_time_that_repeats_runs_at_its_first_pass_only() {
    let runs = due("30 2 * * *", "Europe/Berlin", AUTUMN.0, AUTUMN.1);
    assert_eq!(runs, ["10-25 02:30 CEST", "10-26 02:30 CET"]);
}

#[test]
fn several_skipped_times_run_once_together_and_not_again_with_the_next() {
    let runs = due("0,30 2,3 * * *", "Europe/Berlin", SPRING.0, "2026-03-29T12:00:00Z");
    assert_eq!(runs, ["03-29 03:00 CEST", "03-29 03:30 CEST"]);
}

#[test]
fn several_repeated_times_run_once_each() {
    let runs = due("0,30 2 * * *", "Europe/Berlin", AUTUMN.0, "2026-10-25T12:00:00Z");
    assert_eq!(runs, ["10-25 02:00 CEST", "10-25 02:30 CEST"]);
}

#[test]
fn an_hourly_rule_stays_hourly_through_both_nights() {
    for cron in ["7 * * * *", "7 0-23 * * *", "7 */1 * * *"] {
        for (after, until) in [SPRING, AUTUMN] {
            let schedule = Schedule::parse(cron, "Europe/Berlin").unwrap();
            let due = schedule.due_after(at(after), at(until), 1000);
            assert_eq!(due.len(), 48, "{cron}");
            assert!(
                due.windows(2).all(|pair| Span::between(pair[0], pair[1]) == span("1h")),
                "{cron}"
            );
        }
    }
}

#[test]
fn a_rule_every_fifteen_minutes_neither_loses_nor_doubles_a_quarter() {
    for (after, until) in [SPRING, AUTUMN] {
        let schedule = Schedule::parse("*/15 * * * *", "Europe/Berlin").unwrap();
        let due = schedule.due_after(at(after), at(until), 1000);
        assert_eq!(due.len(), 192);
        assert!(
            due.windows(2)
                .all(|pair| Span::between(pair[0], pair[1]) == span("15m"))
        );
    }
}

#[test]
fn a_rule_every_two_hours_keeps_its_interval_through_both_nights() {
    let runs = due(
        "0 */2 * * *",
        "Europe/Berlin",
        "2026-03-28T23:30:00Z",
        "2026-03-29T04:00:00Z",
    );
    assert_eq!(runs, ["03-29 03:00 CEST", "03-29 04:00 CEST", "03-29 06:00 CEST"]);
    let runs = due(
        "0 */2 * * *",
        "Europe/Berlin",
        "2026-10-24T23:00:00Z",
        "2026-10-25T04:00:00Z",
    );
    assert_eq!(runs, ["10-25 02:00 CEST", "10-25 02:00 CET", "10-25 04:00 CET"]);
}

#[test]
fn asking_inside_the_repeated_hour_gives_what_is_left_of_it() {
    let runs = due(
        "*/30 * * * *",
        "Europe/Berlin",
        "2026-10-25T00:30:00Z",
        "2026-10-25T02:00:00Z",
    );
    assert_eq!(runs, ["10-25 02:00 CET", "10-25 02:30 CET", "10-25 03:00 CET"]);
    let runs = due(
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-25T00:30:00Z",
        "2026-10-25T12:00:00Z",
    );
    assert!(runs.is_empty(), "{runs:?}");
}

#[test]
fn a_day_that_a_zone_skips_runs_at_the_beginning_of_the_next() {
    // Apia went from 29 to 31 December 2011.
    let runs = due(
        "0 9 * * *",
        "Pacific/Apia",
        "2011-12-29T00:00:00Z",
        "2011-12-31T12:00:00Z",
    );
    assert_eq!(runs, ["12-29 09:00 -10", "12-31 00:00 +14", "12-31 09:00 +14"]);
}

#[test]
fn a_zone_that_moves_by_half_an_hour_is_understood() {
    // Lord Howe Island: 4 October 2026, 02:00 -> 02:30; 5 April 2026, 02:00 -> 01:30.
    let runs = due(
        "0 2 * * *",
        "Australia/Lord_Howe",
        "2026-10-03T12:00:00Z",
        "2026-10-04T12:00:00Z",
    );
    assert_eq!(runs, ["10-04 02:30 +11"]);
    let runs = due(
        "45 1 * * *",
        "Australia/Lord_Howe",
        "2026-04-04T12:00:00Z",
        "2026-04-05T12:00:00Z",
    );
    assert_eq!(runs, ["04-05 01:45 +11"]);
}

#[test]
fn after_is_left_out_and_until_is_included() {
    let schedule = Schedule::parse("0 * * * *", "UTC").unwrap();
    let due = schedule.due_after(at("2026-01-01T00:00:00Z"), at("2026-01-01T02:00:00Z"), 10);
    assert_eq!(due, [at("2026-01-01T01:00:00Z"), at("2026-01-01T02:00:00Z")]);
    assert_eq!(
        schedule.due_after(at("2026-01-01T00:00:00.5Z"), at("2026-01-01T00:59:59Z"), 10),
        []
    );
    assert_eq!(
        schedule.due_after(at("2026-01-01T00:00:00Z"), Timestamp::MAX, 3).len(),
        3
    );
    assert_eq!(
        schedule.next_after(at("2026-01-01T00:59:59.999Z")),
        Some(at("2026-01-01T01:00:00Z"))
    );
}

#[test]
fn the_end_of_the_calendar_ends_the_schedule() {
    let schedule = Schedule::parse("0 * * * *", "UTC").unwrap();
    assert_eq!(schedule.next_after(Timestamp::MAX), None);
    assert_eq!(schedule.due_after(Timestamp::MAX, Timestamp::MAX, 10), []);
}

#[test]
fn the_last_day_of_the_month_is_understood() {
    let runs = due("0 1 L * *", "UTC", "2028-01-31T12:00:00Z", "2028-04-30T12:00:00Z");
    assert_eq!(runs, ["02-29 01:00 UTC", "03-31 01:00 UTC", "04-30 01:00 UTC"]);
}

#[test]
fn a_day_of_month_and_a_day_of_week_together_mean_either() {
    // 1 June 2026 is a Monday.
    let runs = due("0 0 15 6 mon", "UTC", "2026-05-31T12:00:00Z", "2026-06-16T00:00:00Z");
    assert_eq!(runs, ["06-01 00:00 UTC", "06-08 00:00 UTC", "06-15 00:00 UTC"]);
    let runs = due("0 0 10 6 mon", "UTC", "2026-06-07T12:00:00Z", "2026-06-12T00:00:00Z");
    assert_eq!(runs, ["06-08 00:00 UTC", "06-10 00:00 UTC"]);
}

#[test]
fn names_of_days_and_months_and_both_numbers_of_sunday_are_understood() {
    for cron in ["0 0 * jun sun", "0 0 * JUN Sun", "0 0 * 6 0", "0 0 * 6 7"] {
        let runs = due(cron, "UTC", "2026-06-01T00:00:00Z", "2026-06-14T00:00:00Z");
        assert_eq!(runs, ["06-07 00:00 UTC", "06-14 00:00 UTC"], "{cron}");
    }
    let runs = due("0 0 * * sat-sun", "UTC", "2026-06-01T00:00:00Z", "2026-06-08T00:00:00Z");
    assert_eq!(runs, ["06-06 00:00 UTC", "06-07 00:00 UTC"]);
}

#[test]
fn the_longest_interval_is_seen_across_daylight_saving_weekends_and_leap_years() {
    let from = at("2026-01-01T00:00:00Z");
    for (cron, zone, longest) in [
        ("0 2 * * *", "UTC", "24h"),
        ("0 2 * * *", "Europe/Berlin", "25h"),
        ("0 * * * *", "Europe/Berlin", "1h"),
        ("*/15 * * * *", "Europe/Berlin", "15m"),
        ("0 9-17 * * mon-fri", "UTC", "64h"),
        ("0 0 1 * *", "UTC", "31d"),
        ("0 0 29 2 *", "UTC", "1461d"),
    ] {
        let schedule = Schedule::parse(cron, zone).unwrap();
        assert_eq!(schedule.longest_interval(from), span(longest), "{cron}");
    }
}

#[test]
fn expressions_that_cannot_work_are_refused_by_a_message_that_says_why() {
    let mut messages = String::new();
    for cron in [
        "",
        "   ",
        "* * * *",
        "0 2 * * * *",
        "@daily",
        "@reboot",
        "60 * * * *",
        "* 24 * * *",
        "0 0 0 * *",
        "0 0 * 13 *",
        "0 0 * * 8",
        "0 mon * * *",
        "0 0 * * 5#2",
        "0 0 15W * *",
        "0 0 * * 5L",
        "0 0 1,L * *",
        "0 0 ? * *",
        "0 0 1 * +mon",
        "*/0 * * * *",
        "5-1 * * * *",
        "0/15 * * * *",
        "0 0 31 2 *",
        "0 0 30 feb *",
        "0 0 31 4,6,9,11 *",
        "tue * * * *",
        "0 0 * monday *",
        ", * * * *",
        "1- * * * *",
        "*,5 * * * *",
        "*-5 * * * *",
        "*/90 * * * *",
        "*/5/5 * * * *",
        "1-5/ * * * *",
        "007 * * * *",
        "ä * * * *",
    ] {
        let error = Schedule::parse(cron, "UTC").unwrap_err();
        messages += &format!("{error}\n");
    }
    for zone in ["", "Mars/Olympus", "CEST5", "+02:00", "Etc/Unknown", "local"] {
        let error = Schedule::parse("0 2 * * *", zone).unwrap_err();
        messages += &format!("{error}\n");
    }
    crate::golden::check("schedule_errors.txt", &messages);
}

/// Every instant of a span, minute by minute, that a plain reading of the rules in the documentation makes due.
fn model(
    minutes: &BTreeSet<i8>,
    hours: &BTreeSet<i8>,
    elapsed: bool,
    zone: &str,
    from: Timestamp,
    to: Timestamp,
) -> Vec<Timestamp> {
    let zone = time_zone(zone).unwrap();
    let mut found = BTreeSet::new();
    let mut face: DateTime = zone.to_datetime(from).date().yesterday().unwrap().at(0, 0, 0, 0);
    let end = zone.to_datetime(to).date().tomorrow().unwrap().at(23, 59, 0, 0);
    while face <= end {
        if minutes.contains(&face.minute()) && hours.contains(&face.hour()) {
            match zone.to_ambiguous_timestamp(face).offset() {
                AmbiguousOffset::Unambiguous { offset } => {
                    found.insert(offset.to_timestamp(face).unwrap());
                }
                AmbiguousOffset::Fold { before, after } => {
                    found.insert(before.to_timestamp(face).unwrap());
                    if elapsed {
                        found.insert(after.to_timestamp(face).unwrap());
                    }
                }
                AmbiguousOffset::Gap { before, .. } => {
                    let mut instant = before.to_timestamp(face).unwrap();
                    if !elapsed {
                        // Back to the first minute after the gap: the last one whose minute before shows an earlier offset.
                        while zone.to_offset(Span::seconds(60).before(instant)) != before {
                            instant = Span::seconds(60).before(instant);
                        }
                    }
                    found.insert(instant);
                }
            }
        }
        face = face.checked_add(jiff::SignedDuration::from_mins(1)).unwrap();
    }
    found.into_iter().filter(|due| *due > from && *due <= to).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn due_times_agree_with_a_walk_over_every_minute(
        minutes in prop::collection::btree_set(0i8..60, 1..4),
        hours in prop::collection::btree_set(0i8..24, 1..5),
        step in prop::option::of(1i8..6),
        zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "America/Havana", "UTC"]),
        change in prop::sample::select(vec!["2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-04-05", "2026-10-04", "2026-02-15", "2026-03-22"]),
        offset_minutes in 0i64..4000,
    ) {
        let list = |set: &BTreeSet<i8>| set.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let (hour_field, hours) = match step {
            Some(step) => (format!("*/{step}"), (0..24).step_by(step as usize).collect()),
            None => (list(&hours), hours),
        };
        let cron = format!("{} {hour_field} * * *", list(&minutes));
        let day = at(&format!("{change}T00:00:00Z"));
        let from = Span::minutes(offset_minutes).after(Span::hours(50).before(day));
        let to = Span::hours(60).after(from);
        let schedule = Schedule::parse(&cron, zone).unwrap();
        let expected = model(&minutes, &hours, step.is_some(), zone, from, to);
        prop_assert_eq!(schedule.due_after(from, to, 10_000), expected, "{} in {}", cron, zone);
    }
}

#[test]
fn a_new_rule_owes_nothing_from_before_it_stood() {
    let mut draft = draft();
    draft.rules = vec![rule("hourly", "0 * * * *", "UTC", BackupKind::Full)];
    let policy = policy(draft);
    let plan = plan_occurrences(
        &policy,
        &policy.draft.rules[0],
        &resource(),
        None,
        at("2025-12-31T23:30:00Z"),
    )
    .unwrap();
    assert_eq!((plan.missed.len(), plan.due), (0, None));
    // The very time since which it stands counts.
    let plan = plan_occurrences(
        &policy,
        &policy.draft.rules[0],
        &resource(),
        None,
        at("2026-01-01T00:10:00Z"),
    )
    .unwrap();
    let (key, catch_up) = plan.due.unwrap();
    assert_eq!((key.due_at, catch_up), (at("2026-01-01T00:00:00Z"), false));
    assert_eq!(
        (key.policy.as_str(), key.rule.as_str(), key.resource.as_str()),
        ("photos", "hourly", "photos")
    );
}

#[test]
fn a_new_resource_owes_nothing_from_before_it_was_known() {
    let mut resource = resource();
    resource.registered_at = at("2026-02-01T12:00:00.5Z");
    let policy = policy(draft());
    let plan = plan_occurrences(
        &policy,
        &policy.draft.rules[0],
        &resource,
        None,
        at("2026-02-02T00:30:00Z"),
    )
    .unwrap();
    assert_eq!((plan.missed.len(), plan.due), (0, None));
    let plan = plan_occurrences(
        &policy,
        &policy.draft.rules[0],
        &resource,
        None,
        at("2026-02-02T01:00:00Z"),
    )
    .unwrap();
    assert_eq!(plan.due.unwrap().0.due_at, at("2026-02-02T01:00:00Z"));
}

#[test]
fn a_due_time_in_the_second_before_the_beginning_is_not_owed() {
    let mut resource = resource();
    resource.registered_at = at("2026-02-01T12:00:00.5Z");
    let mut draft = draft();
    draft.rules = vec![rule("hourly", "0 * * * *", "UTC", BackupKind::Full)];
    let policy = policy(draft);
    let plan = plan_occurrences(
        &policy,
        &policy.draft.rules[0],
        &resource,
        None,
        at("2026-02-01T12:30:00Z"),
    )
    .unwrap();
    assert_eq!((plan.missed.len(), plan.due), (0, None));
}

#[test]
fn an_occurrence_is_due_once_and_late_ones_are_caught_up_once() {
    let mut draft = draft();
    draft.rules = vec![rule("hourly", "0 * * * *", "UTC", BackupKind::Full)];
    let policy = policy(draft);
    let rule = &policy.draft.rules[0];
    let plan = |last: &str, now: &str| plan_occurrences(&policy, rule, &resource(), Some(at(last)), at(now)).unwrap();

    let nothing = plan("2026-01-05T10:00:00Z", "2026-01-05T10:59:59Z");
    assert_eq!((nothing.missed.len(), nothing.due), (0, None));
    let on_time = plan("2026-01-05T10:00:00Z", "2026-01-05T11:59:00Z");
    assert_eq!(
        on_time.due.map(|(key, catch_up)| (key.due_at, catch_up)),
        Some((at("2026-01-05T11:00:00Z"), false))
    );
    let after_outage = plan("2026-01-05T10:00:00Z", "2026-01-05T13:05:00Z");
    let missed: Vec<_> = after_outage.missed.iter().map(|key| key.due_at).collect();
    assert_eq!(missed, [at("2026-01-05T11:00:00Z"), at("2026-01-05T12:00:00Z")]);
    assert_eq!(
        after_outage.due.map(|(key, catch_up)| (key.due_at, catch_up)),
        Some((at("2026-01-05T13:00:00Z"), true))
    );
    let clock_went_back = plan("2026-01-05T10:00:00Z", "2026-01-05T09:00:00Z");
    assert_eq!((clock_went_back.missed.len(), clock_went_back.due), (0, None));
}

#[test]
fn an_occurrence_later_than_its_rule_allows_is_a_catch_up() {
    let policy = policy(draft());
    let rule = &policy.draft.rules[0];
    let last = Some(at("2026-01-05T01:00:00Z"));
    for (now, catch_up) in [("2026-01-06T02:00:00Z", false), ("2026-01-06T02:00:01Z", true)] {
        let plan = plan_occurrences(&policy, rule, &resource(), last, at(now)).unwrap();
        assert_eq!(plan.due.map(|(_, catch_up)| catch_up), Some(catch_up), "{now}");
    }
}

#[test]
fn a_very_long_outage_is_worked_off_in_bounded_pieces_without_losing_any() {
    let mut draft = draft();
    draft.rules = vec![rule("minutely", "* * * * *", "UTC", BackupKind::Incremental)];
    let policy = policy(draft);
    let rule = &policy.draft.rules[0];
    let now = at("2026-01-21T00:00:30Z");
    let mut last = None;
    let mut recorded = Vec::new();
    for round in 0.. {
        assert!(round < 10, "it does not end");
        let plan = plan_occurrences(&policy, rule, &resource(), last, now).unwrap();
        assert!(plan.missed.len() <= MAX_MISSED);
        recorded.extend(plan.missed.iter().map(|key| key.due_at));
        if let Some((key, _)) = plan.due {
            recorded.push(key.due_at);
            break;
        }
        last = recorded.last().copied();
    }
    assert_eq!(recorded.len(), 20 * 24 * 60 + 1);
    assert!(
        recorded
            .windows(2)
            .all(|pair| Span::between(pair[0], pair[1]) == span("1m"))
    );
}

#[test]
fn a_rule_that_does_not_read_is_an_error_that_names_it() {
    let mut draft = draft();
    draft.rules[0].cron = "0 2 * *".to_owned();
    let policy = policy(draft);
    let error = plan_occurrences(
        &policy,
        &policy.draft.rules[0],
        &resource(),
        None,
        Timestamp::UNIX_EPOCH,
    )
    .unwrap_err();
    assert!(error.to_string().contains("\"0 2 * *\""), "{error}");
}

#[test]
fn applying_a_policy_again_keeps_since_when_its_rules_stand() {
    let mut previous = draft();
    previous
        .rules
        .push(rule("weekly", "0 3 * * sun", "UTC", BackupKind::Full));
    previous
        .rules
        .push(rule("monthly", "0 3 1 * *", "UTC", BackupKind::Full));
    let mut next = previous.clone();
    let later = at("2026-06-01T00:00:00Z");
    next.rules.iter_mut().for_each(|rule| rule.since = later);
    assert!(same_policy(&previous, &next));
    assert_ne!(previous, next);
    next.rules[1].cron = "0 4 * * sun".to_owned();
    next.rules[2].zone = "Europe/Berlin".to_owned();
    next.rules[0].start_within = span("2h");
    assert!(!same_policy(&previous, &next));
    carry_over(&previous, &mut next);
    let since: Vec<_> = next.rules.iter().map(|rule| rule.since).collect();
    assert_eq!(since, [previous.rules[0].since, later, later]);
}
