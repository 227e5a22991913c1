//! One invocation: what arrived is handled within its time and answered as its sender expects.

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse};
use holdfast_core::domain::{Detail, Event, Failure, FailureKind, FunctionName, routes};
use holdfast_core::workflow::World;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::arrival::{Arrival, Message, Payload, decode};
use crate::budget::Budget;
use crate::telemetry::{self, Figures, Line, Outcome};
use crate::work::{self, Ended, Rest};
use crate::{Answer, Connected, Handle};

/// What Lambda says about an invocation.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its id.
    pub request_id: String,
    /// The trace that it belongs to, as X-Ray writes it.
    pub trace: Option<String>,
    /// When the process is frozen or killed.
    pub deadline: Timestamp,
}

/// A function, ready to be invoked.
pub struct Edge {
    /// Which.
    pub function: FunctionName,
    /// What it works with.
    pub connected: Connected,
    /// What it does about events.
    pub handle: Handle,
    /// What it answers to requests.
    pub answer: Answer,
    /// How it lets time pass.
    pub rest: Rest,
}

/// One invocation of one function.
struct Invocation<'a> {
    edge: &'a Edge,
    call: &'a Call,
    budget: Budget<'a>,
    figures: Figures,
}

impl Edge {
    /// Handles one payload. A batch from a queue is answered with the messages that must come again; anything else with what
    /// came of it, or with the failure.
    pub async fn invoke(&self, payload: &Value, call: &Call) -> Result<Value, Failure> {
        let mut invocation = Invocation {
            edge: self,
            call,
            budget: Budget::new(self.connected.world.clock.as_ref(), call.deadline),
            figures: Figures::default(),
        };
        let answer = match decode(payload) {
            Ok(Payload::Batch(messages)) => Ok(invocation.batch(messages).await),
            Ok(Payload::Direct(message)) => invocation.each(&message).await,
            Err(failure) => {
                let result = Err(failure);
                invocation.tell(None, None, &result, 0, "");
                result.map(|()| Value::Null)
            }
        };
        invocation.work().await;
        invocation.finish();
        answer
    }

    fn world(&self) -> &World {
        &self.connected.world
    }

    async fn take(&self, event: &Event) -> Result<(), Failure> {
        let listeners = routes(&event.detail);
        if !listeners.contains(&self.function) {
            let names: Vec<&str> = listeners.iter().map(|listener| listener.as_str()).collect();
            let message = format!(
                "\"{}\" is no event for {}; it goes to: {}",
                telemetry::detail_type(event),
                self.function,
                names.join(", ")
            );
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        (self.handle)(self.world(), event).await
    }
}

impl Invocation<'_> {
    /// Events that only say that something may need doing are answered after all the others, and those that are answered by
    /// the same look together.
    async fn batch(&mut self, messages: Vec<Message>) -> Value {
        let mut response = SqsBatchResponse::default();
        let mut hints: Vec<(Message, Event)> = Vec::new();
        let now = self.edge.world().now();
        for message in messages {
            if self.budget.is_spent() {
                self.leave(&message, &mut response);
                continue;
            }
            let only_hints = matches!(&message.arrivals, Ok(arrivals) if arrivals.iter().all(Arrival::is_hint));
            let first = match &message.arrivals {
                Ok(arrivals) if only_hints => arrivals.first().and_then(|first| first.event(now)),
                Ok(_) | Err(_) => None,
            };
            match first {
                Some(event) if routes(&event.detail).contains(&self.edge.function) => hints.push((message, event)),
                Some(_) | None => {
                    let result = self.each(&message).await.map(|_| ());
                    note_failure(&message, &result, &mut response);
                }
            }
        }
        while let Some((_, first)) = hints.first() {
            let event = first.clone();
            let same_look: Vec<_> = hints.extract_if(.., |(_, other)| is_same_look(&event, other)).collect();
            self.look_for(&same_look, &event, &mut response).await;
        }
        json!(response)
    }

    /// The time is over before this message had its turn: the queue keeps it.
    fn leave(&mut self, message: &Message, response: &mut SqsBatchResponse) {
        let text = "left for the next invocation: the time of this one is nearly over";
        let result = Err(Failure::new(FailureKind::Deferred, text));
        self.tell(Some(message), None, &result, 0, "");
        note_failure(message, &result, response);
    }

    /// One look for hints. One that failed is told and counted; the hints are not delivered again, because what they are about
    /// has its turn at a wake-up anyway.
    async fn look_for(&mut self, hints: &[(Message, Event)], event: &Event, response: &mut SqsBatchResponse) {
        if self.budget.is_spent() {
            for (message, _) in hints {
                self.leave(message, response);
            }
            return;
        }
        let begun = self.budget.used_ms();
        let result = self.edge.take(event).await;
        let took = self.budget.used_ms() - begun;
        for (message, event) in hints {
            self.tell(Some(message), Some(event), &result, took, looked(&result));
        }
    }

