//! A bus that puts events into queues and remembers them.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use holdfast_core::domain::{Event, Failure, Span, routes};
use holdfast_core::ports::{Bus, Queue};

use super::locked;

/// A bus that puts events into the queues of whoever listens, and remembers them. It takes any queue, so that a faulty one
/// can fail between two listeners.
pub struct FakeBus {
    queue: Arc<dyn Queue>,
    log: Mutex<Vec<Event>>,
}

impl FakeBus {
    /// A bus that delivers into `queue`.
    pub fn new(queue: Arc<dyn Queue>) -> Self {
        Self {
            queue,
            log: Mutex::default(),
        }
    }

    /// Every event that somebody tried to publish, oldest first.
    pub fn events(&self) -> Vec<Event> {
        locked(&self.log).clone()
    }
}

#[async_trait]
impl Bus for FakeBus {
    async fn publish(&self, event: &Event) -> Result<(), Failure> {
        locked(&self.log).push(event.clone());
        let body = serde_json::to_string(event).map_err(|error| Failure::unreadable("an event", error))?;
        for listener in routes(&event.detail) {
            self.queue.send(*listener, &body, Span::seconds(0)).await?;
        }
        Ok(())
    }
}
