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
    levels(&mut text, plan);
    orders(&mut text, plan);
    drills(&mut text, plan);
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
    if let Some(priority) = plan.priority {
        put(
            text,
            format_args!("* Priority {priority} of 3, where several runs wait."),
        );
    }
    if let Some(at_once) = plan.at_once {
        put(text, format_args!("* At most {at_once} of its steps run side by side."));
    }
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
             | rehearse, production untouched | `holdfast drill {0}` |",
            plan.id
        ),
    );
    if plan.moves.is_some() {
        if !plan.restores() {
            let switchover = format_args!(
                "| move while both sides work | `holdfast switchover {} --by NAME` |",
                plan.id
            );
            put(text, switchover);
        }
        put(
            text,
            format_args!(
                "| move away from a side that does not work | `holdfast failover {0} --by NAME` |\n\
                 | look at a run | `holdfast run RUN status` |\n\
                 | take care of a run, so that nobody else is told | `holdfast run RUN acknowledge --by NAME` |",
                plan.id
            ),
        );
    }
    text.push('\n');
}

fn levels(text: &mut String, plan: &RecoveryPlan) {
    if plan.levels.is_empty() {
        return;
    }
    put(
        text,
        format_args!(
            "## Incident levels\n\nThe first is meant unless `--level N` names another. Whoever stands in a line is told when \
             nobody has acknowledged the run by then.\n\n| level | service back within | declared by | tells |\n| --- | --- | --- | --- |"
        ),
    );
    for level in &plan.levels {
        let tells: Vec<String> = (level.escalation.iter())
            .map(|step| {
                format!(
                    "{} ({}) after {}",
                    step.contact.name,
                    line(&step.contact.reach),
                    step.after
                )
            })
            .collect();
        let declared_by = if level.automatic {
            "people, or observers"
        } else {
            "people"
        };
        put(
            text,
            format_args!(
                "| {} | {} | {declared_by} | {} |",
                level.number,
                level.rto,
                tells.join(", ")
            ),
        );
    }
    text.push('\n');
}

fn drills(text: &mut String, plan: &RecoveryPlan) {
    let drills = &plan.drills;
    if drills.is_silent() {
        return;
    }
    text.push_str("## Drills\n\n");
    if let Some(schedule) = &drills.schedule {
        put(
            text,
            format_args!("* Due by itself: `{}` in {}.", schedule.cron, schedule.zone),
        );
    }
    for window in &drills.windows {
        put(
            text,
            format_args!(
                "* May begin from `{}` in {} for {}.",
                window.opens, window.zone, window.open_for
            ),
        );
    }
    if let Some(budget) = &drills.budget {
        put(
            text,
            format_args!(
                "* May cost {:.2} {}; one that would cost more ends early.",
                budget.amount,
                line(&budget.prices.currency)
            ),
        );
    }
    text.push('\n');
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
