//! Putting configurations into force, whatever stops it half-way.

use holdfast_core::domain::Policy;

use crate::scene::*;

fn named(draft: PolicyDraft) -> Vec<(PolicyId, PolicyDraft)> {
    vec![(PolicyId::new("main").unwrap(), draft)]
}

/// The same policy, with more kept.
fn longer() -> PolicyDraft {
    let keep_last = 9;
    let retention = Retention {
        keep_last,
        ..Retention::default()
    };
    PolicyDraft { retention, ..policy() }
}

fn in_force(system: &System) -> Vec<(u32, u32)> {
    let versions = system.records::<Policy>().into_iter().filter(|policy| policy.active);
    versions
        .map(|policy| (policy.version, policy.draft.retention.keep_last))
        .collect()
}

#[test]
fn a_change_of_a_policy_that_was_stopped_half_way_leaves_no_old_version_to_come_back() {
    for call in 1.. {
        let system = System::new(policy());
        let resources: Vec<Resource> = system.records();
        let plan = FaultPlan::scripted([(call, Fault::CrashBefore)]);
        let world = system.world_over(Arc::new(Faulty::new(system.world.catalog.clone(), plan)));
        let stopped = apply::apply(&world, &resources, &named(longer()), &[])
            .now_or_never()
            .is_none();
        now(apply::apply(&system.world, &resources, &named(longer()), &[])).unwrap();
        assert_eq!(in_force(&system), [(2, 9)], "stopped before call {call}");
        now(apply::apply(&system.world, &resources, &[], &[])).unwrap();
        assert_eq!(in_force(&system), [], "stopped before call {call}");
        if !stopped {
            assert!(call > 5, "{call} calls were broken");
            return;
        }
    }
}

fn calls_of(system: &System, function: FunctionName) -> u64 {
    let (world, counted) = system.counted();
    let event = Event::new(Detail::WakeUp {}, system.clock.now());
    now(invoke(&world, function, &event)).unwrap();
    counted.calls()
}

#[test]
fn what_is_in_force_is_read_again_only_after_something_was_applied() {
    let system = settled();
    system.pass(Span::minutes(30));
    let remembered = calls_of(&system, FunctionName::Replicator);
    let resources: Vec<Resource> = system.records();
    now(apply::apply(&system.world, &resources, &named(longer()), &[])).unwrap();
    let read_anew = calls_of(&system, FunctionName::Replicator);
    assert_eq!(read_anew - remembered, 2, "policies and resources");
    // The index may not tell all of it yet.
    assert_eq!(calls_of(&system, FunctionName::Replicator), read_anew);
    system.pass(Span::minutes(11));
    assert_eq!(calls_of(&system, FunctionName::Replicator), remembered);
    system.clock.advance(Span::minutes(61));
    assert_eq!(
        calls_of(&system, FunctionName::Replicator),
        read_anew,
        "once in an hour"
    );
}

#[test]
fn nothing_is_remembered_while_an_application_is_half_done() {
    let system = settled();
    system.pass(Span::minutes(30));
    let remembered = calls_of(&system, FunctionName::Replicator);
    let resources: Vec<Resource> = system.records();
    let plan = FaultPlan::scripted([(6, Fault::CrashBefore)]);
    let world = system.world_over(Arc::new(Faulty::new(system.world.catalog.clone(), plan)));
    let stopped = apply::apply(&world, &resources, &named(longer()), &[]).now_or_never();
    assert!(stopped.is_none());
    system.pass(Span::hours(2));
    assert_eq!(calls_of(&system, FunctionName::Replicator), remembered + 2);
    now(apply::apply(&system.world, &resources, &named(longer()), &[])).unwrap();
    system.pass(Span::minutes(12));
    assert_eq!(calls_of(&system, FunctionName::Replicator), remembered);
    assert_eq!(in_force(&system), [(2, 9)]);
}

#[test]
fn two_changes_of_a_policy_at_once_are_a_conflict_and_not_one_of_them_lost() {
    let system = System::new(policy());
    // Somebody else always writes the next version of a policy first.
    let world = system.world_over(Arc::new(OtherLast {
        catalog: system.catalog.clone(),
        last: |_| Some(Ok(None)),
    }));
    let refusal = now(apply::apply(&world, &system.records(), &named(longer()), &[])).unwrap_err();
    assert_eq!(refusal.kind, FailureKind::Conflict, "{refusal}");
    assert_eq!(in_force(&system), [(1, 2)]);
}

#[test]
fn a_resource_that_left_the_configuration_is_backed_up_no_more_and_can_still_be_restored() {
    let system = settled();
    let resources: Vec<Resource> = system.records();
    now(apply::apply(&system.world, &[], &named(policy()), &[])).unwrap();
    system.pass(Span::hours(9));
    assert_eq!(system.jobs(JobKind::Backup).len(), 1);
    system.restore("x1", None, "/restored/x1").unwrap();
    system.pass(Span::minutes(10));
    assert_eq!(system.jobs(JobKind::Restore)[0].state, JobState::Completed);
    let registered_at = system.clock.now();
    let back = Resource {
        registered_at,
        ..resources[0].clone()
    };
    now(apply::apply(
        &system.world,
        std::slice::from_ref(&back),
        &named(policy()),
        &[],
    ))
    .unwrap();
    assert_eq!(system.records::<Resource>(), [back]);
    system.pass(Span::hours(4));
    assert_eq!((system.jobs(JobKind::Backup).len(), system.pages("missed/")), (2, 0));
}
