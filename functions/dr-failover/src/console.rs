//! What a person or a state machine asks for directly: to start a run, and how far it came.
//!
//! `{"plan": "evacuate", "kind": "simulate"}` starts a run, `{"status": "<run>"}` brings it further and says where it stands.
//! A state machine gives its execution's name as `request`, so that asking twice is asking once.

use holdfast_core::config::payload::Payload;
use holdfast_core::domain::{
    Detail, Event, Failure, FailureKind, PlanId, RecoveryPlan, Run, RunId, RunKind, RunState, StepRecord,
};
use holdfast_core::workflow::World;
use holdfast_core::workflow::records::{self, Stored};
use serde_json::{Value, json};

/// The kinds of runs, by the word that a payload uses.
const KINDS: [RunKind; 2] = [RunKind::Simulate, RunKind::Drill];

/// Answers a payload.
pub async fn answer(world: &World, payload: &Value) -> Result<Value, Failure> {
    let mut read = Payload::of(payload)?;
    if read.has("status") {
        let run = read.text("status").map(|run| RunId::try_from(run.to_owned()));
        let run = run.and_then(|run| read.read("status", run));
        read.finish()?;
        let missing = || Failure::new(FailureKind::Bug, "a payload without a run was not refused");
        return further(world, &run.ok_or_else(missing)?).await;
    }
    let plan: Option<PlanId> = match read.required_text("plan", "evacuate") {
        Some(text) => read.read("plan", PlanId::new(text)),
        None => None,
    };
    if let Some(plan) = &plan
        && records::read::<RecoveryPlan>(world.catalog.as_ref(), &records::plan_key(plan))
            .await?
            .is_none()
    {
        read.problem(format!(
            "`plan`: no recovery plan is named \"{plan}\"; those in the configuration are known"
        ));
    }
    let kind = kind(&mut read);
    let requested_by = read.text("requested_by").map(str::to_owned);
    if kind == RunKind::Drill && requested_by.is_none() {
        read.problem("`requested_by`: a drill restores into the drill area; say who asks for it");
    }
    let request = read.text("request").map(str::to_owned);
    read.finish()?;
    let missing = || Failure::new(FailureKind::Bug, "a payload without a plan was not refused");
    let request = request.unwrap_or_else(|| world.ids.fresh());
    let detail = Detail::RunRequested {
        request: request.clone(),
        plan: plan.ok_or_else(missing)?,
        kind,
        requested_by: requested_by.unwrap_or_else(|| "nobody named".to_owned()),
    };
    let event = Event::new(detail, world.now());
    drive(world, &event, &RunId::derive(&["run", &request])).await
}

fn kind(read: &mut Payload<'_>) -> RunKind {
    let Some(word) = read.text("kind") else {
        return RunKind::Simulate;
    };
    let kind = KINDS.into_iter().find(|kind| kind.as_str() == word);
    kind.unwrap_or_else(|| {
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.as_str()).collect();
        read.problem(format!("`kind`: \"{word}\" is not known; known: {}", known.join(", ")));
        RunKind::Simulate
    })
}

/// Brings every run further, this one among them, and says where it stands.
async fn further(world: &World, run: &RunId) -> Result<Value, Failure> {
    standing(world, run).await?;
    drive(world, &Event::new(Detail::WakeUp {}, world.now()), run).await
}

/// A run that stands goes on by itself, whatever else could not be done just now.
async fn drive(world: &World, event: &Event, run: &RunId) -> Result<Value, Failure> {
    let driven = crate::handle(world, event).await;
    match (standing(world, run).await, driven) {
        (Ok(standing), _) => Ok(standing),
        (Err(_), Err(failure)) | (Err(failure), Ok(())) => Err(failure),
    }
}

async fn standing(world: &World, id: &RunId) -> Result<Value, Failure> {
    let found: Option<Stored<Run>> = records::read(world.catalog.as_ref(), &records::run_key(id)).await?;
    let Some(Stored { value: run, .. }) = found else {
        let message = format!("no run is known as {id}; give the `run` of the answer that started it");
        return Err(Failure::new(FailureKind::NotFound, message));
    };
    Ok(json!({
        "run": run.id,
        "plan": run.plan.id,
        "kind": run.kind,
        "state": run.state,
        "is_over": matches!(run.state, RunState::Succeeded | RunState::Failed),
        "requested_by": run.requested_by,
        "declared_at": run.declared_at,
        "recovered_at": run.recovered_at,
        "finished_at": run.finished_at,
        "point_age_seconds": run.point_age_seconds,
        "data_loss_seconds": run.data_loss_seconds,
        "steps": run.steps.iter().map(step).collect::<Vec<_>>(),
    }))
}

fn step(record: &StepRecord) -> Value {
    json!({
        "name": record.step.name,
        "action": record.step.action.as_str(),
        "state": record.state,
        "note": record.note,
    })
}
