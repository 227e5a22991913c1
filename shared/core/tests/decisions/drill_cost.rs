use std::collections::BTreeMap;

use holdfast_core::config::parse;
use holdfast_core::domain::{ActuatorName, Budget, Prices, RecoveryPlan, Rent, Run, RunId, RunKind, StepState};
use holdfast_core::planning::{
    BudgetDecision, Rented, check_budget, check_spending, drill_cost, order_steps, rate, rented,
};
use jiff::Timestamp;
use serde_json::json;

use crate::make::{at, span};

/// The project's own file; instances are priced by whoever runs drills with them.
fn prices() -> Prices {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/prices-2026-11.json");
    let mut prices: Prices = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    prices.prices.insert("instance_hour".to_owned(), 0.36);
    prices
}

fn rent(price: &str, units: u32) -> Rent {
    Rent {
        price: price.to_owned(),
        units,
    }
}

fn thing(name: &str, price: &str, units: u32, since: &str, until: Option<&str>) -> Rented {
    Rented {
        name: ActuatorName::new(name).unwrap(),
        rent: rent(price, units),
        since: at(since),
        until: until.map(at),
    }
}

fn now() -> Timestamp {
    at("2026-03-01T12:00:00Z")
}

#[test]
fn cost_is_units_times_time_times_price_and_what_is_gone_costs_no_more() {
    let stood = [
        thing("orders-db", "instance_hour", 2, "2026-03-01T10:00:00Z", None),
        thing(
            "old-db",
            "instance_hour",
            1,
            "2026-03-01T09:00:00Z",
            Some("2026-03-01T10:00:00Z"),
        ),
        thing("bucket", "s3_standard_gb_month", 730, "2026-03-01T11:00:00Z", None),
    ];
    let cost = drill_cost(&stood, &prices(), now()).unwrap();
    let items: Vec<(String, String)> = (cost.items.iter())
        .map(|(name, item)| (name.clone(), format!("{item:.4}")))
        .collect();
    let expected = [("orders-db", "1.4400"), ("old-db", "0.3600"), ("bucket", "0.0230")];
    assert_eq!(items, expected.map(|(name, item)| (name.to_owned(), item.to_owned())));
    assert_eq!(format!("{:.4}", cost.total), "1.8230");
    assert_eq!(format!("{:.6}", cost.per_second * 3600.0), "0.743000");
}

#[test]
fn a_budget_ends_a_drill_while_taking_back_still_fits_in() {
    let stood = [thing("orders-db", "instance_hour", 1, "2026-03-01T10:00:00Z", None)];
    let cost = drill_cost(&stood, &prices(), now()).unwrap();
    assert_eq!(check_budget(&cost, 1.0, span("10m")), BudgetDecision::GoOn);
    let BudgetDecision::Stop { reason } = check_budget(&cost, 0.75, span("10m")) else {
        panic!("0.72 were spent, 0.06 follow");
    };
    assert_eq!(
        reason,
        "it has cost 0.72 and would have cost 0.78 once all is gone in 10m, of a budget of 0.75 (USD, prices noted on \
         2026-11-20); most of it for orders-db: 0.72"
    );
    let nothing = drill_cost(&[], &prices(), now()).unwrap();
    assert_eq!(check_budget(&nothing, 0.0, span("1d")), BudgetDecision::GoOn);
}

#[test]
fn what_cannot_be_priced_is_named() {
    let error = |price| rate(&rent(price, 1), &prices()).unwrap_err().to_string();
    assert_eq!(
        error("db_hour"),
        "there is no price \"db_hour\" among those noted on 2026-11-20: add it to [prices]"
    );
    assert_eq!(
        error("lambda_request_per_million"),
        "the price \"lambda_request_per_million\" is for no length of time: its key must end with _second, _hour or _month"
    );
}

const CONFIGURATION: &str = r#"
region = "east"
[[workload]]
name = "shop"
home = "east"
[prices]
noted-on = "2026-11-20"
currency = "USD"
list = { instance_hour = 0.36, unused_hour = 1 }
[[actuator]]
name = "web"
kind = "ecs-service"
region = "west"
workload = "shop"
production = { cluster = "live", service = "web" }
drill = { cluster = "drills", service = "web" }
rent = { price = "instance_hour", units = 10 }
[[plan]]
name = "west"
rpo = "1h"
rto = "1h"
drills = { budget = 2 }
[plan.moves]
workload = "shop"
from = "east"
to = "west"
[[plan.step]]
name = "start"
start = "web"
undo = "reverse"
timeout = "10m"
[[plan.step]]
name = "soak"
wait = "1h"
after = ["start"]
[[plan.step]]
name = "stop"
stop = "web"
undo = "no-return"
after = ["soak"]
"#;

