//! Declaring runs.

use holdfast_core::domain::{
    Failure, FailureKind, PlanId, RecoveryPlan, Run, RunId, RunKind, RunState, StepAction, StepRecord, StepState,
};
use holdfast_core::planning::order_steps;
use holdfast_core::workflow::records;
use holdfast_core::workflow::{World, inventory};

/// Records a run of a plan as it stands now. Asking twice with one request id is asking once.
pub async fn declare(
    world: &World,
    request: &str,
    plan: &PlanId,
    kind: RunKind,
    requested_by: &str,
) -> Result<(), Failure> {
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
        let message = format!(
            "recovery plan {plan}: a {} run needs steps that move production",
            kind.as_str(),
            plan = plan.id
        );
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    if kind == RunKind::Drill {
        refuse_services(world, &plan).await?;
    }
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
        id: RunId::derive(&["run", request]),
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
        next_action_at: now,
    };
    records::insert(world.catalog.as_ref(), &run).await?;
    Ok(())
}

/// A drill restores into a folder of its own and empties it afterwards; what a service restores does not go there.
async fn refuse_services(world: &World, plan: &RecoveryPlan) -> Result<(), Failure> {
    for step in &plan.steps {
        let StepAction::Restore { resource, .. } = &step.action else {
            continue;
        };
        let kind = inventory::resource(world, resource).await?.kind;
        if !kind.is_content() {
            let message = format!(
                "recovery plan {}: step \"{}\" restores \"{resource}\" of kind {}; a drill restores content only so far",
                plan.id,
                step.name,
                kind.as_str()
            );
            return Err(Failure::new(FailureKind::Invalid, message));
        }
    }
    Ok(())
}
