//! The cursor of one job, or of one slice of it: kept with its receipt, now and then while it works and once more before it
//! stops.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use holdfast_core::domain::{Failure, FailureKind, JobId, Span};
use jiff::Timestamp;

use super::lists;
use super::places::{Cursors, RestoreCursor, Restored};
use super::portions::{Part, all_of};
use super::receipts::{JobProgress, Receipts};

/// How long to work without keeping the cursor: what a kill costs.
const KEPT_EVERY: Span = Span::seconds(10);

/// How many executions may begin and keep nothing before the attempt has failed.
const IN_VAIN_MAX: u32 = 3;

/// Keeps the cursor of a part of a job.
pub(super) struct JobCursor<'a> {
    receipts: &'a Receipts,
    job: &'a JobId,
    part: Part,
    now: fn() -> Timestamp,
    stops: &'a AtomicBool,
    kept_at: Mutex<Timestamp>,
}

impl<'a> JobCursor<'a> {
    /// The cursor of a part of `job`, whose execution ends soon after `stops` is set.
    pub(super) fn new(
        receipts: &'a Receipts,
        (job, part): (&'a JobId, Part),
        now: fn() -> Timestamp,
        stops: &'a AtomicBool,
    ) -> Self {
        let kept_at = Mutex::new(now());
        Self {
            receipts,
            job,
            part,
            now,
            stops,
            kept_at,
        }
    }
}

impl JobCursor<'_> {
    /// This execution ended by itself: its failure counts as a failed attempt, and not as an execution in vain.
    pub(super) fn count_anew(&self) -> Result<(), Failure> {
        self.note(|progress| progress.begun_since = 0)
    }

    /// This execution ends before its part is done, and others may take on what is left.
    pub(super) fn hand_over(&self) -> Result<(), Failure> {
        self.note(|progress| {
            let RestoreCursor { written, compared, .. } = progress.cursor;
            progress.stopped = written > 0 || compared > 0;
        })
    }

    /// The part is done.
    pub(super) fn complete(&self, restored: &Restored) -> Result<(), Failure> {
        self.note(|progress| {
            progress.cursor = RestoreCursor {
                written: u64::MAX,
                compared: u64::MAX,
                restored: cut(restored.clone()),
            };
            progress.complete = true;
        })
    }

    /// Changes what is kept, if anything is.
    fn note(&self, change: impl Fn(&mut JobProgress)) -> Result<(), Failure> {
        let Some(before) = self.receipts.progress(self.job, self.part)? else {
            return Ok(());
        };
        let mut progress = before.clone();
        change(&mut progress);
        if progress == before {
            return Ok(());
        }
        self.receipts.keep_progress(self.job, self.part, &progress)
    }

    /// What is kept of this part, and the cursor that it begins with: a slice begins where the first execution was stopped, and
    /// whoever does the rest has what all slices came to.
    fn earlier(&self) -> Result<(JobProgress, RestoreCursor), Failure> {
        let own = self.receipts.progress(self.job, self.part)?;
        if self.part == Part::Rest {
            let own = own.unwrap_or_default();
            let mut cursor = own.cursor.clone();
            for slice in all_of(self.receipts.slices(self.job)?.unwrap_or(1)) {
                let slice = self.receipts.progress(self.job, slice)?.unwrap_or_default().cursor;
                cursor.written = cursor.written.max(slice.written);
                cursor.compared = cursor.compared.max(slice.compared);
                cursor.restored.add(slice.restored);
            }
            return Ok((own, cursor));
        }
        let own = match own {
            Some(own) => own,
            None => {
                let mut begin = JobProgress::default();
                let first = self.receipts.progress(self.job, Part::Rest)?.unwrap_or_default().cursor;
                (begin.cursor.written, begin.cursor.compared) = (first.written, first.compared);
                begin
            }
        };
        let cursor = own.cursor.clone();
        Ok((own, cursor))
    }
}

/// What of it a record holds.
fn cut(mut restored: Restored) -> Restored {
    let fitting = lists::fitting(&restored.differences);
    restored.more_differences += (restored.differences.len() - fitting) as u64;
    restored.differences.truncate(fitting);
    restored
}

impl Cursors for JobCursor<'_> {
    fn take_up(&self) -> Result<RestoreCursor, Failure> {
        let (mut progress, cursor) = self.earlier()?;
        let in_vain = progress.begun_since >= IN_VAIN_MAX;
        // The next attempt may find that whatever kept it is over.
        progress.begun_since = if in_vain { 0 } else { progress.begun_since + 1 };
        self.receipts.keep_progress(self.job, self.part, &progress)?;
        if in_vain {
            let RestoreCursor { written, compared, .. } = cursor;
            let message = format!(
                "{IN_VAIN_MAX} executions in a row came no further than {written} files written and {compared} compared: the \
                 next one takes longer than an execution lasts, or ends it"
            );
            return Err(Failure::new(FailureKind::Transient, message));
        }
        Ok(cursor)
    }

    fn is_due(&self) -> bool {
        let kept_at = *self.kept_at.lock().unwrap_or_else(PoisonError::into_inner);
        self.stops.load(Ordering::Relaxed) || (self.now)() >= KEPT_EVERY.after(kept_at)
    }

    fn keep(&self, cursor: &RestoreCursor) -> Result<(), Failure> {
        let mut cursor = cursor.clone();
        cursor.restored = cut(cursor.restored);
        let progress = JobProgress {
            cursor,
            ..JobProgress::default()
        };
        self.receipts.keep_progress(self.job, self.part, &progress)?;
        *self.kept_at.lock().unwrap_or_else(PoisonError::into_inner) = (self.now)();
        Ok(())
    }
}
