use holdfast_core::domain::{CopyState, Level, Point, PointState, Span, VerifyRule};
use holdfast_core::planning::{RestoreRefusal, choose_restore_source, plan_repairs, plan_verification};

use crate::make::{at, copy, point, proof, proven, vault_name};

const NOW: &str = "2026-06-30T00:00:00Z";
const RULE: VerifyRule = VerifyRule { every: Span::days(30) };

fn point_proven_days_ago(days: i64) -> Point {
    let mut point = point(at("2026-01-01T00:00:00Z"));
    point.taken_at = Span::days(days).after(point.taken_at);
    point.copies[0] = proven(point.copies[0].clone(), Span::days(days).before(at(NOW)));
    point
}

fn due(points: &[Point]) -> Vec<(String, bool)> {
    let plan = plan_verification(Some(&RULE), points, at(NOW));
    assert!(plan.iter().all(|due| due.level == Level::L2));
    plan.into_iter()
        .map(|due| (due.at.vault.to_string(), due.overdue))
        .collect()
}

#[test]
fn a_copy_that_was_never_proven_is_due_at_once_and_overdue_when_the_promise_is_broken() {
    let young = point(at("2026-06-29T23:59:00Z"));
    assert_eq!(due(&[young]), [("primary".to_owned(), false)]);
    let old = point(at("2026-05-30T00:00:00Z"));
    assert_eq!(due(&[old]), [("primary".to_owned(), true)]);
    let plan = plan_verification(Some(&RULE), &[point(at(NOW))], at(NOW));
    assert_eq!(plan[0].reason, "it was never proven");
}

#[test]
fn a_proof_is_renewed_in_the_last_tenth_of_its_time_and_overdue_after_it() {
    assert_eq!(due(&[point_proven_days_ago(26)]), []);
    assert_eq!(due(&[point_proven_days_ago(27)]), [("primary".to_owned(), false)]);
    assert_eq!(due(&[point_proven_days_ago(30)]), [("primary".to_owned(), false)]);
    assert_eq!(due(&[point_proven_days_ago(31)]), [("primary".to_owned(), true)]);
}

#[test]
fn without_a_rule_a_copy_is_proven_once() {
    assert_eq!(plan_verification(None, &[point_proven_days_ago(999)], at(NOW)), []);
    let plan = plan_verification(None, &[point(at("2026-01-01T00:00:00Z"))], at(NOW));
    assert_eq!(plan.iter().map(|due| due.overdue).collect::<Vec<_>>(), [false]);
}

#[test]
fn never_proven_copies_come_first_and_then_the_oldest_proof() {
    let mut two_copies = point_proven_days_ago(40);
    two_copies
        .copies
        .push(copy("recovery", CopyState::Available, at("2026-06-29T00:00:00Z")));
    let points = [point_proven_days_ago(35), two_copies, point_proven_days_ago(50)];
    let plan = plan_verification(Some(&RULE), &points, at(NOW));
    let order: Vec<_> = plan.iter().map(|due| (&due.point, due.at.vault.as_str())).collect();
    let [a, b, c] = [&points[0], &points[1], &points[2]].map(Point::reference);
    assert_eq!(
        order,
        [(&b, "recovery"), (&c, "primary"), (&b, "primary"), (&a, "primary")]
    );
}

#[test]
fn a_repaired_copy_is_proven_again_and_a_damaged_one_waits_for_repair() {
    let mut point = point_proven_days_ago(1);
    point.copies[0].state = CopyState::Repaired;
    let plan = plan_verification(Some(&RULE), std::slice::from_ref(&point), at(NOW));
    assert_eq!(
        plan[0].reason,
        "it was repaired and not proven since; last tested at 2026-06-29T00:00:00Z"
    );
    for state in [CopyState::Corrupt, CopyState::Deleted] {
        point.copies[0].state = state;
        assert_eq!(due(std::slice::from_ref(&point)), [], "{state:?}");
    }
}

#[test]
fn a_weaker_or_failed_proof_does_not_count_and_a_stronger_one_does() {
    let mut point = point(at("2026-06-01T00:00:00Z"));
    point.copies[0].proofs = vec![proof(Level::L1, true, at(NOW)), proof(Level::L2, false, at(NOW))];
    assert_eq!(due(std::slice::from_ref(&point)).len(), 1);
    point.copies[0].proofs.push(proof(Level::L4, true, at(NOW)));
    assert_eq!(due(&[point]), []);
}

#[test]
fn points_that_are_being_made_or_that_go_are_neither_tested_nor_repaired() {
    for state in [PointState::Creating, PointState::Expiring, PointState::Deleted] {
        let mut point = point(at("2026-01-01T00:00:00Z"));
        point.state = state;
        point.copies.push(copy("recovery", CopyState::Corrupt, at(NOW)));
        assert_eq!(due(std::slice::from_ref(&point)), [], "{state:?}");
        assert_eq!(plan_repairs(&[point]), (Vec::new(), Vec::new()), "{state:?}");
    }
}

