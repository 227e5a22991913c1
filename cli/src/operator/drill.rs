//! `holdfast drill`, `switchover` and `failover`.

use holdfast_core::domain::{PlanId, Run, RunId, RunKind, RunState, Span, StepRecord};
use holdfast_core::report;
use holdfast_core::workflow::records;

use serde_json::json;

use super::REQUESTED_BY;
use crate::args::{DrillOptions, MoveOptions};
use crate::embedded::{Session, progress_bar};
use crate::error::{CliError, Done};
use crate::output;
use crate::output::say;

/// Runs a drill, or simulates one.
pub async fn run(options: DrillOptions, json: bool) -> Result<Done, CliError> {
    let plan = PlanId::new(&options.plan).map_err(|error| CliError::usage(error.to_string()))?;
    let (session, config) = Session::open(&options.place).await?;
    if config.plans.iter().all(|known| known.id != plan) {
        return Err(CliError::usage(format!(
            "no recovery plan is named \"{plan}\" in {}",
            options.place.config.display()
        )));
    }
    let kind = if options.simulate {
        RunKind::Simulate
    } else {
        RunKind::Drill
    };
    // What is due is done first: the proof and the copy that the drill waits for may be among it.
    session.step(&progress_bar("drill")).await?;
    let id = ask(&session, &options.plan, (kind, options.level), REQUESTED_BY).await?;
    follow(&session, &id, "drill", json).await
}

/// Moves a workload.
pub async fn order(options: MoveOptions, kind: RunKind, json: bool) -> Result<Done, CliError> {
    let (session, _) = Session::open(&options.place).await?;
    let id = ask(&session, &options.plan, (kind, options.level), &options.by).await?;
    eprintln!("holdfast: run {id}; `holdfast run {id} status` looks at it from elsewhere");
    follow(&session, &id, kind.as_str(), json).await
}

/// Asks for a run. What refuses it is told at once.
async fn ask(
    session: &Session,
    plan: &str,
    (kind, level): (RunKind, Option<u8>),
    requested_by: &str,
) -> Result<RunId, CliError> {
    let world = &session.system.world;
    let request = world.ids.fresh();
    let order = json!({
        "plan": plan,
        "kind": kind,
        "level": level,
        "requested_by": requested_by,
        "request": request,
    });
    holdfast_dr_failover::answer(world, &order).await?;
    Ok(RunId::derive(&["run", &request]))
}

/// Brings a run further until it is over or waits for a person, and says what came of it.
async fn follow(session: &Session, id: &RunId, what: &str, json: bool) -> Result<Done, CliError> {
    let bar = progress_bar(what);
    let world = &session.system.world;
    let waits = |run: &Run| matches!(run.state, RunState::Stuck | RunState::Paused);
    let run = loop {
        let stored = records::read::<Run>(world.catalog.as_ref(), &records::run_key(id)).await?;
        let run = stored.map(|stored| stored.value);
        if let Some(run) = run.filter(|run| run.state.is_over() || waits(run)) {
            break run;
        }
        session.step(&bar).await?;
    };
    bar.finish_and_clear();
    if json {
        output::json(&run)?;
    } else {
        for line in lines(&run) {
            say!("{line}");
        }
    }
    Ok(match run.state {
        RunState::Succeeded => Done::Done,
        _ => Done::Failed,
    })
}

/// What happened, step by step, and what was measured against what was promised.
pub fn lines(run: &Run) -> Vec<String> {
    let step = |record: &StepRecord| {
        let word = format!("{:?}", record.state).to_lowercase();
        format!("{word:<9} {:<20} {}", record.step.name.as_str(), record.note)
    };
    let against = |measured: Option<i64>, promised: Span| match measured {
        Some(seconds) if seconds <= promised.as_seconds() => {
            format!("{} (promised {promised})", Span::seconds(seconds))
        }
        Some(seconds) => format!("{}, MORE than the promised {promised}", Span::seconds(seconds)),
        None => "not measured".to_owned(),
    };
    let recovery = run.recovered_at.map(|at| at.duration_since(run.declared_at).as_secs());
    let mut lines: Vec<String> = run.steps.iter().map(step).collect();
    lines.extend(
        run.conduct
            .goes_back
            .iter()
            .map(|why| format!("went back            {why}")),
    );
    lines.extend(
        run.conduct
            .stuck
            .iter()
            .map(|why| format!("STUCK                {why}")),
    );
    lines.extend(run.conduct.cost.iter().map(|cost| {
        let of = run.plan.drills.budget.as_ref();
        let of = of.map_or_else(String::new, |budget| format!(" of a budget of {:.2}", budget.amount));
        format!("cost                 {:.2}{of} ({})", cost.total, cost.priced)
    }));
    lines.push(format!("recovery time        {}", against(recovery, run.rto())));
    lines.push(format!(
        "recovery point age   {}",
        against(run.point_age_seconds, run.plan.objectives.rpo)
    ));
    lines.push(format!(
        "data loss            {}",
        against(run.data_loss_seconds, run.plan.objectives.rpo)
    ));
    if let Some(lag) = run.conduct.lag() {
        let lag = against(Some(lag.as_seconds()), run.plan.objectives.rpo);
        lines.push(format!("left behind, at most {lag}"));
    }
    let given_up = run.conduct.divergences.iter();
    lines.extend(given_up.map(|own| format!("given up             {}", report::given_up(own))));
    lines
}
