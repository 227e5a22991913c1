use std::collections::BTreeSet;
use std::fmt::Write;

use holdfast_core::domain::{BackupKind, CopyState, Level, Point, PointId, PointState, ResourceId, Retention, Span};
use holdfast_core::planning::{
    Inventory, KeepReason, RetentionPlan, RetentionRefusal, ScheduleError, plan_retention, time_zone,
};
use jiff::Timestamp;
use jiff::civil::Date;
use proptest::prelude::*;

use crate::golden;
use crate::make::{at, copy, point, proof, proven, unread};

fn keep(last: u32, daily: u32, weekly: u32, monthly: u32, yearly: u32) -> Retention {
    Retention {
        keep_last: last,
        keep_daily: daily,
        keep_weekly: weekly,
        keep_monthly: monthly,
        keep_yearly: yearly,
    }
}

fn plan(retention: Retention, zone: &str, points: &[Point], now: &str) -> RetentionPlan {
    let inventory = Inventory { points, complete: true };
    plan_retention(&retention, zone, &inventory, at(now)).unwrap()
}

fn kept(plan: &RetentionPlan) -> Vec<String> {
    let kept = plan.decisions.iter().filter(|decision| !decision.keep.is_empty());
    kept.map(|decision| decision.taken_at.to_string()).collect()
}

fn refused(points: &[Point], complete: bool, retention: Retention, zone: &str) -> RetentionRefusal {
    plan_retention(
        &retention,
        zone,
        &Inventory { points, complete },
        at("2026-02-01T00:00:00Z"),
    )
    .unwrap_err()
}

fn daily(first: &str, days: i64) -> Vec<Point> {
    (0..days).map(|day| point(Span::days(day).after(at(first)))).collect()
}

/// The plan as a person reads it.
fn render(plan: &RetentionPlan, zone: &str) -> String {
    let zone = time_zone(zone).unwrap();
    let mut text = String::new();
    for decision in &plan.decisions {
        let local = decision
            .taken_at
            .to_zoned(zone.clone())
            .strftime("%Y-%m-%d %a %H:%M %Z")
            .to_string();
        let verdict = if decision.keep.is_empty() { "expire" } else { "keep  " };
        writeln!(text, "{local}  {verdict}  {}", decision.reason).unwrap();
    }
    text
}

#[test]
fn a_partial_listing_is_refused() {
    let points = daily("2026-01-01T00:00:00Z", 3);
    assert_eq!(
        refused(&points, false, keep(1, 0, 0, 0, 0), "UTC"),
        RetentionRefusal::PartialInventory { listed: 3 }
    );
}

#[test]
fn points_of_several_resources_are_refused() {
    let mut points = daily("2026-01-01T00:00:00Z", 2);
    points[1].resource = ResourceId::new("other").unwrap();
    let refusal = refused(&points, true, keep(1, 0, 0, 0, 0), "UTC");
    assert_eq!(refusal.to_string(), "the listing mixes resources photos and other");
}

#[test]
fn a_point_that_is_listed_twice_is_refused() {
    let mut points = daily("2026-01-01T00:00:00Z", 2);
    points[1].id = points[0].id.clone();
    let refusal = refused(&points, true, keep(1, 0, 0, 0, 0), "UTC");
    assert_eq!(
        refusal,
        RetentionRefusal::DuplicatePoint {
            point: points[0].id.clone()
        }
    );
}

#[test]
fn a_retention_that_keeps_nothing_and_an_unknown_zone_are_refused() {
    let points = daily("2026-01-01T00:00:00Z", 2);
    assert_eq!(
        refused(&points, true, keep(0, 0, 0, 0, 0), "UTC"),
        RetentionRefusal::KeepsNothing
    );
    let refusal = refused(&points, true, keep(1, 0, 0, 0, 0), "Mars");
    assert!(
        matches!(refusal, RetentionRefusal::Zone(ScheduleError::Zone { .. })),
        "{refusal}"
    );
}

#[test]
fn no_points_make_an_empty_plan() {
    assert_eq!(
        plan(keep(1, 0, 0, 0, 0), "UTC", &[], "2026-01-01T00:00:00Z"),
        RetentionPlan::default()
    );
}

