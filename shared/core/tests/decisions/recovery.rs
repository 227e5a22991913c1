use holdfast_core::domain::{
    Conduct, Drills, Objectives, PlanId, RecoveryPlan, Run, RunId, RunKind, RunState, Step, StepAction, StepName,
    StepRecord, StepState,
};
use holdfast_core::planning::{PlanError, order_steps, ready_steps};

use crate::make::{at, resource, span, vault_name};

fn step(name: &str, after: &[&str]) -> Step {
    Step {
        name: StepName::new(name).unwrap(),
        after: after.iter().map(|name| StepName::new(*name).unwrap()).collect(),
        action: StepAction::Wait { span: span("1s") },
        timeout: span("1m"),
        graceful: false,
    }
}

fn restore(name: &str) -> Step {
    Step {
        action: StepAction::Restore {
            resource: resource().id,
            vault: vault_name("recovery"),
            target: None,
        },
        ..step(name, &[])
    }
}

fn verify(name: &str, restored_by: &str) -> Step {
    Step {
        action: StepAction::Verify {
            restored_by: StepName::new(restored_by).unwrap(),
        },
        ..step(name, &[])
    }
}

fn plan(steps: Vec<Step>) -> RecoveryPlan {
    RecoveryPlan {
        id: PlanId::new("west").unwrap(),
        moves: None,
        drills: Drills::default(),
        levels: Vec::new(),
        priority: None,
        at_once: None,
        description: String::new(),
        objectives: Objectives {
            rpo: span("1h"),
            rto: span("4h"),
        },
        steps,
    }
}

fn run(steps: Vec<(Step, StepState)>) -> Run {
    let record = |(step, state)| StepRecord {
        step,
        state,
        started_at: None,
        finished_at: None,
        job: None,
        note: String::new(),
    };
    let steps: Vec<StepRecord> = steps.into_iter().map(record).collect();
    Run {
        id: RunId::derive(&["test"]),
        plan: plan(steps.iter().map(|record| record.step.clone()).collect()),
        kind: RunKind::Drill,
        requested_by: "test".to_owned(),
        state: RunState::Running,
        declared_at: at("2026-01-01T00:00:00Z"),
        started_at: None,
        recovered_at: None,
        finished_at: None,
        steps,
        point_age_seconds: None,
        data_loss_seconds: None,
        statement: None,
        conduct: Conduct::default(),
        next_action_at: at("2026-01-01T00:00:00Z"),
    }
}

#[test]
fn steps_come_after_what_they_wait_for_and_otherwise_as_written() {
    let steps = vec![
        step("d", &["b", "c"]),
        step("b", &["a"]),
        step("a", &[]),
        step("c", &[]),
        step("e", &[]),
    ];
    assert_eq!(order_steps(&plan(steps)), Ok(vec![2, 1, 3, 0, 4]));
    assert_eq!(order_steps(&plan(Vec::new())), Ok(Vec::new()));
}

#[test]
fn a_verification_comes_after_its_restore_without_being_told() {
    assert_eq!(
        order_steps(&plan(vec![verify("compare", "restore"), restore("restore")])),
        Ok(vec![1, 0])
    );
}

#[test]
fn a_cycle_is_named_without_the_steps_that_only_wait_for_it() {
    let steps = vec![
        step("waits", &["a"]),
        step("a", &["b"]),
        step("b", &["a"]),
        step("free", &[]),
    ];
    let error = order_steps(&plan(steps)).unwrap_err();
    assert_eq!(error.to_string(), "steps wait for each other: a -> b -> a");
    let error = order_steps(&plan(vec![step("a", &["a"])])).unwrap_err();
    assert_eq!(error.to_string(), "steps wait for each other: a -> a");
}

#[test]
fn unknown_and_doubled_steps_are_named() {
    let name = |name| StepName::new(name).unwrap();
    let unknown = order_steps(&plan(vec![step("a", &["z"])]));
    assert_eq!(
        unknown,
        Err(PlanError::UnknownStep {
            step: name("a"),
            missing: name("z")
        })
    );
    let unknown = order_steps(&plan(vec![verify("a", "z")]));
    assert_eq!(
        unknown,
        Err(PlanError::UnknownStep {
            step: name("a"),
            missing: name("z")
        })
    );
    let doubled = order_steps(&plan(vec![step("a", &[]), step("a", &[])]));
    assert_eq!(doubled, Err(PlanError::DuplicateStep { step: name("a") }));
    let no_restore = order_steps(&plan(vec![step("a", &[]), verify("b", "a")]));
    assert_eq!(
        no_restore,
        Err(PlanError::NotARestore {
            step: name("b"),
            named: name("a")
        })
    );
}

#[test]
fn pending_steps_are_ready_when_all_before_them_succeeded() {
    use StepState::{Failed, Pending, Running, Skipped, Succeeded};
    let run = run(vec![
        (step("done", &[]), Succeeded),
        (step("busy", &[]), Running),
        (step("broken", &[]), Failed),
        (step("skipped", &[]), Skipped),
        (step("ready", &["done"]), Pending),
        (step("free", &[]), Pending),
        (step("waits", &["done", "busy"]), Pending),
        (step("after-failure", &["broken"]), Pending),
        (step("after-skip", &["skipped"]), Pending),
        (step("after-nothing", &["unheard-of"]), Pending),
        (verify("compare", "done"), Pending),
        (verify("compare-later", "busy"), Pending),
    ]);
    // What was left out keeps nothing waiting; a run that failed begins nothing more, and does not ask.
    assert_eq!(ready_steps(&run), [4, 5, 8, 10]);
}
