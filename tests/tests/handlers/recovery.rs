//! Restores and runs of recovery plans.

use crate::scene::*;

#[test]
fn a_restore_is_done_once_for_a_request_and_proves_its_point() {
    let system = settled();
    system.restore("x1", None, "/restored/x1").unwrap();
    system.restore("x1", None, "/restored/x1").unwrap();
    system.pass(Span::minutes(10));
    let jobs = system.jobs(JobKind::Restore);
    assert_eq!((jobs.len(), jobs[0].state), (1, JobState::Completed));
    assert!(system.engine.restored().contains_key("/restored/x1"));
    assert!(system.point().is_proven(Level::L4));
}

#[test]
fn a_restore_to_a_bad_target_or_of_an_unknown_point_is_refused_by_name() {
    let system = settled();
    for target in ["restored", "/", "//", "/restored/../etc", "/restored/\0"] {
        let refusal = system.restore("x1", None, target).unwrap_err();
        assert_eq!(refusal.kind, FailureKind::Invalid, "{target:?}");
        assert!(refusal.message.contains("target"), "{refusal}");
    }
    let unknown = PointId::derive(&["unknown"]);
    let refusal = system.restore("x1", Some(unknown.clone()), "/restored/x1").unwrap_err();
    assert_eq!(refusal.kind, FailureKind::NotFound);
    assert!(refusal.message.contains(unknown.as_str()), "{refusal}");
    assert!(system.jobs(JobKind::Restore).is_empty());
}

#[test]
fn a_drill_restores_compares_measures_states_and_cleans() {
    let restored_by = StepName::new("restore").unwrap();
    let steps = vec![
        step(
            "fresh",
            &[],
            StepAction::Check(Check::PointAge {
                resource: photos(),
                at_most: Span::hours(8),
            }),
        ),
        restore_step("restore"),
        step("compare", &[], StepAction::Verify { restored_by }),
        step("settle", &["compare"], StepAction::Wait { span: Span::minutes(5) }),
        step(
            "tell",
            &["settle"],
            StepAction::Notify {
                message: "done".to_owned(),
            },
        ),
    ];
    let system = System::with_plan(policy(), plan(steps));
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(15));
    system.ask_run(RunKind::Drill);
    system.pass(Span::minutes(3));
    assert!(system.engine.restored().keys().all(|target| target.starts_with(DRILLS)));
    assert_eq!(system.engine.restored().len(), 1);
    system.pass(Span::minutes(20));
    let run = system.run();
    assert_eq!(run.state, RunState::Succeeded, "{run:?}");
    assert!(run.steps.iter().all(|step| step.state == StepState::Succeeded));
    assert!(run.point_age_seconds.is_some() && run.data_loss_seconds.is_some() && run.recovered_at.is_some());
    assert!(system.engine.restored().is_empty(), "the drill cleans what it restored");
    let statements = system.statements();
    let stated = statements
        .iter()
        .filter(|statement| statement.origin == format!("{}/run", run.id));
    assert_eq!(
        stated
            .map(|statement| (statement.level, statement.passed))
            .collect::<Vec<_>>(),
        [(Level::L6, true)]
    );
}

#[test]
fn a_drill_whose_check_does_not_hold_fails_skips_the_rest_and_pages() {
    let at_most = Span::minutes(1);
    let check = step(
        "fresh",
        &[],
        StepAction::Check(Check::PointAge {
            resource: photos(),
            at_most,
        }),
    );
    let mut restore = restore_step("restore");
    restore.after = vec![check.name.clone()];
    let system = System::with_plan(policy(), plan(vec![check, restore]));
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(15));
    system.ask_run(RunKind::Drill);
    system.pass(Span::minutes(5));
    let run = system.run();
    let states: Vec<StepState> = run.steps.iter().map(|step| step.state).collect();
    assert_eq!(
        (run.state, states),
        (RunState::Failed, vec![StepState::Failed, StepState::Skipped])
    );
    assert_eq!((system.pages("run/"), system.jobs(JobKind::Restore).len()), (1, 0));
}

#[test]
fn a_drill_step_that_takes_too_long_fails_and_is_cleaned_once_its_restore_has_ended() {
    let mut restore = restore_step("restore");
    restore.timeout = Span::minutes(5);
    let system = System::with_plan(policy(), plan(vec![restore]));
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(15));
    system.engine.set_duration(JobKind::Restore, Span::minutes(30));
    system.ask_run(RunKind::Drill);
    system.pass(Span::minutes(10));
    let run = system.run();
    assert_eq!((run.state, run.steps[0].state), (RunState::Cleaning, StepState::Failed));
    assert!(run.steps[0].note.contains("timeout"), "{}", run.steps[0].note);
    system.pass(Span::minutes(40));
    assert_eq!(system.run().state, RunState::Failed);
    assert!(system.engine.restored().is_empty());
}

#[test]
fn a_drill_is_not_cleaned_while_a_restore_that_nobody_could_look_at_may_still_write() {
    let system = System::with_plan(policy(), plan(vec![restore_step("restore")]));
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(15));
    system.ask_run(RunKind::Drill);
    system.wake(FunctionName::RestoreRunner);
    for _ in 0..6 {
        system.engine.fail_next_observe(FailureKind::Transient);
        system.clock.advance(Span::minutes(20));
        system.wake(FunctionName::RestoreRunner);
        system.wake(FunctionName::DrFailover);
    }
    assert_eq!(system.jobs(JobKind::Restore)[0].state, JobState::Failed);
    system.pass(Span::minutes(30));
    assert_eq!(system.run().state, RunState::Cleaning);
    assert_eq!(system.jobs(JobKind::Clean).len(), 0);
    system.pass(Span::minutes(40));
    assert_eq!(system.run().state, RunState::Failed);
    assert_eq!(system.jobs(JobKind::Clean).len(), 1);
    assert!(system.engine.restored().is_empty());
}

