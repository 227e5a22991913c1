//! What may go wrong, as the caller needs to know it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What the caller should do about a failure. A new kind needs a new behaviour, or it is not a new kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Passing: try again after a short wait.
    Transient,
    /// The other side asks for fewer calls: try again after a longer wait.
    Throttled,
    /// Not possible now, and not a failure: try again at the stated time.
    Deferred,
    /// Somebody else changed the record first: read again and decide again.
    Conflict,
    /// Authority over the thing has moved on: stop.
    Fenced,
    /// The thing does not exist.
    NotFound,
    /// The caller may not do this.
    Denied,
    /// What was asked cannot be done as asked.
    Invalid,
    /// Stored data is not what it should be.
    Integrity,
    /// Holdfast itself is wrong.
    Bug,
}

impl FailureKind {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn may_pass(self) -> bool {
        matches!(
            self,
            Self::Transient | Self::Throttled | Self::Deferred | Self::Conflict
        )
    }

    /// Whether nothing failed, and others only have to be waited for, however long it takes.
    pub fn only_waits(self) -> bool {
        matches!(self, Self::Throttled | Self::Deferred | Self::Conflict)
    }
}

/// A failure as it crosses a port or leaves a handler: one kind, one message that names the thing.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What the caller should do.
    pub kind: FailureKind,
    /// What failed, where, and how to mend it.
    pub message: String,
    /// When to try again, for [`FailureKind::Deferred`].
    pub retry_at: Option<Timestamp>,
    /// The error underneath, for logs.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Failure {
    /// A failure with no error underneath.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_at: None,
            source: None,
        }
    }

    /// A failure that wraps the error that caused it.
    pub fn caused(
        kind: FailureKind,
        message: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_at: None,
            source: Some(Box::new(source)),
        }
    }

    /// Not now: come back at `retry_at`.
    pub fn deferred(message: impl Into<String>, retry_at: Timestamp) -> Self {
        Self {
            kind: FailureKind::Deferred,
            message: message.into(),
            retry_at: Some(retry_at),
            source: None,
        }
    }

    /// A stored record or event that this version cannot read.
    pub fn unreadable(what: &str, source: serde_json::Error) -> Self {
        Self::caused(FailureKind::Invalid, format!("{what} cannot be read: {source}"), source)
    }
}
