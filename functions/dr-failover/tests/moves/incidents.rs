//! Incident levels: what a run at one promises, who may declare it, and who is told.

use holdfast_core::domain::{Detail, Instruction, PlanId, RunId, RunKind, RunState, Span, WorkloadName};
use serde_json::json;

use crate::ground::*;

const LEVELS: &str = r#"
[[plan.level]]
number = 3
rto = "2h"
escalate = [{ contact = "on-call", after = "0s" }, { contact = "chief", after = "5m" }, { contact = "board", after = "15m" }]
[[plan.level]]
number = 1
rto = "10m"
automatic = "allowed"
escalate = [{ contact = "on-call", after = "0s" }]
"#;

/// The plan waits for approval, so that it goes on for as long as nobody gives one.
fn ground() -> Ground {
    Ground::of(&format!(
        r#"
region = "eu-central-1"
contact = [{{ name = "on-call", reach = "1" }}, {{ name = "chief", reach = "2" }}, {{ name = "board", reach = "3" }}]
[[workload]]
name = "orders"
home = "eu-central-1"
[[actuator]]
name = "web-home"
kind = "command"
region = "eu-central-1"
workload = "orders"
production = {{ program = "/usr/bin/web" }}
[[plan]]
name = "away"
rpo = "5m"
rto = "1h"
priority = 2
{LEVELS}
[plan.moves]
workload = "orders"
from = "eu-central-1"
to = "eu-west-1"
automatic = {{ places = 1, down-for = "30s", cool-down = "1h" }}
[[plan.step]]
name = "agree"
approve = 1
timeout = "10h"
"#
    ))
}

fn declare(ground: &Ground, level: Option<u8>) -> Result<RunId, holdfast_core::domain::Failure> {
    ground.say(Detail::RunRequested {
        request: "one".to_owned(),
        plan: PlanId::new("away").unwrap(),
        kind: RunKind::Planned,
        level,
        requested_by: "ana".to_owned(),
    })?;
    Ok(RunId::derive(&["run", "one"]))
}

/// The contacts who were told so far, in order.
fn told(ground: &Ground) -> Vec<String> {
    let pages = ground.pager.pages();
    let contacts = pages.iter().filter_map(|page| page.key.strip_prefix("contact/"));
    contacts
        .map(|rest| rest.split('/').next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn contacts_are_told_once_and_in_turn_and_no_more_once_somebody_takes_care() {
    let ground = ground();
    let run = declare(&ground, None).unwrap();
    assert_eq!(ground.run(&run).conduct.level, Some(3), "the first is meant");
    ground.pass(Span::minutes(4));
    assert_eq!(told(&ground), ["on-call"]);
    ground.pass(Span::minutes(2));
    assert_eq!(told(&ground), ["on-call", "chief"]);
    // A run that waits for people tells them all the same.
    ground.tell(&run, "ana", Instruction::Pause).unwrap();
    ground.pass(Span::minutes(5));
    ground.tell(&run, "chief", Instruction::Acknowledge).unwrap();
    ground.tell(&run, "board", Instruction::Acknowledge).unwrap();
    ground.pass(Span::minutes(30));
    assert_eq!(told(&ground), ["on-call", "chief"]);
    let conduct = ground.run(&run).conduct;
    assert_eq!(conduct.acknowledged.unwrap().by, "chief", "the first counts");
    assert_eq!(conduct.told.len(), 2);
}

#[test]
fn a_paused_run_escalates_too() {
    let ground = ground();
    let run = declare(&ground, Some(3)).unwrap();
    ground.tell(&run, "ana", Instruction::Pause).unwrap();
    ground.pass(Span::minutes(20));
    assert_eq!(ground.state(&run), RunState::Paused);
    assert_eq!(told(&ground), ["on-call", "chief", "board"]);
}

#[test]
fn a_level_that_the_plan_does_not_have_is_refused_with_those_that_it_has() {
    let ground = ground();
    let refused = declare(&ground, Some(2)).unwrap_err();
    assert!(
        refused.message.contains("no incident level 2; it has: 3, 1"),
        "{refused}"
    );
    let order = json!({ "plan": "away", "kind": "planned", "requested_by": "ana", "level": 7 });
    let refused = now(holdfast_dr_failover::answer(&ground.world, &order)).unwrap_err();
    assert!(
        refused.message.contains("`level` must be a whole number from 1 to 4"),
        "{refused}"
    );
}

#[test]
fn observers_declare_at_the_first_level_that_allows_it() {
    let ground = ground();
    for _ in 0..5 {
        ground
            .say(Detail::WorkloadObserved {
                workload: WorkloadName::new("orders").unwrap(),
                place: "here".to_owned(),
                up: false,
                note: "silent".to_owned(),
            })
            .unwrap();
        ground.clock.advance(Span::seconds(10));
    }
    ground.pass(Span::minutes(1));
    let page = ground.pager.pages();
    let declared = page
        .iter()
        .find(|page| page.key.starts_with("contact/on-call"))
        .unwrap();
    assert!(
        declared.subject.contains("disaster of recovery plan away, level 1"),
        "{}",
        declared.subject
    );
}
