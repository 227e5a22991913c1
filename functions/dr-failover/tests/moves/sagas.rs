//! Moves to their end, and what becomes of them when something breaks.

use holdfast_core::domain::{Divergence, Instruction, RunKind, RunState, Span, StepState};
use holdfast_core::report::run_page;
use holdfast_testkit::fakes::Thing;
use holdfast_testkit::faults::{Fault, FaultPlan};

use crate::ground::*;

#[test]
fn a_switchover_moves_everything_once_and_another_plan_brings_it_back() {
    let ground = Ground::new();
    let there = ground.ask("to-away", RunKind::Planned).unwrap();
    ground.pass(Span::minutes(2));
    assert_eq!(ground.state(&there), RunState::Succeeded, "{:?}", ground.run(&there));
    assert_eq!(ground.writers(), ["db-away"]);
    let authority = ground.authority();
    assert_eq!((authority.generation, authority.writer), (2, Some(region("eu-west-1"))));
    assert_eq!(ground.actuators.thing(&actuator("web-away")).share, 100);
    assert_eq!(
        ground.actuators.thing(&actuator("db-home")).leader,
        Some(actuator("db-away"))
    );
    assert_eq!(
        ground.run(&there).conduct.lag_milliseconds,
        None,
        "a switchover accepts no loss"
    );
    let refused = ground.ask_as("again", "to-away", RunKind::Planned).unwrap_err();
    assert!(refused.message.contains("written in eu-west-1"), "{refused}");
    let back = ground.ask("to-home", RunKind::Planned).unwrap();
    ground.pass(Span::minutes(2));
    assert_eq!(ground.state(&back), RunState::Succeeded);
    assert_eq!(ground.writers(), ["db-home"]);
    assert_eq!(ground.authority().generation, 3);
    assert_eq!(ground.actuators.violations(), Vec::<String>::new());
}

#[test]
fn a_failover_waits_until_the_side_that_does_not_answer_cannot_write() {
    let ground = Ground::new();
    ground.actuators.set_cut(&region("eu-central-1"), true);
    let run = ground.ask("to-away", RunKind::Disaster).unwrap();
    assert_eq!(ground.step(&run, "stop-web").0, StepState::Skipped);
    assert_eq!(
        ground.step(&run, "promote").0,
        StepState::Pending,
        "the lease over there still runs"
    );
    assert_eq!(ground.authority().writer, None);
    ground.pass(Span::minutes(2));
    assert_eq!(ground.state(&run), RunState::Succeeded, "{:?}", ground.run(&run));
    assert_eq!(ground.writers(), ["db-away"]);
    assert_eq!(ground.run(&run).conduct.lag_milliseconds, Some(500));
    assert_eq!(ground.actuators.violations(), Vec::<String>::new());
}

#[test]
fn a_failover_is_over_when_the_lost_side_follows_and_tells_what_that_side_gave_up() {
    let ground = Ground::new();
    ground.actuators.set_cut(&region("eu-central-1"), true);
    ground.probes.set_silent("http://home/replication", true);
    let run = ground.ask("whole", RunKind::Disaster).unwrap();
    ground.pass(Span::minutes(2));
    let (checked, note) = ground.step(&run, "receives");
    assert_eq!(checked, StepState::Skipped, "what is lost cannot answer: {note}");
    assert_eq!(ground.state(&run), RunState::Running);
    let back_at = ground.run(&run).recovered_at.expect("service is back");
    ground.pass(Span::hours(5));
    assert_eq!(ground.step(&run, "follow").0, StepState::Running);
    let own = Divergence {
        transactions: 3,
        from: "0/3000A50".to_owned(),
        to: "0/3000B60".to_owned(),
        records: "/guard/divergence-2.txt".to_owned(),
    };
    ground.actuators.set_own(&actuator("db-home"), own.clone());
    ground.actuators.set_cut(&region("eu-central-1"), false);
    ground.pass(Span::minutes(1));
    assert_eq!(ground.state(&run), RunState::Succeeded);
    let ended = ground.run(&run);
    assert_eq!(ended.conduct.divergences, [own]);
    assert_eq!(ended.recovered_at, Some(back_at), "what came later is no part of it");
    assert!(run_page(&ended, None).contains("3 transactions were committed on the lost side only"));
    assert_eq!(ground.actuators.violations(), Vec::<String>::new());
}

#[test]
fn a_switchover_changes_nothing_where_its_check_does_not_hold() {
    let ground = Ground::new();
    ground.probes.set_silent("http://home/replication", true);
    let run = ground.ask("whole", RunKind::Planned).unwrap();
    ground.pass(Span::minutes(2));
    assert_eq!(ground.state(&run), RunState::Failed);
    assert_eq!((ground.authority().generation, ground.actuators.effects()), (1, 0));
    assert_eq!(ground.run(&run).recovered_at, None);
}

