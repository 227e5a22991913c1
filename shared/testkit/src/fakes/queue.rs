//! Queues in memory.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use holdfast_core::domain::{Failure, FunctionName, Span};
use holdfast_core::ports::{Clock, DeadLetter, Delivery, MAX_RECEIVES, Queue};
use jiff::Timestamp;

use super::{FakeClock, locked};

/// Queues in memory, on a shared clock. Messages become visible in the order of their times, then of their sending.
#[derive(Debug)]
pub struct FakeQueue {
    clock: Arc<FakeClock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sent: u64,
    messages: Vec<Message>,
    dead: Vec<DeadLetter>,
}

#[derive(Debug)]
struct Message {
    number: u64,
    queue: FunctionName,
    body: String,
    visible_at: Timestamp,
    receive_count: u32,
}

impl Message {
    /// Changes with every delivery, which voids the receipts before.
    fn receipt(&self) -> String {
        format!("{}-{}", self.number, self.receive_count)
    }
}

impl State {
    /// The message that a receipt stands for, unless it is void.
    fn by_receipt(&mut self, receipt: &str) -> Option<usize> {
        self.messages
            .iter()
            .position(|message| message.receive_count > 0 && message.receipt() == receipt)
    }

    fn bury(&mut self, queue: FunctionName, now: Timestamp) {
        let spent = |m: &mut Message| m.queue == queue && m.visible_at <= now && m.receive_count >= MAX_RECEIVES;
        let dead = self.messages.extract_if(.., spent).map(|message| DeadLetter {
            queue,
            body: message.body,
            receive_count: message.receive_count,
            died_at: now,
        });
        self.dead.extend(dead);
    }
}

impl FakeQueue {
    /// Empty queues.
    pub fn new(clock: Arc<FakeClock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    /// When the next message can be received from any queue, also if that is in the past; none when nothing waits.
    pub fn next_visible_at(&self) -> Option<Timestamp> {
        locked(&self.state)
            .messages
            .iter()
            .map(|message| message.visible_at)
            .min()
    }

    /// How many messages wait or are in somebody's hands, dead letters left aside.
    pub fn depth(&self) -> usize {
        locked(&self.state).messages.len()
    }
}

#[async_trait]
impl Queue for FakeQueue {
    async fn send(&self, queue: FunctionName, body: &str, delay: Span) -> Result<(), Failure> {
        let visible_at = delay.after(self.clock.now());
        let mut state = locked(&self.state);
        state.sent += 1;
        let number = state.sent;
        state.messages.push(Message {
            number,
            queue,
            body: body.to_owned(),
            visible_at,
            receive_count: 0,
        });
        Ok(())
    }

    async fn receive(&self, queue: FunctionName, most: usize, visibility: Span) -> Result<Vec<Delivery>, Failure> {
        let now = self.clock.now();
        let mut state = locked(&self.state);
        state.bury(queue, now);
        let mut ready: Vec<&mut Message> = state
            .messages
            .iter_mut()
            .filter(|message| message.queue == queue && message.visible_at <= now)
            .collect();
        ready.sort_by_key(|message| (message.visible_at, message.number));
        let deliver = |message: &mut Message| {
            message.receive_count += 1;
            message.visible_at = visibility.after(now);
            Delivery {
                receipt: message.receipt(),
                body: message.body.clone(),
                receive_count: message.receive_count,
            }
        };
        Ok(ready.into_iter().take(most).map(deliver).collect())
    }

    async fn acknowledge(&self, receipt: &str) -> Result<(), Failure> {
        let mut state = locked(&self.state);
        if let Some(place) = state.by_receipt(receipt) {
            state.messages.remove(place);
        }
        Ok(())
    }

    async fn release(&self, receipt: &str, delay: Span) -> Result<(), Failure> {
        let visible_at = delay.after(self.clock.now());
        let mut state = locked(&self.state);
        if let Some(place) = state.by_receipt(receipt) {
            state.messages[place].visible_at = visible_at;
        }
        Ok(())
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, Failure> {
        Ok(locked(&self.state).dead.clone())
    }
}