#[test]
fn a_leap_year_is_planned_as_written() {
    let points = daily("2024-02-25T01:00:00Z", 10);
    let plan = plan(keep(0, 3, 2, 2, 1), "UTC", &points, "2024-03-05T12:00:00Z");
    golden::check("retention/leap_year.txt", &render(&plan, "UTC"));
}

#[test]
fn weeks_are_iso_weeks_also_where_the_year_ends_inside_one() {
    // 2026 has 53 weeks: 1 to 3 January 2027 belong to 2026-W53.
    let points = daily("2026-12-20T01:00:00Z", 18);
    let plan = plan(keep(0, 0, 4, 2, 2), "UTC", &points, "2027-01-06T12:00:00Z");
    golden::check("retention/iso_week_at_the_end_of_the_year.txt", &render(&plan, "UTC"));
}

#[test]
fn days_are_those_of_the_zone() {
    let points: Vec<Point> = [
        "2026-03-28T22:30:00Z",
        "2026-03-28T23:30:00Z",
        "2026-03-29T21:30:00Z",
        "2026-03-29T22:30:00Z",
    ]
    .into_iter()
    .map(|taken_at| point(at(taken_at)))
    .collect();
    let mut text = String::new();
    for zone in ["UTC", "Europe/Berlin", "America/New_York"] {
        let plan = plan(keep(0, 9, 0, 0, 0), zone, &points, "2026-03-30T12:00:00Z");
        writeln!(text, "{zone}\n{}", render(&plan, zone)).unwrap();
    }
    golden::check("retention/change_of_zone.txt", &text);
}

#[test]
fn a_requirement_of_seven_days_four_weeks_twelve_months_and_seven_years_is_met() {
    // requirements 002:55-58: retention_daily 7, retention_weekly 4, retention_monthly 12, retention_yearly 7.
    let points = daily("2018-01-01T01:00:00Z", 3000);
    let plan = plan(keep(0, 7, 4, 12, 7), "UTC", &points, "2026-03-20T00:00:00Z");
    let kept: Vec<_> = plan
        .decisions
        .into_iter()
        .filter(|decision| !decision.keep.is_empty())
        .collect();
    let of = |wanted: fn(&KeepReason) -> bool| kept.iter().filter(|decision| decision.keep.iter().any(wanted)).count();
    assert_eq!(of(|reason| matches!(reason, KeepReason::Daily(_))), 7);
    assert_eq!(of(|reason| matches!(reason, KeepReason::Weekly { .. })), 4);
    assert_eq!(of(|reason| matches!(reason, KeepReason::Monthly { .. })), 12);
    assert_eq!(of(|reason| matches!(reason, KeepReason::Yearly(_))), 7);
}

#[test]
fn a_partial_point_takes_no_slot_from_a_complete_one() {
    let mut points = daily("2026-01-01T01:00:00Z", 4);
    for point in &mut points[2..] {
        point.unread = unread();
    }
    // Two slots: both complete points keep theirs; the partial ones stay too, for what they are worth.
    let by_number = plan(keep(3, 0, 0, 0, 0), "UTC", &points, "2026-01-05T00:00:00Z");
    let plan = plan(keep(0, 2, 0, 0, 0), "UTC", &points, "2026-01-05T00:00:00Z");
    let mut text = render(&plan, "UTC");
    // The same by number: a complete point is counted among the complete ones alone.
    text += "\n";
    text += &render(&by_number, "UTC");
    golden::check("retention/partial_points.txt", &text);
}

#[test]
fn in_a_day_with_a_complete_point_a_newer_partial_one_expires() {
    let mut points: Vec<Point> = ["2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z", "2026-01-01T03:00:00Z"]
        .into_iter()
        .map(|taken_at| point(at(taken_at)))
        .collect();
    points[1].unread = unread();
    points[2].copies[0].state = CopyState::Corrupt;
    points[2].state = PointState::Corrupt;
    let plan = plan(keep(0, 1, 0, 0, 0), "UTC", &points, "2026-01-05T00:00:00Z");
    assert_eq!(kept(&plan), ["2026-01-01T01:00:00Z"]);
}

