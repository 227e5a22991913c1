use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::SignedDuration;

use super::*;
use crate::forget::forget;
use crate::lock::{Lock, LockKind};
use crate::pack::BlobKind;
use crate::progress::{NoProgress, Progress};
use crate::storage::faults::{Fault, Faulty};
use crate::storage::{FileName, MemoryStorage, Storage};
use crate::testing::{GO_ON, assert_whole, check_all, chunks, content, memory, now, pass, snapshot, through};

const A: &[(&str, usize)] = &[("alpha", 700), ("beta", 430)];
const B: &[(&str, usize)] = &[("alpha", 700), ("bravo", 900)];
const C: &[(&str, usize)] = &[("bravo", 900), ("charlie", 350)];
const GRACE: SignedDuration = SignedDuration::from_hours(24);

fn marking(max_dead_percent: u8, pack_size: usize) -> MarkOptions<'static> {
    MarkOptions {
        extra_roots: &[],
        max_dead_percent,
        pack_size,
        batch_bytes: 300,
        dry_run: false,
        workers: 1,
        progress: &NoProgress,
        cancel: &GO_ON,
    }
}

fn mark_with(repo: &Repository, max_dead_percent: u8, pack_size: usize, dry_run: bool) -> MarkReport {
    let options = MarkOptions {
        dry_run,
        ..marking(max_dead_percent, pack_size)
    };
    mark(repo, &options).unwrap()
}

fn try_sweep(repo: &Repository, dry_run: bool) -> Result<SweepReport> {
    sweep(
        repo,
        now(),
        GRACE,
        &SweepOptions {
            extra_roots: &[],
            dry_run,
            workers: 1,
            cancel: &GO_ON,
        },
    )
}

fn packs(store: &MemoryStorage) -> BTreeSet<Id> {
    store
        .list(FileKind::Data)
        .unwrap()
        .into_iter()
        .map(|(id, _)| id)
        .collect()
}

fn reasons(report: &MarkReport) -> BTreeSet<Reason> {
    report.condemned.iter().map(|pack| pack.reason).collect()
}

#[test]
fn nothing_is_condemned_while_everything_is_needed() {
    let (store, repo) = memory();
    snapshot(&repo, A, 400);
    let before = store.snapshot();
    let report = mark_with(&repo, 50, 400, false);
    assert_eq!((report.generation, report.condemned.len()), (None, 0));
    assert_eq!(try_sweep(&repo, false).unwrap(), SweepReport::default());
    assert_eq!(store.snapshot(), before);
}

#[test]
fn what_only_a_forgotten_snapshot_needed_goes_after_the_grace_period() {
    let (store, repo) = memory();
    let a = snapshot(&repo, A, 400);
    let before = packs(&store);
    let c = snapshot(&repo, C, 400);
    forget(&repo, &[a]).unwrap();
    let report = mark_with(&repo, 100, 400, false);
    assert_eq!(
        report.condemned.iter().map(|pack| pack.pack).collect::<BTreeSet<_>>(),
        before
    );
    assert_eq!(reasons(&report), BTreeSet::from([Reason::Unused]));
    assert_eq!(report.generation, Some(1));
    assert_eq!(condemned_packs(&*store).unwrap(), before.iter().copied().collect());
    pass(GRACE - SignedDuration::from_secs(1));
    let early = try_sweep(&repo, false).unwrap();
    assert_eq!((early.deleted.len(), early.waiting.len()), (0, before.len()));
    assert!(packs(&store).is_superset(&before));
    pass(SignedDuration::from_secs(1));
    let plan = try_sweep(&repo, true).unwrap();
    assert!(packs(&store).is_superset(&before), "a dry run deletes nothing");
    let done = try_sweep(&repo, false).unwrap();
    assert_eq!((&done, done.deleted.len()), (&plan, before.len()));
    assert!(packs(&store).is_disjoint(&before));
    assert_eq!(store.list_sidecar("condemned/").unwrap(), []);
    assert_whole(&repo, &[(c, C)], "after the sweep");
}

