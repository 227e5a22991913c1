//! Tasks at work in this process.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_core::domain::{Failure, FailureKind, Outcome, Progress};

/// How a task stands.
#[derive(Debug, Clone)]
pub(super) enum TaskState {
    Working,
    Completed(Outcome),
    /// Stopped, or done with its part; what it has is stored and there is more to do.
    Stored,
    Failed(FailureKind, String),
}

/// Says whether the executor may still make the outcome of its part visible.
pub(super) type MayPublish = Arc<dyn Fn() -> Result<(), Failure> + Send + Sync>;

/// How the work is watched and stopped.
#[derive(Default)]
pub(super) struct Control {
    pub(super) cancel: Arc<AtomicBool>,
    /// Set to have a backup end soon and keep what it has.
    pub(super) pause: AtomicBool,
    done_bytes: AtomicU64,
    expected_bytes: AtomicU64,
}

impl Control {
    pub(super) fn progress(&self) -> Progress {
        let done_bytes = self.done_bytes.load(Relaxed);
        Progress {
            done_bytes,
            expected_bytes: self.expected_bytes.load(Relaxed),
        }
    }
}

impl holdfast_repository::Progress for Control {
    fn expect(&self, bytes: u64, _files: u64) {
        self.expected_bytes.fetch_add(bytes, Relaxed);
    }

    fn advance(&self, bytes: u64, _files: u64) {
        self.done_bytes.fetch_add(bytes, Relaxed);
    }
}

/// What it means for a task to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopping {
    /// It pauses: what it read is kept.
    Pauses,
    /// It ends at once, and whoever starts it again finds what it did: packs that were copied, proven, put right or condemned,
    /// files that were restored, objects that are gone. Only the look at what there is (snapshots, indexes, trees) must come to
    /// its end in one execution.
    GoesOn,
}

/// A task of this process.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) attempt: u32,
    pub(super) control: Arc<Control>,
    stopping: Stopping,
    state: Arc<Mutex<TaskState>>,
}

impl Running {
    pub(super) fn new(attempt: u32, stopping: Stopping) -> Self {
        Self {
            attempt,
            stopping,
            control: Arc::default(),
            state: Arc::new(Mutex::new(TaskState::Working)),
        }
    }

    pub(super) fn state(&self) -> TaskState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has it end at once, whatever it is at.
    pub(super) fn cancel(&self) {
        self.control.cancel.store(true, SeqCst);
    }

    /// Asks it to stop.
    pub(super) fn stop(&self) {
        let stop = match self.stopping {
            Stopping::Pauses => &self.control.pause,
            Stopping::GoesOn => &self.control.cancel,
        };
        stop.store(true, SeqCst);
    }

    fn was_stopped(&self) -> bool {
        self.control.cancel.load(SeqCst)
    }

    pub(super) fn end(&self, result: Result<Option<Outcome>, Failure>) {
        let state = match result {
            Ok(Some(outcome)) => TaskState::Completed(outcome),
            Ok(None) => TaskState::Stored,
            // It was told to stop: nothing has failed.
            Err(failure) if self.was_stopped() && failure.kind == FailureKind::Transient => TaskState::Stored,
            Err(failure) => TaskState::Failed(failure.kind, failure.message),
        };
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}
