//! Bringing a run further: each change of it is one conditional write of its one record.

use std::collections::BTreeMap;

use holdfast_core::domain::{
    Detail, Failure, FailureKind, Level, Run, RunKind, RunState, Span, Statement, StepRecord, StepState, Subject,
};
use holdfast_core::planning::{Phase, phase, ready_steps, steps_to_undo};
use holdfast_core::ports::{Page, Severity};
use holdfast_core::workflow::records::{self, Stored};
use holdfast_core::workflow::{World, authority, evidence};
use jiff::Timestamp;
use serde_json::json;

use crate::{acts, cleaning, left_out, spending, steps, unwinding};

/// Brings a run as far as it can go now.
pub async fn advance(world: &World, mut run: Stored<Run>) -> Result<(), Failure> {
    match go_on(world, &mut run).await {
        Err(failure) if failure.kind == FailureKind::Fenced && run.value.kind.touches_production() => {
            fenced(world, &mut run, &failure.message).await
        }
        gone_on => gone_on,
    }
}

async fn go_on(world: &World, run: &mut Stored<Run>) -> Result<(), Failure> {
    loop {
        spending::count(world, &mut run.value)?;
        let changed = match run.value.state {
            RunState::Running => advance_steps(world, run).await?,
            RunState::Undoing => unwinding::advance(world, run).await?,
            RunState::Cleaning => {
                if cleaning::is_done(world, run).await? {
                    return finish(world, run).await;
                }
                false
            }
            RunState::Paused => {
                // What it has started goes on costing while it waits.
                if !is_ended(world, run, None).await? {
                    return Ok(());
                }
                true
            }
            RunState::Stuck | RunState::Succeeded | RunState::Failed => return Ok(()),
        };
        if !changed {
            break;
        }
    }
    run.value.next_action_at = world.now().checked_add(world.settings.poll).unwrap_or(Timestamp::MAX);
    records::update(world.catalog.as_ref(), run).await
}

/// Something has seen a later generation. Where the authority is still the run's, nobody else will mend what it left half
/// done: a person must. Otherwise another goes on from there.
async fn fenced(world: &World, run: &mut Stored<Run>, why: &str) -> Result<(), Failure> {
    let held = match acts::moves_production(&run.value) {
        Some(moves) => authority::hold(world, &run.value, moves).await,
        None => return stand_down(world, run, why).await,
    };
    match held {
        Ok(_) => unwinding::halt(world, run, why).await,
        Err(failure) if failure.kind == FailureKind::Fenced => stand_down(world, run, why).await,
        Err(failure) => Err(failure),
    }
}

/// Another has the authority: this run changes nothing any more, and takes nothing back that is not its own.
async fn stand_down(world: &World, run: &mut Stored<Run>, why: &str) -> Result<(), Failure> {
    for step in &mut run.value.steps {
        match step.state {
            StepState::Running | StepState::Undoing => {
                step.state = StepState::Failed;
                step.finished_at = Some(world.now());
                step.note = why.to_owned();
            }
            StepState::Pending => {
                step.state = StepState::Skipped;
                step.note = "the run has no authority".to_owned();
            }
            StepState::Succeeded | StepState::Failed | StepState::Skipped | StepState::Undone => {}
        }
    }
    run.value.conduct.goes_back = Some(why.to_owned());
    run.value.state = RunState::Cleaning;
    run.value.next_action_at = world.now();
    records::update(world.catalog.as_ref(), run).await
}

/// Does what can be done on the steps now. True when something changed, so that more may be possible.
async fn advance_steps(world: &World, run: &mut Stored<Run>) -> Result<bool, Failure> {
    if is_ended(world, run, None).await? {
        return Ok(true);
    }
    let mut changed = false;
    for place in 0..run.value.steps.len() {
        if run.value.steps[place].state == StepState::Running {
            changed |= steps::watch(world, run, place).await?;
        }
    }
    if let Some(why) = failure_of(&run.value) {
        if can_turn_back(&run.value) {
            if run.value.steps.iter().any(|step| step.state == StepState::Running) {
                return keep(world, run, changed).await;
            }
            unwinding::turn_back(world, run, &why).await?;
            return Ok(true);
        }
        skip_pending(&mut run.value, "the run had failed");
    }
    for place in ready_steps(&run.value) {
        changed = true;
        if let Some(why) = acts::left_out(&run.value, place) {
            let step = &mut run.value.steps[place];
            step.state = StepState::Skipped;
            step.note = why;
            continue;
        }
        if is_ended(world, run, Some(place)).await? {
            return Ok(true);
        }
        let step = &mut run.value.steps[place];
        step.started_at = Some(world.now());
        step.state = StepState::Running;
        step.note = String::new();
        run.value.started_at.get_or_insert(world.now());
        records::update(world.catalog.as_ref(), run).await?;
        steps::begin(world, run, place).await?;
    }
    note_recovery(&mut run.value);
    // What failed just now is looked at once more, before anything is concluded.
    let turns_back = failure_of(&run.value).is_some() && can_turn_back(&run.value);
    if !turns_back && run.value.steps.iter().all(|step| step.state.is_over()) {
        conclude(world, &mut run.value);
        changed = true;
    }
    keep(world, run, changed).await
}

