//! Schedules and backups.

use crate::scene::*;

#[test]
fn one_occurrence_is_one_job_however_often_the_scheduler_is_told() {
    let system = System::new(policy());
    for _ in 0..3 {
        system.wake(FunctionName::Scheduler);
    }
    let jobs = system.jobs(JobKind::Backup);
    let occurrences: Vec<Occurrence> = system.records();
    assert_eq!((jobs.len(), occurrences.len()), (1, 1));
    assert_eq!(jobs[0].id, occurrences[0].key.job_id());
    assert_eq!(occurrences[0].state, OccurrenceState::Requested);
}

#[test]
fn a_completed_backup_completes_its_occurrence_and_is_one_artefact() {
    let system = settled();
    let occurrences: Vec<Occurrence> = system.records();
    assert_eq!(occurrences[0].state, OccurrenceState::Completed);
    assert_eq!(system.engine.effects(&occurrences[0].key.job_id()), 1);
    assert_eq!(system.jobs(JobKind::Backup)[0].state, JobState::Completed);
}

#[test]
fn missed_occurrences_are_reported_and_caught_up_by_one_backup() {
    let system = settled();
    system.clock.set(at("2026-06-01T17:30:00Z"));
    system.wake(FunctionName::Scheduler);
    let occurrences: Vec<Occurrence> = system.records();
    let told: Vec<(String, OccurrenceState, bool)> = occurrences[1..]
        .iter()
        .map(|one| (one.key.due_at.strftime("%H:%M").to_string(), one.state, one.catch_up))
        .collect();
    let expected = [
        ("04:00", OccurrenceState::Missed, false),
        ("08:00", OccurrenceState::Missed, false),
        ("12:00", OccurrenceState::Missed, false),
        ("16:00", OccurrenceState::Requested, true),
    ];
    assert_eq!(told, expected.map(|(due, state, late)| (due.to_owned(), state, late)));
    assert_eq!(system.jobs(JobKind::Backup).len(), 2);
    assert_eq!(system.pages("missed/"), 1);
}

#[test]
fn the_first_incremental_is_a_full_and_the_second_has_a_base() {
    let system = settled();
    system.pass(Span::hours(4));
    let points = system.points();
    assert_eq!(points.len(), 2);
    assert_eq!((points[0].kind, points[0].base.clone()), (BackupKind::Full, None));
    assert_eq!(
        (points[1].kind, points[1].base.clone()),
        (BackupKind::Incremental, Some(points[0].id.clone()))
    );
}

#[test]
fn a_differential_compares_with_the_last_full_and_not_with_what_came_between() {
    let rules = vec![
        rule("base", "0 0 * * *", BackupKind::Full),
        rule("steady", "0 4 * * *", BackupKind::Incremental),
        rule("noon", "0 12 * * *", BackupKind::Differential),
    ];
    let retention = Retention {
        keep_last: 9,
        ..Retention::default()
    };
    let system = settled_under(PolicyDraft {
        rules,
        retention,
        ..policy()
    });
    system.pass(Span::hours(12));
    let points = system.points();
    assert_eq!(points.len(), 3);
    assert_eq!(
        (points[2].kind, points[2].base.clone()),
        (BackupKind::Differential, Some(points[0].id.clone()))
    );
}

#[test]
fn a_partial_backup_pages_and_lists_what_it_could_not_read() {
    let system = System::new(policy());
    let unread = vec![UnreadEntry {
        path: "/srv/photos/locked".to_owned(),
        reason: "permission denied".to_owned(),
    }];
    system.engine.set_resource(
        &photos(),
        ResourceModel {
            unread: unread.clone(),
            ..ResourceModel::default()
        },
    );
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(15));
    assert_eq!(system.point().unread, unread);
    assert_eq!(system.jobs(JobKind::Backup)[0].state, JobState::Partial);
    let pages = system.pager.pages();
    let page = pages.iter().find(|page| page.key.starts_with("partial/")).unwrap();
    assert!(
        page.text.contains("/srv/photos/locked: permission denied"),
        "{}",
        page.text
    );
}

