//! Whether traffic is led only to what serves it by then.

use std::collections::BTreeSet;

use crate::domain::{Act, Move, RecoveryPlan, Region, Step, StepAction, StepName};

use super::lint::{Finding, Severity};
use super::recovery::prerequisites;

/// Steps that lead traffic to the recovery Region before every promotion there, and every restore with what verifies it, has ended;
/// or, where there are none, before anything is started there.
pub fn check_traffic(plan: &RecoveryPlan) -> Vec<Finding> {
    let Some(moves) = &plan.moves else {
        return Vec::new();
    };
    let mut gives = acting(plan, moves, |act| matches!(act, Act::Promote { .. }));
    let restores = |step: &&Step| matches!(step.action, StepAction::Restore { .. } | StepAction::Verify { .. });
    gives.extend(plan.steps.iter().filter(restores));
    let starts = acting(plan, moves, |act| matches!(act, Act::Start));
    let leads = acting(plan, moves, |act| matches!(act, Act::Direct { share } if *share > 0));
    let mut findings = Vec::new();
    for step in leads {
        let before = all_before(plan, step);
        let missing: Vec<&str> = match gives.as_slice() {
            [] if starts.iter().any(|start| before.contains(&start.name)) => Vec::new(),
            [] => names(&starts),
            gives => names(gives)
                .into_iter()
                .filter(|name| before.iter().all(|earlier| earlier.as_str() != *name))
                .collect(),
        };
        if let [first, ..] = missing.as_slice() {
            findings.push(Finding {
                severity: Severity::Refuse,
                code: "traffic-before-service",
                message: format!(
                    "it leads traffic to Region {} and may run before {}, without which nothing there can serve it: write after = \
                     [\"{first}\"], or after a step that checks what answers there",
                    moves.to,
                    missing.join(", ")
                ),
                subject: format!("{}/{}", plan.id, step.name),
            });
        }
    }
    findings
}

fn names<'a>(steps: &[&'a Step]) -> Vec<&'a str> {
    steps.iter().map(|step| step.name.as_str()).collect()
}

/// The steps that do something to what is in the Region that the workload goes to.
fn acting<'a>(plan: &'a RecoveryPlan, moves: &Move, does: fn(&Act) -> bool) -> Vec<&'a Step> {
    let is_there = |region: &Region| region == &moves.to;
    let acts = |step: &&Step| match &step.action {
        StepAction::Act { actuator, act, .. } => {
            does(act) && plan.actuator(actuator).is_some_and(|found| is_there(&found.region))
        }
        _ => false,
    };
    plan.steps.iter().filter(acts).collect()
}

/// The names of all steps that must have ended before a step begins.
fn all_before<'a>(plan: &'a RecoveryPlan, step: &'a Step) -> BTreeSet<&'a StepName> {
    let mut before = BTreeSet::new();
    let mut open = vec![step];
    while let Some(step) = open.pop() {
        for name in prerequisites(plan, step) {
            if before.insert(name) {
                open.extend(plan.steps.iter().find(|other| &other.name == name));
            }
        }
    }
    before
}
