//! The report of a run as one page of HTML: nothing is fetched from anywhere, nothing runs in it, and it prints.

use std::fmt::Write as _;

use crate::domain::{Acknowledgement, Budget, DrillCost, Run, RunKind, RunState, Span, StepRecord, StepState};

use super::html::escaped;
use super::text::{given_up, length, moment, time_of_day};
use super::timeline::{self, state_class, state_word};

/// The signed statement that holds the same facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Its place in the chain.
    pub number: u64,
    /// The SHA-256 of its document, lower-case hexadecimal.
    pub sha256: String,
}

/// The report of a run: what was promised and measured, what was done when, what failed, and the statement that proves it.
pub fn run_page(run: &Run, signed: Option<&Signed>) -> String {
    let title = format!("{} of recovery plan {}", kind_word(run.kind), run.plan.id);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<style>\n{}</style>\n\
         </head>\n<body>\n<h1>{title}</h1>\n",
        include_str!("page.css"),
        title = escaped(&title)
    );
    head(&mut page, run);
    figures(&mut page, run);
    failures(&mut page, run);
    divergences(&mut page, run);
    put(&mut page, format_args!("<h2>Over time</h2>\n{}", timeline::draw(run)));
    steps(&mut page, run);
    proof(&mut page, run, signed);
    page.push_str("</body>\n</html>\n");
    page
}

fn put(page: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(page, "{line}");
}

fn head(page: &mut String, run: &Run) {
    if !run.plan.description.is_empty() {
        put(page, format_args!("<p>{}</p>", escaped(&run.plan.description)));
    }
    let (class, word) = match run.state {
        RunState::Running => ("busy", "under way"),
        RunState::Cleaning => ("busy", "cleaning up"),
        RunState::Undoing => ("busy", "taking back what it changed"),
        RunState::Paused => ("idle", "paused by a person"),
        RunState::Stuck => ("bad", "stuck: a person must decide"),
        RunState::Succeeded => ("good", "every step held"),
        RunState::Failed => ("bad", "failed"),
    };
    put(page, format_args!("<div class=\"verdict {class}\">{word}</div>"));
    let mut facts = format!(
        "Run <code>{}</code>, declared {} by {}",
        escaped(run.id.as_str()),
        moment(run.declared_at),
        escaped(&run.requested_by)
    );
    if let Some(level) = run.conduct.level {
        facts.push_str(&format!(", incident level {level}"));
    }
    if let Some(Acknowledgement { by, at }) = &run.conduct.acknowledged {
        facts.push_str(&format!(", acknowledged {} by {}", moment(*at), escaped(by)));
    }
    if let Some(at) = run.finished_at {
        facts.push_str(&format!(", over {}", moment(at)));
    }
    put(page, format_args!("<p class=\"soft\">{facts}.</p>"));
}

/// What was promised against what was measured.
fn figures(page: &mut String, run: &Run) {
    let objectives = run.plan.objectives;
    let since = |from| run.recovered_at.map(|at| Span::between(from, at));
    let measured = |seconds: Option<i64>| seconds.map(Span::seconds);
    page.push_str("<h2>Promised and measured</h2>\n<div class=\"figures\">\n");
    let promised = |what, span| Some((what, span));
    let rto = promised("recovery time objective", run.rto());
    let rpo = promised("recovery point objective", objectives.rpo);
    figure(page, "Recovery time, from declaration", since(run.declared_at), rto);
    figure(
        page,
        "Recovery time, from the first step",
        run.started_at.and_then(since),
        None,
    );
    figure(page, "Age of the recovery point", measured(run.point_age_seconds), rpo);
    figure(
        page,
        "Data loss, by the last heartbeat",
        measured(run.data_loss_seconds),
        rpo,
    );
    if let Some(lag) = run.conduct.lag() {
        figure(page, "Data left behind, at most", Some(lag), rpo);
    }
    if let Some(cost) = &run.conduct.cost {
        money(page, cost, run.plan.drills.budget.as_ref());
    }
    page.push_str("</div>\n");
}

/// What a drill has cost of what it might.
fn money(page: &mut String, cost: &DrillCost, budget: Option<&Budget>) {
    let within = budget.is_none_or(|budget| cost.total <= budget.amount);
    let class = if within { "good" } else { "bad" };
    let of = budget.map_or_else(String::new, |budget| format!("of a budget of {:.2}; ", budget.amount));
    let items: Vec<String> = (cost.items.iter())
        .map(|(name, item)| format!("{name}: {item:.2}"))
        .collect();
    put(
        page,
        format_args!(
            "<div class=\"figure {class}\">Cost<b>{:.2}</b><span class=\"soft\">{of}{}</span><span class=\"soft\">{}</span></div>",
            cost.total,
            escaped(&cost.priced),
            escaped(&items.join(", "))
        ),
    );
}

