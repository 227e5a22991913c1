//! What a system is given that changes nothing outside and asks nobody.

use async_trait::async_trait;
use holdfast_core::domain::{ActOrder, Answer, Failure, FailureKind, Probe, Seen};
use holdfast_core::ports::{Actuators, Probes};

/// Refuses by name whatever is to be changed or asked.
pub struct Elsewhere;

#[async_trait]
impl Actuators for Elsewhere {
    async fn begin(&self, order: &ActOrder) -> Result<(), Failure> {
        Err(refused(order))
    }

    async fn look(&self, order: &ActOrder) -> Result<Seen, Failure> {
        Err(refused(order))
    }
}

fn refused(order: &ActOrder) -> Failure {
    let message = format!(
        "actuator {} of kind {} cannot be worked on here",
        order.on.name(),
        order.on.kind().as_str()
    );
    Failure::new(FailureKind::Invalid, message)
}

#[async_trait]
impl Probes for Elsewhere {
    async fn ask(&self, probe: &Probe) -> Result<Answer, Failure> {
        let what = match probe {
            Probe::Http { url, .. } => url,
            Probe::Tcp { address } => address,
            Probe::Sql { query, .. } => query,
        };
        Err(Failure::new(
            FailureKind::Invalid,
            format!("{what} cannot be asked here"),
        ))
    }
}
