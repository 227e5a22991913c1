//! [`Meter`]: the progress of one piece of work, drawn on terminals only.

use holdfast_repository::Progress;
use indicatif::ProgressBar;

use crate::embedded::progress_bar;

/// A bar that is gone once the work is done.
pub struct Meter {
    bar: ProgressBar,
}

impl Meter {
    /// A bar for `what`.
    pub fn new(what: &str) -> Self {
        Self {
            bar: progress_bar(what),
        }
    }
}

impl Progress for Meter {
    fn expect(&self, bytes: u64, _files: u64) {
        self.bar.inc_length(bytes);
    }

    fn advance(&self, bytes: u64, _files: u64) {
        self.bar.inc(bytes);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