#[test]
fn a_backup_that_may_pass_is_tried_again_and_one_that_may_not_fails_its_occurrence() {
    for (kind, state, points) in [
        (FailureKind::Transient, OccurrenceState::Completed, 1),
        (FailureKind::Denied, OccurrenceState::Failed, 0),
    ] {
        let system = System::new(policy());
        system.engine.fail_next_task(JobKind::Backup, kind);
        system.wake(FunctionName::Scheduler);
        system.pass(Span::minutes(15));
        assert_eq!(system.records::<Occurrence>()[0].state, state, "{kind:?}");
        assert_eq!(system.points().len(), points, "{kind:?}");
        assert_eq!(system.pages("job/"), 1 - points, "{kind:?}");
    }
}

#[test]
fn a_resource_has_one_backup_at_a_time() {
    let system = System::new(policy());
    system.engine.set_duration(JobKind::Backup, Span::minutes(20));
    system.wake(FunctionName::Scheduler);
    let detail = Detail::BackupRequested {
        request: "b1".to_owned(),
        resource: photos(),
        requested_by: "ann".to_owned(),
    };
    system.tell(FunctionName::SnapshotTrigger, detail).unwrap();
    system.pass(Span::minutes(5));
    let states = |system: &System| {
        let mut states: Vec<JobState> = system.jobs(JobKind::Backup).iter().map(|job| job.state).collect();
        states.sort_by_key(|state| *state == JobState::Pending);
        states
    };
    assert_eq!(states(&system), [JobState::Running, JobState::Pending]);
    system.pass(Span::hours(1));
    assert_eq!(states(&system), [JobState::Completed, JobState::Completed]);
    assert_eq!(system.points().len(), 2);
}

#[test]
fn a_request_for_a_backup_of_nothing_known_is_refused() {
    let system = System::new(policy());
    let detail = Detail::BackupRequested {
        request: "b1".to_owned(),
        resource: ResourceId::new("sounds").unwrap(),
        requested_by: "ann".to_owned(),
    };
    let refusal = system.tell(FunctionName::SnapshotTrigger, detail).unwrap_err();
    assert_eq!(refusal.kind, FailureKind::NotFound);
    assert!(refusal.message.contains("sounds"), "{refusal}");
    assert!(system.jobs(JobKind::Backup).is_empty());
}

#[test]
fn an_objective_is_paged_once_when_broken_and_once_when_it_holds_again() {
    let objectives = Some(Objectives {
        rpo: Span::hours(6),
        rto: Span::hours(1),
    });
    let system = settled_under(PolicyDraft { objectives, ..policy() });
    system.clock.set(at("2026-06-01T07:00:00Z"));
    system.wake(FunctionName::Scheduler);
    system.wake(FunctionName::Scheduler);
    assert_eq!(system.pages("rpo/"), 1);
    system.pass(Span::minutes(30));
    assert_eq!(system.pages("rpo/"), 2);
}

/// Puts one policy into force at this moment.
fn apply_now(system: &System, draft: PolicyDraft) {
    let resources: Vec<Resource> = system.records();
    let policies = [(PolicyId::new("main").unwrap(), draft)];
    now(apply::apply(&system.world, &resources, &policies, &[])).unwrap();
}

#[test]
fn what_a_policy_begins_to_cover_owes_nothing_from_before() {
    let uncovered = PolicyDraft {
        selection: Selection::default(),
        ..policy()
    };
    let system = System::new(uncovered);
    system.pass(Span::hours(26));
    assert_eq!(system.records::<Occurrence>(), []);
    apply_now(&system, policy());
    system.pass(Span::hours(4));
    let occurrences = system.records::<Occurrence>();
    let due: Vec<_> = occurrences
        .iter()
        .map(|occurrence| (occurrence.key.due_at, occurrence.state))
        .collect();
    assert_eq!(due, [(at("2026-06-02T04:00:00Z"), OccurrenceState::Completed)]);
    assert_eq!(system.pages("missed/"), 0);
}

