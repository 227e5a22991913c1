//! Declaring runs.

use holdfast_core::domain::{
    Conduct, Failure, FailureKind, PlanId, RecoveryPlan, Run, RunId, RunKind, RunState, StepAction, StepRecord,
    StepState,
};
use holdfast_core::planning::{Admission, admit_drill, order_steps};
use holdfast_core::workflow::records::{self, HELD_RUN, OPEN_RUN};
use holdfast_core::workflow::{World, authority, inventory};
use jiff::Timestamp;

/// Records a run of a plan as it stands now. Asking twice with one request id is asking once: false the second time.
pub async fn declare(
    world: &World,
    request: &str,
    plan: &PlanId,
    (kind, level): (RunKind, Option<u8>),
    requested_by: &str,
) -> Result<bool, Failure> {
    let id = RunId::derive(&["run", request]);
    let Some(stored) = records::read::<RecoveryPlan>(world.catalog.as_ref(), &records::plan_key(plan)).await? else {
        let message = format!("no recovery plan is named \"{plan}\"; add it to the configuration, or correct the name");
        return Err(Failure::new(FailureKind::NotFound, message));
    };
    let plan = stored.value;
    let order = order_steps(&plan).map_err(|error| {
        Failure::caused(
            FailureKind::Invalid,
            format!("recovery plan {}: {error}", plan.id),
            error,
        )
    })?;
    if kind.touches_production() {
        refuse_move(world, &plan, kind, &id).await?;
    }
    if kind != RunKind::Simulate {
        refuse_services(world, &plan).await?;
    }
    if kind == RunKind::Drill {
        refuse_closed(world, &plan, &id).await?;
    }
    let level = level_of(&plan, level)?;
    let pending = |place: usize| StepRecord {
        step: plan.steps[place].clone(),
        state: StepState::Pending,
        started_at: None,
        finished_at: None,
        job: None,
        note: String::new(),
    };
    let now = world.now();
    let run = Run {
        id,
        steps: order.into_iter().map(pending).collect(),
        plan,
        kind,
        requested_by: requested_by.to_owned(),
        state: RunState::Running,
        declared_at: now,
        started_at: None,
        recovered_at: None,
        finished_at: None,
        point_age_seconds: None,
        data_loss_seconds: None,
        statement: None,
        conduct: Conduct {
            level,
            ..Conduct::default()
        },
        next_action_at: now,
    };
    let known = records::insert(world.catalog.as_ref(), &run).await?;
    Ok(known.is_none())
}

/// The incident level of a run: the one that was asked for, or else the plan's first.
fn level_of(plan: &RecoveryPlan, asked: Option<u8>) -> Result<Option<u8>, Failure> {
    let numbers: Vec<u8> = plan.levels.iter().map(|level| level.number).collect();
    match asked {
        None => Ok(numbers.first().copied()),
        Some(number) if numbers.contains(&number) => Ok(Some(number)),
        Some(number) => {
            let known: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            let known = match known.as_slice() {
                [] => "none".to_owned(),
                known => known.join(", "),
            };
            let message = format!(
                "recovery plan {} has no incident level {number}; it has: {known}",
                plan.id
            );
            Err(Failure::new(FailureKind::Invalid, message))
        }
    }
}

/// A drill begins in a window of its plan. One that stands already is not asked for anew.
async fn refuse_closed(world: &World, plan: &RecoveryPlan, run: &RunId) -> Result<(), Failure> {
    let admission = admit_drill(&plan.drills.windows, world.now()).map_err(|error| {
        let message = format!("recovery plan {}: {error}", plan.id);
        Failure::caused(FailureKind::Invalid, message, error)
    })?;
    let Admission::Closed { opens_at } = admission else {
        return Ok(());
    };
    if records::read::<Run>(world.catalog.as_ref(), &records::run_key(run))
        .await?
        .is_some()
    {
        return Ok(());
    }
    let next = opens_at.map_or_else(
        || "none opens any more".to_owned(),
        |at| format!("the next opens at {at}"),
    );
    let message = format!(
        "recovery plan {} may not be drilled now: no window of [plan.drills] is open; {next}",
        plan.id
    );
    Err(Failure::new(FailureKind::Invalid, message))
}

/// A run that touches production needs a plan that says what moves, a workload that is where the plan moves it from, and no
/// other run that moves it. What comes between this look and the run's first change is found by its claim of authority.
async fn refuse_move(world: &World, plan: &RecoveryPlan, kind: RunKind, run: &RunId) -> Result<(), Failure> {
    let Some(moves) = &plan.moves else {
        let message = format!(
            "recovery plan {} moves nothing, so it cannot be run as {}: add [plan.moves], or drill it",
            plan.id,
            kind.as_str()
        );
        return Err(Failure::new(FailureKind::Invalid, message));
    };
    if kind == RunKind::Planned && plan.restores() {
        let message = format!(
            "recovery plan {} restores, and a switchover loses nothing: what was written since the recovery point would be. Stop the \
             workload, back it up, and order a failover; or give the other side a copy that follows",
            plan.id
        );
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    for status in [OPEN_RUN, HELD_RUN] {
        for entry in world.catalog.waking(status, Timestamp::MAX).await? {
            let other: Run = records::decode(entry)?.value;
            let moved = other.plan.moves.as_ref().map(|other| &other.workload);
            if &other.id != run && other.kind.touches_production() && moved == Some(&moves.workload) {
                let message = format!(
                    "run {} of plan {} moves {} already",
                    other.id, other.plan.id, moves.workload
                );
                return Err(Failure::new(FailureKind::Fenced, message));
            }
        }
    }
    if records::read::<Run>(world.catalog.as_ref(), &records::run_key(run))
        .await?
        .is_some()
    {
        return Ok(());
    }
    let record = authority::of(world, moves).await?.value;
    authority::refuse_elsewhere(&record, moves)
}

/// What a service restores takes nobody knows how long, does not go into the area of drills, and has a new name.
async fn refuse_services(world: &World, plan: &RecoveryPlan) -> Result<(), Failure> {
    for step in &plan.steps {
        let StepAction::Restore { resource, .. } = &step.action else {
            continue;
        };
        let kind = inventory::resource(world, resource).await?.kind;
        if !kind.is_content() {
            let message = format!(
                "recovery plan {}: step \"{}\" restores \"{resource}\" of kind {}; a plan restores content only so far",
                plan.id,
                step.name,
                kind.as_str()
            );
            return Err(Failure::new(FailureKind::Invalid, message));
        }
    }
    Ok(())
}