#[test]
fn a_drill_does_not_ask_what_only_a_promotion_would_have_answer() {
    let ground = Ground::new();
    ground.probes.set_silent("http://away/health", true);
    let run = ground.ask("whole", RunKind::Drill).unwrap();
    ground.pass(Span::minutes(2));
    assert_eq!(ground.state(&run), RunState::Succeeded, "{:?}", ground.run(&run));
    assert_eq!(ground.step(&run, "receives").0, StepState::Succeeded);
    let (answers, note) = ground.step(&run, "answers");
    assert!(answers == StepState::Skipped && note.contains("step promote"), "{note}");
    assert_eq!(ground.authority().generation, 1);
}

#[test]
fn what_a_failover_left_out_is_done_when_its_side_answers_again() {
    let ground = Ground::new();
    let home = region("eu-central-1");
    ground.actuators.set_cut(&home, true);
    let run = ground.ask("to-away", RunKind::Disaster).unwrap();
    ground.pass(Span::minutes(5));
    assert_eq!(ground.state(&run), RunState::Succeeded);
    let left_out = ground.left_out(&run);
    assert_eq!(left_out.steps, [step("stop-web")]);
    assert!(left_out.note.contains("web-home does not answer"), "{left_out:?}");
    assert!(ground.actuators.thing(&actuator("web-home")).running);
    ground.actuators.set_cut(&home, false);
    ground.pass(Span::minutes(3));
    assert!(!ground.actuators.thing(&actuator("web-home")).running);
    assert_eq!(ground.left_out(&run).steps, []);
    let pages = ground.pager.pages();
    assert_eq!(
        pages.iter().filter(|page| page.key.ends_with("/left-out")).count(),
        1,
        "{pages:?}"
    );
    // Whoever starts it by hand from then on is not worked against.
    ground.actuators.put(
        &actuator("web-home"),
        Thing {
            running: true,
            ..Thing::default()
        },
    );
    ground.pass(Span::minutes(3));
    assert!(ground.actuators.thing(&actuator("web-home")).running);
}

#[test]
fn what_a_failover_left_out_is_forgotten_when_another_run_moves_the_workload() {
    let ground = Ground::new();
    let home = region("eu-central-1");
    ground.actuators.set_cut(&home, true);
    let run = ground.ask("to-away", RunKind::Disaster).unwrap();
    ground.pass(Span::minutes(2));
    ground.actuators.set_cut(&home, false);
    let back = ground.ask("to-home", RunKind::Planned).unwrap();
    ground.pass(Span::minutes(3));
    assert_eq!(ground.state(&back), RunState::Succeeded, "{:?}", ground.run(&back));
    assert!(ground.actuators.thing(&actuator("web-home")).running, "it serves again");
    assert_eq!(ground.left_out(&run).steps, []);
    assert!(
        ground.left_out(&run).note.contains("moved on"),
        "{:?}",
        ground.left_out(&run)
    );
}

#[test]
fn what_was_left_out_and_cannot_be_done_is_told_once() {
    let ground = Ground::new();
    ground.actuators.set_broken(&actuator("web-home"), "stop", true);
    let run = ground.ask("to-away", RunKind::Disaster).unwrap();
    ground.pass(Span::minutes(5));
    assert_eq!(ground.state(&run), RunState::Succeeded);
    let pages = ground.pager.pages();
    let told = pages.iter().filter(|page| page.key.ends_with("/left-out/stop-web"));
    assert_eq!(told.count(), 1, "{pages:?}");
    assert_eq!(ground.left_out(&run).steps, []);
}

#[test]
fn what_a_person_left_out_is_not_done_later() {
    let ground = Ground::new();
    let run = ground.ask("agreed", RunKind::Disaster).unwrap();
    let skip = Instruction::Skip {
        step: step("stop-web"),
        reason: "it serves what was ordered".to_owned(),
    };
    ground.tell(&run, "ana", skip).unwrap();
    for person in ["ben", "cleo"] {
        ground
            .tell(&run, person, Instruction::Approve { step: step("agree") })
            .unwrap();
    }
    ground.pass(Span::minutes(3));
    assert_eq!(ground.state(&run), RunState::Succeeded, "{:?}", ground.run(&run));
    assert!(ground.actuators.thing(&actuator("web-home")).running);
    let key = holdfast_core::workflow::records::left_out_key(&run);
    assert_eq!(now(ground.world.catalog.get(&key)).unwrap(), None);
}

#[test]
fn what_fails_before_the_point_of_no_return_is_taken_back() {
    let ground = Ground::new();
    ground.actuators.set_broken(&actuator("db-home"), "fence", true);
    let run = ground.ask("to-away", RunKind::Planned).unwrap();
    ground.pass(Span::minutes(3));
    assert_eq!(ground.state(&run), RunState::Failed);
    assert_eq!(ground.step(&run, "stop-web").0, StepState::Undone);
    assert!(ground.actuators.thing(&actuator("web-home")).running);
    assert_eq!(ground.writers(), ["db-home"]);
    assert_eq!(
        ground.authority().writer,
        Some(region("eu-central-1")),
        "it is given back"
    );
    let why = ground.run(&run).conduct.goes_back.unwrap();
    assert!(why.contains("fence") && why.contains("cannot fence"), "{why}");
}

