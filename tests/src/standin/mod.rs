//! A stand-in for RDS, AWS Backup, the backups of DynamoDB, and what recovery plans change (global databases, ECS, Auto
//! Scaling, the concurrency of functions, routing controls): one process for all Regions, over the wire protocols that the
//! SDKs speak, with snapshots and jobs that take time on a clock that the test moves. Written from the public service models;
//! what it does not do is in `docs/emulation.md`.

mod backup;
mod databases;
mod dynamodb;
mod events;
mod faults;
mod http;
mod points;
mod rds;
mod requests;
mod restores;
mod services;
mod snapshots;
mod state;
mod topologies;
mod xml;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::time::MovableTime;

pub use events::Delivery;
pub use faults::{Fault, Trouble};
pub use state::{ACCOUNT, Durations, State};

/// How the stand-in's clock goes.
#[derive(Debug, Clone)]
enum Pace {
    /// Only when it is told to.
    Still,
    /// As another clock does.
    Follows(MovableTime),
}

/// Takes events, in the shape of EventBridge.
pub type Sink = Box<dyn Fn(serde_json::Value) + Send>;

struct Shared {
    state: Mutex<State>,
    pace: Pace,
    sink: Mutex<Option<Sink>>,
}

impl Shared {
    /// Works on the state as it is now, and then delivers what has happened.
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let (result, events) = {
            let mut state = locked(&self.state);
            if let Pace::Follows(time) = &self.pace {
                state.now = time.now();
            }
            state.settle();
            let result = work(&mut state);
            state.settle();
            (result, state.due_events())
        };
        if let Some(sink) = locked(&self.sink).as_ref() {
            for event in events {
                sink(event);
            }
        }
        result
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running stand-in; it ends when this is dropped.
pub struct Standin {
    shared: Arc<Shared>,
    port: u16,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    server: Option<std::thread::JoinHandle<()>>,
}

impl Standin {
    /// A stand-in whose clock shows `now` and stands still until it is moved.
    pub fn start(now: Timestamp) -> Self {
        Self::with_pace(now, Pace::Still)
    }

    /// A stand-in whose clock is that one.
    pub fn start_following(time: MovableTime) -> Self {
        let now = time.now();
        Self::with_pace(now, Pace::Follows(time))
    }

    fn with_pace(now: Timestamp, pace: Pace) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(now)),
            pace,
            sink: Mutex::new(None),
        });
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))
            .unwrap_or_else(|error| panic!("no free port for the stand-in: {error}"));
        let port = listener.local_addr().map_or(0, |address| address.port());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let router = http::router(Arc::clone(&shared));
        let server = std::thread::spawn(move || serve(listener, router, stopped));
        Self {
            shared,
            port,
            stop: Some(stop),
            server: Some(server),
        }
    }

    /// Where it listens.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its time.
    pub fn now(&self) -> Timestamp {
        self.with(|state| state.now)
    }

    /// Moves its clock forward; what is due by then happens.
    pub fn advance(&self, by: Duration) {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::ZERO);
        // In small steps, so that what follows from one thing (the next copy in a queue) has its time too.
        let steps = 60;
        for _ in 0..steps {
            self.with(|state| state.now = state.now.saturating_add(by / steps).unwrap_or(Timestamp::MAX));
        }
    }

    /// Looks at or changes its state.
    pub fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        self.shared.with(work)
    }

    /// Hands events to `sink` from now on.
    pub fn on_event(&self, sink: impl Fn(serde_json::Value) + Send + 'static) {
        *locked(&self.shared.sink) = Some(Box::new(sink));
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The server may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

fn serve(listener: std::net::TcpListener, router: axum::Router, stopped: tokio::sync::oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap_or_else(|error| panic!("no runtime for the stand-in: {error}"));
    runtime.block_on(async {
        listener
            .set_nonblocking(true)
            .unwrap_or_else(|error| panic!("the stand-in's socket: {error}"));
        let listener = tokio::net::TcpListener::from_std(listener)
            .unwrap_or_else(|error| panic!("the stand-in's socket: {error}"));
        // Connections that clients keep open must not keep it alive.
        tokio::select! {
            served = axum::serve(listener, router).into_future() => served.unwrap_or_else(|error| panic!("the stand-in: {error}")),
            _ = stopped => {}
        }
    });
}
