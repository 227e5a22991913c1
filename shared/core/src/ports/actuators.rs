//! Actuators and probes: how a recovery plan changes the world outside, and how it looks at it.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::domain::{ActOrder, Failure, Seen};

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

/// A question to the world outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "probe", rename_all = "kebab-case")]
pub enum Probe {
    /// A GET of a URL.
    Http {
        /// The URL, `http://` or `https://`.
        url: String,
        /// The status that it must answer with.
        status: u16,
        /// What the body must hold; none takes every body.
        contains: Option<String>,
    },
    /// A connection to `host:port`.
    Tcp {
        /// The address.
        address: String,
    },
    /// A query whose first column of its first row must be `expects`.
    Sql {
        /// The server, as libpq's connection strings name it; the password comes from the environment or a password file.
        server: String,
        /// The query.
        query: String,
        /// The text that it must answer with.
        expects: String,
    },
}

/// What a probe said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it is as it should be.
    pub holds: bool,
    /// What was seen, for people.
    pub note: String,
}

/// Looks at the world outside.
#[async_trait]
pub trait Probes: Send + Sync {
    /// Asks. Not being answered is an answer that does not hold; a failure means that nothing could be asked.
    async fn ask(&self, probe: &Probe) -> Result<Answer, Failure>;
}
