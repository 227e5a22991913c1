//! A simulated run as text.

use std::fmt::Write as _;

use crate::domain::{RecoveryPlan, StepName};
use crate::planning::{Estimate, Outage, Simulated, Verdict, counted};

/// What becomes of a plan under an outage: its steps, and how long it takes.
pub fn simulation_text(plan: &RecoveryPlan, simulated: &Simulated) -> String {
    let mut text = String::new();
    let sides = &simulated.sides;
    put(
        &mut text,
        format_args!("plan {}: from {} to {}", plan.id, sides.home, sides.recovery),
    );
    let outage = simulated.outage.map_or_else(
        || "all is well".to_owned(),
        |outage| format!("outage {outage}: {}", meaning(outage, simulated)),
    );
    put(&mut text, format_args!("{outage}\n"));
    for step in &simulated.steps {
        let (word, why) = match &step.verdict {
            Verdict::Runs => ("runs", String::new()),
            Verdict::Slow(need) => ("unreliable", format!("; {need} may not answer in time")),
            Verdict::Blocked(need) => ("BLOCKED", format!("; it needs {need}")),
            Verdict::Unreached(before) => ("unreached", format!("; it waits for {before}")),
        };
        let line = format!(
            "  {word:<10}  {:<24} {:<8} {}{why}",
            step.name.as_str(),
            step.action,
            estimate_text(step.estimate)
        );
        put(&mut text, format_args!("{}", line.trim_end()));
    }
    text.push('\n');
    ending(&mut text, plan, simulated);
    text
}

fn ending(text: &mut String, plan: &RecoveryPlan, simulated: &Simulated) {
    let path: Vec<&str> = simulated.path.iter().map(StepName::as_str).collect();
    put(text, format_args!("critical path: {}", path.join(" -> ")));
    let rto = plan.strictest_rto();
    match simulated.recovery {
        Some(time) => put(
            text,
            format_args!(
                "recovery time: {} expected, from {} to {} (each step between its shortest and longest of {} or more); \
                 promised: {rto}",
                time.expected,
                time.least,
                time.most,
                counted(time.runs)
            ),
        ),
        None if simulated.comes_to_its_end() => put(
            text,
            format_args!(
                "recovery time: not measured; the last step gives up after {} at the latest; promised: {rto}",
                simulated.gives_up
            ),
        ),
        None => put(
            text,
            format_args!("recovery time: none, the plan does not come to its end"),
        ),
    }
}

/// How long a step takes, and how that is known.
pub(super) fn estimate_text(estimate: Estimate) -> String {
    match estimate {
        Estimate::Given(span) => format!("{span}, as the plan says"),
        Estimate::Measured {
            least,
            median,
            most,
            count,
        } => format!("{median}, {least} to {most} in {}", counted(count)),
        Estimate::NotMeasured { timeout } => format!("not measured, timeout {timeout}"),
    }
}

fn meaning(outage: Outage, simulated: &Simulated) -> String {
    let (home, recovery) = (&simulated.sides.home, &simulated.sides.recovery);
    match outage {
        Outage::Region => format!("Region {home} is gone"),
        Outage::Route53ControlPlane => {
            "no record of Route 53 can be changed; answers and health checks go on".to_owned()
        }
        Outage::Identity => "IAM takes no changes, the global endpoint of STS and sign-in do not answer".to_owned(),
        Outage::DynamodbAtHome => format!("DynamoDB in {home} does not answer"),
        Outage::LambdaSlow => format!("Lambda and SQS in {home} are slow"),
        Outage::RestoreApi => format!("restores and launches in {recovery} fail for hours"),
        Outage::HealthChecks => "health checks change their mind all the time".to_owned(),
    }
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}
