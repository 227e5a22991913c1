//! Drills: their budget, their windows, and how many of their steps run side by side.

use holdfast_core::domain::{FailureKind, Instruction, Run, RunKind, RunState, Span, StepState};

use crate::ground::*;

/// A drill starts ten instances for 3.60 an hour, and takes them back within 10 minutes: 0.60, and 0.18 until the next look.
fn configuration(of_plan: &str) -> String {
    format!(
        r#"
region = "eu-central-1"
[prices]
noted-on = "2026-11-20"
currency = "USD"
list = {{ instance_hour = 0.36 }}
[[workload]]
name = "orders"
home = "eu-central-1"
[[actuator]]
name = "web-away"
kind = "ecs-service"
region = "eu-west-1"
workload = "orders"
production = {{ cluster = "live", service = "web" }}
drill = {{ cluster = "drills", service = "web" }}
rent = {{ price = "instance_hour", units = 10 }}
[[plan]]
name = "away"
rpo = "5m"
rto = "10h"
{of_plan}
[plan.moves]
workload = "orders"
from = "eu-central-1"
to = "eu-west-1"
[[plan.step]]
name = "start"
start = "web-away"
undo = "reverse"
timeout = "10m"
[[plan.step]]
name = "soak"
wait = "2h"
after = ["start"]
timeout = "3h"
[[plan.step]]
name = "also"
wait = "1m"
[[plan.step]]
name = "too"
wait = "1m"
"#
    )
}

fn ground(of_plan: &str) -> Ground {
    Ground::of(&configuration(of_plan))
}

fn running(run: &Run) -> Vec<&str> {
    let running = run.steps.iter().filter(|step| step.state == StepState::Running);
    running.map(|step| step.step.name.as_str()).collect()
}

fn cost(run: &Run) -> String {
    run.conduct
        .cost
        .as_ref()
        .map_or_else(|| "none".to_owned(), |cost| format!("{:.2}", cost.total))
}

#[test]
fn a_drill_that_its_budget_allows_ends_and_tells_what_it_cost() {
    let ground = ground("drills = { budget = 8.50 }");
    let run = ground.ask("away", RunKind::Drill).unwrap();
    ground.pass(Span::hours(2));
    ground.pass(Span::minutes(5));
    let run = ground.run(&run);
    assert_eq!(run.state, RunState::Succeeded, "{run:?}");
    assert!(!ground.actuators.thing(&actuator("web-away")).running);
    // Two hours at 3.60, and the half a minute until it was seen that they were over.
    assert!(["7.20", "7.23"].contains(&cost(&run).as_str()), "{}", cost(&run));
    assert_eq!(run.conduct.cost.unwrap().items.len(), 1);
}

#[test]
fn a_drill_whose_budget_would_be_passed_ends_early_is_taken_back_and_says_so() {
    let ground = ground("drills = { budget = 2.00 }");
    let run = ground.ask("away", RunKind::Drill).unwrap();
    ground.pass(Span::minutes(19));
    assert_eq!(ground.state(&run), RunState::Running);
    assert!(ground.actuators.thing(&actuator("web-away")).running);
    ground.pass(Span::hours(1));
    let run = ground.run(&run);
    assert_eq!(run.state, RunState::Failed);
    assert!(!ground.actuators.thing(&actuator("web-away")).running);
    let spent = run.conduct.cost.as_ref().unwrap().total;
    assert!((1.0..2.0).contains(&spent), "{spent}");
    let why = run.conduct.goes_back.as_ref().unwrap();
    assert!(
        why.contains("the budget ends this drill") && why.contains("of a budget of 2.00"),
        "{why}"
    );
    assert!(run.statement.is_some(), "the verdict is signed");
    let told = ground.pager.pages();
    assert!(
        told.iter().any(|page| page.text.contains("the budget ends this drill")),
        "{told:?}"
    );
}

#[test]
fn a_drill_that_could_not_pay_for_a_step_does_not_begin_it() {
    let ground = ground("drills = { budget = 0.70 }");
    let run = ground.ask("away", RunKind::Drill).unwrap();
    ground.pass(Span::minutes(5));
    assert_eq!(ground.state(&run), RunState::Failed);
    assert_eq!(ground.actuators.effects(), 0);
    assert_eq!(cost(&ground.run(&run)), "0.00");
}

#[test]
fn a_paused_drill_goes_on_costing_and_is_ended_as_well() {
    let ground = ground("drills = { budget = 2.00 }");
    let run = ground.ask("away", RunKind::Drill).unwrap();
    ground.pass(Span::minutes(1));
    ground.tell(&run, "ben", Instruction::Pause).unwrap();
    ground.pass(Span::minutes(10));
    assert_eq!(ground.state(&run), RunState::Paused);
    ground.pass(Span::hours(1));
    assert_eq!(ground.state(&run), RunState::Failed);
    assert!(!ground.actuators.thing(&actuator("web-away")).running);
}

#[test]
fn a_drill_outside_of_every_window_is_refused_with_the_next_one_and_one_that_stands_goes_on() {
    // It is 2:00 on a Friday.
    let ground = ground("drills = { window = [{ opens = \"0 3 * * fri\", for = \"1h\" }] }");
    let refused = ground.ask("away", RunKind::Drill).unwrap_err();
    assert_eq!(refused.kind, FailureKind::Invalid);
    assert!(
        refused.message.contains("the next opens at 2026-11-20T03:00:00Z"),
        "{refused}"
    );
    ground.ask_as("model", "away", RunKind::Simulate).unwrap();
    ground.clock.advance(Span::hours(1));
    let run = ground.ask("away", RunKind::Drill).unwrap();
    ground.clock.advance(Span::hours(2));
    ground.ask("away", RunKind::Drill).unwrap();
    ground.pass(Span::minutes(1));
    assert!(!running(&ground.run(&run)).is_empty() || ground.state(&run).is_over());
    let other = ground.ask_as("another", "away", RunKind::Drill).unwrap_err();
    assert!(other.message.contains("2026-11-27T03:00:00Z"), "{other}");
}

#[test]
fn no_more_steps_run_side_by_side_than_the_plan_says() {
    let ground = ground("at-once = 1");
    let run = ground.ask("away", RunKind::Drill).unwrap();
    let mut seen = Vec::new();
    for _ in 0..500 {
        ground.pass(Span::seconds(30));
        let run = ground.run(&run);
        assert!(running(&run).len() <= 1, "{:?}", running(&run));
        seen.extend(running(&run).first().map(|name| (*name).to_owned()));
        if run.state.is_over() {
            break;
        }
    }
    seen.dedup();
    assert_eq!(ground.state(&run), RunState::Succeeded);
    assert_eq!(seen, ["soak", "also", "too"]);
}
