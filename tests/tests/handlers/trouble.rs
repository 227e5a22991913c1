//! One thing that fails does not stop the others.

use holdfast_core::domain::{JobFailure, Order, Origin};
use holdfast_core::ports::{Page, Pager, Wake};
use holdfast_core::workflow::leases::{self, Lease};
use serde_json::json;

use crate::scene::*;

/// A pager that reaches nobody.
struct Unheard;

#[async_trait]
impl Pager for Unheard {
    async fn page(&self, _page: &Page) -> Result<(), Failure> {
        Err(Failure::new(FailureKind::Denied, "nobody listens"))
    }
}

/// Adds resources of this many names to the system, all of them covered by its policy.
fn with_more(system: &System, count: usize, draft: PolicyDraft) {
    let known: Vec<Resource> = system.records();
    let more = (0..count).map(|place| Resource {
        id: ResourceId::new(format!("more-{place}")).unwrap(),
        ..known[0].clone()
    });
    let resources: Vec<Resource> = known.iter().cloned().chain(more).collect();
    let policies = [(PolicyId::new("main").unwrap(), draft)];
    now(apply::apply(&system.world, &resources, &policies, &[])).unwrap();
}

fn look(world: &World, function: FunctionName) -> Result<(), Failure> {
    now(invoke(world, function, &Event::new(Detail::WakeUp {}, world.now())))
}

#[test]
fn backups_are_requested_although_nobody_can_be_told_what_was_missed() {
    let system = settled();
    system.clock.set(at("2026-06-01T17:30:00Z"));
    let world = World {
        pager: Arc::new(Unheard),
        ..system.world.clone()
    };
    let failure = look(&world, FunctionName::Scheduler).unwrap_err();
    assert_eq!(failure.message, "nobody listens");
    assert_eq!(system.jobs(JobKind::Backup).len(), 2);
    assert_eq!(system.records::<Occurrence>().len(), 5);
}

#[test]
fn a_job_that_nobody_can_be_told_of_gives_back_what_it_holds() {
    let system = System::new(once());
    system.wake(FunctionName::Scheduler);
    system.engine.fail_next_task(JobKind::Backup, FailureKind::Invalid);
    let world = World {
        pager: Arc::new(Unheard),
        ..system.world.clone()
    };
    let looks = (0..20).map(|_| {
        system.clock.advance(Span::minutes(1));
        look(&world, FunctionName::SnapshotTrigger)
    });
    let failure = looks.into_iter().find_map(Result::err).expect("it gives up");
    assert_eq!(failure.message, "nobody listens");
    let leases: Vec<Lease> = system.records();
    assert!(
        !leases.is_empty() && leases.iter().all(|lease| lease.owner.is_none()),
        "{leases:?}"
    );
    system.pass(Span::minutes(5));
    assert_eq!(
        (system.jobs(JobKind::Backup)[0].state, system.pages("job/")),
        (JobState::Failed, 1)
    );
}

#[test]
fn a_record_that_cannot_be_read_keeps_no_other_job_and_no_run_from_going_on() {
    let system = System::new(policy());
    system.wake(FunctionName::Scheduler);
    for (status, function) in [
        ("job.backup", FunctionName::SnapshotTrigger),
        ("run", FunctionName::DrFailover),
        ("occurrence.expected", FunctionName::Scheduler),
    ] {
        let key = records::run_key(&RunId::derive(&[status]));
        let wake = Some(Wake {
            status: status.to_owned(),
            at: Timestamp::UNIX_EPOCH,
        });
        let body = json!({ "kind": "gremlin" });
        let inserted = now(system.catalog.insert(Draft { key, body, wake })).unwrap();
        assert_eq!(inserted, Inserted::Created);
        let detail = Detail::RunRequested {
            request: "r1".to_owned(),
            plan: PlanId::new("evacuate").unwrap(),
            kind: RunKind::Simulate,
            level: None,
            requested_by: "ann".to_owned(),
        };
        let told = match function {
            FunctionName::DrFailover => system.tell(function, detail),
            _ => look(&system.world, function),
        };
        assert!(told.unwrap_err().message.contains("gremlin"), "{function}");
    }
    assert_eq!(system.jobs(JobKind::Backup)[0].state, JobState::Running);
    assert_eq!(system.run().state, RunState::Succeeded);
}