#[test]
fn a_dry_run_of_a_mark_says_the_same_and_writes_nothing() {
    let (store, repo) = memory();
    let a = snapshot(&repo, A, 400);
    snapshot(&repo, B, 400);
    forget(&repo, &[a]).unwrap();
    let before = store.snapshot();
    let plan = mark_with(&repo, 1, 400, true);
    assert_eq!(store.snapshot(), before);
    let done = mark_with(&repo, 1, 400, false);
    assert!(!done.condemned.is_empty());
    assert_eq!(
        plan,
        MarkReport {
            generation: None,
            ..done
        }
    );
}

#[test]
fn what_became_needed_after_the_mark_is_rescued() {
    let (store, repo) = memory();
    let a = snapshot(&repo, A, 400);
    let tree = repo.snapshot(&a).unwrap();
    forget(&repo, &[a]).unwrap();
    let marked = mark_with(&repo, 100, 400, false);
    let again = repo.save_snapshot(&tree).unwrap();
    pass(GRACE);
    let report = try_sweep(&repo, false).unwrap();
    assert_eq!(
        (report.deleted.len(), report.rescued.len()),
        (0, marked.condemned.len())
    );
    assert_eq!(condemned_packs(&*store).unwrap().len(), 0);
    assert_whole(&repo, &[(again, A)], "rescued");
    assert!(
        repo.load_index()
            .unwrap()
            .usable_for_dedup(BlobKind::Data, &chunks(&content("beta", 430))[0])
    );
}

#[test]
fn of_two_condemned_packs_with_the_same_blob_one_is_rescued() {
    let (store, repo) = memory();
    let a = snapshot(&repo, A, 400);
    let snapshot_file = repo.snapshot(&a).unwrap();
    forget(&repo, &[a]).unwrap();
    mark_with(&repo, 100, 400, false);
    let twin = snapshot(&repo, A, 400);
    forget(&repo, &[twin]).unwrap();
    mark_with(&repo, 100, 400, false);
    assert_eq!(condemned_packs(&*store).unwrap(), packs(&store).into_iter().collect());
    let again = repo.save_snapshot(&snapshot_file).unwrap();
    pass(GRACE);
    let report = try_sweep(&repo, false).unwrap();
    assert_eq!(report.deleted.len(), report.rescued.len());
    assert_whole(&repo, &[(again, A)], "one of two");
}

#[test]
fn sparse_packs_are_written_anew_and_small_ones_merged() {
    let (store, repo) = memory();
    let b = snapshot(&repo, B, 100_000);
    let c = snapshot(&repo, C, 100_000);
    forget(&repo, &[b]).unwrap();
    let report = mark_with(&repo, 5, 1000, false);
    assert!(reasons(&report).contains(&Reason::Sparse), "{report:?}");
    assert!(report.rewritten_bytes > 900);
    pass(GRACE);
    try_sweep(&repo, false).unwrap();
    assert_whole(&repo, &[(c, C)], "sparse");
    let index = repo.load_index().unwrap();
    assert!(
        index
            .lookup(BlobKind::Data, &chunks(&content("alpha", 700))[0])
            .is_none()
    );

    let before = packs(&store).len();
    let d = snapshot(&repo, &[("delta", 90)], 1000);
    let e = snapshot(&repo, &[("echo", 90)], 1000);
    let report = mark_with(&repo, 100, 100_000, false);
    assert_eq!(reasons(&report), BTreeSet::from([Reason::Small]));
    pass(GRACE);
    try_sweep(&repo, false).unwrap();
    assert!(packs(&store).len() <= before);
    assert_eq!(
        mark_with(&repo, 100, 100_000, false).condemned,
        [],
        "merging comes to an end"
    );
    assert_whole(&repo, &[(c, C), (d, &[("delta", 90)]), (e, &[("echo", 90)])], "merged");
}

