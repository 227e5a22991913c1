//! What recovery plans change on machines of one's own: PostgreSQL servers, names in DNS, and what commands do.

mod command;
mod dns;
mod postgres;
mod settings;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use std::sync::Arc;

use async_trait::async_trait;
use holdfast_core::domain::{ActOrder, ActuatorKind, Failure, FailureKind, Seen, WorkloadName};
use holdfast_core::ports::{Actuators, Clock};

use crate::authority::Authorities;
use command::Commands;

/// The actuators of the embedded server.
pub struct EmbeddedActuators {
    authorities: Arc<dyn Authorities>,
    clock: Arc<dyn Clock>,
    commands: Commands,
    /// When a generation was first seen to be in force here, as time since the machine started. What is forgotten by a new
    /// start is waited for again.
    first_seen: Mutex<BTreeMap<(WorkloadName, u64), Duration>>,
}

impl EmbeddedActuators {
    /// Actuators under the authority that is recorded there.
    pub fn new(authorities: Arc<dyn Authorities>, clock: Arc<dyn Clock>) -> Self {
        Self {
            authorities,
            clock,
            commands: Commands::default(),
            first_seen: Mutex::default(),
        }
    }
}

#[async_trait]
impl Actuators for EmbeddedActuators {
    async fn begin(&self, order: &ActOrder) -> Result<(), Failure> {
        match order.on.kind() {
            ActuatorKind::Postgres => self.begin_postgres(order).await,
            ActuatorKind::Dns => dns::begin(order, self.clock.now()).await,
            ActuatorKind::Command => {
                self.refuse_stale(order).await?;
                self.commands.begin(order).await
            }
            kind => Err(elsewhere(kind, order)),
        }
    }

    async fn look(&self, order: &ActOrder) -> Result<Seen, Failure> {
        match order.on.kind() {
            ActuatorKind::Postgres => self.look_postgres(order).await,
            ActuatorKind::Dns => dns::look(order).await,
            ActuatorKind::Command => self.commands.look(order).await,
            kind => Err(elsewhere(kind, order)),
        }
    }
}

impl EmbeddedActuators {
    /// A command keeps no generation: the record of authority tells whether the order's has passed.
    async fn refuse_stale(&self, order: &ActOrder) -> Result<(), Failure> {
        let Some(own) = order.on.generation() else {
            return Ok(());
        };
        let record = self.authorities.read(order.on.workload()).await?;
        match record.map(|record| record.generation) {
            Some(newest) if newest > own => {
                let message = format!(
                    "step {}: authority over {} is under generation {newest}: run {} with generation {own} may change nothing any more",
                    order.step,
                    order.on.workload(),
                    order.on.run()
                );
                Err(Failure::new(FailureKind::Fenced, message))
            }
            _ => Ok(()),
        }
    }
}

fn elsewhere(kind: ActuatorKind, order: &ActOrder) -> Failure {
    let message = format!(
        "actuator {} is of kind {}, which works on AWS only: here are postgres, dns and command",
        order.on.name(),
        kind.as_str()
    );
    Failure::new(FailureKind::Invalid, message)
}

/// An act that a kind does not know.
fn unknown_act(order: &ActOrder, knows: &str) -> Failure {
    let message = format!(
        "step {}: actuator {} of kind {} cannot {}: it knows {knows}",
        order.step,
        order.on.name(),
        order.on.kind().as_str(),
        order.act.as_str()
    );
    Failure::new(FailureKind::Invalid, message)
}

/// Does what blocks on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Failure::caused(FailureKind::Bug, "a thread ended badly", error)))
}
