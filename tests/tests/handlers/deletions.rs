//! Retention, holds and deletion.

use crate::scene::*;

#[test]
fn retention_marks_waits_deletes_and_reclaims() {
    let system = settled();
    let first = system.point();
    let state = |system: &System| system.points()[0].state;
    system.pass(Span::minutes(8 * 60 - 15));
    assert_eq!(state(&system), PointState::Available);
    system.pass(Span::minutes(30));
    assert_eq!(state(&system), PointState::Expiring);
    assert!(system.points()[0].expiry.as_ref().unwrap().reason.contains("2 last"));
    system.pass(Span::minutes(80));
    assert_eq!(state(&system), PointState::Expiring, "it waits two hours");
    system.pass(Span::minutes(60));
    assert_eq!(state(&system), PointState::Deleted);
    for copy in &first.copies {
        assert!(
            !system
                .engine
                .artefacts(&copy.vault, &photos())
                .contains_key(&copy.artefact)
        );
    }
    let freed = |system: &System| {
        let jobs = system.jobs(JobKind::Reclaim).into_iter();
        jobs.filter_map(|job| match job.result {
            Some(holdfast_core::domain::Outcome::Reclaim { freed_bytes, .. }) => Some(freed_bytes),
            _ => None,
        })
        .sum::<u64>()
    };
    assert_eq!(freed(&system), 0, "what was condemned waits as well");
    system.pass(Span::minutes(80));
    assert!(freed(&system) > 0);
}

#[test]
fn a_point_under_legal_hold_stays_until_the_hold_is_lifted() {
    let system = settled();
    let point = system.point();
    system.hold(&point, Some("case 7"));
    system.pass(Span::hours(24));
    assert_eq!(system.points()[0].state, PointState::Available);
    system.hold(&point, None);
    system.pass(Span::hours(3));
    assert_eq!(system.points()[0].state, PointState::Deleted);
}

#[test]
fn a_hold_that_comes_after_the_deletion_was_ordered_still_holds() {
    let system = settled();
    let point = system.point();
    system.pass(Span::hours(9));
    let set_reachable = |reachable| [HOME, AWAY].map(|name| system.engine.set_reachable(&vault(name), reachable));
    set_reachable(false);
    system.pass(Span::minutes(52));
    let ordered = system.jobs(JobKind::Delete);
    assert!(
        ordered.len() == 2 && ordered.iter().all(|job| !job.state.is_final()),
        "{ordered:?}"
    );
    set_reachable(true);
    system.hold(&point, Some("case 7"));
    system.pass(Span::hours(1));
    assert!(
        system
            .jobs(JobKind::Delete)
            .iter()
            .all(|job| job.state == JobState::Cancelled)
    );
    assert!(
        system
            .engine
            .artefacts(&vault(HOME), &photos())
            .contains_key(&point.copies[0].artefact)
    );
    assert_eq!(system.points()[0].state, PointState::Available);
}

#[test]
fn a_point_whose_policy_left_after_its_deletion_was_ordered_stays() {
    let system = settled();
    let point = system.point();
    system.pass(Span::hours(9));
    let set_reachable = |reachable| [HOME, AWAY].map(|name| system.engine.set_reachable(&vault(name), reachable));
    set_reachable(false);
    system.pass(Span::minutes(52));
    assert_eq!(system.jobs(JobKind::Delete).len(), 2);
    set_reachable(true);
    let resources: Vec<Resource> = system.records();
    now(apply::apply(&system.world, &resources, &[], &[])).unwrap();
    system.pass(Span::hours(1));
    for job in system.jobs(JobKind::Delete) {
        assert_eq!(job.state, JobState::Cancelled, "{job:?}");
        assert!(job.failure.unwrap().message.contains("not in force any more"));
    }
    let standing = system.engine.artefacts(&vault(HOME), &photos());
    assert!(standing.contains_key(&point.copies[0].artefact));
}

#[test]
fn the_last_proven_point_stays_whatever_retention_says() {
    let retention = Retention {
        keep_last: 1,
        ..Retention::default()
    };
    let system = settled_under(PolicyDraft { retention, ..policy() });
    for _ in 0..200 {
        system.engine.fail_next_task(JobKind::Verify, FailureKind::Denied);
    }
    system.pass(Span::hours(24));
    let points = system.points();
    assert!(points.len() > 5);
    assert_eq!(points[0].state, PointState::Available, "no later point was ever proven");
    assert_eq!(points[1].state, PointState::Deleted);
}

#[test]
fn an_older_version_of_a_policy_never_comes_back_whatever_stopped_the_change() {
    let system = settled();
    let changed = PolicyDraft {
        retention: Retention {
            keep_last: 365,
            ..system.records::<Policy>()[0].draft.retention
        },
        ..system.records::<Policy>()[0].draft.clone()
    };
    let id = PolicyId::new("main").unwrap();
    // A change that was stopped between its two writes: both versions stand.
    let newer = Policy {
        version: 2,
        draft: changed.clone(),
        ..system.records::<Policy>()[0].clone()
    };
    now(records::insert(system.world.catalog.as_ref(), &newer)).unwrap();
    let active = |system: &System| -> Vec<u32> {
        let policies = system.records::<Policy>().into_iter();
        policies
            .filter(|policy| policy.active)
            .map(|policy| policy.version)
            .collect()
    };
    assert_eq!(active(&system), [1, 2]);
    let applied = now(apply::apply(&system.world, &[], &[(id, changed)], &[])).unwrap();
    assert_eq!((active(&system), applied.changed), (vec![2], vec![]));
    now(apply::apply(&system.world, &[], &[], &[])).unwrap();
    assert!(
        active(&system).is_empty(),
        "its points stay, and nothing judges them any more"
    );
    system.pass(Span::hours(24));
    assert_eq!(system.points()[0].state, PointState::Available);
}