#[test]
fn a_damaged_point_stays_while_nothing_better_fills_its_slot() {
    let mut points = daily("2026-01-01T01:00:00Z", 3);
    points[2].copies[0].state = CopyState::Corrupt;
    points[2].state = PointState::Corrupt;
    let plan = plan(keep(0, 1, 0, 0, 0), "UTC", &points, "2026-01-05T00:00:00Z");
    assert_eq!(kept(&plan), ["2026-01-03T01:00:00Z", "2026-01-02T01:00:00Z"]);
}

#[test]
fn a_damaged_copy_takes_a_point_out_of_the_sound_ones_even_where_the_point_is_expiring() {
    let mut points = daily("2026-01-01T01:00:00Z", 2);
    points[1].copies[0].state = CopyState::Corrupt;
    let taken_at = points[1].taken_at;
    points[1].copies.push(copy("recovery", CopyState::Available, taken_at));
    points[1].state = PointState::Expiring;
    let plan = plan(keep(1, 0, 0, 0, 0), "UTC", &points, "2026-01-05T00:00:00Z");
    assert_eq!(kept(&plan), ["2026-01-02T01:00:00Z", "2026-01-01T01:00:00Z"]);
}

#[test]
fn legal_hold_keeps_whatever_the_slots_say_and_fills_none() {
    let mut points = daily("2026-01-01T01:00:00Z", 3);
    points[0].legal_hold = Some("case 17".to_owned());
    let plan = plan(keep(1, 0, 0, 0, 0), "UTC", &points, "2026-01-05T00:00:00Z");
    assert_eq!(kept(&plan), ["2026-01-03T01:00:00Z", "2026-01-01T01:00:00Z"]);
    assert_eq!(plan.decisions[2].keep, [KeepReason::LegalHold("case 17".to_owned())]);
    assert_eq!(plan.expired().count(), 1);
}

#[test]
fn the_newest_proven_point_stays_until_a_newer_one_is_proven() {
    let mut points = daily("2026-01-01T01:00:00Z", 5);
    let prove = |point: &mut Point| point.copies[0] = proven(point.copies[0].clone(), at("2026-01-06T00:00:00Z"));
    prove(&mut points[0]);
    prove(&mut points[1]);
    let first = plan(keep(1, 0, 0, 0, 0), "UTC", &points, "2026-01-06T00:00:00Z");
    assert_eq!(kept(&first), ["2026-01-05T01:00:00Z", "2026-01-02T01:00:00Z"]);
    assert_eq!(first.decisions[3].keep, [KeepReason::LastVerified]);
    prove(&mut points[4]);
    let then = plan(keep(1, 0, 0, 0, 0), "UTC", &points, "2026-01-06T00:00:00Z");
    assert_eq!(kept(&then), ["2026-01-05T01:00:00Z"]);
}

#[test]
fn a_proof_of_existence_or_a_failed_proof_is_no_proof() {
    let mut points = daily("2026-01-01T01:00:00Z", 3);
    points[0].copies[0].proofs = vec![proof(Level::L1, true, at("2026-01-02T00:00:00Z"))];
    points[1].copies[0].proofs = vec![proof(Level::L2, false, at("2026-01-03T00:00:00Z"))];
    let plan = plan(keep(1, 0, 0, 0, 0), "UTC", &points, "2026-01-06T00:00:00Z");
    assert_eq!(kept(&plan), ["2026-01-03T01:00:00Z"]);
}

#[test]
fn a_proven_partial_point_does_not_stand_for_a_proven_complete_one() {
    let mut points = daily("2026-01-01T01:00:00Z", 5);
    for place in [0, 1] {
        points[place].copies[0] = proven(points[place].copies[0].clone(), at("2026-01-06T00:00:00Z"));
    }
    points[1].unread = unread();
    let plan = plan(keep(1, 0, 0, 0, 0), "UTC", &points, "2026-01-06T00:00:00Z");
    assert_eq!(
        kept(&plan),
        ["2026-01-05T01:00:00Z", "2026-01-02T01:00:00Z", "2026-01-01T01:00:00Z"]
    );
}

#[test]
fn a_full_stays_while_a_differential_made_from_it_stays() {
    let mut points = daily("2026-01-01T01:00:00Z", 6);
    let full = points[0].id.clone();
    for point in &mut points[1..] {
        point.kind = BackupKind::Differential;
        point.base = Some(full.clone());
    }
    let plan = plan(keep(2, 0, 0, 0, 0), "UTC", &points, "2026-01-07T00:00:00Z");
    assert_eq!(
        kept(&plan),
        ["2026-01-06T01:00:00Z", "2026-01-05T01:00:00Z", "2026-01-01T01:00:00Z"]
    );
    assert_eq!(plan.decisions[5].keep, [KeepReason::BaseOf(points[5].id.clone())]);
}

