//! What a drill has cost so far, by what its steps started, for how long, and a dated list of prices; and whether its budget
//! ends it. The cost is units x time x price: an actual of what stood, not a bill. What is billed by request or by transfer is
//! not in it.

use jiff::Timestamp;

use crate::domain::{
    Act, ActuatorName, Budget, DrillCost, Prices, RecoveryPlan, Rent, Run, Span, Step, StepAction, StepRecord,
    StepState, Undo,
};

use super::unwinding::steps_to_undo;

/// Lengths of time that prices are for, by the end of their keys. A month of a price list is 730 hours.
const PERIODS: [(&str, f64); 3] = [("_second", 1.0), ("_hour", 3600.0), ("_month", 730.0 * 3600.0)];

/// Something that a drill started and that costs money while it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Rented {
    /// The actuator that stands for it.
    pub name: ActuatorName,
    /// What it costs.
    pub rent: Rent,
    /// Since when it stands.
    pub since: Timestamp,
    /// Until when it stood; none while it does.
    pub until: Option<Timestamp>,
}

/// Why a cost cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "fields are named as what the message says of them")]
pub enum CostError {
    /// The list does not hold it.
    #[error("there is no price \"{key}\" among those noted on {noted_on}: add it to [prices]")]
    NoPrice { key: String, noted_on: String },
    /// The price is not for a length of time.
    #[error("the price \"{key}\" is for no length of time: its key must end with _second, _hour or _month")]
    NoPeriod { key: String },
}

/// What a rent costs in a second.
pub fn rate(rent: &Rent, prices: &Prices) -> Result<f64, CostError> {
    let key = rent.price.clone();
    let Some(price) = prices.prices.get(&key) else {
        let noted_on = prices.noted_on.clone();
        return Err(CostError::NoPrice { key, noted_on });
    };
    let period = PERIODS.into_iter().find(|(end, _)| key.ends_with(end));
    let (_, seconds) = period.ok_or(CostError::NoPeriod { key })?;
    Ok(price * f64::from(rent.units) / seconds)
}

/// The actuator that a step starts in a drill, and what it costs while it stands.
pub fn starts_rented<'a>(plan: &RecoveryPlan, budget: &'a Budget, step: &Step) -> Option<(&'a ActuatorName, &'a Rent)> {
    let actuator = acted_on(plan, step, &Act::Start)?;
    budget.rents.get_key_value(actuator)
}

/// What stands for production in a drill, where a step does this to it.
fn acted_on<'a>(plan: &RecoveryPlan, step: &'a Step, does: &Act) -> Option<&'a ActuatorName> {
    let StepAction::Act { actuator, act, .. } = &step.action else {
        return None;
    };
    let stands_in = plan.actuator(actuator).is_some_and(|found| found.drill.is_some());
    (act == does && stands_in).then_some(actuator)
}

/// What a drill has rented, by its record: each thing from its first start to its last stop.
pub fn rented(run: &Run, budget: &Budget) -> Vec<Rented> {
    let mut things: Vec<Rented> = Vec::new();
    for record in &run.steps {
        let starts = starts_rented(&run.plan, budget, &record.step);
        let Some(((name, rent), since)) = starts.zip(record.started_at) else {
            continue;
        };
        let until = stopped_at(run, record, name, since);
        match things.iter_mut().find(|thing| &thing.name == name) {
            Some(known) => {
                known.since = known.since.min(since);
                known.until = known.until.zip(until).map(|(one, other)| one.max(other));
            }
            None => things.push(Rented {
                name: name.clone(),
                rent: rent.clone(),
                since,
                until,
            }),
        }
    }
    things
}

/// Everything that the steps of a plan start in a drill, as if all of it stood.
pub(super) fn rented_at_once(plan: &RecoveryPlan, budget: &Budget) -> Vec<Rented> {
    let mut things: Vec<Rented> = Vec::new();
    for (name, rent) in plan.steps.iter().filter_map(|step| starts_rented(plan, budget, step)) {
        if things.iter().all(|thing| &thing.name != name) {
            things.push(Rented {
                name: name.clone(),
                rent: rent.clone(),
                since: Timestamp::UNIX_EPOCH,
                until: None,
            });
        }
    }
    things
}