fn figure(page: &mut String, what: &str, measured: Option<Span>, promised: Option<(&str, Span)>) {
    let class = match (measured, promised) {
        (Some(measured), Some((_, promised))) if measured <= promised => "good",
        (Some(_), Some(_)) => "bad",
        _ => "idle",
    };
    let value = measured.map_or_else(|| "not measured".to_owned(), length);
    let against = match (measured, promised) {
        (_, None) => String::new(),
        (Some(measured), Some((name, promised))) if measured > promised => {
            let more = Span::seconds(measured.as_seconds() - promised.as_seconds());
            format!("missed by {}: the {name} is {}", length(more), length(promised))
        }
        (Some(_), Some((name, promised))) => format!("within the {name} of {}", length(promised)),
        (None, Some((name, promised))) => format!("the {name} is {}", length(promised)),
    };
    put(
        page,
        format_args!("<div class=\"figure {class}\">{what}<b>{value}</b><span class=\"soft\">{against}</span></div>"),
    );
}

fn failures(page: &mut String, run: &Run) {
    let failed: Vec<&StepRecord> = (run.steps.iter())
        .filter(|step| step.state == StepState::Failed)
        .collect();
    let back = &run.conduct.goes_back;
    if failed.is_empty() && back.is_none() {
        return;
    }
    page.push_str("<h2>What failed</h2>\n");
    if let Some(why) = back {
        put(page, format_args!("<p><b>It went back</b>: {}</p>", escaped(why)));
    }
    for step in failed {
        let (name, note) = (escaped(step.step.name.as_str()), escaped(&step.note));
        put(page, format_args!("<p><b>{name}</b>: {note}</p>"));
    }
}

/// What the side that was lost had taken and could not pass on.
fn divergences(page: &mut String, run: &Run) {
    if run.conduct.divergences.is_empty() {
        return;
    }
    page.push_str("<h2>What was given up</h2>\n");
    for own in &run.conduct.divergences {
        put(page, format_args!("<p>{}.</p>", escaped(&given_up(own))));
    }
}

fn steps(page: &mut String, run: &Run) {
    page.push_str(
        "<h2>Steps</h2>\n<table>\n<tr><th>Step</th><th>Does</th><th></th><th>Began</th><th>Took</th><th>What came of it</th></tr>\n",
    );
    for step in &run.steps {
        let began = step.started_at.map_or_else(String::new, time_of_day);
        let took = step.started_at.zip(step.finished_at);
        let took = took.map_or_else(String::new, |(from, to)| length(Span::between(from, to)));
        put(
            page,
            format_args!(
                "<tr><td>{}</td><td>{}</td><td class=\"word {}\">{}</td><td class=\"time\">{began}</td><td class=\"time\">{took}</td><td>{}</td></tr>",
                escaped(step.step.name.as_str()),
                step.step.action.as_str(),
                state_class(step.state),
                state_word(step.state),
                escaped(&step.note)
            ),
        );
    }
    page.push_str("</table>\n");
}

fn proof(page: &mut String, run: &Run, signed: Option<&Signed>) {
    let level = match run.kind {
        RunKind::Simulate => "L0: the steps could run; nothing was changed",
        RunKind::Drill | RunKind::Planned | RunKind::Disaster => "L6: a drill or failover ran",
    };
    page.push_str("<h2>Proof</h2>\n");
    match signed {
        Some(Signed { number, sha256 }) => put(
            page,
            format_args!(
                "<p>Level {level}. Statement {number} of the evidence chain holds the same facts, signed: SHA-256 <code>{}</code>. \
                 This page is a rendering of the run's record and is not signed itself. Anybody who has the public key can \
                 check the statement, and all before it, offline:</p>\n<p><code>holdfast evidence verify DIR --public-key FILE</code></p>",
                escaped(sha256)
            ),
        ),
        None => put(
            page,
            format_args!("<p>Level {level}. No statement of this run is signed yet.</p>"),
        ),
    }
}

fn kind_word(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Simulate => "Simulation",
        RunKind::Drill => "Drill",
        RunKind::Planned => "Switchover",
        RunKind::Disaster => "Failover",
    }
}