#[test]
fn a_look_that_left_something_undone_is_made_up_for_however_late() {
    let system = settled_under(policy());
    let broken = unlisted(&system);
    for hour in 1..=9 {
        system.clock.set(Span::hours(hour).after(at(MIDNIGHT)));
        let event = Event::new(Detail::WakeUp {}, system.clock.now());
        let refused = now(invoke(&broken, FunctionName::Scheduler, &event)).unwrap_err();
        assert_eq!(refused.kind, FailureKind::Throttled);
    }
    system.wake(FunctionName::Scheduler);
    let states: Vec<_> = system
        .records::<Occurrence>()
        .iter()
        .map(|occurrence| occurrence.state)
        .collect();
    let (completed, missed, requested) = (
        OccurrenceState::Completed,
        OccurrenceState::Missed,
        OccurrenceState::Requested,
    );
    assert_eq!(states, [completed, missed, requested]);
}

/// A world whose catalog does not tell what was recorded last of a schedule.
fn unlisted(system: &System) -> World {
    system.world_over(Arc::new(OtherLast {
        catalog: system.catalog.clone(),
        last: |partition| {
            let refusal = || Err(Failure::new(FailureKind::Throttled, "not now"));
            partition.starts_with("OCC#").then(refusal)
        },
    }))
}

#[test]
fn a_wake_up_asks_for_what_was_recorded_last_only_where_something_is_due() {
    let system = settled_under(policy());
    let unlisted = unlisted(&system);
    let wake = |time: &str| {
        system.clock.set(at(time));
        let event = Event::new(Detail::WakeUp {}, system.clock.now());
        now(invoke(&unlisted, FunctionName::Scheduler, &event)).map_err(|failure| failure.kind)
    };
    system.clock.set(at("2026-06-01T03:58:00Z"));
    system.wake(FunctionName::Scheduler);
    assert_eq!(wake("2026-06-01T03:59:00Z"), Ok(()));
    assert_eq!(wake("2026-06-01T04:00:00Z"), Err(FailureKind::Throttled));
}

#[test]
fn a_clock_that_ran_ahead_for_one_look_hides_nothing_that_becomes_due() {
    let system = System::new(PolicyDraft {
        selection: Selection::default(),
        ..policy()
    });
    system.clock.set(at("2026-06-01T06:00:00Z"));
    system.wake(FunctionName::Scheduler);
    system.clock.set(at("2026-06-01T04:00:00Z"));
    apply_now(&system, policy());
    system.wake(FunctionName::Scheduler);
    let newest = system.records::<Occurrence>().pop().unwrap();
    assert_eq!(newest.key.due_at, at("2026-06-01T04:00:00Z"));
    assert_eq!(newest.state, OccurrenceState::Requested);
}

#[test]
fn what_is_published_reaches_the_queues_of_those_who_listen() {
    let system = System::new(policy());
    system.wake(FunctionName::Scheduler);
    let waiting = |function| now(system.queue.receive(function, 10, Span::minutes(1))).unwrap().len();
    assert_eq!(waiting(FunctionName::SnapshotTrigger), 1, "the requested job");
    assert_eq!(waiting(FunctionName::Verifier), 0);
    assert_eq!(
        system.jobs(JobKind::Backup)[0].id,
        system.records::<Occurrence>()[0].key.job_id()
    );
    let unknown = JobId::derive(&["unknown"]);
    assert_eq!(
        now(records::read::<Job>(
            system.catalog.as_ref(),
            &records::job_key(&unknown)
        ))
        .unwrap()
        .map(|_| ()),
        None
    );
}

