//! What a person or a state machine asks for directly: to start a run, and how far it came.
//!
//! `{"plan": "evacuate", "kind": "simulate"}` starts a run, at an incident level where `level` names one.
//! `{"status": "<run>"}` brings it further and says where it stands.
//! `{"run": "<run>", "instruct": "approve", "step": "agree", "by": "ana"}` tells it something: pause, resume, acknowledge, abort
//! (with a `reason`), skip (a `step`, with a `reason`) or approve (a `step`). `{"forbid": "orders", "until":
//! "2026-03-01T12:00:00Z", "reason": "maintenance", "by": "ana"}` keeps failovers of a workload that nobody orders from being
//! declared until then. A state machine gives its execution's name as `request`, so that asking twice is asking once.

use holdfast_core::config::payload::Payload;
use holdfast_core::domain::{
    Detail, Event, Failure, FailureKind, Forbidden, Instruction, LeftOut, PlanId, RecoveryPlan, Run, RunId, RunKind,
    StepName, StepRecord, WorkloadName,
};
use holdfast_core::workflow::World;
use holdfast_core::workflow::records::{self, Stored};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The kinds of runs, by the word that a payload uses.
const KINDS: [RunKind; 4] = [RunKind::Simulate, RunKind::Drill, RunKind::Planned, RunKind::Disaster];

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
    if read.has("instruct") {
        return instruct(world, read).await;
    }
    if read.has("forbid") {
        return forbid(world, read).await;
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
    if kind != RunKind::Simulate && requested_by.is_none() {
        read.problem(format!(
            "`requested_by`: a {} changes something; say who asks for it",
            kind.as_str()
        ));
    }
    let level = read.number("level", 1..=4);
    let request = read.text("request").map(str::to_owned);
    read.finish()?;
    let missing = || Failure::new(FailureKind::Bug, "a payload without a plan was not refused");
    let request = request.unwrap_or_else(|| world.ids.fresh());
    let detail = Detail::RunRequested {
        request: request.clone(),
        plan: plan.ok_or_else(missing)?,
        kind,
        level,
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

async fn instruct(world: &World, mut read: Payload<'_>) -> Result<Value, Failure> {
    let run = read.required_text("run", "0123456789abcdef0123456789abcdef");
    let run = run.map(|run| RunId::try_from(run.to_owned()));
    let run = run.and_then(|run| read.read("run", run));
    let by = read.required_text("by", "ana").map(str::to_owned);
    let word = read.required_text("instruct", "approve").map(str::to_owned);
    let instruction = match word.as_deref() {
        Some("pause") => Some(Instruction::Pause),
        Some("resume") => Some(Instruction::Resume),
        Some("acknowledge") => Some(Instruction::Acknowledge),
        Some("abort") => reason(&mut read).map(|reason| Instruction::Abort { reason }),
        Some("skip") => step_of(&mut read)
            .zip(reason(&mut read))
            .map(|(step, reason)| Instruction::Skip { step, reason }),
        Some("approve") => step_of(&mut read).map(|step| Instruction::Approve { step }),
        Some(other) => {
            read.problem(format!(
                "`instruct`: \"{other}\" is not known; known: pause, resume, acknowledge, abort, skip, approve"
            ));
            None
        }
        None => None,
    };
    read.finish()?;
    let missing = || Failure::new(FailureKind::Bug, "an incomplete instruction was not refused");
    let run = run.ok_or_else(missing)?;
    let detail = Detail::RunInstructed {
        run: run.clone(),
        instruction: instruction.ok_or_else(missing)?,
        by: by.ok_or_else(missing)?,
    };
    // What a person says is done or refused; a run that then cannot go on is seen by looking at it.
    crate::work(world, &Event::new(detail, world.now())).await?;
    standing(world, &run).await
}

fn reason(read: &mut Payload<'_>) -> Option<String> {
    read.required_text("reason", "the application was mended by hand")
        .map(str::to_owned)
}

fn step_of(read: &mut Payload<'_>) -> Option<StepName> {
    let step = read.required_text("step", "agree").map(StepName::new);
    step.and_then(|step| read.read("step", step))
}

async fn forbid(world: &World, mut read: Payload<'_>) -> Result<Value, Failure> {
    let workload = read.required_text("forbid", "orders").map(WorkloadName::new);
    let workload = workload.and_then(|workload| read.read("forbid", workload));
    let until = read
        .required_text("until", "2026-03-01T12:00:00Z")
        .map(str::parse::<Timestamp>);
    let until = until.and_then(|until| read.read("until", until));
    let reason = reason(&mut read);
    let by = read.required_text("by", "ana").map(str::to_owned);
    read.finish()?;
    let missing = || Failure::new(FailureKind::Bug, "an incomplete order was not refused");
    let workload = workload.ok_or_else(missing)?;
    let forbidden = Forbidden {
        until: until.ok_or_else(missing)?,
        by: by.ok_or_else(missing)?,
        reason: reason.ok_or_else(missing)?,
    };
    let answer = json!({ "workload": workload, "forbidden": forbidden });
    crate::watching::forbid(world, &workload, forbidden).await?;
    Ok(answer)
}

/// Brings every run further, this one among them, and says where it stands.
async fn further(world: &World, run: &RunId) -> Result<Value, Failure> {
    standing(world, run).await?;
    drive(world, &Event::new(Detail::WakeUp {}, world.now()), run).await
}

/// A run that stands goes on by itself, whatever else could not be done just now.
async fn drive(world: &World, event: &Event, run: &RunId) -> Result<Value, Failure> {
    let driven = crate::work(world, event).await;
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
    let left_out: Option<Stored<LeftOut>> = records::read(world.catalog.as_ref(), &records::left_out_key(id)).await?;
    Ok(json!({
        "run": run.id,
        "plan": run.plan.id,
        "kind": run.kind,
        "state": run.state,
        "is_over": run.state.is_over(),
        "level": run.conduct.level,
        "requested_by": run.requested_by,
        "declared_at": run.declared_at,
        "recovered_at": run.recovered_at,
        "finished_at": run.finished_at,
        "point_age_seconds": run.point_age_seconds,
        "data_loss_seconds": run.data_loss_seconds,
        "generation": run.conduct.generation,
        "lag_milliseconds": run.conduct.lag_milliseconds,
        "divergences": run.conduct.divergences,
        "acknowledged": run.conduct.acknowledged,
        "went_back": run.conduct.goes_back,
        "cost": run.conduct.cost,
        "stuck": run.conduct.stuck,
        "left_out": left_out.map(|found| json!({ "steps": found.value.steps, "note": found.value.note })),
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
