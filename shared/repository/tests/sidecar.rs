//! Backups of a repository whose index is read through a sidecar.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use holdfast_repository::backup::BackupReport;
use holdfast_repository::check::{CheckOptions, check};
use holdfast_repository::forget::forget;
use holdfast_repository::index::{IndexOptions, Lookup};
use holdfast_repository::pack::BlobKind;
use holdfast_repository::prune::{MarkOptions, SweepOptions, mark, sweep};
use holdfast_repository::storage::{FileKind, FileName, Storage};
use holdfast_repository::{Id, NoProgress, Repository};
use jiff::SignedDuration;
use support::{TestSource, ambient, memory_repository, noise};

static NEVER: AtomicBool = AtomicBool::new(false);

const USE: IndexOptions = IndexOptions {
    sidecar_from: 1,
    memory: 1 << 20,
};

/// Bytes of a file, which are one chunk.
const SIZE: usize = 300_000;

fn source(seeds: std::ops::Range<u64>) -> TestSource {
    seeds.fold(TestSource::new(), |source, seed| {
        source.file(format!("/data/{}/{seed}", seed % 3).as_bytes(), noise(seed, SIZE))
    })
}

fn back_up(repository: &Repository, source: &TestSource, parent: Option<Id>) -> BackupReport {
    let report = support::back_up(repository, source, |options| {
        options.index.sidecar_from = 1;
        options.parent = parent;
    });
    report.unwrap()
}

fn heads(repository: &Repository) -> Vec<String> {
    let names = repository.storage().list_sidecar("index/").unwrap().into_iter();
    names
        .map(|(name, _)| name)
        .filter(|name| name.ends_with("-head"))
        .collect()
}

fn require_sound(repository: &Repository) {
    let options = CheckOptions {
        read_data: true,
        snapshots: None,
        workers: 2,
        progress: &NoProgress,
        cancel: &NEVER,
        ledger: None,
    };
    let report = check(repository, &options).unwrap();
    assert!(report.damages.is_empty(), "{:?}", report.damages);
}

/// Marks and, as if the grace period had passed, sweeps.
fn prune(repository: &Repository) {
    let options = MarkOptions {
        extra_roots: &[],
        max_dead_percent: 0,
        pack_size: 1 << 20,
        batch_bytes: 1 << 30,
        dry_run: false,
        workers: 2,
        progress: &NoProgress,
        cancel: &NEVER,
    };
    let marked = mark(repository, &options).unwrap();
    assert!(!marked.condemned.is_empty());
    let options = SweepOptions {
        extra_roots: &[],
        dry_run: false,
        workers: 2,
        cancel: &NEVER,
    };
    let swept = sweep(repository, (ambient().now)(), SignedDuration::ZERO, &options).unwrap();
    assert_eq!(swept.deleted.len(), marked.condemned.len());
}

#[test]
fn a_backup_through_a_sidecar_stores_nothing_twice_and_uses_its_parent() {
    let (repository, source) = (memory_repository(), source(0..6));
    let first = back_up(&repository, &source, None);
    assert_eq!(heads(&repository).len(), 1);
    let index = repository.open_index(USE).unwrap();
    assert_eq!(index.covered(), repository.load_index().unwrap().len() as u64);

    // Read again without a parent: every chunk and tree is known.
    let again = back_up(&repository, &source, None);
    assert_eq!((again.tree, again.summary.data_added), (first.tree, 0));
    source.opened.lock().unwrap().clear();
    let unchanged = back_up(&repository, &source, Some(first.snapshot));
    assert_eq!((unchanged.tree, unchanged.summary.data_added), (first.tree, 0));
    assert!(source.opened.lock().unwrap().is_empty(), "the parent was found");
    assert_eq!(heads(&repository).len(), 1, "there was nothing to add");
    for report in [first, again, unchanged] {
        assert_eq!(report.sidecar_problems, Vec::<String>::new());
    }
    require_sound(&repository);
}

