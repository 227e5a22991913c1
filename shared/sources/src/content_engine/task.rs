//! Tasks at work in this process.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    pub(super) cancel: AtomicBool,
    /// Set to have a backup end soon and keep what it has.
    pub(super) pause: AtomicBool,
    done_bytes: AtomicU64,
    expected_bytes: AtomicU64,
}

impl Control {
    pub(super) fn progress(&self) -> Progress {
        let done_bytes = self.done_bytes.load(Ordering::Relaxed);
        Progress {
            done_bytes,
            expected_bytes: self.expected_bytes.load(Ordering::Relaxed),
        }
    }
}

impl holdfast_repository::Progress for Control {
    fn expect(&self, bytes: u64, _files: u64) {
        self.expected_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn advance(&self, bytes: u64, _files: u64) {
        self.done_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A task of this process.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) attempt: u32,
    /// Whether it can be paused; otherwise it is stopped by a cancellation.
    pub(super) is_backup: bool,
    pub(super) control: Arc<Control>,
    state: Arc<Mutex<TaskState>>,
}

impl Running {
    pub(super) fn new(attempt: u32, is_backup: bool) -> Self {
        Self {
            attempt,
            is_backup,
            control: Arc::default(),
            state: Arc::new(Mutex::new(TaskState::Working)),
        }
    }

    pub(super) fn state(&self) -> TaskState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn end(&self, result: Result<Option<Outcome>, Failure>) {
        let state = match result {
            Ok(Some(outcome)) => TaskState::Completed(outcome),
            Ok(None) => TaskState::Stored,
            Err(failure) => TaskState::Failed(failure.kind, failure.message),
        };
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}
