//! Backups in portions: however they are cut, the snapshot is the one that a single call makes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use holdfast_repository::backup::{
    BackupOptions, BackupReport, Ended, Portion, PortionReport, Slice, Throttle, backup_portion,
};
use holdfast_repository::check::{CheckOptions, check};
use holdfast_repository::{NoProgress, Progress, Repository};
use jiff::Timestamp;
use support::{Part, TestSource, memory_repository, noise};

/// Asks for a pause once so many parts of files have been passed.
struct Impatient {
    passed: AtomicU64,
    patience: u64,
    pause: AtomicBool,
}

impl Impatient {
    fn after(patience: u64) -> Self {
        Self {
            passed: AtomicU64::new(0),
            patience,
            pause: AtomicBool::new(patience == 0),
        }
    }
}

impl Progress for Impatient {
    fn expect(&self, _bytes: u64, _files: u64) {}
    fn advance(&self, bytes: u64, files: u64) {
        // What is taken over counts as whole files.
        if bytes == 0 || files > 0 {
            return;
        }
        if self.passed.fetch_add(1, Ordering::Relaxed) + 1 >= self.patience {
            self.pause.store(true, Ordering::Relaxed);
        }
    }
}

fn source() -> TestSource {
    TestSource::new()
        .file(b"/data/a/small", noise(1, 900))
        .file(b"/data/a/large", noise(2, 12 << 20))
        .sparse(
            b"/data/b/sparse",
            vec![
                Part::Data(noise(3, 700_000)),
                Part::Hole(9 << 20),
                Part::Data(noise(4, 2 << 20)),
            ],
        )
        .file(b"/data/c/zeroes", vec![0; 7 << 20])
        .file(b"/data/d/empty", [])
        .file(b"/data/z", noise(5, 3 << 20))
}

fn portion(
    repository: &Repository,
    source: &TestSource,
    done: &[PortionReport],
    slice: Option<Slice>,
    patience: u64,
) -> Ended {
    let (impatient, never) = (Impatient::after(patience), AtomicBool::new(false));
    let options = BackupOptions::new(Timestamp::from_second(1_800_000_000).unwrap(), &impatient, &never);
    let pause = &impatient.pause;
    backup_portion(repository, source, &options, Portion { done, slice, pause }).unwrap()
}

/// The same source, all of it read in one call. Chunks are cut by a secret of the repository, so it must be the same one.
fn in_one_go(repository: &Repository, source: &TestSource) -> BackupReport {
    support::back_up(repository, source, |options| options.reread = true).unwrap()
}

fn require_sound(repository: &Repository) {
    let never = AtomicBool::new(false);
    let options = CheckOptions {
        read_data: true,
        snapshots: None,
        workers: 2,
        progress: &NoProgress,
        cancel: &never,
        ledger: None,
    };
    let report = check(repository, &options).unwrap();
    assert!(report.damages.is_empty(), "{:?}", report.damages);
}

#[test]
fn a_backup_that_is_paused_again_and_again_ends_as_if_it_had_not_been() {
    for patience in [2, 3, 5, 8, 13] {
        let (repository, source) = (memory_repository(), source());
        let (mut done, mut calls) = (Vec::new(), 0);
        let report = loop {
            calls += 1;
            assert!(calls < 400, "it makes no headway");
            match portion(&repository, &source, &done, None, patience) {
                Ended::Published(report) => break report,
                Ended::Stored(stored) => {
                    assert!(!stored.complete);
                    // Each portion holds all that earlier ones held, so the newest is enough.
                    done = vec![stored];
                }
            }
        };
        assert_eq!(
            report.tree,
            in_one_go(&repository, &source).tree,
            "pauses after {patience}"
        );
        assert!(report.unread.is_empty());
        assert!(calls > 2, "{calls} calls with pauses after {patience}");
        require_sound(&repository);
    }
}

#[test]
fn what_one_portion_has_read_the_next_does_not_open_even_when_everything_must_be_read_again() {
    let (repository, source) = (memory_repository(), source());
    in_one_go(&repository, &source);
    let never = AtomicBool::new(false);
    let slice = Slice { number: 0, of: 1 };
    let mut options = BackupOptions::new(Timestamp::from_second(1_800_000_000).unwrap(), &NoProgress, &never);
    options.reread = true;
    let first = Portion {
        done: &[],
        slice: Some(slice),
        pause: &never,
    };
    let Ended::Stored(stored) = backup_portion(&repository, &source, &options, first).unwrap() else {
        panic!("a slice is never published");
    };
    assert_eq!(source.opened.lock().unwrap().len(), 6, "everything is read again");
    source.opened.lock().unwrap().clear();
    let done = [stored];
    let last = Portion {
        done: &done,
        slice: None,
        pause: &never,
    };
    assert!(matches!(
        backup_portion(&repository, &source, &options, last).unwrap(),
        Ended::Published(_)
    ));
    assert!(source.opened.lock().unwrap().is_empty());
}

