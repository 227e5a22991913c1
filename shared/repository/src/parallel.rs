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

/// What `work` makes of every item, in their order. The first error stops it.
pub(crate) fn map<T: Sync, R: Send>(
    items: &[T],
    workers: usize,
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let made = Mutex::new(Vec::with_capacity(items.len()));
    let numbered: Vec<(usize, &T)> = items.iter().enumerate().collect();
    let never = AtomicBool::new(false);
    for_each(
        &numbered,
        workers,
        &never,
        || (),
        |(), (number, item)| {
            let result = work(item)?;
            made.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((*number, result));
            Ok(())
        },
    )?;
    let mut made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
    made.sort_unstable_by_key(|(number, _)| *number);
    Ok(made.into_iter().map(|(_, result)| result).collect())
}

/// Both at the same time: over a network each waits for its answers.
pub(crate) fn join<A: Send, B>(first: impl FnOnce() -> A + Send, second: impl FnOnce() -> B) -> (A, B) {
    thread::scope(|scope| {
        let first = scope.spawn(first);
        let second = second();
        let first = first.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (first, second)
    })
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
    fn results_are_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..1000).collect();
        let doubled = map(&items, 7, |n| Ok(2 * n)).unwrap();
        assert!(doubled.iter().enumerate().all(|(at, n)| *n == 2 * at), "{doubled:?}");
        let error = map(&items, 7, |n| match n {
            500 => Err(RepositoryError::Bug("five hundred".into())),
            _ => Ok(()),
        });
        assert!(matches!(error, Err(RepositoryError::Bug(_))));
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