    /// Everything that a message brought, one after the other. Returns the answer to the last request.
    async fn each(&mut self, message: &Message) -> Result<Value, Failure> {
        let arrivals = match &message.arrivals {
            Ok(arrivals) => arrivals,
            Err(failure) => {
                let result = Err(Failure::new(failure.kind, failure.message.clone()));
                self.tell(Some(message), None, &result, 0, again(&result));
                return result.map(|()| Value::Null);
            }
        };
        let mut answer = json!({ "outcome": "handled" });
        for arrival in arrivals {
            let begun = self.budget.used_ms();
            let event = arrival.event(self.edge.world().now());
            let result = match arrival {
                Arrival::Request(request) => (self.edge.answer)(self.edge.world(), request.clone()).await,
                Arrival::Event(_) | Arrival::Hint(_) => match &event {
                    Some(event) => self.edge.take(event).await.map(|()| answer.clone()),
                    None => Ok(answer.clone()),
                },
            };
            let took = self.budget.used_ms() - begun;
            let (result, given) = match result {
                Ok(given) => (Ok(()), given),
                Err(failure) => (Err(failure), Value::Null),
            };
            let note = message.id.as_ref().map_or("", |_| again(&result));
            self.tell(Some(message), event.as_ref(), &result, took, note);
            result?;
            answer = given;
        }
        Ok(answer)
    }

    /// Lets the work in this process go on while there is time.
    async fn work(&mut self) {
        let edge = self.edge;
        let workers = edge.connected.workers.as_ref();
        if workers.working() == 0 {
            return;
        }
        let begun = self.budget.used_ms();
        let look = || async {
            let event = Event::new(Detail::WakeUp {}, edge.world().now());
            if let Err(failure) = edge.take(&event).await {
                tracing::warn!(
                    function = edge.function.as_str(),
                    request_id = self.call.request_id,
                    failure_kind = telemetry::kind_of(&failure),
                    "what ended could not be recorded yet; the next wake-up looks again: {}",
                    failure.message
                );
            }
        };
        let ended = work::go_on(workers, &self.budget, edge.world().settings.poll, &edge.rest, look).await;
        let stopped = match ended {
            Ended::Done => 0,
            Ended::Stopped(tasks) => tasks,
        };
        tracing::info!(
            function = edge.function.as_str(),
            request_id = self.call.request_id,
            duration_ms = self.budget.used_ms() - begun,
            stopped,
            "work in this process has {}",
            if stopped == 0 {
                "ended"
            } else {
                "stopped before the deadline and goes on later"
            }
        );
    }

    fn tell(
        &mut self,
        message: Option<&Message>,
        event: Option<&Event>,
        result: &Result<(), Failure>,
        duration_ms: i64,
        note: &str,
    ) {
        self.figures.count(Outcome::of(result));
        let trace = message.and_then(|message| message.trace.as_deref());
        Line {
            function: self.edge.function,
            request_id: &self.call.request_id,
            trace: trace.or(self.call.trace.as_deref()).unwrap_or_default(),
            message_id: message.and_then(|message| message.id.as_deref()).unwrap_or_default(),
            event_id: event.map_or("", |event| event.id.as_str()),
            detail_type: &event.map(telemetry::detail_type).unwrap_or_default(),
            correlation: &event.map(telemetry::correlation).unwrap_or_default(),
            result,
            duration_ms,
            note,
        }
        .write();
    }

    fn finish(mut self) {
        self.figures.duration_ms = self.budget.used_ms();
        let world = self.edge.world();
        let at_ms = world.now().as_millisecond();
        let line = self
            .figures
            .metric_line(self.edge.function, &world.settings.home, at_ms, &self.call.request_id);
        telemetry::write_metrics(&line);
    }
}

/// Whether one look answers both: they are about the same recovery point's resource, or about jobs, or are the same wake-up.
fn is_same_look(one: &Event, other: &Event) -> bool {
    let about = |event: &Event| {
        let time = matches!(event.detail, Detail::WakeUp {}).then_some(event.time);
        (time, event.detail.point().map(|point| point.resource.clone()))
    };
    about(one) == about(other)
}

/// What follows from a message's failure.
fn again(result: &Result<(), Failure>) -> &'static str {
    match result {
        Err(failure) if failure.kind == FailureKind::Invalid => {
            "; it will be delivered again and then end among the dead letters, unless it is mended there"
        }
        Ok(()) | Err(_) => "",
    }
}

/// What follows from a look that failed.
fn looked(result: &Result<(), Failure>) -> &'static str {
    match result {
        Err(_) => "; the next wake-up looks again",
        Ok(()) => "",
    }
}

fn note_failure(message: &Message, result: &Result<(), Failure>, response: &mut SqsBatchResponse) {
    if result.is_err() {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = message.id.clone().unwrap_or_default();
        response.batch_item_failures.push(failure);
    }
}
