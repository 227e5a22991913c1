//! Bringing a run further: each change of it is one conditional write of its one record.

use std::collections::BTreeMap;

use holdfast_core::domain::{Detail, Failure, Level, Run, RunKind, RunState, Span, Statement, StepState, Subject};
use holdfast_core::planning::ready_steps;
use holdfast_core::ports::{Page, Severity};
use holdfast_core::workflow::records::{self, Stored};
use holdfast_core::workflow::{World, evidence};
use jiff::Timestamp;
use serde_json::json;

use crate::{cleaning, steps};

/// Brings a run as far as it can go now.
pub async fn advance(world: &World, mut run: Stored<Run>) -> Result<(), Failure> {
    while run.value.state == RunState::Running && advance_steps(world, &mut run).await? {}
    if run.value.state == RunState::Cleaning && cleaning::is_done(world, &mut run).await? {
        return finish(world, &mut run).await;
    }
    if run.value.state == RunState::Running || run.value.state == RunState::Cleaning {
        run.value.next_action_at = world.now().checked_add(world.settings.poll).unwrap_or(Timestamp::MAX);
        records::update(world.catalog.as_ref(), &mut run).await?;
    }
    Ok(())
}

/// Does what can be done on the steps now. True when something changed, so that more may be possible.
async fn advance_steps(world: &World, run: &mut Stored<Run>) -> Result<bool, Failure> {
    let mut changed = false;
    for place in 0..run.value.steps.len() {
        if run.value.steps[place].state == StepState::Running {
            changed |= steps::watch(world, run, place).await?;
        }
    }
    if has_failed(&run.value) {
        skip_pending(&mut run.value, "the run had failed");
    }
    for place in ready_steps(&run.value) {
        let step = &mut run.value.steps[place];
        step.started_at = Some(world.now());
        step.state = StepState::Running;
        run.value.started_at.get_or_insert(world.now());
        records::update(world.catalog.as_ref(), run).await?;
        steps::begin(world, run, place).await?;
        changed = true;
    }
    if run.value.steps.iter().all(|step| is_over(step.state)) {
        conclude(world, &mut run.value);
        changed = true;
    }
    if changed {
        records::update(world.catalog.as_ref(), run).await?;
    }
    Ok(changed)
}

fn is_over(state: StepState) -> bool {
    matches!(state, StepState::Succeeded | StepState::Failed | StepState::Skipped)
}

fn has_failed(run: &Run) -> bool {
    run.steps.iter().any(|step| step.state == StepState::Failed)
}

fn skip_pending(run: &mut Run, why: &str) {
    for step in run.steps.iter_mut().filter(|step| step.state == StepState::Pending) {
        step.state = StepState::Skipped;
        step.note = why.to_owned();
    }
}

fn conclude(world: &World, run: &mut Run) {
    if !has_failed(run) && run.kind == RunKind::Drill {
        run.recovered_at = run
            .steps
            .iter()
            .filter_map(|step| step.finished_at)
            .max()
            .or(Some(world.now()));
    }
    run.state = RunState::Cleaning;
    run.next_action_at = world.now();
}

async fn finish(world: &World, run: &mut Stored<Run>) -> Result<(), Failure> {
    let passed = !has_failed(&run.value);
    let statement = statement_of(world, &run.value, passed);
    evidence::append(world, run, &statement).await?;
    run.value.state = if passed { RunState::Succeeded } else { RunState::Failed };
    run.value.finished_at = Some(world.now());
    if !passed {
        tell_failed(world, &run.value).await?;
    }
    world
        .publish(Detail::RunStateChange {
            run: run.value.id.clone(),
            state: run.value.state,
        })
        .await?;
    records::update(world.catalog.as_ref(), run).await
}

/// A simulation proves that the steps could run (L0); a drill proves that recovery works (L6).
fn statement_of(world: &World, run: &Run, passed: bool) -> Statement {
    let level = match run.kind {
        RunKind::Simulate => Level::L0,
        RunKind::Drill | RunKind::Planned | RunKind::Disaster => Level::L6,
    };
    let recovery_time = run
        .recovered_at
        .map(|at| Span::between(run.declared_at, at).as_seconds());
    let service_time = run
        .recovered_at
        .zip(run.started_at)
        .map(|(at, started)| Span::between(started, at).as_seconds());
    let steps: Vec<_> = run
        .steps
        .iter()
        .map(|step| json!({ "step": step.step.name, "state": step.state, "note": step.note }))
        .collect();
    Statement {
        subject: vec![Subject {
            name: format!("run/{}/{}", run.plan.id, run.id),
            digest: BTreeMap::new(),
        }],
        level,
        passed,
        at: world.now(),
        origin: format!("{}/run", run.id),
        findings: BTreeMap::from([
            ("kind".to_owned(), json!(run.kind)),
            ("declared_at".to_owned(), json!(run.declared_at)),
            ("recovery_seconds_from_declaration".to_owned(), json!(recovery_time)),
            ("recovery_seconds_from_start".to_owned(), json!(service_time)),
            ("rto_seconds".to_owned(), json!(run.plan.objectives.rto.as_seconds())),
            ("rpo_seconds".to_owned(), json!(run.plan.objectives.rpo.as_seconds())),
            ("recovery_point_age_seconds".to_owned(), json!(run.point_age_seconds)),
            ("data_loss_seconds".to_owned(), json!(run.data_loss_seconds)),
            ("steps".to_owned(), json!(steps)),
        ]),
    }
}

async fn tell_failed(world: &World, run: &Run) -> Result<(), Failure> {
    let failed = run.steps.iter().filter(|step| step.state == StepState::Failed);
    let named: Vec<String> = failed
        .map(|step| format!("step {}: {}", step.step.name, step.note))
        .collect();
    let page = Page {
        key: format!("run/{}", run.id),
        severity: Severity::Critical,
        subject: format!("{} of recovery plan {} failed", run.kind.as_str(), run.plan.id),
        text: named.join("\n"),
    };
    world.pager.page(&page).await
}