#[test]
fn a_damaged_copy_is_repaired_from_the_copy_that_can_be_trusted_most() {
    let mut point = point(at("2026-01-01T00:00:00Z"));
    point.state = PointState::Corrupt;
    point.copies[0].state = CopyState::Corrupt;
    for (vault, state) in [
        ("repaired", CopyState::Repaired),
        ("second", CopyState::Available),
        ("third", CopyState::Available),
    ] {
        point.copies.push(copy(vault, state, at(NOW)));
    }
    point.copies[3] = proven(point.copies[3].clone(), at(NOW));
    for (expected, reason) in [
        (
            "third",
            "the copy in vault primary is damaged; the copy in vault third was proven at 2026-06-30T00:00:00Z",
        ),
        (
            "second",
            "the copy in vault primary is damaged; the copy in vault second is not proven yet",
        ),
        (
            "repaired",
            "the copy in vault primary is damaged; the copy in vault repaired was repaired and is not proven yet",
        ),
    ] {
        let (repairs, hopeless) = plan_repairs(std::slice::from_ref(&point));
        assert_eq!((repairs.len(), hopeless.len()), (1, 0));
        assert_eq!(
            (repairs[0].damaged.vault.as_str(), repairs[0].from.vault.as_str()),
            ("primary", expected)
        );
        assert_eq!(repairs[0].reason, reason);
        point.copies.pop();
    }
    let (repairs, hopeless) = plan_repairs(std::slice::from_ref(&point));
    assert_eq!(repairs, []);
    assert_eq!(hopeless, [(point.reference(), point.location(&point.copies[0]))]);
}

#[test]
fn two_damaged_copies_do_not_repair_each_other() {
    let mut point = point(at("2026-01-01T00:00:00Z"));
    point.copies[0].state = CopyState::Corrupt;
    point.copies.push(copy("recovery", CopyState::Corrupt, at(NOW)));
    let (repairs, hopeless) = plan_repairs(&[point]);
    assert_eq!((repairs.len(), hopeless.len()), (0, 2));
}

#[test]
fn a_restore_prefers_a_proven_copy_and_says_what_it_takes() {
    let mut point = point(at("2026-01-01T00:00:00Z"));
    let (copy_taken, reason) = choose_restore_source(&point, None).unwrap();
    assert_eq!(
        (copy_taken.vault.as_str(), reason.as_str()),
        ("primary", "the copy in vault primary is not proven yet")
    );
    point
        .copies
        .push(proven(copy("recovery", CopyState::Available, at(NOW)), at(NOW)));
    let (copy_taken, reason) = choose_restore_source(&point, None).unwrap();
    assert_eq!(copy_taken.vault.as_str(), "recovery");
    assert_eq!(reason, "the copy in vault recovery was proven at 2026-06-30T00:00:00Z");
    let (asked_for, _) = choose_restore_source(&point, Some(&vault_name("primary"))).unwrap();
    assert_eq!(asked_for.vault.as_str(), "primary");
    point.state = PointState::Expiring;
    assert!(choose_restore_source(&point, None).is_ok());
}

#[test]
fn a_restore_that_cannot_be_is_refused_by_name() {
    let mut point = point(at("2026-01-01T00:00:00Z"));
    let id = point.id.clone();
    let recovery = vault_name("recovery");
    let refusal = choose_restore_source(&point, Some(&recovery)).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        format!("recovery point {id} has no copy in vault recovery; it has copies in: primary")
    );
    point.copies[0].state = CopyState::Corrupt;
    let refusal = choose_restore_source(&point, Some(&vault_name("primary"))).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        format!("recovery point {id} is damaged in: primary")
    );
    point.copies.push(copy("recovery", CopyState::Corrupt, at(NOW)));
    let refusal = choose_restore_source(&point, None).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        format!("recovery point {id} is damaged in: primary, recovery")
    );
    point.copies.iter_mut().for_each(|copy| copy.state = CopyState::Deleted);
    assert_eq!(
        choose_restore_source(&point, None),
        Err(RestoreRefusal::NoCopy { point: id.clone() })
    );
    let refusal = choose_restore_source(&point, Some(&recovery)).unwrap_err();
    assert!(refusal.to_string().ends_with("it has copies in: no vault"), "{refusal}");
    for (state, expected) in [
        (PointState::Creating, RestoreRefusal::BeingMade { point: id.clone() }),
        (PointState::Deleted, RestoreRefusal::Deleted { point: id.clone() }),
    ] {
        point.state = state;
        assert_eq!(choose_restore_source(&point, None), Err(expected));
    }
}
