//! When a backup of a server is tried, and which.

use holdfast_core::domain::{
    Checks, CopyState, Level, LogState, Point, PointState, ResourceId, ResourceKind, Stretch, Trial, TrialRule, Window,
};
use holdfast_core::planning::{TrialDue, plan_trial};

use crate::make::{at, copy, point, proof, span, vault_name};

const NOW: &str = "2026-06-30T00:00:00Z";

fn rule(checks: &str) -> TrialRule {
    TrialRule {
        every: span("10d"),
        trial: Trial {
            folder: "/trials".to_owned(),
            superuser: "postgres".to_owned(),
            programs: None,
            timeout: span("4h"),
            checks: serde_json::from_str::<Checks>(checks).unwrap(),
        },
    }
}

fn base(day: i8) -> Point {
    let mut point = point(at(&format!("2026-06-{day:02}T02:00:00Z")));
    point.resource_kind = ResourceKind::Postgres;
    point.copies[0].artefact = format!("base-{day}");
    point
}

fn due(points: &[Point]) -> Option<TrialDue> {
    plan_trial(&rule("{}"), points, &[], at(NOW))
}

#[test]
fn what_was_never_tried_is_tried_at_once_and_then_in_the_last_tenth_of_its_span() {
    assert_eq!(due(&[]), None);
    let mut points = [base(1), base(28)];
    let first = due(&points).unwrap();
    assert_eq!(
        (first.number, first.at.artefact.as_str(), first.level),
        (0, "base-28", Level::L4)
    );
    assert!(first.reason.starts_with("no backup of it was ever tried"), "{first:?}");
    assert!(first.reason.contains("without later log"), "{first:?}");
    for (tried, is_due) in [
        ("2026-06-10T00:00:00Z", true),
        ("2026-06-21T00:00:00Z", true),
        ("2026-06-21T00:00:01Z", false),
        (NOW, false),
    ] {
        for passed in [true, false] {
            points[0].copies[0].proofs = vec![proof(Level::L4, passed, at(tried))];
            let due = due(&points);
            assert_eq!(due.is_some(), is_due, "{tried}");
            assert!(due.is_none_or(|due| due.number == 1 && due.reason.contains(tried)));
        }
    }
}

#[test]
fn proofs_of_the_store_and_restores_that_somebody_asked_for_are_no_trials() {
    let mut point = base(28);
    point.copies[0].proofs = vec![
        proof(Level::L2, true, at(NOW)),
        proof(Level::L2, false, at(NOW)),
        proof(Level::L3, true, at(NOW)),
    ];
    assert_eq!(due(std::slice::from_ref(&point)).unwrap().number, 0);
    // A trial that found the copy damaged is followed by another, with an id of its own.
    point.copies[0].proofs.push(proof(Level::L3, false, at(NOW)));
    assert_eq!(due(&[point]).unwrap().number, 1);
}

#[test]
fn a_damaged_copy_is_passed_over_and_where_all_are_nothing_is_tried() {
    let mut points = [base(1), base(28)];
    points[1].copies[0].state = CopyState::Corrupt;
    points[1].state = PointState::Corrupt;
    assert_eq!(due(&points).unwrap().at.artefact, "base-1");
    points[1].copies.push(copy("recovery", CopyState::Available, at(NOW)));
    assert_eq!(due(&points).unwrap().at.vault, vault_name("recovery"));
    assert_eq!(due(&points[..0]), None);
    points[1].copies.pop();
    assert_eq!(due(&points[1..]), None);
}

#[test]
fn where_log_leads_on_the_base_backup_of_the_latest_moment_is_tried_beside_that_log() {
    let points = [base(1), base(27), base(28)];
    let stretch = Stretch {
        timeline: 1,
        earliest_at: at("2026-06-01T02:05:00Z"),
        latest_at: at("2026-06-29T23:00:00Z"),
        bases: vec!["base-1".to_owned(), "base-27".to_owned()],
    };
    let window = Window {
        resource: ResourceId::new("photos").unwrap(),
        vault: vault_name("primary"),
        observed_at: at(NOW),
        state: LogState {
            stretches: vec![stretch],
            gaps: Vec::new(),
            covered_at: None,
            slot: None,
        },
    };
    let checks = r#"{ "assert": [{ "database": "shop", "sql": "SELECT true" }] }"#;
    let due = plan_trial(&rule(checks), &points, &[window], at(NOW)).unwrap();
    assert_eq!((due.at.artefact.as_str(), due.level), ("base-27", Level::L5));
    assert!(due.reason.contains("with log that leads there"), "{}", due.reason);
}
