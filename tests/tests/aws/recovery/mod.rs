//! Recovery on AWS: what plans change, over stand-ins with delays, and the state machines with the real programs.

mod contract;
mod databases;
mod lost_region;
mod machines;
mod marker;
mod moves;
mod routing_controls;
mod services;
mod steps;

use std::sync::Arc;
use std::time::Duration;

use holdfast_aws::{AwsActuators, Clients};
use holdfast_core::domain::{Act, ActOrder, Actuator, ActuatorKind, Bound, Failure, Run, RunId, Seen};
use holdfast_core::ports::Actuators;
use holdfast_testkit::contract::actuators::order_under;
use holdfast_testkit::fakes::FakeCatalog;
use holdfast_tests::standin::{Fault, Standin, Trouble};
use jiff::Timestamp;
use serde_json::json;

const HOME: &str = "eu-central-1";
const AWAY: &str = "eu-west-1";
/// Longer than whatever the stand-in is told to do.
const LATER: Duration = Duration::from_secs(600);

fn drill() -> Run {
    let at = Timestamp::UNIX_EPOCH;
    let run = json!({
        "id": RunId::derive(&["test"]),
        "plan": {
            "id": "orders", "description": "", "steps": [],
            "objectives": { "rpo": "1m", "rto": "1m" },
        },
        "kind": "drill", "requested_by": "mia", "state": "running", "declared_at": at, "started_at": null,
        "recovered_at": null, "finished_at": null, "steps": [], "point_age_seconds": null, "data_loss_seconds": null,
        "statement": null, "next_action_at": at,
    });
    serde_json::from_value(run).unwrap()
}

/// An actuator in the recovery Region; in a drill, `stand-in` goes before the first of its settings.
fn actuator(kind: ActuatorKind, settings: &[(&str, &str)]) -> Actuator {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let production: Vec<_> = settings.iter().map(owned).collect();
    let mut drill = production.clone();
    if let Some((_, value)) = drill.first_mut() {
        value.insert_str(0, "stand-in-");
    }
    Actuator {
        name: kind.as_str().parse().unwrap(),
        kind,
        region: AWAY.parse().unwrap(),
        workload: "orders".parse().unwrap(),
        production: production.into_iter().collect(),
        drill: Some(drill.into_iter().collect()),
    }
}

fn order_of(actuator: &Actuator, act: Act, generation: Option<u64>) -> ActOrder {
    let Some(generation) = generation else {
        return ActOrder {
            step: "step".parse().unwrap(),
            act,
            on: Bound::for_drill(actuator, &drill()).unwrap(),
            others: Vec::new(),
        };
    };
    order_under(actuator, act, generation)
}

/// The stand-in, and actuators that speak to it.
struct Scene {
    standin: Standin,
    actuators: AwsActuators,
}

impl Scene {
    async fn new() -> Self {
        let standin = Standin::start("2026-03-01T00:00:00Z".parse().unwrap());
        let clients = Clients::of_emulator(HOME.parse().unwrap(), &standin.endpoint()).await;
        let catalog = Arc::new(FakeCatalog::default());
        Self {
            standin,
            actuators: AwsActuators::new(&Arc::new(clients), catalog),
        }
    }

    async fn begin(&self, order: &ActOrder) {
        self.actuators.begin(order).await.unwrap();
    }

    async fn look(&self, order: &ActOrder) -> Seen {
        self.actuators.look(order).await.unwrap()
    }

    async fn refusal(&self, order: &ActOrder) -> Failure {
        self.actuators.begin(order).await.unwrap_err()
    }

    fn calls_of(&self, operation: &str) -> usize {
        let named = |call: &&String| call.split(' ').next() == Some(operation);
        self.standin.with(|state| state.calls.iter().filter(named).count())
    }

    fn lose_answer_of(&self, operation: &str) {
        let fault = Fault::next(operation, Trouble::LoseAnswer, 1);
        self.standin.with(|state| state.faults.push(fault));
    }

    /// What every act must do that takes a while: `operation` is the one call that changes something.
    async fn keeps_the_promises(&self, order: &ActOrder, operation: &str) {
        assert_eq!(self.look(order).await, Seen::NotDone);
        self.lose_answer_of(operation);
        self.actuators.begin(order).await.unwrap_err();
        assert!(matches!(self.look(order).await, Seen::Working { .. }), "{operation}");
        self.begin(order).await;
        assert_eq!(self.calls_of(operation), 1, "{operation}");
        self.standin.advance(LATER);
        assert!(is_done(&self.look(order).await), "{operation}");
        self.begin(order).await;
        assert_eq!(self.calls_of(operation), 1, "{operation}");
    }
}

fn is_done(seen: &Seen) -> bool {
    matches!(seen, Seen::Done { .. })
}
