//! The event bus inside one process.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use holdfast_core::domain::{Event, Failure, FailureKind, Span, routes};
use holdfast_core::ports::{Bus, Queue};

type Subscriber = Arc<dyn Fn(&Event) + Send + Sync>;

/// Puts events into the queues of the functions that listen, and tells subscribers in this process.
pub struct LocalBus {
    queue: Arc<dyn Queue>,
    subscribers: RwLock<Vec<Subscriber>>,
}

impl LocalBus {
    /// A bus that delivers into `queue`.
    pub fn new(queue: Arc<dyn Queue>) -> Self {
        Self {
            queue,
            subscribers: RwLock::default(),
        }
    }

    /// Calls `subscriber` with every event from now on, after the queues have it. It must not take long.
    pub fn subscribe(&self, subscriber: Box<dyn Fn(&Event) + Send + Sync>) {
        let mut subscribers = self.subscribers.write().unwrap_or_else(PoisonError::into_inner);
        subscribers.push(subscriber.into());
    }
}

#[async_trait]
impl Bus for LocalBus {
    async fn publish(&self, event: &Event) -> Result<(), Failure> {
        let body = serde_json::to_string(event).map_err(|error| {
            Failure::caused(FailureKind::Bug, format!("event {} cannot be written", event.id), error)
        })?;
        for listener in routes(&event.detail) {
            self.queue.send(*listener, &body, Span::seconds(0)).await?;
        }
        // Called without the lock, so that a subscriber may subscribe another.
        let subscribers = self.subscribers.read().unwrap_or_else(PoisonError::into_inner).clone();
        for subscriber in subscribers {
            subscriber(event);
        }
        Ok(())
    }
}
