//! What a plan says of its drills that cannot be kept.

use jiff::Timestamp;

use crate::domain::{Act, ActuatorName, Budget, RecoveryPlan, Span, StepAction, Undo};

use super::drill_cost::{drill_cost, rented_at_once, starts_rented};
use super::drill_times::due_outside;
use super::lint::{Finding, Severity};

/// What is to be said of the drills of a plan. `at` is the time from which schedules are looked at; `gives_up` is when the last
/// of its steps has ended or given up.
pub fn check_drills(plan: &RecoveryPlan, gives_up: Span, at: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |severity, code, message: String| {
        findings.push(Finding {
            severity,
            code,
            message,
            subject: plan.id.to_string(),
        });
    };
    match due_outside(&plan.drills, at) {
        Ok(None) => {}
        Ok(Some(due)) => {
            let message = format!(
                "a drill is due at {due}, when no window of [plan.drills] is open: let it be due in a window, or open one then"
            );
            say(Severity::Refuse, "drill-outside-window", message);
        }
        Err(error) => say(Severity::Refuse, "drill-outside-window", error.to_string()),
    }
    let longest = plan.drills.windows.iter().map(|window| window.open_for).max();
    if let Some(longest) = longest.filter(|longest| *longest < gives_up) {
        let message = format!(
            "a drill may go on for {gives_up}, longer than its longest window of {longest}: a window says when one may begin, not \
             when it must have ended"
        );
        say(Severity::Explain, "drill-outlasts-window", message);
    }
    if let Some(budget) = &plan.drills.budget {
        check_amount(plan, budget, &mut say);
    }
    findings
}

/// Whether a budget lets a drill start what it rents, and whether all of that is ended.
fn check_amount(plan: &RecoveryPlan, budget: &Budget, say: &mut impl FnMut(Severity, &'static str, String)) {
    let rents = plan
        .steps
        .iter()
        .filter(|step| starts_rented(plan, budget, step).is_some());
    let rents: Vec<_> = rents.collect();
    if rents.is_empty() {
        let message = "its budget ends no drill: no step starts an actuator with [actuator.drill] and [actuator.rent]";
        say(Severity::Warn, "budget-counts-nothing", message.to_owned());
        return;
    }
    for step in &rents {
        if let StepAction::Act {
            actuator,
            undo: Undo::NoReturn,
            ..
        } = &step.action
            && !stops(plan, actuator)
        {
            let message = format!(
                "step {} starts {actuator}, which costs money, and nothing ever stops it again after a drill: write undo = \
                 \"reverse\"",
                step.name
            );
            say(Severity::Refuse, "rent-never-ends", message);
        }
    }
    let ahead = rents.iter().map(|step| step.timeout.as_seconds()).sum();
    let ahead = Span::seconds(ahead);
    let all = rented_at_once(plan, budget);
    let Ok(cost) = drill_cost(&all, &budget.prices, Timestamp::UNIX_EPOCH) else {
        return;
    };
    let least = cost.per_second * ahead.as_seconds() as f64;
    if least > budget.amount {
        let message = format!(
            "what it starts costs {least:.2} ({}) while it is taken back, which may take {ahead} by the timeouts of those steps: more \
             than the budget of {:.2}, so every drill would end before all stands. Give the steps shorter timeouts, or more money",
            cost.priced, budget.amount
        );
        say(Severity::Refuse, "budget-too-small", message);
    }
}

/// Whether a step of the plan stops an actuator.
fn stops(plan: &RecoveryPlan, name: &ActuatorName) -> bool {
    let is_stop =
        |action: &StepAction| matches!(action, StepAction::Act { actuator, act: Act::Stop, .. } if actuator == name);
    plan.steps.iter().any(|step| is_stop(&step.action))
}
