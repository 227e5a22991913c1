//! [`Buffers`]: memory that is used again and again.

use std::sync::{Mutex, PoisonError};

/// Buffers that wait to be filled once more, so that the system need not find and clear memory for every one. There are
/// never more than were in use at one time.
pub(super) struct Buffers {
    capacity: usize,
    waiting: Mutex<Vec<Vec<u8>>>,
}

impl Buffers {
    /// Of buffers that hold `capacity` bytes from the start: those that grow leave holes in memory that nothing else fills.
    /// The system gives memory for what is used only.
    pub(super) fn new(capacity: usize) -> Buffers {
        Buffers {
            capacity,
            waiting: Mutex::default(),
        }
    }

    /// An empty buffer.
    pub(super) fn take(&self) -> Vec<u8> {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(self.capacity))
    }

    /// Gives a buffer back.
    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}