#[test]
fn duplicates_and_orphans_are_condemned() {
    let (store, repo) = memory();
    let a = snapshot(&repo, A, 400);
    let mut writer = crate::rewrite::PackWriter::new(&repo, 400, 1).unwrap();
    let bytes = content("alpha", 700);
    writer.add(BlobKind::Data, chunks(&bytes)[3], &bytes[300..400]).unwrap();
    let twins = writer.finish().unwrap();
    let orphan = Id::of(b"no index names this");
    store
        .put(&FileName::Object(FileKind::Data, orphan), b"no index names this")
        .unwrap();
    let report = mark_with(&repo, 100, 400, false);
    let found: Vec<_> = report.condemned.iter().map(|pack| (pack.pack, pack.reason)).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.contains(&(twins[0].id, Reason::Duplicate)) && found.contains(&(orphan, Reason::Orphan)));
    pass(GRACE);
    assert_eq!(try_sweep(&repo, false).unwrap().deleted.len(), 2);
    assert_whole(&repo, &[(a, A)], "without twins");
}

#[test]
fn nothing_is_marked_or_swept_when_anything_cannot_be_read() {
    let (store, repo) = memory();
    let a = snapshot(&repo, A, 400);
    let b = snapshot(&repo, B, 400);
    forget(&repo, &[a]).unwrap();
    mark_with(&repo, 100, 400, false);
    pass(GRACE);
    let healthy = store.snapshot();
    let index = repo.load_index().unwrap();
    let tree = repo.snapshot(&b).unwrap().tree;
    let tree_pack = index.lookup(BlobKind::Tree, &tree).unwrap().pack;
    let data_pack = index
        .lookup(BlobKind::Data, &chunks(&content("bravo", 900))[0])
        .unwrap()
        .pack;
    let index_file = store.list(FileKind::Index).unwrap()[0].0;
    let list = FileName::Sidecar("condemned/1.json".to_owned());
    for damaged in [
        FileName::Object(FileKind::Snapshot, b),
        FileName::Object(FileKind::Index, index_file),
        FileName::Object(FileKind::Data, tree_pack),
        FileName::Object(FileKind::Data, data_pack),
        list,
    ] {
        let store = Arc::new(MemoryStorage::holding(healthy.clone()));
        store.overwrite(damaged.clone(), b"garbage".to_vec());
        let repo = through(&repo, store.clone());
        let before = store.snapshot();
        let options = marking(50, 400);
        for error in [mark(&repo, &options).unwrap_err(), try_sweep(&repo, false).unwrap_err()] {
            assert_eq!(error.kind(), crate::error::ErrorKind::Integrity, "{damaged}: {error}");
        }
        assert_eq!(store.snapshot(), before, "{damaged}");
    }
}

#[test]
fn a_sweep_waits_for_writers_and_a_mark_does_not() {
    let (_store, repo) = memory();
    let a = snapshot(&repo, A, 400);
    forget(&repo, &[a]).unwrap();
    let writer = Lock::acquire(&repo, LockKind::Shared).unwrap();
    mark_with(&repo, 100, 400, false);
    pass(SignedDuration::from_mins(20));
    assert_eq!(
        try_sweep(&repo, false).unwrap_err().kind(),
        crate::error::ErrorKind::Conflict
    );
    drop(writer);
    try_sweep(&repo, false).unwrap();
}

#[test]
fn forgetting_twice_says_so() {
    let (_store, repo) = memory();
    let a = snapshot(&repo, A, 400);
    assert_eq!(forget(&repo, &[a]).unwrap().forgotten, [a]);
    assert_eq!(forget(&repo, &[a, a]).unwrap().absent, [a]);
    assert!(check_all(&repo).is_clean());
}

/// Forgets, marks and sweeps, twice over, as one program would.
fn all_of_it(repo: &Repository, a: Id) -> Result<()> {
    forget(repo, &[a])?;
    mark(repo, &marking(5, 1000))?;
    pass(GRACE);
    try_sweep(repo, false)?;
    Ok(())
}