#[test]
fn an_hour_of_throttling_is_survived_by_every_job() {
    let system = System::new(once());
    system.wake(FunctionName::Scheduler);
    system.wake(FunctionName::SnapshotTrigger);
    for _ in 0..12 {
        system.engine.fail_next_observe(FailureKind::Throttled);
        system.clock.advance(Span::minutes(5));
        system.wake(FunctionName::SnapshotTrigger);
    }
    let job = &system.jobs(JobKind::Backup)[0];
    assert_eq!((job.state, job.unanswered), (JobState::Running, 0));
    system.pass(Span::minutes(10));
    let job = &system.jobs(JobKind::Backup)[0];
    assert_eq!((job.state, system.pages("job/")), (JobState::Completed, 0));
    let system = System::new(once());
    (0..10).for_each(|_| system.engine.fail_next_task(JobKind::Backup, FailureKind::Throttled));
    system.wake(FunctionName::Scheduler);
    system.pass(Span::hours(3));
    let job = &system.jobs(JobKind::Backup)[0];
    assert_eq!((job.state, job.failed_attempts), (JobState::Completed, 0));
}

#[test]
fn a_policy_whose_slots_are_full_is_asked_for_one_only_once_a_look() {
    let draft = PolicyDraft {
        max_parallel: 1,
        ..once()
    };
    let system = System::new(draft.clone());
    with_more(&system, 3, draft);
    system.engine.set_duration(JobKind::Backup, Span::minutes(20));
    system.wake(FunctionName::Scheduler);
    system.wake(FunctionName::SnapshotTrigger);
    let jobs = system.jobs(JobKind::Backup);
    let running = jobs.iter().filter(|job| job.state == JobState::Running).count();
    let told: Vec<&JobFailure> = jobs.iter().filter_map(|job| job.failure.as_ref()).collect();
    assert_eq!((jobs.len(), running, told.len()), (4, 1, 1), "{jobs:?}");
    assert!(told[0].message.contains("1 jobs of the policy run already"), "{told:?}");
    system.pass(Span::minutes(4));
    let held = system.catalog.entries().into_iter();
    let held = held.filter(|entry| entry.body["kind"] == Lease::KIND && entry.body["record"]["owner"].is_string());
    let versions: Vec<u64> = held.map(|entry| entry.version).collect();
    assert_eq!(versions, [1, 1], "a lease is written anew only when half of it is over");
    system.pass(Span::hours(2));
    assert!(
        system
            .jobs(JobKind::Backup)
            .iter()
            .all(|job| job.state == JobState::Completed)
    );
}

#[test]
fn a_job_that_waits_for_its_resource_leaves_its_slot_to_others() {
    let draft = PolicyDraft {
        max_parallel: 1,
        ..once()
    };
    let system = System::new(draft.clone());
    system.engine.set_duration(JobKind::Backup, Span::minutes(30));
    let detail = Detail::BackupRequested {
        request: "b1".to_owned(),
        resource: photos(),
        requested_by: "ann".to_owned(),
    };
    system.tell(FunctionName::SnapshotTrigger, detail).unwrap();
    with_more(&system, 1, draft);
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(5));
    let scheduled = system.jobs(JobKind::Backup).into_iter();
    let states = scheduled
        .filter(|job| matches!(job.origin, Origin::Occurrence { .. }))
        .map(|job| (job.order.resource() == Some(&photos()), job.state));
    let mut states: Vec<(bool, JobState)> = states.collect();
    states.sort_by_key(|(waits, _)| *waits);
    assert_eq!(states, [(false, JobState::Running), (true, JobState::Pending)]);
}

#[test]
fn what_a_dead_execution_took_for_a_job_that_was_over_keeps_nobody_waiting() {
    let draft = PolicyDraft {
        max_parallel: 1,
        rules: vec![rule("hourly", "0 * * * *", BackupKind::Incremental)],
        ..once()
    };
    let system = System::new(draft);
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(10));
    let ended = system.jobs(JobKind::Backup).remove(0);
    assert_eq!(ended.state, JobState::Completed);
    let (policy, _) = ended.origin.policy().unwrap();
    system.clock.advance(Span::minutes(49));
    for name in ["resource/photos".to_owned(), format!("policy/{policy}/slot-0")] {
        let taken = leases::take(
            system.catalog.as_ref(),
            (&name, ended.id.as_str()),
            system.clock.now(),
            Span::hours(5),
        );
        assert!(now(taken).unwrap(), "{name}");
    }
    system.pass(Span::minutes(10));
    let states: Vec<JobState> = system.jobs(JobKind::Backup).iter().map(|job| job.state).collect();
    assert_eq!(states, [JobState::Completed, JobState::Completed]);
}

