//! Ids that count.

use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_core::ports::Ids;

/// Ids that count from 1.
#[derive(Debug, Default)]
pub struct FakeIds {
    given: AtomicU64,
}

impl Ids for FakeIds {
    fn fresh(&self) -> String {
        format!("{:032x}", self.given.fetch_add(1, Ordering::Relaxed) + 1)
    }
}
