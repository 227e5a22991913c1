//! The cursor of one job: kept with its receipt, now and then while it works and once more before it stops.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use holdfast_core::domain::{Failure, FailureKind, JobId, Span};
use jiff::Timestamp;

use super::lists;
use super::places::{Cursors, RestoreCursor};
use super::receipts::{JobProgress, Receipts};

/// How long to work without keeping the cursor: what a kill costs.
const KEPT_EVERY: Span = Span::seconds(10);

/// How many executions may begin and keep nothing before the attempt has failed.
const IN_VAIN_MAX: u32 = 3;

/// Keeps the cursor of a job.
pub(super) struct JobCursor<'a> {
    receipts: &'a Receipts,
    job: &'a JobId,
    now: fn() -> Timestamp,
    stops: &'a AtomicBool,
    kept_at: Mutex<Timestamp>,
}

impl<'a> JobCursor<'a> {
    /// The cursor of `job`, whose execution ends soon after `stops` is set.
    pub(super) fn new(receipts: &'a Receipts, job: &'a JobId, now: fn() -> Timestamp, stops: &'a AtomicBool) -> Self {
        let kept_at = Mutex::new(now());
        Self {
            receipts,
            job,
            now,
            stops,
            kept_at,
        }
    }
}

impl JobCursor<'_> {
    /// This execution ended by itself: its failure counts as a failed attempt, and not as an execution in vain.
    pub(super) fn count_anew(&self) -> Result<(), Failure> {
        match self.receipts.progress(self.job)? {
            Some(progress) if progress.begun_since > 0 => {
                let progress = JobProgress {
                    begun_since: 0,
                    ..progress
                };
                self.receipts.keep_progress(self.job, &progress)
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Cursors for JobCursor<'_> {
    fn take_up(&self) -> Result<RestoreCursor, Failure> {
        let mut progress = self.receipts.progress(self.job)?.unwrap_or_default();
        let in_vain = progress.begun_since >= IN_VAIN_MAX;
        // The next attempt may find that whatever kept it is over.
        progress.begun_since = if in_vain { 0 } else { progress.begun_since + 1 };
        self.receipts.keep_progress(self.job, &progress)?;
        if in_vain {
            let RestoreCursor { written, compared, .. } = progress.cursor;
            let message = format!(
                "{IN_VAIN_MAX} executions in a row came no further than {written} files written and {compared} compared: the \
                 next one takes longer than an execution lasts, or ends it"
            );
            return Err(Failure::new(FailureKind::Transient, message));
        }
        Ok(progress.cursor)
    }

    fn is_due(&self) -> bool {
        let kept_at = *self.kept_at.lock().unwrap_or_else(PoisonError::into_inner);
        self.stops.load(Ordering::Relaxed) || (self.now)() >= KEPT_EVERY.after(kept_at)
    }

    fn keep(&self, cursor: &RestoreCursor) -> Result<(), Failure> {
        let mut cursor = cursor.clone();
        let restored = &mut cursor.restored;
        let fitting = lists::fitting(&restored.differences);
        restored.more_differences += (restored.differences.len() - fitting) as u64;
        restored.differences.truncate(fitting);
        let progress = JobProgress { cursor, begun_since: 0 };
        self.receipts.keep_progress(self.job, &progress)?;
        *self.kept_at.lock().unwrap_or_else(PoisonError::into_inner) = (self.now)();
        Ok(())
    }
}