#[test]
fn an_incremental_needs_nothing_but_itself() {
    let mut points = daily("2026-01-01T01:00:00Z", 3);
    for place in [1, 2] {
        points[place].kind = BackupKind::Incremental;
        points[place].base = Some(points[place - 1].id.clone());
    }
    let plan = plan(keep(1, 0, 0, 0, 0), "UTC", &points, "2026-01-07T00:00:00Z");
    assert_eq!(kept(&plan), ["2026-01-03T01:00:00Z"]);
}

#[test]
fn a_base_that_is_itself_a_differential_keeps_its_own_base_and_a_missing_base_harms_nothing() {
    let mut points = daily("2026-01-01T01:00:00Z", 4);
    for place in [1, 2, 3] {
        points[place].kind = BackupKind::Differential;
        points[place].base = Some(points[place - 1].id.clone());
    }
    points[1].base = Some(PointId::derive(&["gone"]));
    let plan = plan(keep(1, 0, 0, 0, 0), "UTC", &points, "2026-01-07T00:00:00Z");
    assert_eq!(
        kept(&plan),
        ["2026-01-04T01:00:00Z", "2026-01-03T01:00:00Z", "2026-01-02T01:00:00Z"]
    );
}

#[test]
fn deleted_points_are_passed_over_and_expiring_ones_judged_afresh() {
    let mut points = daily("2026-01-01T01:00:00Z", 3);
    points[2].state = PointState::Deleted;
    points[1].state = PointState::Expiring;
    let plan = plan(keep(1, 0, 0, 0, 0), "UTC", &points, "2026-01-07T00:00:00Z");
    assert_eq!(plan.decisions.len(), 2);
    assert_eq!(kept(&plan), ["2026-01-02T01:00:00Z"]);
}

#[test]
fn a_point_that_is_being_made_stays_and_fills_no_slot() {
    let mut points = daily("2026-01-01T01:00:00Z", 2);
    points[1].state = PointState::Creating;
    points[1].copies.clear();
    let plan = plan(keep(1, 0, 0, 0, 0), "UTC", &points, "2026-01-07T00:00:00Z");
    assert_eq!(plan.decisions[0].keep, [KeepReason::BeingMade]);
    assert_eq!(plan.decisions[1].keep, [KeepReason::NewestPoint, KeepReason::Last(1)]);
}

#[test]
fn points_from_the_future_stay_and_push_nothing_out() {
    let points = daily("2026-01-01T01:00:00Z", 4);
    let plan = plan(keep(1, 0, 0, 0, 0), "UTC", &points, "2026-01-02T02:00:00Z");
    golden::check("retention/points_from_the_future.txt", &render(&plan, "UTC"));
}

#[test]
fn a_day_that_the_clock_left_and_entered_again_is_one_day() {
    // St. John's, 7 November 2010: one minute after midnight the clock went back to 23:01 of the day before.
    let points: Vec<Point> = [
        "2010-11-07T02:00:00Z",
        "2010-11-07T02:30:30Z",
        "2010-11-07T02:40:00Z",
        "2010-11-07T03:40:00Z",
    ]
    .into_iter()
    .map(|taken_at| point(at(taken_at)))
    .collect();
    let plan = plan(keep(0, 2, 0, 0, 0), "America/St_Johns", &points, "2010-11-08T00:00:00Z");
    golden::check("retention/day_entered_twice.txt", &render(&plan, "America/St_Johns"));
}

// A naive model: whether one point stays, asked of that point alone.

fn rank(point: &Point) -> u8 {
    let damaged = point.copies.iter().any(|copy| copy.state == CopyState::Corrupt);
    match (point.is_restorable(), point.is_partial() || damaged) {
        (true, false) => 2,
        (true, true) => 1,
        (false, _) => 0,
    }
}

fn newer(a: &Point, b: &Point) -> bool {
    (a.taken_at, &a.id) > (b.taken_at, &b.id)
}

