use holdfast_core::domain::{CopyState, Objectives, ResourceId};
use holdfast_core::planning::{check_objectives, is_checked};
use jiff::Timestamp;

use crate::make::{at, point, resource, span, unread};

fn objectives() -> Objectives {
    Objectives {
        rpo: span("1h"),
        rto: span("4h"),
    }
}

#[test]
fn a_newest_point_as_old_as_the_rpo_holds_and_an_older_one_does_not() {
    let points = [point(at("2026-01-05T09:00:00Z")), point(at("2026-01-05T10:00:00Z"))];
    assert_eq!(
        check_objectives(&objectives(), &resource(), &points, None, at("2026-01-05T11:00:00Z")),
        None
    );
    let breach = check_objectives(&objectives(), &resource(), &points, None, at("2026-01-05T11:00:01Z")).unwrap();
    assert_eq!(
        (breach.resource, breach.newest),
        (resource().id, Some(at("2026-01-05T10:00:00Z")))
    );
    assert_eq!((breach.age, breach.rpo), (span("3601s"), span("1h")));
}

#[test]
fn a_resource_without_a_point_is_as_old_as_its_registration() {
    let registered_at = resource().registered_at;
    assert_eq!(
        check_objectives(&objectives(), &resource(), &[], None, span("1h").after(registered_at)),
        None
    );
    let breach = check_objectives(&objectives(), &resource(), &[], None, span("2h").after(registered_at)).unwrap();
    assert_eq!((breach.newest, breach.age), (None, span("2h")));
}

#[test]
fn only_whole_restorable_points_of_the_resource_itself_count() {
    let good = point(at("2026-01-05T08:00:00Z"));
    let mut partial = point(at("2026-01-05T10:00:00Z"));
    partial.unread = unread();
    let mut damaged = point(at("2026-01-05T10:01:00Z"));
    damaged.copies[0].state = CopyState::Corrupt;
    let mut foreign = point(at("2026-01-05T10:02:00Z"));
    foreign.resource = ResourceId::new("other").unwrap();
    let points = [good, partial, damaged, foreign];
    let breach = check_objectives(&objectives(), &resource(), &points, None, at("2026-01-05T10:30:00Z")).unwrap();
    assert_eq!(breach.newest, Some(at("2026-01-05T08:00:00Z")));
}

#[test]
fn a_point_from_the_future_has_no_age() {
    let points = [point(at("2026-01-05T10:00:00Z"))];
    assert_eq!(
        check_objectives(&objectives(), &resource(), &points, None, at("2026-01-05T09:00:00Z")),
        None
    );
}

#[test]
fn a_resource_has_its_turn_once_in_every_sixtieth_of_its_rpo() {
    let resource = resource().id;
    let minute = |n: i64| span("1m").after(span(&format!("{}m", 1 + n)).after(at("2026-01-05T00:00:00Z")));
    let turns = |rpo: &str| -> Vec<i64> {
        (0..1440)
            .filter(|n| is_checked(&resource, span(rpo), minute(n - 1), minute(*n)))
            .collect()
    };
    let daily = turns("24h");
    assert_eq!(daily.len(), 60);
    assert!(daily.windows(2).all(|pair| pair[1] - pair[0] == 24), "{daily:?}");
    assert_eq!(turns("1h").len(), 1440);
    assert_eq!(turns("1m").len(), 1440);
}

#[test]
fn turns_are_spread_over_resources_and_none_is_lost_by_a_pause_or_a_clock_that_went_back() {
    let rpo = span("24h");
    let now = at("2026-01-05T10:00:00Z");
    let names: Vec<ResourceId> = (0..2400)
        .map(|n| ResourceId::new(format!("volume-{n}")).unwrap())
        .collect();
    let having = |last: Timestamp| names.iter().filter(|name| is_checked(name, rpo, last, now)).count();
    let in_a_minute = having(span("1m").before(now));
    assert!(
        (50..150).contains(&in_a_minute),
        "{in_a_minute} of 2400 in one of 24 minutes"
    );
    assert_eq!(having(span("24m").before(now)), 2400);
    assert_eq!(having(Timestamp::MIN), 2400);
    assert_eq!(having(now), 0);
}

#[test]
fn the_log_of_a_server_counts_as_its_newest_point() {
    let covered_at = Some(at("2026-01-05T10:59:00Z"));
    let now = at("2026-01-05T11:00:00Z");
    assert_eq!(check_objectives(&objectives(), &resource(), &[], covered_at, now), None);
    let later = span("3h").after(now);
    let breach = check_objectives(&objectives(), &resource(), &[], covered_at, later).unwrap();
    assert_eq!(breach.newest, covered_at);
}
