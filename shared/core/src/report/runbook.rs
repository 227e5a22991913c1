//! The runbook of a plan, in Markdown: what a person reads at three in the morning.

use std::fmt::Write as _;

use crate::domain::{RecoveryPlan, StepName};
use crate::planning::{Measured, Simulated, counted, prerequisites};

use super::drawing::draw_plan;
use super::sentence;
use super::simulation::estimate_text;

/// Writes the runbook of a plan. `simulated` is the plan on a day on which all is well.
pub fn runbook(plan: &RecoveryPlan, simulated: &Simulated, measured: &Measured) -> String {
    let mut text = format!(
        "# Runbook: {0}\n\n<!-- Written by `holdfast plan runbook {0}` from the configuration: change the plan, not this. -->\n\n",
        plan.id
    );
    head(&mut text, plan, simulated);
    orders(&mut text, plan);
    steps(&mut text, plan, measured);
    troubles(&mut text);
    put(
        &mut text,
        format_args!("## Drawing\n\n```mermaid\n{}```", draw_plan(plan)),
    );
    text
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}

fn head(text: &mut String, plan: &RecoveryPlan, simulated: &Simulated) {
    if !plan.description.is_empty() {
        put(text, format_args!("{}\n", line(&plan.description)));
    }
    let sides = &simulated.sides;
    let objectives = plan.objectives;
    put(
        text,
        format_args!("* Recovers from Region {}, in Region {}.", sides.home, sides.recovery),
    );
    put(
        text,
        format_args!(
            "* Promised: service back within {}, at most {} of data lost.",
            objectives.rto, objectives.rpo
        ),
    );
    let measured = match simulated.recovery {
        Some(time) => format!(
            "{} expected, from {} to {}, each step measured in {} or more",
            time.expected,
            time.least,
            time.most,
            counted(time.runs)
        ),
        None => "not every step was measured yet; a drill does that".to_owned(),
    };
    put(text, format_args!("* Measured: {measured}.\n"));
}

fn orders(text: &mut String, plan: &RecoveryPlan) {
    put(
        text,
        format_args!(
            "## Orders\n\n| to | command |\n| --- | --- |\n\
             | see what would fail | `holdfast plan simulate {0} --outage region` |\n\
             | rehearse, production untouched | `holdfast drill {0}` |\n",
            plan.id
        ),
    );
}

fn steps(text: &mut String, plan: &RecoveryPlan, measured: &Measured) {
    put(
        text,
        format_args!(
            "## Steps\n\n| step | does | waits for | gives up after | took |\n| --- | --- | --- | --- | --- |"
        ),
    );
    for step in &plan.steps {
        let mut before: Vec<&str> = prerequisites(plan, step).map(StepName::as_str).collect();
        before.dedup();
        let before = if before.is_empty() {
            "nothing".to_owned()
        } else {
            before.join(", ")
        };
        put(
            text,
            format_args!(
                "| {} | {} | {before} | {} | {} |",
                step.name,
                line(&sentence::of(&step.action)),
                step.timeout,
                estimate_text(measured.estimate(step))
            ),
        );
    }
    text.push('\n');
}

fn troubles(text: &mut String) {
    text.push_str(
        "## When a step fails\n\nThe run stops: what had not begun is left out, what a drill restored is removed, people are paged \
         with the step and its reason, and the signed statement says that the run failed. Mend the reason and order it again; \
         a run that was interrupted goes on by itself.\n\n",
    );
}

/// A text in one line of a table.
fn line(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain
        .collect::<String>()
        .replace('\\', "\\\\")
        .replace('|', "\\|")
        .replace('<', "&lt;")
}