fn stays_by_slot(point: &Point, all: &[Point], slots: u32, period: &dyn Fn(&Point) -> String) -> bool {
    let rivals: Vec<&Point> = all.iter().filter(|other| rank(other) >= rank(point)).collect();
    let mine = period(point);
    let is_best = rivals.iter().all(|other| {
        period(other) != mine || other.id == point.id || rank(other) == rank(point) && newer(point, other)
    });
    let later: BTreeSet<String> = rivals
        .iter()
        .filter(|other| newer(other, point))
        .map(|other| period(other))
        .collect();
    is_best && later.iter().filter(|period| **period != mine).count() < slots as usize
}

fn stays(point: &Point, all: &[Point], retention: &Retention, zone: &str) -> bool {
    let zone = time_zone(zone).unwrap();
    let date = |point: &Point| -> Date { zone.to_datetime(point.taken_at).date() };
    let whole_and_newest =
        |holds: &dyn Fn(&Point) -> bool| holds(point) && !all.iter().any(|other| holds(other) && newer(other, point));
    let whole = |point: &Point| point.is_restorable() && !point.is_partial();
    let is_proven = |point: &Point| point.is_restorable() && point.is_proven(Level::L2);
    let newer_rivals = all
        .iter()
        .filter(|other| rank(other) >= rank(point) && newer(other, point))
        .count();
    point.legal_hold.is_some()
        || whole_and_newest(&whole)
        || whole_and_newest(&is_proven)
        || whole_and_newest(&|point| whole(point) && is_proven(point))
        || newer_rivals < retention.keep_last as usize
        || stays_by_slot(point, all, retention.keep_daily, &|point| date(point).to_string())
        || stays_by_slot(point, all, retention.keep_weekly, &|point| {
            let week = date(point).iso_week_date();
            format!("{}-{}", week.year(), week.week())
        })
        || stays_by_slot(point, all, retention.keep_monthly, &|point| {
            format!("{}-{}", date(point).year(), date(point).month())
        })
        || stays_by_slot(point, all, retention.keep_yearly, &|point| {
            date(point).year().to_string()
        })
}

fn any_point() -> impl Strategy<Value = Point> {
    (0i64..20_000, 0u8..10, 0u8..6, any::<bool>()).prop_map(|(hours, quality, hold, is_proven)| {
        let taken_at: Timestamp = Span::hours(hours).after(at("2023-12-01T00:30:00Z"));
        let mut point = point(taken_at);
        if is_proven {
            point.copies[0] = proven(point.copies[0].clone(), taken_at);
        }
        match quality {
            0 | 1 => point.unread = unread(),
            2 => point.copies[0].state = CopyState::Corrupt,
            3 => point.copies.push(copy("recovery", CopyState::Corrupt, taken_at)),
            _ => {}
        }
        point.legal_hold = (hold == 0).then(|| "order".to_owned());
        point
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plans_agree_with_a_naive_model_and_planning_again_expires_nothing_more(
        points in prop::collection::vec(any_point(), 0..40),
        numbers in prop::array::uniform5(0u32..5),
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "Pacific/Auckland", "America/Havana"]),
    ) {
        let [last, daily, weekly, monthly, yearly] = numbers;
        let retention = keep(last, daily, weekly, monthly, yearly);
        prop_assume!(retention != Retention::default());
        let mut points = points;
        points.sort_by_key(|point| point.taken_at);
        points.dedup_by_key(|point| point.taken_at);
        let now = "2026-12-01T00:00:00Z";
        let first = plan(retention, zone, &points, now);
        prop_assert_eq!(first.decisions.len(), points.len());
        prop_assert!(first.decisions.windows(2).all(|pair| pair[0].taken_at > pair[1].taken_at));
        for point in &points {
            let decision = first.decisions.iter().find(|decision| decision.point == point.id).unwrap();
            prop_assert_eq!(!decision.keep.is_empty(), stays(point, &points, &retention, zone), "{}", point.taken_at);
        }
        points.reverse();
        prop_assert_eq!(&plan(retention, zone, &points, now), &first);
        points.retain(|point| first.decisions.iter().any(|decision| decision.point == point.id && !decision.keep.is_empty()));
        prop_assert_eq!(plan(retention, zone, &points, now).expired().count(), 0);
    }
}