#[test]
fn slices_read_each_file_once_and_together_make_the_whole() {
    let (repository, source) = (memory_repository(), source());
    let mut done = Vec::new();
    for number in 0..3 {
        let slice = Some(Slice { number, of: 3 });
        match portion(&repository, &source, &[], slice, u64::MAX) {
            Ended::Stored(stored) => {
                assert!(stored.complete);
                done.push(stored);
            }
            Ended::Published(_) => panic!("a slice is never published"),
        }
    }
    let read = source.opened.lock().unwrap().clone();
    assert_eq!(read.len(), 6, "{read:?}");
    let Ended::Published(report) = portion(&repository, &source, &done, None, u64::MAX) else {
        panic!("nothing paused it");
    };
    assert_eq!(*source.opened.lock().unwrap(), read, "the last call only puts together");
    let whole = in_one_go(&repository, &source);
    assert_eq!((report.tree, whole.summary.data_added), (whole.tree, 0));
    let sizes: u64 = done.iter().map(|stored| stored.added_bytes).sum();
    assert!(report.summary.data_added >= sizes, "what portions added counts");
    require_sound(&repository);
}

#[test]
fn a_file_that_changed_after_it_was_read_in_part_is_read_from_its_beginning() {
    let (repository, mut source) = (memory_repository(), source());
    let Ended::Stored(stored) = portion(&repository, &source, &[], None, 4) else {
        panic!("it was to pause");
    };
    source = source.file(b"/data/a/large", noise(9, 12 << 20));
    source.touch(b"/data/a/large", 1_750_000_000);
    let Ended::Published(report) = portion(&repository, &source, &[stored], None, u64::MAX) else {
        panic!("nothing paused it");
    };
    assert_eq!(report.tree, in_one_go(&repository, &source).tree);
}

#[test]
fn a_file_that_is_written_anew_between_its_listing_and_its_opening_is_never_a_mixture() {
    for patience in [u64::MAX, 4] {
        let repository = memory_repository();
        let Ended::Stored(stored) = portion(&repository, &source(), &[], None, 4) else {
            panic!("it was to pause");
        };
        let mut anew = source().file(b"/data/a/large", noise(9, 12 << 20));
        anew.touch(b"/data/a/large", 1_750_000_000);
        let mut between = source();
        between.opens_as = Some(Box::new(anew));
        let (report, stands) = match portion(&repository, &between, &[stored], None, patience) {
            Ended::Published(report) => (report, *between.opens_as.unwrap()),
            // What stood before is put back, as a deletion in a bucket with versions does.
            Ended::Stored(stored) => match portion(&repository, &source(), &[stored], None, u64::MAX) {
                Ended::Published(report) => (report, source()),
                Ended::Stored(_) => panic!("nothing paused it"),
            },
        };
        assert_eq!(
            report.tree,
            in_one_go(&repository, &stands).tree,
            "paused after {patience}"
        );
    }
}

#[test]
fn a_pause_ends_the_waiting_for_bandwidth() {
    let (repository, source) = (memory_repository(), source());
    let (impatient, too_late) = (Impatient::after(3), AtomicBool::new(false));
    let mut options = BackupOptions::new(Timestamp::from_second(1_800_000_000).unwrap(), &impatient, &too_late);
    // Each pack has the line for hours.
    let throttle = Throttle::new(NonZeroU64::new(100).unwrap());
    (options.throttle, options.pack_size) = (Some(&throttle), 1 << 20);
    let (done, slice, pause) = (&[], None, &impatient.pause);
    let ended = std::thread::scope(|scope| {
        let (ended, wait) = std::sync::mpsc::channel::<()>();
        let too_late = &too_late;
        scope.spawn(move || {
            let waited = wait.recv_timeout(Duration::from_secs(20));
            too_late.store(waited == Err(RecvTimeoutError::Timeout), Ordering::Relaxed);
        });
        let result = backup_portion(&repository, &source, &options, Portion { done, slice, pause });
        drop(ended);
        result
    });
    assert!(matches!(
        ended.unwrap(),
        Ended::Stored(PortionReport { complete: false, .. })
    ));
}
