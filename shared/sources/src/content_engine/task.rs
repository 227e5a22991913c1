//! Tasks at work in this process.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_core::domain::{Failure, FailureKind, Outcome, Progress};

/// How a task stands.
#[derive(Debug, Clone)]
pub(super) enum TaskState {
    Working,
    Completed(Outcome),
    Failed(FailureKind, String),
}

/// How the work is watched and stopped.
#[derive(Debug, Default)]
pub(super) struct Control {
    pub(super) cancel: AtomicBool,
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
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) attempt: u32,
    pub(super) control: Arc<Control>,
    state: Arc<Mutex<TaskState>>,
}

impl Running {
    pub(super) fn new(attempt: u32) -> Self {
        Self {
            attempt,
            control: Arc::default(),
            state: Arc::new(Mutex::new(TaskState::Working)),
        }
    }

    pub(super) fn state(&self) -> TaskState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn end(&self, result: Result<Outcome, Failure>) {
        let state = match result {
            Ok(outcome) => TaskState::Completed(outcome),
            Err(failure) => TaskState::Failed(failure.kind, failure.message),
        };
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}
