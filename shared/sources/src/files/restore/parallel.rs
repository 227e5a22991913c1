//! The same work on many things, from several threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::report::locked;
use super::{RestoreError, Work};

/// What `each` makes of every item, in order. The first error stops the rest.
pub(super) fn map<'i, T: Sync, R: Send>(
    work: &Work<'_>,
    items: &'i [T],
    each: impl Fn(&'i T) -> Result<R, RestoreError> + Sync,
) -> Result<Vec<R>, RestoreError> {
    let threads = work.options.workers.clamp(1, items.len().max(1));
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
    let worker = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return done };
            let outcome = if work.options.cancel.load(Ordering::Relaxed) {
                Err(RestoreError::Cancelled)
            } else {
                each(item)
            };
            match outcome {
                Ok(result) => done.push((at, result)),
                Err(error) => {
                    locked(&failed).get_or_insert(error);
                    next.store(items.len(), Ordering::Relaxed);
                    return done;
                }
            }
        }
    };
    let mut results: Vec<(usize, R)> = Vec::with_capacity(items.len());
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
        results.extend(worker());
        for other in others {
            match other.join() {
                Ok(done) => results.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    if let Some(error) = locked(&failed).take() {
        return Err(error);
    }
    results.sort_unstable_by_key(|(at, _)| *at);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}
