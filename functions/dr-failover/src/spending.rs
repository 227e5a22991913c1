//! The budget of a drill: what it has cost is worked out at each look at it, and one whose budget would be passed ends early.

use holdfast_core::domain::{Budget, Failure, FailureKind, Run, RunKind, Span};
use holdfast_core::planning::{BudgetDecision, CostError, check_spending, drill_cost, rented};
use holdfast_core::workflow::World;

/// How long it takes at most until a run is looked at again: functions wake up once a minute, and a wake-up may be lost.
const LOOK: Span = Span::minutes(3);

/// The budget that holds for a run.
fn budget(run: &Run) -> Option<&Budget> {
    run.plan.drills.budget.as_ref().filter(|_| run.kind == RunKind::Drill)
}

/// Notes what a drill has cost so far. What a statement says once is not changed.
pub fn count(world: &World, run: &mut Run) -> Result<(), Failure> {
    let Some(budget) = budget(run).filter(|_| run.statement.is_none()) else {
        return Ok(());
    };
    let cost = drill_cost(&rented(run, budget), &budget.prices, world.now());
    run.conduct.cost = Some(cost.map_err(|error| untold(run, error))?);
    Ok(())
}

/// Why a drill must end now, or instead of beginning the step at `starting`; none while it may go on.
pub fn ends(world: &World, run: &Run, starting: Option<usize>) -> Result<Option<String>, Failure> {
    let Some(budget) = budget(run) else {
        return Ok(None);
    };
    let decision = check_spending(run, budget, starting, LOOK, world.now());
    match decision.map_err(|error| untold(run, error))? {
        BudgetDecision::GoOn => Ok(None),
        BudgetDecision::Stop { reason } => Ok(Some(format!("the budget ends this drill: {reason}"))),
    }
}

fn untold(run: &Run, error: CostError) -> Failure {
    let message = format!(
        "what run {} of plan {} costs cannot be told: {error}",
        run.id, run.plan.id
    );
    Failure::caused(FailureKind::Invalid, message, error)
}
