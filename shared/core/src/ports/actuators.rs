//! Actuators and probes: how a recovery plan changes the world outside, and how it looks at it.

use async_trait::async_trait;

use crate::domain::{ActOrder, Answer, Failure, Probe, Seen};

/// Changes servers, traffic and services. A start returns at once; nothing waits inside a function.
#[async_trait]
pub trait Actuators: Send + Sync {
    /// Begins the act unless it stands or is being done. [`FailureKind::Fenced`](crate::domain::FailureKind::Fenced) where
    /// the thing has seen a later generation than the order's.
    async fn begin(&self, order: &ActOrder) -> Result<(), Failure>;

    /// What has become of it. This looks at the world, not at memory: an act that stands is [`Seen::Done`] even if nobody
    /// remembers beginning it. Where the world cannot be looked at, that is the failure.
    async fn look(&self, order: &ActOrder) -> Result<Seen, Failure>;
}

/// Looks at the world outside.
#[async_trait]
pub trait Probes: Send + Sync {
    /// Asks. Not being answered is an answer that does not hold; a failure means that nothing could be asked.
    async fn ask(&self, probe: &Probe) -> Result<Answer, Failure>;
}
