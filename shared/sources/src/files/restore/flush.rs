//! [`Flusher`]: has what is written go to disk while the rest is fetched, so that little is left to wait for at the end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::RestoreError;

/// Bytes after which the disk is asked to take what it has not.
const EVERY: u64 = 64 << 20;

/// What the flushing thread is told.
enum Tell {
    /// Much was written.
    Much,
    /// Nothing more will be.
    End,
}

/// Counts what is written.
pub(super) struct Flusher {
    written: AtomicU64,
    tell: SyncSender<Tell>,
}

/// What the flushing thread hears.
pub(super) struct Due(Receiver<Tell>);

pub(super) fn flusher() -> (Flusher, Due) {
    let (tell, due) = sync_channel(1);
    let written = AtomicU64::new(0);
    (Flusher { written, tell }, Due(due))
}

impl Flusher {
    /// So many bytes more were written.
    pub(super) fn note(&self, bytes: u64) {
        let before = self.written.fetch_add(bytes, Ordering::Relaxed);
        if before / EVERY != (before + bytes) / EVERY {
            // One that waits already takes these along.
            drop(self.tell.try_send(Tell::Much));
        }
    }

    /// Does `work` while another thread calls `flush` whenever much was written. Its error is as good as one of `work`:
    /// the system tells of bytes that did not reach the disk once only.
    pub(super) fn during<T>(
        &self,
        due: Due,
        flush: impl Fn() -> Result<(), RestoreError> + Sync,
        work: impl FnOnce() -> Result<T, RestoreError>,
    ) -> Result<T, RestoreError> {
        let Due(due) = due;
        thread::scope(|scope| {
            let flushing = scope.spawn(|| {
                due.into_iter()
                    .take_while(|tell| matches!(tell, Tell::Much))
                    .try_for_each(|_| flush())
            });
            let done = work();
            // Nobody hears it where flushing has failed.
            drop(self.tell.send(Tell::End));
            let flushed = flushing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            done.and_then(|done| flushed.map(|()| done))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use super::*;

    fn full() -> RestoreError {
        RestoreError::Full {
            action: "make durable",
            path: PathBuf::from("/there"),
            source: io::Error::from(io::ErrorKind::StorageFull),
        }
    }

    #[test]
    fn it_flushes_after_much_was_written_and_not_before() {
        for (bytes, expected) in [(EVERY - 1, 0), (EVERY, 1)] {
            let (flusher, due) = flusher();
            let flushes = AtomicU64::new(0);
            let flush = || {
                flushes.fetch_add(1, Ordering::Relaxed);
                Ok(())
            };
            let work = || {
                flusher.note(bytes);
                Ok("done")
            };
            assert_eq!(flusher.during(due, flush, work).unwrap(), "done");
            assert_eq!(flushes.into_inner(), expected, "{bytes}");
        }
    }

    #[test]
    fn what_did_not_reach_the_disk_fails_the_work_that_wrote_it() {
        let (flusher, due) = flusher();
        let work = || {
            for _ in 0..100 {
                flusher.note(EVERY);
            }
            Ok(())
        };
        let failed = flusher.during(due, || Err(full()), work);
        assert!(matches!(failed, Err(RestoreError::Full { .. })), "{failed:?}");
    }

    #[test]
    fn an_error_of_the_work_is_told_rather_than_one_of_flushing() {
        let (flusher, due) = flusher();
        let work = || {
            flusher.note(EVERY);
            Err::<(), _>(RestoreError::Cancelled)
        };
        let failed = flusher.during(due, || Err(full()), work);
        assert!(matches!(failed, Err(RestoreError::Cancelled)), "{failed:?}");
    }
}