fn plan() -> RecoveryPlan {
    parse(CONFIGURATION, now()).unwrap().plans.remove(0)
}

fn budget(plan: &RecoveryPlan) -> Budget {
    plan.drills.budget.clone().unwrap()
}

fn drill(states: &[(StepState, Option<&str>, Option<&str>)]) -> Run {
    let plan = plan();
    let steps: Vec<_> = order_steps(&plan)
        .unwrap()
        .into_iter()
        .zip(states)
        .map(|(place, (state, started, finished))| {
            json!({ "step": plan.steps[place], "state": state, "started_at": started, "finished_at": finished, "note": "" })
        })
        .collect();
    serde_json::from_value(json!({
        "id": RunId::derive(&["drill"]), "plan": plan, "kind": RunKind::Drill, "requested_by": "ana", "state": "running",
        "declared_at": "2026-03-01T10:00:00Z", "steps": steps, "next_action_at": "2026-03-01T10:00:00Z",
    }))
    .unwrap()
}

#[test]
fn a_budget_holds_the_prices_of_its_rents_and_no_others() {
    let budget = budget(&plan());
    assert_eq!(budget.amount.to_bits(), 2.0_f64.to_bits());
    assert_eq!(
        budget.prices.prices,
        BTreeMap::from([("instance_hour".to_owned(), 0.36)])
    );
}

#[test]
fn a_thing_costs_from_its_start_until_it_is_taken_back_or_stopped() {
    let stood = |states: &[(StepState, Option<&str>, Option<&str>)]| {
        let run = drill(states);
        let rented = rented(&run, &budget(&run.plan));
        rented
            .iter()
            .map(|thing| (thing.since, thing.until))
            .collect::<Vec<_>>()
    };
    let (eleven, twelve) = (Some("2026-03-01T11:00:00Z"), Some("2026-03-01T12:00:00Z"));
    let pending = (StepState::Pending, None, None);
    assert!(stood(&[pending, pending, pending]).is_empty());
    let started = (StepState::Succeeded, eleven, eleven);
    assert_eq!(
        stood(&[started, pending, pending]),
        [(at("2026-03-01T11:00:00Z"), None)]
    );
    // What could not be started may stand all the same.
    let failed = (StepState::Failed, eleven, eleven);
    assert_eq!(stood(&[failed, pending, pending]), [(at("2026-03-01T11:00:00Z"), None)]);
    let ended = [(at("2026-03-01T11:00:00Z"), Some(now()))];
    assert_eq!(stood(&[(StepState::Undone, eleven, twelve), pending, pending]), ended);
    assert_eq!(
        stood(&[started, started, (StepState::Succeeded, twelve, twelve)]),
        ended
    );
}

#[test]
fn what_a_drill_is_about_to_start_counts_before_it_is_started() {
    let pending = (StepState::Pending, None, None);
    let run = drill(&[pending, pending, pending]);
    let spending = |amount, starting| {
        let budget = Budget {
            amount,
            ..budget(&run.plan)
        };
        check_spending(&run, &budget, starting, span("2m"), now()).unwrap()
    };
    // Ten instances at 0.36 an hour, for the ten minutes that taking back may take, and two until the next look.
    assert_eq!(spending(0.71, None), BudgetDecision::GoOn);
    assert_eq!(spending(0.73, Some(0)), BudgetDecision::GoOn);
    assert!(matches!(spending(0.71, Some(0)), BudgetDecision::Stop { reason } if reason.contains("0.72")));
    // What only waits is not taken back, however long it may take.
    let started = (
        StepState::Succeeded,
        Some("2026-03-01T12:00:00Z"),
        Some("2026-03-01T12:00:00Z"),
    );
    let run = drill(&[started, pending, pending]);
    let decision = check_spending(&run, &budget(&run.plan), Some(1), span("2m"), now());
    assert_eq!(decision, Ok(BudgetDecision::GoOn));
}
