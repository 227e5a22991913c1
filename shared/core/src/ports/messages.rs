//! Messages: queues, the event bus, and telling people.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{Event, Failure, FunctionName, Span};

/// How often a message is delivered at most. One that nobody acknowledged by then is put with the dead letters when it
/// would be received once more (the redrive policy of the queues on AWS says the same).
pub const MAX_RECEIVES: u32 = 5;

/// A message in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Stands for this delivery; void once the message was delivered again.
    pub receipt: String,
    /// What the message says.
    pub body: String,
    /// How often it has been delivered, this time included.
    pub receive_count: u32,
}

/// A message that was delivered too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The queue it died in.
    pub queue: FunctionName,
    /// What it says.
    pub body: String,
    /// How often it was delivered.
    pub receive_count: u32,
    /// When it was put aside; where a queue does not tell that, when it was sent.
    pub died_at: Timestamp,
}

/// At-least-once messages: one queue a function.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Adds a message that can be received after `delay`.
    async fn send(&self, queue: FunctionName, body: &str, delay: Span) -> Result<(), Failure>;

    /// Takes up to `most` messages; each is hidden from others for `visibility`, then delivered again unless it was
    /// acknowledged. A message that has been received as often as the queue allows goes to the dead letters instead.
    async fn receive(&self, queue: FunctionName, most: usize, visibility: Span) -> Result<Vec<Delivery>, Failure>;

    /// Removes a message for good. Doing it again, or with a void receipt, changes nothing.
    async fn acknowledge(&self, receipt: &str) -> Result<(), Failure>;

    /// Gives a message back, to be received again after `delay`. With a void receipt nothing changes.
    async fn release(&self, receipt: &str, delay: Span) -> Result<(), Failure>;

    /// Messages that were put aside, oldest first.
    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, Failure>;
}

/// Publishes events to whoever listens.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Publishes an event. Once this returns, every listener will be told at least once.
    async fn publish(&self, event: &Event) -> Result<(), Failure>;
}

/// How urgent a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look today.
    Warning,
    /// Somebody must look now.
    Critical,
}

/// Something people should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The same matter has the same key, so that it is one alarm.
    pub key: String,
    /// How urgent it is.
    pub severity: Severity,
    /// One line.
    pub subject: String,
    /// What happened, where, and what to do.
    pub text: String,
}

/// Tells people.
#[async_trait]
pub trait Pager: Send + Sync {
    /// Tells them.
    async fn page(&self, page: &Page) -> Result<(), Failure>;
}