/// Ends a drill whose budget would be passed: what it started is taken back.
async fn is_ended(world: &World, run: &mut Stored<Run>, starting: Option<usize>) -> Result<bool, Failure> {
    let Some(why) = spending::ends(world, &run.value, starting)? else {
        return Ok(false);
    };
    unwinding::turn_back(world, run, &why).await?;
    Ok(true)
}

/// Whether a run that fails has changed something, or may have.
fn can_turn_back(run: &Run) -> bool {
    run.kind.touches_production() || !steps_to_undo(run).is_empty()
}

async fn keep(world: &World, run: &mut Stored<Run>, changed: bool) -> Result<bool, Failure> {
    if changed {
        records::update(world.catalog.as_ref(), run).await?;
    }
    Ok(changed)
}

/// What failed first, for people.
fn failure_of(run: &Run) -> Option<String> {
    let failed = run.steps.iter().find(|step| step.state == StepState::Failed)?;
    Some(format!("step {} failed: {}", failed.step.name, failed.note))
}

fn has_failed(run: &Run) -> bool {
    run.conduct.goes_back.is_some() || failure_of(run).is_some()
}

fn skip_pending(run: &mut Run, why: &str) {
    for step in run.steps.iter_mut().filter(|step| step.state == StepState::Pending) {
        step.state = StepState::Skipped;
        step.note = why.to_owned();
    }
}

/// Service is back when every step that gives it has held, whatever comes afterwards: a side that was lost may take days to
/// follow again.
fn note_recovery(run: &mut Run) {
    if has_failed(run) || run.kind == RunKind::Simulate {
        return;
    }
    let gives_service = |step: &&StepRecord| phase(&run.plan, &step.step.name) != Phase::PostRecovery;
    let giving = run.steps.iter().filter(gives_service);
    if giving.clone().all(|step| step.state.is_over()) {
        run.recovered_at = giving.filter_map(|step| step.finished_at).max();
    }
}

/// All steps have ended. A drill takes back what it changed of what stands for production.
fn conclude(world: &World, run: &mut Run) {
    let takes_back = run.kind == RunKind::Drill && !steps_to_undo(run).is_empty();
    run.state = if takes_back {
        RunState::Undoing
    } else {
        RunState::Cleaning
    };
    run.next_action_at = world.now();
}

async fn finish(world: &World, run: &mut Stored<Run>) -> Result<(), Failure> {
    let passed = !has_failed(&run.value);
    let statement = statement_of(world, &run.value, passed);
    evidence::append(world, run, &statement).await?;
    if passed {
        left_out::record(world, &run.value).await?;
    }
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
            ("rto_seconds".to_owned(), json!(run.rto().as_seconds())),
            ("rpo_seconds".to_owned(), json!(run.plan.objectives.rpo.as_seconds())),
            ("recovery_point_age_seconds".to_owned(), json!(run.point_age_seconds)),
            ("data_loss_seconds".to_owned(), json!(run.data_loss_seconds)),
            ("generation".to_owned(), json!(run.conduct.generation)),
            ("level".to_owned(), json!(run.conduct.level)),
            ("told".to_owned(), json!(run.conduct.told)),
            ("acknowledged".to_owned(), json!(run.conduct.acknowledged)),
            ("approvals".to_owned(), json!(run.conduct.approvals)),
            ("lag_milliseconds".to_owned(), json!(run.conduct.lag_milliseconds)),
            ("divergences".to_owned(), json!(run.conduct.divergences)),
            ("went_back".to_owned(), json!(run.conduct.goes_back)),
            ("cost".to_owned(), json!(run.conduct.cost)),
            (
                "budget".to_owned(),
                json!(run.plan.drills.budget.as_ref().map(|budget| budget.amount)),
            ),
            ("people".to_owned(), json!(run.conduct.log)),
            ("steps".to_owned(), json!(steps)),
        ]),
    }
}

async fn tell_failed(world: &World, run: &Run) -> Result<(), Failure> {
    let failed = run.steps.iter().filter(|step| step.state == StepState::Failed);
    let mut named: Vec<String> = failed
        .map(|step| format!("step {}: {}", step.step.name, step.note))
        .collect();
    named.extend(run.conduct.goes_back.clone());
    let page = Page {
        key: format!("run/{}", run.id),
        severity: Severity::Critical,
        subject: format!("{} of recovery plan {} failed", run.kind.as_str(), run.plan.id),
        text: named.join("\n"),
    };
    world.pager.page(&page).await
}