#[test]
fn what_is_added_joins_the_sidecar_once_it_is_a_good_part_of_all() {
    let repository = memory_repository();
    back_up(&repository, &source(0..40), None);
    let covered = repository.open_index(USE).unwrap().covered();
    back_up(&repository, &source(0..9), None);
    assert_eq!(
        repository.open_index(USE).unwrap().covered(),
        covered,
        "one file more is too little"
    );
    let last = back_up(&repository, &source(0..80), None);
    let index = repository.open_index(USE).unwrap();
    assert_eq!(index.covered(), repository.load_index().unwrap().len() as u64);
    assert!(index.usable(BlobKind::Tree, &last.tree).unwrap().is_some());
    assert_eq!(heads(&repository).len(), 2, "a backup deletes nothing");
    require_sound(&repository);
}

#[test]
fn after_a_prune_the_sidecar_is_gone_and_what_was_deleted_is_stored_again() {
    let repository = memory_repository();
    let gone = back_up(&repository, &source(0..6), None);
    let kept = back_up(&repository, &source(4..9), None);
    forget(&repository, &[gone.snapshot]).unwrap();
    prune(&repository);
    assert_eq!(heads(&repository), Vec::<String>::new());

    let again = back_up(&repository, &source(0..9), None);
    assert!(
        again.summary.data_added >= 4 * SIZE as u64,
        "{}",
        again.summary.data_added
    );
    assert!(
        again.summary.data_added < 6 * SIZE as u64,
        "{}",
        again.summary.data_added
    );
    assert_eq!(heads(&repository).len(), 1);
    require_sound(&repository);
    let last = back_up(&repository, &source(4..9), Some(kept.snapshot));
    assert_eq!(last.summary.data_added, 0);
    assert_eq!(last.sidecar_problems, Vec::<String>::new());
}

#[test]
fn what_is_only_in_condemned_packs_is_stored_again() {
    let repository = memory_repository();
    let first = back_up(&repository, &source(0..3), None);
    forget(&repository, &[first.snapshot]).unwrap();
    let options = MarkOptions {
        extra_roots: &[],
        max_dead_percent: 100,
        pack_size: 1 << 20,
        batch_bytes: 1 << 30,
        dry_run: false,
        workers: 2,
        progress: &NoProgress,
        cancel: &NEVER,
    };
    mark(&repository, &options).unwrap();
    let again = back_up(&repository, &source(0..3), None);
    assert_eq!(again.tree, first.tree);
    assert_eq!(again.summary.data_added, first.summary.data_added);
}

#[test]
fn a_damaged_sidecar_is_told_and_stops_no_backup() {
    let folder = tempfile::tempdir().unwrap();
    let repository = support::disk_repository(folder.path());
    let (source, larger) = (source(0..4), source(0..5));
    let first = back_up(&repository, &source, None);
    let storage: &Arc<dyn Storage> = repository.storage();
    for (name, _) in storage.list_sidecar("index/").unwrap() {
        let path = folder.path().join("holdfast").join(&name);
        let whole = std::fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        let at = damaged.len() / 2;
        damaged[at] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        let report = back_up(&repository, &source, None);
        assert_eq!((report.tree, report.summary.data_added), (first.tree, 0), "{name}");
        let [problem] = report.sidecar_problems.as_slice() else {
            panic!("{name}: {report:?}")
        };
        assert!(problem.contains("holdfast/index/"), "{problem}");
        std::fs::write(&path, &whole).unwrap();
    }
    // With more to cover, a new one takes its place.
    let [head] = heads(&repository).try_into().unwrap();
    std::fs::write(folder.path().join("holdfast").join(&head), b"nothing").unwrap();
    assert_eq!(back_up(&repository, &larger, None).sidecar_problems.len(), 1);
    let index = repository.open_index(USE).unwrap();
    assert_eq!(index.covered(), repository.load_index().unwrap().len() as u64);
    assert!(
        storage.size(&FileName::Sidecar(head)).unwrap().is_some(),
        "a backup deletes nothing"
    );
    assert!(storage.list(FileKind::Index).unwrap().len() >= 2);
    require_sound(&repository);
}