#[test]
fn a_restore_that_went_on_while_nobody_could_look_is_not_lost() {
    let system = settled();
    system.restore("x1", None, "/restored/x1").unwrap();
    for _ in 0..6 {
        system.engine.fail_next_observe(FailureKind::Transient);
        system.clock.advance(Span::minutes(20));
        system.wake(FunctionName::RestoreRunner);
    }
    assert_eq!(system.jobs(JobKind::Restore)[0].state, JobState::Failed);
    system.clock.advance(Span::minutes(61));
    system.wake(FunctionName::RestoreRunner);
    assert_eq!(system.jobs(JobKind::Restore)[0].state, JobState::Completed);
    assert!(system.point().is_proven(Level::L4));
}

#[test]
fn a_look_of_the_scheduler_is_no_dearer_for_rules_that_are_not_due() {
    let system = settled();
    let policies: Vec<(PolicyId, PolicyDraft)> = (0..100)
        .map(|place| (PolicyId::new(format!("p-{place}")).unwrap(), policy()))
        .collect();
    now(apply::apply(&system.world, &system.records(), &policies, &[])).unwrap();
    let (world, counted) = system.counted();
    look(&world, FunctionName::Scheduler).unwrap();
    system.pass(Span::minutes(30));
    look(&world, FunctionName::Scheduler).unwrap();
    let before = counted.calls();
    look(&world, FunctionName::Scheduler).unwrap();
    // The state of the configuration, expected occurrences, plans with drills and raised alarms; the progress is read and
    // written.
    assert_eq!(counted.calls() - before, 4 + 2);
}

#[test]
fn planned_work_that_is_under_way_is_read_and_not_written_again() {
    let system = settled();
    system.engine.set_reachable(&vault(AWAY), false);
    system.pass(Span::minutes(232));
    let (world, counted) = system.counted();
    assert!(system.jobs(JobKind::Copy).iter().any(|job| !job.state.is_final()));
    look(&world, FunctionName::Replicator).unwrap();
    let inserts = counted.log().into_iter().filter(|call| call.contains("insert"));
    assert_eq!(inserts.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_backup_that_could_not_read_a_million_names_is_counted_whole_and_recorded_short() {
    let system = System::new(once());
    let entry = |place: usize| UnreadEntry {
        path: format!("/srv/photos/locked/{place}"),
        reason: "permission denied".to_owned(),
    };
    let unread: Vec<UnreadEntry> = (0..20_000).map(entry).collect();
    let model = ResourceModel {
        unread,
        ..ResourceModel::default()
    };
    system.engine.set_resource(&photos(), model);
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(15));
    let point = system.point();
    assert_eq!(point.unread.len(), 200);
    assert_eq!(point.unread[199].path, "and 19801 more");
    let pages = system.pager.pages();
    let page = pages.iter().find(|page| page.key.starts_with("partial/")).unwrap();
    assert!(page.subject.contains("20000 entries"), "{}", page.subject);
}

#[test]
fn a_point_that_is_being_restored_is_deleted_only_after_that() {
    let system = settled();
    let point = system.point();
    system.pass(Span::hours(9));
    let set_reachable = |reachable| [HOME, AWAY].map(|name| system.engine.set_reachable(&vault(name), reachable));
    set_reachable(false);
    system.pass(Span::minutes(52));
    assert!(system.jobs(JobKind::Delete).iter().any(|job| !job.state.is_final()));
    system.engine.set_duration(JobKind::Restore, Span::minutes(30));
    system.restore("x1", Some(point.id.clone()), "/restored/x1").unwrap();
    set_reachable(true);
    system.pass(Span::minutes(25));
    let restore = &system.jobs(JobKind::Restore)[0];
    assert_eq!(restore.state, JobState::Running, "{restore:?}");
    let Order::Restore { from, .. } = &restore.order else {
        panic!("{restore:?}");
    };
    let standing = system.engine.artefacts(&from.vault, &photos());
    assert!(standing.contains_key(&from.artefact), "{standing:?}");
    system.pass(Span::hours(2));
    assert_eq!(system.jobs(JobKind::Restore)[0].state, JobState::Completed);
    assert_eq!(system.points()[0].state, PointState::Deleted);
}