#[test]
fn a_simulation_answers_every_step_and_changes_nothing() {
    let restored_by = StepName::new("restore").unwrap();
    let steps = vec![
        step(
            "proven",
            &[],
            StepAction::Check(Check::ProvenPoint {
                resource: photos(),
                vault: vault(AWAY),
            }),
        ),
        restore_step("restore"),
        step("compare", &[], StepAction::Verify { restored_by }),
        step("settle", &[], StepAction::Wait { span: Span::hours(9) }),
        step(
            "tell",
            &[],
            StepAction::Notify {
                message: "done".to_owned(),
            },
        ),
    ];
    let system = System::with_plan(policy(), plan(steps));
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(15));
    let (jobs, pages) = (system.records::<Job>().len(), system.pager.pages().len());
    system.ask_run(RunKind::Simulate);
    system.pass(Span::minutes(2));
    let run = system.run();
    assert_eq!(run.state, RunState::Succeeded, "{run:?}");
    assert!(run.steps[1].note.starts_with("would restore"), "{}", run.steps[1].note);
    assert_eq!(
        (system.records::<Job>().len(), system.pager.pages().len()),
        (jobs, pages)
    );
    assert!(system.engine.restored().is_empty());
    assert_eq!(
        system.statements().last().map(|statement| statement.level),
        Some(Level::L0)
    );
}

#[test]
fn a_run_of_an_unknown_plan_is_refused_by_name() {
    let system = System::new(policy());
    let detail = Detail::RunRequested {
        request: "r1".to_owned(),
        plan: PlanId::new("nowhere").unwrap(),
        kind: RunKind::Drill,
        level: None,
        requested_by: "ann".to_owned(),
    };
    let refusal = system.tell(FunctionName::DrFailover, detail).unwrap_err();
    assert_eq!(refusal.kind, FailureKind::NotFound);
    assert!(refusal.message.contains("nowhere"), "{refusal}");
    assert!(system.records::<Run>().is_empty());
}

#[test]
fn a_drill_whose_restore_differs_is_not_stated_as_passed_unless_a_step_judges_it() {
    let system = System::with_plan(policy(), plan(vec![restore_step("restore")]));
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(15));
    system.engine.set_duration(JobKind::Restore, Span::minutes(5));
    system.ask_run(RunKind::Drill);
    let job = system.jobs(JobKind::Restore)[0].id.clone();
    now(records::amend(
        system.catalog.as_ref(),
        &records::job_key(&job),
        |job: &mut Job| {
            job.result = Some(Outcome::Restore {
                files: 3,
                bytes: 30,
                differences: vec!["a.txt: other bytes".to_owned()],
                heartbeat_at: None,
            });
            true
        },
    ))
    .unwrap();
    system.pass(Span::minutes(20));
    let run = system.run();
    assert_eq!(run.state, RunState::Failed, "{run:?}");
    assert!(run.steps[0].note.contains("1 entries differ"), "{}", run.steps[0].note);
    let statements = system.statements();
    let stated = statements.iter().find(|statement| statement.level == Level::L6);
    assert_eq!(stated.map(|statement| statement.passed), Some(false));
}

#[test]
fn a_drill_that_restores_what_a_service_keeps_is_refused_and_can_be_simulated() {
    let system = System::new(policy());
    let orders = Resource {
        kind: ResourceKind::Rds,
        path: "orders".to_owned(),
        heartbeat: None,
        ..system.records::<Resource>()[0].clone()
    };
    now(apply::apply(&system.world, &[orders], &[], &[])).unwrap();
    let ask = |kind| {
        let detail = Detail::RunRequested {
            request: "r1".to_owned(),
            plan: PlanId::new("evacuate").unwrap(),
            kind,
            level: None,
            requested_by: "ann".to_owned(),
        };
        system.tell(FunctionName::DrFailover, detail)
    };
    let refusal = ask(RunKind::Drill).unwrap_err();
    assert_eq!(refusal.kind, FailureKind::Invalid);
    assert!(refusal.message.contains("content only so far"), "{refusal}");
    ask(RunKind::Simulate).unwrap();
}

#[test]
fn a_server_is_restored_with_the_log_that_stands_in_the_vault_of_the_step() {
    let system = settled_server();
    let point = system.point();
    let covered_at = system.clock.now();
    let stretch = Stretch {
        timeline: 1,
        earliest_at: point.taken_at,
        latest_at: point.created_at,
        bases: vec![point.copy_in(&vault(AWAY)).unwrap().artefact.clone()],
    };
    let window = Window {
        resource: photos(),
        vault: vault(AWAY),
        observed_at: covered_at,
        state: LogState {
            stretches: vec![stretch],
            gaps: Vec::new(),
            covered_at: Some(covered_at),
            slot: None,
        },
    };
    now(inventory::advance_window(&system.world, &window)).unwrap();
    system.ask_run(RunKind::Drill);
    system.pass(Span::minutes(10));
    let restores = system.jobs(JobKind::Restore);
    let Order::Restore { from, recovery, .. } = &restores[0].order else {
        panic!("{restores:?}");
    };
    let expected = ServerRecovery {
        to: Moment::Latest,
        timeline: 1,
    };
    assert_eq!((from.vault.as_str(), *recovery), (AWAY, Some(expected)));
    let run = system.run();
    assert_eq!(
        (run.state, run.point_age_seconds),
        (RunState::Succeeded, Some(0)),
        "{:?}",
        run.steps
    );
}