#[test]
fn a_prune_that_fails_or_crashes_at_any_call_loses_nothing_and_is_finished_by_the_next() {
    let (store, repo) = memory();
    let a = snapshot(&repo, A, 700);
    let kept = [(snapshot(&repo, B, 700), B), (snapshot(&repo, C, 700), C)];
    let start = store.snapshot();
    for (fault, survivors) in [
        (Fault::Fail, 0),
        (Fault::Crash, 0),
        (Fault::Crash, 1),
        (Fault::Crash, 2),
        (Fault::Crash, 3),
    ] {
        for at in 0.. {
            let context = format!("{fault:?} at {at}, survivors {survivors}");
            let store = Arc::new(MemoryStorage::holding(start.clone()));
            let faulty = Arc::new(Faulty::new(store.clone(), u64::MAX, fault));
            through(&repo, faulty.clone());
            let opening = faulty.calls();
            let faulty = Arc::new(Faulty::new(store.clone(), opening + at, fault));
            let result = all_of_it(&through(&repo, faulty.clone()), a);
            if faulty.calls() <= opening + at {
                assert!(at > 60 && result.is_ok());
                break;
            }
            let store = match fault {
                Fault::Fail => store,
                Fault::Crash => Arc::new(faulty.after_crash(|name, put| {
                    let coin = Id::of(format!("{at}{name}").as_bytes()).0[0] & 1 == 0;
                    // Nothing survives but deletes, nothing but puts, or whatever the coin says.
                    [put, !put, coin, !coin][survivors]
                })),
            };
            let survivor = through(&repo, store.clone());
            pass(SignedDuration::from_hours(1));
            assert_whole(&survivor, &kept, &format!("{context}: right after"));
            all_of_it(&survivor, a).unwrap();
            // What the first run condemned anew may have to wait for a second sweep.
            pass(GRACE);
            try_sweep(&survivor, false).unwrap();
            let report = check_all(&survivor);
            assert_eq!(report.orphan_packs, [], "{context}");
            assert_whole(&survivor, &kept, &context);
            assert_eq!(store.list_sidecar("condemned/").unwrap(), [], "{context}");
            let index = survivor.load_index().unwrap();
            assert!(
                index
                    .lookup(BlobKind::Data, &chunks(&content("beta", 430))[0])
                    .is_none(),
                "{context}"
            );
        }
    }
}

#[test]
fn what_a_writer_has_not_indexed_yet_is_no_orphan() {
    let (store, repo) = memory();
    snapshot(&repo, A, 400);
    let writer = Lock::acquire(&repo, LockKind::Shared).unwrap();
    store
        .put(&FileName::Object(FileKind::Data, Id::of(b"in flight")), b"in flight")
        .unwrap();
    assert_eq!(mark_with(&repo, 100, 400, false).condemned, []);
    drop(writer);
    assert_eq!(
        reasons(&mark_with(&repo, 100, 400, false)),
        BTreeSet::from([Reason::Orphan])
    );
}

#[test]
fn what_unfinished_backups_stored_is_needed_as_far_as_it_is_there() {
    let (_store, repo) = memory();
    let a = snapshot(&repo, A, 400);
    let roots = [repo.snapshot(&a).unwrap().tree, Id::of(b"a tree that is gone")];
    forget(&repo, &[a]).unwrap();
    let with_roots = MarkOptions {
        extra_roots: &roots,
        ..marking(100, 400)
    };
    assert_eq!(mark(&repo, &with_roots).unwrap().condemned, []);
    let condemned = mark_with(&repo, 100, 400, false).condemned.len();
    assert!(condemned > 0);
    pass(GRACE);
    let sweeping = SweepOptions {
        extra_roots: &roots,
        dry_run: false,
        workers: 1,
        cancel: &GO_ON,
    };
    let swept = sweep(&repo, now(), GRACE, &sweeping).unwrap();
    assert_eq!((swept.deleted.len(), swept.rescued.len()), (0, condemned));
}

