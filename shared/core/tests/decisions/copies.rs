use holdfast_core::domain::{CopyRule, CopyState, LogState, PointState, PolicyDraft, Window};
use holdfast_core::planning::{CopyDue, LogCopyDue, plan_copies, plan_log_copies};

use crate::make::{at, copy, draft, point, proven, resource, span, vault_name};

const NOW: &str = "2026-01-05T00:30:00Z";

fn due(policy: &PolicyDraft, points: &[holdfast_core::domain::Point]) -> Vec<CopyDue> {
    plan_copies(policy, points, at(NOW))
}

#[test]
fn a_point_without_its_copy_is_due_until_the_copy_stands() {
    let mut point = point(at("2026-01-05T00:00:00Z"));
    let plan = due(&draft(), std::slice::from_ref(&point));
    assert_eq!(plan.len(), 1);
    assert_eq!(
        (&plan[0].point, &plan[0].from),
        (&point.reference(), &point.location(&point.copies[0]))
    );
    assert_eq!((plan[0].to.as_str(), plan[0].late), ("recovery", false));
    assert_eq!(plan[0].reason, "vault recovery must have it by 2026-01-05T01:00:00Z");
    point.copies.push(copy("recovery", CopyState::Available, at(NOW)));
    assert_eq!(due(&draft(), &[point]), []);
}

#[test]
fn a_copy_is_late_when_its_time_has_passed() {
    let exactly_in_time = point(at("2026-01-04T23:30:00Z"));
    let late = point(at("2026-01-04T23:00:00Z"));
    let plan = due(&draft(), &[late, exactly_in_time]);
    assert_eq!(
        plan.iter().map(|due| due.late).collect::<Vec<_>>(),
        [false, true],
        "newest first"
    );
    assert_eq!(
        plan[1].reason,
        "vault recovery should have had it by 2026-01-05T00:00:00Z, 30m ago"
    );
}

#[test]
fn every_vault_that_the_policy_names_is_served() {
    let mut policy = draft();
    policy.copies.push(CopyRule {
        vault: vault_name("overseas"),
        within: span("10m"),
    });
    policy.copies.push(CopyRule {
        vault: vault_name("primary"),
        within: span("10m"),
    });
    let plan = due(&policy, &[point(at("2026-01-05T00:00:00Z"))]);
    assert_eq!(
        plan.iter().map(|due| due.to.as_str()).collect::<Vec<_>>(),
        ["recovery", "overseas"]
    );
    assert_eq!(plan.iter().map(|due| due.late).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_proven_copy_is_the_better_source_and_a_repaired_one_the_last() {
    let mut point = point(at("2026-01-05T00:00:00Z"));
    point
        .copies
        .push(proven(copy("second", CopyState::Available, at(NOW)), at(NOW)));
    assert_eq!(
        due(&draft(), std::slice::from_ref(&point))[0].from.vault.as_str(),
        "second"
    );
    point.copies[1].proofs.clear();
    assert_eq!(
        due(&draft(), std::slice::from_ref(&point))[0].from.vault.as_str(),
        "primary",
        "the first of equals"
    );
    point.copies[0].state = CopyState::Repaired;
    assert_eq!(
        due(&draft(), std::slice::from_ref(&point))[0].from.vault.as_str(),
        "second"
    );
}

#[test]
fn damage_is_never_copied() {
    let mut point = point(at("2026-01-05T00:00:00Z"));
    point.state = PointState::Corrupt;
    point.copies[0].state = CopyState::Corrupt;
    assert_eq!(due(&draft(), std::slice::from_ref(&point)), []);
    point.copies.push(copy("second", CopyState::Available, at(NOW)));
    assert_eq!(due(&draft(), &[point])[0].from.vault.as_str(), "second");
}

#[test]
fn a_damaged_copy_is_left_to_repair_and_a_deleted_one_is_made_again() {
    let mut point = point(at("2026-01-05T00:00:00Z"));
    point.copies.push(copy("recovery", CopyState::Corrupt, at(NOW)));
    assert_eq!(due(&draft(), std::slice::from_ref(&point)), []);
    point.copies[1].state = CopyState::Deleted;
    assert_eq!(due(&draft(), &[point]).len(), 1);
}

#[test]
fn points_that_are_being_made_or_that_go_are_not_copied() {
    for state in [PointState::Creating, PointState::Expiring, PointState::Deleted] {
        let mut point = point(at("2026-01-05T00:00:00Z"));
        point.state = state;
        assert_eq!(due(&draft(), &[point]), [], "{state:?}");
    }
    let mut repaired = point(at("2026-01-05T00:00:00Z"));
    repaired.state = PointState::Repaired;
    assert_eq!(due(&draft(), &[repaired]).len(), 1);
}

/// What stands in a vault of log that was pulled at a time.
fn window(vault: &str, pulled_at: &str) -> Window {
    Window {
        resource: resource().id,
        vault: vault_name(vault),
        observed_at: at(pulled_at),
        state: LogState {
            stretches: Vec::new(),
            gaps: Vec::new(),
            covered_at: None,
            slot: None,
        },
    }
}

#[test]
fn log_follows_the_first_base_backup_in_a_vault_and_then_every_pull() {
    let (first, second) = ("2026-01-05T00:05:00Z", "2026-01-05T00:10:00Z");
    let mut base = point(at("2026-01-05T00:00:00Z"));
    let due = |base: &_, windows: &[Window]| plan_log_copies(&draft(), std::slice::from_ref(base), windows);
    assert_eq!(
        due(&base, &[window("primary", first)]),
        [],
        "nothing there for it to lead on from"
    );
    base.copies.push(copy("recovery", CopyState::Available, at(NOW)));
    assert_eq!(due(&base, &[]), [], "its log is not pulled");
    let expected = LogCopyDue {
        from: vault_name("primary"),
        to: vault_name("recovery"),
        copied_until: None,
        pulled_at: at(first),
        reason: format!(
            "vault primary has log that was pulled at {first}, vault recovery only what came with a base backup"
        ),
    };
    assert_eq!(due(&base, &[window("primary", first)]), [expected]);
    let copied = [window("primary", first), window("recovery", first)];
    assert_eq!(due(&base, &copied), []);
    let plan = due(&base, &[window("primary", second), window("recovery", first)]);
    assert_eq!(
        (plan.len(), plan[0].copied_until, plan[0].pulled_at),
        (1, Some(at(first)), at(second))
    );
    base.copies[1].state = CopyState::Deleted;
    assert_eq!(due(&base, &[window("primary", second), window("recovery", first)]), []);
}

#[test]
fn log_is_copied_to_every_vault_but_its_own() {
    let mut policy = draft();
    for vault in ["overseas", "primary"] {
        policy.copies.push(CopyRule {
            vault: vault_name(vault),
            within: span("10m"),
        });
    }
    let mut base = point(at("2026-01-05T00:00:00Z"));
    for vault in ["recovery", "overseas"] {
        base.copies.push(copy(vault, CopyState::Available, at(NOW)));
    }
    let plan = plan_log_copies(&policy, &[base], &[window("primary", NOW)]);
    let vaults: Vec<&str> = plan.iter().map(|due| due.to.as_str()).collect();
    assert_eq!(vaults, ["recovery", "overseas"]);
}