#[test]
fn what_fails_after_the_point_of_no_return_waits_for_a_person_and_goes_on() {
    let ground = Ground::new();
    ground.probes.set_silent("http://away/health", true);
    let run = ground.ask("to-away", RunKind::Planned).unwrap();
    ground.pass(Span::minutes(8));
    assert_eq!(ground.state(&run), RunState::Stuck, "{:?}", ground.run(&run));
    let pages = ground.pager.pages();
    assert!(pages.iter().any(|page| page.key.ends_with("/stuck")), "{pages:?}");
    assert_eq!(
        ground.actuators.thing(&actuator("web-away")).share,
        0,
        "nobody is led to what does not answer"
    );
    let refused = ground.ask("to-home", RunKind::Planned).unwrap_err();
    assert!(refused.message.contains("already"), "{refused}");
    let abort = Instruction::Abort {
        reason: "never mind".to_owned(),
    };
    let refused = ground.tell(&run, "ana", abort).unwrap_err();
    assert!(refused.message.contains("promote"), "{refused}");
    ground.probes.set_silent("http://away/health", false);
    ground.tell(&run, "ana", Instruction::Resume).unwrap();
    ground.pass(Span::minutes(2));
    assert_eq!(ground.state(&run), RunState::Succeeded, "{:?}", ground.run(&run));
    assert_eq!(ground.actuators.thing(&actuator("web-away")).share, 100);
}

#[test]
fn an_undo_that_fails_is_stuck_until_it_succeeds() {
    let ground = Ground::new();
    ground.actuators.set_broken(&actuator("db-home"), "fence", true);
    ground.actuators.set_broken(&actuator("web-home"), "start", true);
    let run = ground.ask("to-away", RunKind::Planned).unwrap();
    ground.pass(Span::minutes(3));
    assert_eq!(ground.state(&run), RunState::Stuck);
    let why = ground.run(&run).conduct.stuck.unwrap();
    assert!(why.contains("stop-web"), "{why}");
    ground.actuators.set_broken(&actuator("web-home"), "start", false);
    ground.tell(&run, "ana", Instruction::Resume).unwrap();
    ground.pass(Span::minutes(2));
    assert_eq!(ground.state(&run), RunState::Failed);
    assert!(ground.actuators.thing(&actuator("web-home")).running);
}

#[test]
fn a_drill_changes_only_what_stands_for_production_and_takes_it_back() {
    let ground = Ground::new();
    let run = ground.ask("to-away", RunKind::Drill).unwrap();
    ground.pass(Span::minutes(3));
    assert_eq!(ground.state(&run), RunState::Succeeded, "{:?}", ground.run(&run));
    let left_out = ["stop-web", "promote", "follow"];
    for name in left_out {
        let (state, note) = ground.step(&run, name);
        assert!(
            state == StepState::Skipped && note.contains("left out of a drill"),
            "{name}: {note}"
        );
    }
    // The fakes know things by their names alone: it is the stand-in that was fenced and taken back.
    assert_eq!(ground.step(&run, "fence").0, StepState::Undone);
    let authority = ground.authority();
    assert_eq!(
        (authority.generation, authority.writer),
        (1, Some(region("eu-central-1")))
    );
}

/// Every call of a move, broken in every way: whoever looks next brings it to its end.
#[test]
fn every_call_of_a_move_may_break_or_kill_its_executor() {
    for kind in [RunKind::Planned, RunKind::Disaster] {
        let calls = {
            let ground = Ground::new();
            let plan = FaultPlan::quiet();
            drive(&ground, &plan, kind);
            plan.calls()
        };
        assert!(calls > 60, "{calls}");
        for call in 1..=calls {
            for fault in Fault::ALL {
                let ground = Ground::new();
                let plan = FaultPlan::scripted([(call, fault)]);
                let run = drive(&ground, &plan, kind);
                let story = || format!("call {call} {fault:?}: {:?}", ground.run(&run));
                assert_eq!(ground.state(&run), RunState::Succeeded, "{}", story());
                assert_eq!(ground.writers(), ["db-away"], "{}", story());
                assert!(!ground.actuators.thing(&actuator("web-home")).running, "{}", story());
                assert_eq!(ground.actuators.violations(), Vec::<String>::new(), "{}", story());
            }
        }
    }
}

/// Asks for a move, again and again as queues do, and looks until nothing is left to do.
fn drive(ground: &Ground, plan: &std::sync::Arc<FaultPlan>, kind: RunKind) -> holdfast_core::domain::RunId {
    use futures::FutureExt;
    use holdfast_core::domain::{Detail, Event, RunId};

    ground.actuators.set_takes(Span::seconds(40));
    let run = RunId::derive(&["run", "x"]);
    for look in 0..30 {
        let detail = if look < 3 {
            requested("x", "to-away", kind)
        } else {
            Detail::WakeUp {}
        };
        let world = ground.faulty(plan);
        let event = Event::new(detail, clock_time(&ground.clock));
        // None: the executor was killed.
        let _ended: Option<_> = holdfast_dr_failover::handle(&world, &event).now_or_never();
        ground.clock.advance(Span::seconds(30));
    }
    run
}
