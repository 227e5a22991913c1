//! Steps that change something outside: production under the run's authority, or in a drill what stands for it.

use holdfast_core::domain::{
    Act, ActOrder, Actuator, ActuatorName, Authority, Bound, Check, Failure, FailureKind, Move, RecoveryPlan, Run,
    RunKind, Seen, Step, StepAction, StepName, StepState,
};
use holdfast_core::planning::{Phase, phase};
use holdfast_core::workflow::records::{self, Stored};
use holdfast_core::workflow::{World, authority};

use crate::steps::end;

/// Why a run leaves a step out; none when it does it.
pub fn left_out(run: &Run, place: usize) -> Option<String> {
    let step = &run.steps[place].step;
    if run.kind == RunKind::Disaster && step.graceful {
        return Some("left out of a failover: what it works on may not answer".to_owned());
    }
    let StepAction::Act { actuator, act, .. } = &step.action else {
        return shows_nothing(run, step);
    };
    let leader = match act {
        Act::Follow { leader } => Some(leader),
        _ => None,
    };
    let stands_for_nothing = |name: &&ActuatorName| run.plan.actuator(name).is_some_and(|found| found.drill.is_none());
    let missing = std::iter::once(actuator).chain(leader).find(stands_for_nothing);
    let missing = missing.filter(|_| run.kind == RunKind::Drill)?;
    Some(format!("left out of a drill: nothing stands for {missing}"))
}

/// Why a drill leaves out a look at the world outside: what it is to show was left out before it.
fn shows_nothing(run: &Run, step: &Step) -> Option<String> {
    if run.kind != RunKind::Drill || !matches!(step.action, StepAction::Check(Check::Answers(_))) {
        return None;
    }
    let missing = run.steps.iter().find(|before| {
        let is_act = matches!(before.step.action, StepAction::Act { .. });
        is_act && before.state == StepState::Skipped && step.after.contains(&before.step.name)
    })?;
    Some(format!(
        "left out of a drill: step {} was, which it comes after",
        missing.step.name
    ))
}

/// Claims the authority under which a run moves production for a step that comes when the other side has ended, and says that
/// the Region which it moves to is the writer; false where it cannot have it, which ends the step.
pub async fn take_over(world: &World, run: &mut Stored<Run>, place: usize) -> Result<bool, Failure> {
    let Some(moves) = moves_production(&run.value) else {
        return Ok(true);
    };
    match authority::claim(world, &run.value, moves).await {
        Ok(_) => {
            let authority = authority::grant(world, &run.value, moves, &moves.to).await?;
            run.value.conduct.generation = Some(authority.generation());
            Ok(true)
        }
        // The workload is not where the plan moves it from: that does not pass.
        Err(failure) if failure.kind == FailureKind::Invalid => {
            end(world, &mut run.value, place, false, failure.message);
            Ok(false)
        }
        Err(failure) => Err(failure),
    }
}

/// Begins an act, or finds that it is under way or stands. One that left no trace is begun again.
pub async fn begin(world: &World, run: &mut Stored<Run>, place: usize) -> Result<(), Failure> {
    let order = match forward(world, &run.value, place).await {
        // The workload is not where the plan moves it from: that does not pass.
        Err(failure) if failure.kind == FailureKind::Invalid => {
            end(world, &mut run.value, place, false, failure.message);
            return Ok(());
        }
        order => order?,
    };
    if let Some(moves) = moves_production(&run.value)
        && order.on.region() == &moves.to
        && phase(&run.value.plan, &order.step) != Phase::Deactivate
    {
        // Everything of the other side is fenced, or this step would not be ready.
        authority::grant(world, &run.value, moves, &moves.to).await?;
    }
    run.value.conduct.generation = order.on.generation();
    match give(world, &order).await {
        Ok(Seen::NotDone) => {}
        Ok(Seen::Working { note }) => run.value.steps[place].note = note,
        Ok(Seen::Done {
            note,
            lag_seconds,
            divergence,
        }) => {
            take_lag(&mut run.value, lag_seconds);
            run.value.conduct.divergences.extend(divergence);
            end(world, &mut run.value, place, true, note);
        }
        // What may pass is tried until the step's time is over.
        Err(failure) if failure.kind.may_pass() => run.value.steps[place].note = failure.message,
        Err(failure) if failure.kind == FailureKind::Fenced => return Err(failure),
        Err(failure) => end(world, &mut run.value, place, false, failure.message),
    }
    Ok(())
}

/// Looks at what has become of an order, and gives it where it left no trace.
pub async fn give(world: &World, order: &ActOrder) -> Result<Seen, Failure> {
    match world.actuators.look(order).await? {
        Seen::NotDone => world.actuators.begin(order).await.map(|()| Seen::NotDone),
        seen => Ok(seen),
    }
}