/// Sets its flag once as many bytes were written anew.
struct StopAfter {
    bytes: AtomicU64,
    stop: AtomicBool,
}

impl Progress for StopAfter {
    fn expect(&self, _bytes: u64, _files: u64) {}

    fn advance(&self, bytes: u64, _files: u64) {
        let left = self.bytes.load(Ordering::Relaxed).saturating_sub(bytes);
        self.bytes.store(left, Ordering::Relaxed);
        self.stop.store(left == 0, Ordering::Relaxed);
    }
}

/// Every live blob and whether a pack that stays holds it, and the sizes of these packs.
fn what_stays(repo: &Repository) -> (BTreeSet<(BlobKind, Id)>, Vec<u64>) {
    let index = repo.load_index().unwrap();
    let blobs = index.iter().map(|(kind, id, _)| (kind, id)).collect();
    let mut sizes: Vec<u64> = index.packs().iter().map(|pack| pack.size).collect();
    sizes.sort_unstable();
    (blobs, sizes)
}

#[test]
fn a_mark_that_is_stopped_keeps_what_it_did_and_the_next_ends_as_one_in_one_go() {
    let (store, repo) = memory();
    let files: Vec<(String, usize)> = (0..12).map(|n| (format!("file {n}"), 500)).collect();
    let all: Vec<(&str, usize)> = files.iter().map(|(name, size)| (name.as_str(), *size)).collect();
    let some: Vec<(&str, usize)> = all.iter().copied().step_by(2).collect();
    let a = snapshot(&repo, &all, 2000);
    let b = snapshot(&repo, &some, 2000);
    forget(&repo, &[a]).unwrap();
    let start = store.snapshot();

    let in_one_go = mark_with(&repo, 5, 2000, false);
    pass(GRACE);
    try_sweep(&repo, false).unwrap();
    assert_whole(&repo, &[(b, &some)], "in one go");
    let expected = what_stays(&repo);
    assert_eq!(mark_with(&repo, 5, 2000, true).condemned, [], "the goal is met");

    let stopped_at = |bytes: u64| {
        let store = Arc::new(MemoryStorage::holding(start.clone()));
        let repo = through(&repo, store.clone());
        let progress = StopAfter {
            bytes: AtomicU64::new(bytes),
            stop: AtomicBool::new(false),
        };
        let options = MarkOptions {
            progress: &progress,
            cancel: &progress.stop,
            ..marking(5, 2000)
        };
        assert!(matches!(mark(&repo, &options), Err(RepositoryError::Cancelled)));
        assert_whole(&repo, &[(b, &some)], "stopped");
        let done = condemned_packs(&*store).unwrap();
        let plan: HashSet<Id> = in_one_go.condemned.iter().map(|pack| pack.pack).collect();
        assert!(done.is_subset(&plan) && done.len() < plan.len(), "{bytes}");

        mark_with(&repo, 5, 2000, false);
        assert!(condemned_packs(&*store).unwrap().is_superset(&plan), "{bytes}");
        pass(GRACE);
        try_sweep(&repo, false).unwrap();
        assert_whole(&repo, &[(b, &some)], "gone on");
        assert_eq!(check_all(&repo).orphan_packs, [], "{bytes}");
        assert_eq!(what_stays(&repo), expected, "{bytes}");
        done.len()
    };
    assert!(in_one_go.rewritten_bytes > 3000, "{in_one_go:?}");
    // A stop that comes with the last pack comes too late.
    let kept: Vec<usize> = (0..in_one_go.rewritten_bytes - 2000)
        .step_by(300)
        .map(stopped_at)
        .collect();
    assert!(kept.is_sorted() && kept[0] < kept[kept.len() - 1], "{kept:?}");
}
