//! What people tell a run.

use holdfast_core::domain::{Instruction, RunKind, RunState, Span, StepState};

use crate::ground::*;

fn approve() -> Instruction {
    Instruction::Approve { step: step("agree") }
}

#[test]
fn two_approvers_who_did_not_ask_must_agree() {
    let ground = Ground::new();
    let run = ground.ask("agreed", RunKind::Planned).unwrap();
    let refused = ground.tell(&run, "ana", approve()).unwrap_err();
    assert!(refused.message.contains("somebody else"), "{refused}");
    let refused = ground.tell(&run, "dan", approve()).unwrap_err();
    assert!(refused.message.contains("ben, cleo"), "{refused}");
    ground.tell(&run, "ben", approve()).unwrap();
    ground.tell(&run, "ben", approve()).unwrap();
    ground.pass(Span::minutes(2));
    assert_eq!(
        ground.step(&run, "agree").0,
        StepState::Running,
        "one person is not two"
    );
    assert_eq!(ground.writers(), ["db-home"]);
    ground.tell(&run, "cleo", approve()).unwrap();
    ground.pass(Span::minutes(2));
    assert_eq!(ground.state(&run), RunState::Succeeded, "{:?}", ground.run(&run));
    assert_eq!(ground.step(&run, "agree").1, "approved by ben and cleo");
}

#[test]
fn nobody_who_agrees_ends_the_run_with_nothing_changed() {
    let ground = Ground::new();
    let run = ground.ask("agreed", RunKind::Planned).unwrap();
    ground.pass(Span::minutes(40));
    assert_eq!(ground.state(&run), RunState::Failed);
    assert_eq!((ground.authority().generation, ground.writers()), (1, vec!["db-home"]));
}

#[test]
fn a_paused_run_begins_nothing_and_an_aborted_one_goes_back() {
    let ground = Ground::new();
    ground.actuators.set_takes(Span::minutes(2));
    let run = ground.ask("agreed", RunKind::Planned).unwrap();
    ground.tell(&run, "ben", approve()).unwrap();
    ground.tell(&run, "cleo", approve()).unwrap();
    ground.pass(Span::minutes(1));
    ground.tell(&run, "ben", Instruction::Pause).unwrap();
    ground.pass(Span::minutes(20));
    assert_eq!(
        (ground.state(&run), ground.step(&run, "stop-web").0),
        (RunState::Paused, StepState::Pending)
    );
    ground.tell(&run, "ben", Instruction::Resume).unwrap();
    ground.pass(Span::minutes(1));
    assert_eq!(ground.step(&run, "stop-web").0, StepState::Running);
    let abort = Instruction::Abort {
        reason: "the application has a problem".to_owned(),
    };
    ground.tell(&run, "ben", abort).unwrap();
    ground.pass(Span::minutes(10));
    assert_eq!(ground.state(&run), RunState::Failed, "{:?}", ground.run(&run));
    assert_eq!(ground.writers(), ["db-home"]);
    assert!(ground.actuators.thing(&actuator("web-home")).running);
    let authority = ground.authority();
    assert_eq!(
        (authority.generation, authority.writer),
        (3, Some(region("eu-central-1")))
    );
    let log = ground.run(&run).conduct.log;
    assert!(
        log.iter()
            .any(|line| line.contains("ben aborted it: the application has a problem")),
        "{log:?}"
    );
}

#[test]
fn a_step_may_be_left_out_but_never_a_fence() {
    let ground = Ground::new();
    ground.probes.set_silent("http://away/health", true);
    let run = ground.ask("to-away", RunKind::Planned).unwrap();
    let skip = |name: &str| Instruction::Skip {
        step: step(name),
        reason: "looked at by hand".to_owned(),
    };
    let refused = ground.tell(&run, "ben", skip("fence")).unwrap_err();
    assert!(refused.message.contains("two writers"), "{refused}");
    let refused = ground.tell(&run, "ben", skip("nothing")).unwrap_err();
    assert!(refused.message.contains("no step nothing"), "{refused}");
    ground.pass(Span::minutes(1));
    ground.tell(&run, "ben", skip("answers")).unwrap();
    ground.pass(Span::minutes(2));
    assert_eq!(ground.state(&run), RunState::Succeeded);
    assert_eq!(ground.step(&run, "answers").1, "ben left it out: looked at by hand");
}

#[test]
fn an_event_moves_nothing_where_it_takes_two_people() {
    let mut ground = Ground::new();
    ground.world.settings.two_people = true;
    let refused = ground.ask("to-away", RunKind::Planned).unwrap_err();
    assert!(refused.message.contains("dr-failover itself"), "{refused}");
    let order = serde_json::json!({ "plan": "to-away", "kind": "planned", "requested_by": "ana" });
    let answered = now(holdfast_dr_failover::answer(&ground.world, &order)).unwrap();
    assert_eq!(answered["kind"], "planned");
    ground.pass(Span::minutes(2));
    assert_eq!(ground.writers(), ["db-away"]);
}
