//! Runs that a person or a state machine asks for directly.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::Arc;

use futures::FutureExt;
use holdfast_core::domain::{
    Drills, Failure, FailureKind, Objectives, PlanId, RecoveryPlan, Span, Step, StepAction, StepName,
};
use holdfast_core::workflow::{World, records};
use holdfast_dr_failover::answer;
use holdfast_testkit::fakes::{FakeClock, fake_world};
use serde_json::{Value, json};

fn sample(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../events/dr-failover/{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("fakes never wait")
}

fn world() -> World {
    let clock = Arc::new(FakeClock::at("2026-11-20T02:00:00Z".parse().unwrap()));
    fake_world(clock, &[("home", "eu-central-1"), ("offsite", "eu-west-1")])
}

/// A world that knows one plan, which waits for a while.
fn ready() -> World {
    let world = world();
    let wait = Step {
        name: StepName::new("wait").unwrap(),
        after: Vec::new(),
        action: StepAction::Wait { span: Span::minutes(5) },
        timeout: Span::hours(1),
        graceful: false,
    };
    let plan = RecoveryPlan {
        id: PlanId::new("evacuate").unwrap(),
        moves: None,
        drills: Drills::default(),
        levels: Vec::new(),
        priority: None,
        at_once: None,
        description: String::new(),
        objectives: Objectives {
            rpo: Span::hours(8),
            rto: Span::hours(1),
        },
        steps: vec![wait],
    };
    assert!(now(records::insert(world.catalog.as_ref(), &plan)).unwrap().is_none());
    world
}

fn ask(world: &World, payload: &Value) -> Result<Value, Failure> {
    now(answer(world, payload))
}

#[test]
fn a_simulation_needs_no_more_than_its_plan() {
    let world = ready();
    for payload in [sample("console-simulate"), json!({ "plan": "evacuate" })] {
        let answered = ask(&world, &payload).unwrap();
        assert_eq!(answered["kind"], "simulate");
        let looked = ask(&world, &json!({ "status": answered["run"] })).unwrap();
        assert_eq!(looked["state"], "succeeded");
        assert_eq!(looked["is_over"], true);
    }
}

#[test]
fn asking_twice_by_one_name_is_one_run_and_looking_drives_it() {
    let world = ready();
    let first = ask(&world, &sample("console-drill")).unwrap();
    let again = ask(&world, &sample("console-drill")).unwrap();
    assert_eq!(first["run"], again["run"]);
    assert_eq!(first["requested_by"], "ana");
    let looked = ask(&world, &json!({ "status": first["run"] })).unwrap();
    assert_eq!(looked["state"], "running");
    assert_eq!(looked["steps"][0]["state"], "running");
}

#[test]
fn what_is_wrong_is_told_all_at_once() {
    let world = ready();
    let payload = json!({ "plan": "elsewhere", "kind": "rehearsal", "force": true });
    let failure = ask(&world, &payload).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Invalid);
    for culprit in [
        "\"elsewhere\"",
        "known: simulate, drill, planned, disaster",
        "`force` is not known",
    ] {
        assert!(failure.message.contains(culprit), "{failure} does not say {culprit}");
    }
    let failure = ask(&world, &json!({ "plan": "evacuate", "kind": "drill" })).unwrap_err();
    assert!(failure.message.contains("`requested_by`"), "{failure}");
}

#[test]
fn a_run_that_nobody_started_has_no_status() {
    let failure = ask(&ready(), &sample("console-status")).unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotFound);
    let failure = ask(&ready(), &json!({ "status": "yesterday's" })).unwrap_err();
    assert!(failure.message.contains("`status`"), "{failure}");
}