#[test]
fn waiting_for_others_uses_up_no_attempt() {
    let system = System::new(once());
    for _ in 0..10 {
        system.engine.fail_next_task(JobKind::Backup, FailureKind::Deferred);
    }
    system.engine.fail_next_task(JobKind::Backup, FailureKind::Transient);
    system.wake(FunctionName::Scheduler);
    system.pass(Span::hours(3));
    let job = &system.jobs(JobKind::Backup)[0];
    assert_eq!(
        (job.state, job.attempt, job.failed_attempts),
        (JobState::Completed, 12, 1)
    );
    assert_eq!(system.pages("job/"), 0);
}

#[test]
fn however_far_the_end_of_a_backup_came_before_its_vault_went_away_it_is_one_point() {
    let mut ended_early = 0;
    for call in 1.. {
        let system = System::new(once());
        system.wake(FunctionName::Scheduler);
        system.wake(FunctionName::SnapshotTrigger);
        system.clock.advance(Span::minutes(5));
        let plan = FaultPlan::scripted([(call, Fault::CrashAfter)]);
        let world = World {
            catalog: Arc::new(Faulty::new(system.world.catalog.clone(), plan.clone())),
            ..system.world.clone()
        };
        let event = Event::new(Detail::WakeUp {}, system.clock.now());
        if invoke(&world, FunctionName::SnapshotTrigger, &event)
            .now_or_never()
            .is_some()
        {
            break;
        }
        ended_early += 1;
        system.engine.crash();
        system.engine.set_reachable(&vault(HOME), false);
        system.pass(Span::hours(2));
        system.engine.set_reachable(&vault(HOME), true);
        system.pass(Span::hours(1));
        let occurrence = &system.records::<Occurrence>()[0];
        assert_eq!(occurrence.state, OccurrenceState::Completed, "after call {call}");
        assert_eq!(
            system.jobs(JobKind::Backup)[0].state,
            JobState::Completed,
            "after call {call}"
        );
        assert_eq!(
            (
                system.point().copies.len(),
                system.engine.effects(&occurrence.key.job_id())
            ),
            (2, 1)
        );
    }
    assert!(ended_early > 8, "{ended_early} calls were broken");
}

#[test]
fn a_backup_that_ended_well_while_nobody_could_look_is_adopted_after_its_job_gave_up() {
    let system = System::new(once());
    system.wake(FunctionName::Scheduler);
    system.wake(FunctionName::SnapshotTrigger);
    system.clock.advance(Span::minutes(5));
    assert_eq!(system.engine.artefacts(&vault(HOME), &photos()).len(), 1);
    system.engine.crash();
    system.engine.set_reachable(&vault(HOME), false);
    system.pass(Span::hours(3));
    assert_eq!(system.records::<Occurrence>()[0].state, OccurrenceState::Failed);
    assert_eq!((system.points().len(), system.pages("job/")), (0, 1));
    system.engine.set_reachable(&vault(HOME), true);
    system.pass(Span::minutes(61));
    assert_eq!(system.records::<Occurrence>()[0].state, OccurrenceState::Completed);
    let job = &system.jobs(JobKind::Backup)[0];
    assert_eq!(
        (job.state, job.look_back_at, job.failure.clone()),
        (JobState::Completed, None, None)
    );
    assert_eq!(
        system.point().copies[0].artefact,
        *system.engine.artefacts(&vault(HOME), &photos()).keys().next().unwrap()
    );
}

#[test]
fn a_backup_that_left_nothing_is_looked_back_at_once() {
    let system = System::new(once());
    system.engine.fail_next_task(JobKind::Backup, FailureKind::Denied);
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(15));
    assert!(system.jobs(JobKind::Backup)[0].look_back_at.is_some());
    system.pass(Span::minutes(61));
    let job = &system.jobs(JobKind::Backup)[0];
    assert_eq!((job.state, job.look_back_at), (JobState::Failed, None));
}
