//! Work on many items by a few threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::error::{RepositoryError, Result};

/// Calls `work` once for every item, on up to `workers` threads, each with its own state from `state`. The first error
/// stops all of them, as does `cancel`.
pub(crate) fn for_each<T: Sync, S>(
    items: &[T],
    workers: usize,
    cancel: &AtomicBool,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &T) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let first_error = Mutex::new(None);
    let run = || {
        let mut state = state();
        while !failed.load(Ordering::Relaxed) {
            let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) else {
                return;
            };
            if let Err(error) = stop_if(cancel).and_then(|()| work(&mut state, item)) {
                failed.store(true, Ordering::Relaxed);
                first_error
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(error);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..workers.min(items.len()) {
            scope.spawn(run);
        }
        run();
    });
    match first_error.into_inner().unwrap_or_else(PoisonError::into_inner) {
        None => Ok(()),
        Some(error) => Err(error),
    }
}

/// Fails when the caller wants the work to stop.
pub(crate) fn stop_if(cancel: &AtomicBool) -> Result<()> {
    if cancel.load(Ordering::Relaxed) {
        Err(RepositoryError::Cancelled)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_once() {
        for (items, workers) in [(0usize, 4), (1, 4), (1000, 1), (1000, 7), (3, 0)] {
            let items: Vec<usize> = (0..items).collect();
            let seen = Mutex::new(Vec::new());
            for_each(
                &items,
                workers,
                &AtomicBool::new(false),
                || (),
                |(), n| {
                    seen.lock().unwrap().push(*n);
                    Ok(())
                },
            )
            .unwrap();
            let mut seen = seen.into_inner().unwrap();
            seen.sort_unstable();
            assert_eq!(seen, items);
        }
    }

    #[test]
    fn an_error_or_a_cancel_stops_the_work() {
        let items: Vec<usize> = (0..10_000).collect();
        let done = AtomicUsize::new(0);
        let cancel = AtomicBool::new(false);
        let error = for_each(
            &items,
            3,
            &cancel,
            || (),
            |(), n| {
                done.fetch_add(1, Ordering::Relaxed);
                if *n == 5 {
                    Err(RepositoryError::Bug("five".into()))
                } else {
                    Ok(())
                }
            },
        );
        assert!(matches!(error, Err(RepositoryError::Bug(_))));
        cancel.store(true, Ordering::Relaxed);
        let error = for_each(&items, 3, &cancel, || (), |(), _| Ok(()));
        assert!(matches!(error, Err(RepositoryError::Cancelled)));
    }
}