fn take_lag(run: &mut Run, seconds: Option<f64>) {
    let Some(seconds) = seconds else { return };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a lag of milliseconds fits for millions of years"
    )]
    let lag = (seconds * 1000.0).ceil() as i64;
    let known = &mut run.conduct.lag_milliseconds;
    *known = Some(known.map_or(lag, |known| known.max(lag)));
}

/// Where the run moves production.
pub fn moves_production(run: &Run) -> Option<&Move> {
    run.plan.moves.as_ref().filter(|_| run.kind.touches_production())
}

async fn forward(world: &World, run: &Run, place: usize) -> Result<ActOrder, Failure> {
    let StepAction::Act { actuator, act, .. } = &run.steps[place].step.action else {
        return Err(Failure::new(FailureKind::Bug, "this step changes nothing"));
    };
    // A switchover loses nothing, whatever the plan allows a failover.
    let act = match act {
        Act::Promote { .. } if run.kind == RunKind::Planned => Act::Promote { allow_loss: false },
        other => other.clone(),
    };
    let authority = match moves_production(run) {
        Some(moves) => Some(authority::claim(world, run, moves).await?),
        None => None,
    };
    order(run, &run.steps[place].step.name, actuator, act, authority.as_ref())
}

/// The order that takes a step back. The Region that the workload was to leave may write again when what was fenced there
/// is let go, and no sooner: what the run had begun elsewhere has been taken back by then.
pub async fn backward(world: &World, run: &mut Stored<Run>, place: usize, act: Act) -> Result<ActOrder, Failure> {
    let StepAction::Act { actuator, .. } = run.value.steps[place].step.action.clone() else {
        return Err(Failure::new(FailureKind::Bug, "this step changes nothing"));
    };
    let authority = match moves_production(&run.value).cloned() {
        Some(moves) => {
            let held = go_back(world, run, &moves).await?;
            let leaves = |found: &Actuator| found.region == moves.from;
            if act == Act::Unfence && run.value.plan.actuator(&actuator).is_some_and(leaves) {
                authority::grant(world, &run.value, &moves, &moves.from).await?;
            }
            Some(held)
        }
        None => None,
    };
    let step = run.value.steps[place].step.name.clone();
    order(&run.value, &step, &actuator, act, authority.as_ref())
}

/// The authority under which the run goes back; claimed once. A claim that was not recorded is made again, which only makes
/// the generation grow.
async fn go_back(world: &World, run: &mut Stored<Run>, moves: &Move) -> Result<Authority, Failure> {
    if run.value.conduct.back_generation.is_some() {
        return authority::hold(world, &run.value, moves).await;
    }
    let held = authority::retreat(world, &run.value, moves).await?;
    run.value.conduct.back_generation = Some(held.generation());
    records::update(world.catalog.as_ref(), run).await?;
    Ok(held)
}

/// Everything is taken back: the Region that the workload was to leave has its writes again, if the run ever took them away.
pub async fn restore_writer(world: &World, run: &mut Stored<Run>) -> Result<(), Failure> {
    let Some(moves) = moves_production(&run.value).cloned() else {
        return Ok(());
    };
    if authority::of(world, &moves).await?.value.claimed_by.as_ref() != Some(&run.value.id) {
        return Ok(());
    }
    go_back(world, run, &moves).await?;
    authority::grant(world, &run.value, &moves, &moves.from)
        .await
        .map(|_| ())
}

/// The order of a step that a failover left out, for when it can be done.
pub fn late(run: &Run, place: usize, authority: &Authority) -> Result<ActOrder, Failure> {
    let step = &run.steps[place].step;
    let StepAction::Act { actuator, act, .. } = &step.action else {
        return Err(Failure::new(FailureKind::Bug, "this step changes nothing"));
    };
    order(run, &step.name, actuator, act.clone(), Some(authority))
}

fn order(
    run: &Run,
    step: &StepName,
    actuator: &ActuatorName,
    act: Act,
    authority: Option<&Authority>,
) -> Result<ActOrder, Failure> {
    let bound = |name| bind(&run.plan, name, run, authority);
    let others = match &act {
        Act::Follow { leader } => vec![bound(leader)?],
        _ => Vec::new(),
    };
    Ok(ActOrder {
        step: step.clone(),
        on: bound(actuator)?,
        act,
        others,
    })
}

fn bind(plan: &RecoveryPlan, name: &ActuatorName, run: &Run, authority: Option<&Authority>) -> Result<Bound, Failure> {
    let actuator: &Actuator = plan.actuator(name).ok_or_else(|| {
        let message = format!("recovery plan {}: there is no actuator {name}", plan.id);
        Failure::new(FailureKind::Invalid, message)
    })?;
    match authority {
        Some(authority) => Bound::for_production(actuator, authority),
        None => Bound::for_drill(actuator, run),
    }
}

/// Whether a step is one that the run may not go on without: what is not fenced may write.
pub fn is_fence(run: &Run, place: usize) -> bool {
    matches!(run.steps[place].step.action, StepAction::Act { act: Act::Fence, .. })
        && run.kind.touches_production()
        && run.steps[place].state != StepState::Skipped
}