/// When what a step started stood no more: it was taken back, another step stopped it, or all is over.
fn stopped_at(run: &Run, started: &StepRecord, name: &ActuatorName, since: Timestamp) -> Option<Timestamp> {
    let undone_at = started.finished_at.filter(|_| started.state == StepState::Undone);
    let stops = run.steps.iter().filter(|record| {
        let stops = acted_on(&run.plan, &record.step, &Act::Stop).is_some_and(|stopped| stopped == name);
        stops && record.state == StepState::Succeeded
    });
    let stopped_at = stops.filter_map(|record| record.finished_at).filter(|at| *at >= since);
    undone_at.into_iter().chain(stopped_at).chain(run.finished_at).min()
}

/// What a drill has cost by `now`.
pub fn drill_cost(rented: &[Rented], prices: &Prices, now: Timestamp) -> Result<DrillCost, CostError> {
    let mut cost = DrillCost {
        total: 0.0,
        items: Vec::new(),
        per_second: 0.0,
        priced: format!("{}, prices noted on {}", prices.currency, prices.noted_on),
    };
    for thing in rented {
        let rate = rate(&thing.rent, prices)?;
        let until = thing.until.unwrap_or(now).min(now);
        let item = rate * Span::between(thing.since, until).as_seconds() as f64;
        cost.total += item;
        cost.items.push((thing.name.to_string(), item));
        if thing.until.is_none() {
            cost.per_second += rate;
        }
    }
    cost.items.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(cost)
}

/// What a budget says of a drill.
#[derive(Debug, Clone, PartialEq)]
pub enum BudgetDecision {
    /// It may go on.
    GoOn,
    /// It ends now, so that taking back what it started ends within the budget as well.
    Stop {
        /// Why.
        reason: String,
    },
}

/// Whether a drill that has cost so much must end. `ahead` is the longest time until everything it rents can be gone: until
/// the next look at it, and what taking it back takes.
pub fn check_budget(cost: &DrillCost, amount: f64, ahead: Span) -> BudgetDecision {
    let by_then = cost.total + cost.per_second * ahead.as_seconds() as f64;
    if by_then <= amount {
        return BudgetDecision::GoOn;
    }
    let dearest = cost.items.first().map_or_else(String::new, |(name, item)| {
        format!("; most of it for {name}: {item:.2}")
    });
    let reason = format!(
        "it has cost {:.2} and would have cost {by_then:.2} once all is gone in {ahead}, of a budget of {amount:.2} ({}){dearest}",
        cost.total, cost.priced
    );
    BudgetDecision::Stop { reason }
}

/// Whether a drill may go on, and begin the step at `starting` as well. `look` is how long it takes at most until it is looked
/// at again.
pub fn check_spending(
    run: &Run,
    budget: &Budget,
    starting: Option<usize>,
    look: Span,
    now: Timestamp,
) -> Result<BudgetDecision, CostError> {
    let is_taken_back = |place: &usize| {
        let action = &run.steps[*place].step.action;
        matches!(
            action,
            StepAction::Act {
                undo: Undo::Reverse,
                ..
            }
        )
    };
    let taken_back = steps_to_undo(run).into_iter().chain(starting.filter(is_taken_back));
    let takes: i64 = taken_back.map(|place| run.steps[place].step.timeout.as_seconds()).sum();
    let ahead = Span::seconds(takes.saturating_add(look.as_seconds()));
    let mut rented = rented(run, budget);
    let starts = starting.and_then(|place| starts_rented(&run.plan, budget, &run.steps[place].step));
    if let Some((name, rent)) = starts
        && !rented.iter().any(|thing| &thing.name == name && thing.until.is_none())
    {
        rented.push(Rented {
            name: name.clone(),
            rent: rent.clone(),
            since: now,
            until: None,
        });
    }
    let cost = drill_cost(&rented, &budget.prices, now)?;
    Ok(check_budget(&cost, budget.amount, ahead))
}
