//! What a recovery plan changes on AWS: traffic, databases, services. Each adapter looks at the world before it acts, so that
//! an order given twice is one, and tells the truth after a crash.
//!
//! Services of AWS know no generations. What this module changes is therefore guarded by a mark in the catalog, raised by a
//! conditional write before each change ([`mark`]); an executor that comes with an older generation is refused. A marker of
//! Route 53 is an object, and the object itself is conditional as well. Between the mark and the call of a service a stale
//! executor may still be under way: what it does then, a later one sees when it looks.

mod aurora;
mod capacity;
mod function;
mod mark;
mod marker;
mod replica;
mod routing_control;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use holdfast_core::domain::{ActOrder, ActuatorKind, Failure, FailureKind, Seen};
use holdfast_core::ports::{Actuators, Catalog};

use self::aurora::AuroraGlobal;
use self::capacity::{AutoScalingGroups, EcsServices};
use self::function::LambdaFunctions;
use self::marker::Route53Markers;
use self::replica::RdsReplicas;
use self::routing_control::RoutingControls;
use crate::clients::Clients;

/// The actuators of AWS, by kind.
pub struct AwsActuators {
    kinds: BTreeMap<ActuatorKind, Arc<dyn Actuators>>,
    catalog: Arc<dyn Catalog>,
}

impl AwsActuators {
    /// Actuators by these clients. The catalog holds the newest generation that each actuator has seen, and which calls of
    /// functions were accepted. Nothing is called yet.
    pub fn new(clients: &Arc<Clients>, catalog: Arc<dyn Catalog>) -> Self {
        let clients = || Arc::clone(clients);
        let functions = LambdaFunctions {
            clients: clients(),
            catalog: Arc::clone(&catalog),
        };
        let kinds: [(ActuatorKind, Arc<dyn Actuators>); 7] = [
            (
                ActuatorKind::Route53Marker,
                Arc::new(Route53Markers { clients: clients() }),
            ),
            (
                ActuatorKind::ArcRoutingControl,
                Arc::new(RoutingControls { clients: clients() }),
            ),
            (
                ActuatorKind::AuroraGlobal,
                Arc::new(AuroraGlobal { clients: clients() }),
            ),
            (ActuatorKind::RdsReplica, Arc::new(RdsReplicas { clients: clients() })),
            (ActuatorKind::EcsService, Arc::new(EcsServices { clients: clients() })),
            (ActuatorKind::LambdaFunction, Arc::new(functions)),
            (
                ActuatorKind::AutoScalingGroup,
                Arc::new(AutoScalingGroups { clients: clients() }),
            ),
        ];
        Self {
            kinds: BTreeMap::from(kinds),
            catalog,
        }
    }

    fn of(&self, order: &ActOrder) -> Result<&Arc<dyn Actuators>, Failure> {
        let kind = order.on.kind();
        let found = self.kinds.get(&kind).ok_or_else(|| {
            let why = format!(
                "actuators of kind {} cannot be worked on here, but by the program beside them",
                kind.as_str()
            );
            invalid(order, why)
        })?;
        settings::only(order, kind.settings())?;
        Ok(found)
    }
}

#[async_trait]
impl Actuators for AwsActuators {
    async fn begin(&self, order: &ActOrder) -> Result<(), Failure> {
        let actuators = self.of(order)?;
        if let Some(generation) = order.on.generation() {
            mark::raise(self.catalog.as_ref(), order, generation).await?;
        }
        actuators.begin(order).await
    }

    async fn look(&self, order: &ActOrder) -> Result<Seen, Failure> {
        self.of(order)?.look(order).await
    }
}

/// What was ordered cannot be done as ordered.
fn invalid(order: &ActOrder, why: impl std::fmt::Display) -> Failure {
    let message = format!("step {}: actuator {}: {why}", order.step, order.on.name());
    Failure::new(FailureKind::Invalid, message)
}

/// The act is none that this kind of actuator can carry out.
fn cannot(order: &ActOrder, can: &str) -> Failure {
    let (kind, act) = (order.on.kind().as_str(), order.act.as_str());
    invalid(order, format!("{kind} cannot {act}; it can {can}"))
}

/// Authority over the thing has moved on.
fn fenced(order: &ActOrder, seen: u64) -> Failure {
    let own = order.on.generation().unwrap_or(0);
    let message = format!(
        "step {}: actuator {} has seen generation {seen}: run {} with generation {own} may change nothing any more",
        order.step,
        order.on.name(),
        order.on.run(),
    );
    Failure::new(FailureKind::Fenced, message)
}

/// It stands.
fn done(note: impl Into<String>) -> Seen {
    Seen::Done {
        note: note.into(),
        lag_seconds: None,
        divergence: None,
    }
}
