use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::index::{Index, IndexOptions, IndexPack, LayeredIndex, Lookup};
use crate::lock::{Lock, LockKind};
use crate::pack::PackBlob;
use crate::prune::{SweepOptions, sweep};
use crate::storage::faults::{Fault, Faulty};
use crate::storage::{FileKind, FileName, MemoryStorage, Storage};
use crate::testing::{GO_ON, ambient, memory, now, through};

/// A sidecar however little there is.
const USE: IndexOptions = IndexOptions {
    sidecar_from: 1,
    memory: 1 << 20,
};

fn id(of: &str, number: u32) -> Id {
    Id::of(format!("{of} {number}").as_bytes())
}

/// A pack of blobs of these numbers; every fifth is a tree.
fn pack(number: u32, blobs: &[u32]) -> IndexPack {
    let blob = |(at, blob): (usize, &u32)| PackBlob {
        kind: if blob % 5 == 0 { BlobKind::Tree } else { BlobKind::Data },
        id: id("blob", *blob),
        offset: u32::try_from(at).unwrap() * 1000,
        length: 100 + blob,
        uncompressed_length: (blob % 2 == 0).then_some(500 + blob),
    };
    IndexPack {
        id: id("pack", number),
        blobs: blobs.iter().enumerate().map(blob).collect(),
    }
}

/// Writes a sidecar of everything.
fn extend(repo: &Repository) -> Result<bool> {
    let lock = Lock::acquire(repo, LockKind::Shared)?;
    let written = repo.open_index(USE)?.write_sidecar(&[], 0, &lock, &|| Ok(()))?;
    lock.release()?;
    Ok(written)
}

/// Everything that both can be asked about these blobs.
fn assert_same(layered: &LayeredIndex, whole: &Index, blobs: impl Iterator<Item = u32>) {
    for blob in blobs {
        for kind in [BlobKind::Data, BlobKind::Tree] {
            let id = id("blob", blob);
            let (found, expected) = (layered.usable(kind, &id), whole.usable(kind, &id));
            assert_eq!(found.unwrap(), expected.unwrap(), "{kind} blob {blob}");
            let (found, expected) = (layered.places(kind, &id).unwrap(), whole.places(kind, &id).unwrap());
            let condemned = |place: &Location| layered.is_condemned(&place.pack);
            assert!(
                found.is_sorted_by_key(condemned),
                "{kind} blob {blob}: condemned packs come last"
            );
            let sorted = |mut places: Vec<Location>| {
                places.sort_by_key(|place| (place.pack, place.offset));
                places
            };
            assert_eq!(sorted(found), sorted(expected), "{kind} blob {blob}");
        }
    }
}

fn condemn(store: &MemoryStorage, packs: &[u32]) {
    let mut packs: Vec<Id> = packs.iter().map(|number| id("pack", *number)).collect();
    packs.sort_unstable();
    let list = crate::prune::Condemned {
        version: 1,
        generation: 1,
        marked_at: now(),
        packs,
    };
    let file = FileName::Sidecar("condemned/1.json".to_owned());
    store.overwrite(file, serde_json::to_vec(&list).unwrap());
}

/// The sidecar files of the index that are stored.
fn stored(store: &MemoryStorage) -> BTreeMap<FileName, Vec<u8>> {
    let mut files = store.snapshot();
    files.retain(|name, _| matches!(name, FileName::Sidecar(name) if name.starts_with(PREFIX)));
    files
}

/// A repository with three index files, a sidecar of all of them, and a condemned pack.
fn small() -> (Arc<MemoryStorage>, Repository) {
    let (store, repo) = memory();
    for (number, blobs) in [(1, 0..8), (2, 5..12), (3, 20..25)] {
        repo.save_index(&[pack(number, &blobs.collect::<Vec<_>>())]).unwrap();
    }
    assert!(extend(&repo).unwrap());
    condemn(&store, &[2]);
    (store, repo)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn a_sidecar_answers_as_the_whole_index_does(
        files in proptest::collection::vec(
            (proptest::collection::vec((0..40u32, proptest::collection::vec(0..60u32, 1..12)), 1..5), 0..3u8),
            1..8,
        ),
        condemned in proptest::collection::vec(0..40u32, 0..6),
    ) {
        let (store, repo) = memory();
        // The same pack holds the same everywhere.
        let mut packs: BTreeMap<u32, IndexPack> = BTreeMap::new();
        for (file, then) in &files {
            let file: Vec<IndexPack> = file
                .iter()
                .map(|(number, blobs)| packs.entry(*number).or_insert_with(|| pack(*number, blobs)).clone())
                .collect();
            repo.save_index(&file).unwrap();
            if *then == 0 {
                extend(&repo).unwrap();
            }
        }
        condemn(&store, &condemned);
        let (layered, whole) = (repo.open_index(USE).unwrap(), repo.load_index().unwrap());
        prop_assert_eq!(layered.covered() > 0, files.iter().any(|(_, then)| *then == 0));
        assert_same(&layered, &whole, 0..70);
        prop_assert_eq!(layered.problems(), Vec::<String>::new());
    }
}

#[test]
fn many_shards_in_several_files_hold_what_was_put_in() {
    const BLOBS: u32 = 1_500_000;
    let (_, repo) = memory();
    let packs = (0..BLOBS / 1000).map(|number| {
        let blobs: Vec<u32> = (number * 1000..(number + 1) * 1000).collect();
        pack(number, &blobs)
    });
    let index = Index::new(packs, &HashSet::new());
    let files = vec![id("file", 1)];
    write(&repo, None, &[&index], files.clone(), &|| Ok(())).unwrap();
    let mut problems = Vec::new();
    let present = files.into_iter().collect();
    let sidecar = Sidecar::find(&repo, &present, &HashSet::new(), 1 << 30, &mut problems).unwrap();
    assert!(sidecar.data.layout.shards() > SHARDS_PER_FILE);
    assert!(
        sidecar
            .entries(BlobKind::Data)
            .map(Result::unwrap)
            .eq(index.data.iter().copied())
    );
    assert!(
        sidecar
            .entries(BlobKind::Tree)
            .map(Result::unwrap)
            .eq(index.trees.iter().copied())
    );
    for blob in (0..BLOBS + 3000).step_by(997) {
        for kind in [BlobKind::Data, BlobKind::Tree] {
            let id = id("blob", blob);
            assert_eq!(sidecar.usable(kind, &id).unwrap(), index.usable(kind, &id).unwrap());
            assert_eq!(sidecar.places(kind, &id).unwrap(), index.places(kind, &id).unwrap());
        }
    }
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn what_does_not_fit_in_memory_is_read_again() {
    let (_, repo) = small();
    let present = repo
        .storage()
        .list(FileKind::Index)
        .unwrap()
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    let sidecar = Sidecar::find(&repo, &present, &HashSet::new(), 10, &mut Vec::new()).unwrap();
    for _ in 0..2 {
        assert!(sidecar.usable(BlobKind::Data, &id("blob", 1)).unwrap().is_some());
        assert!(sidecar.usable(BlobKind::Tree, &id("blob", 5)).unwrap().is_some());
    }
    assert!(sidecar.data.kept.iter().all(|kept| kept.get().is_none()));
    assert_eq!(sidecar.room.load(Ordering::Relaxed), 10);
}

#[test]
fn a_flipped_bit_anywhere_changes_no_answer_and_is_told() {
    let (store, repo) = small();
    let whole = repo.load_index().unwrap();
    for (name, bytes) in stored(&store) {
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            store.overwrite(name.clone(), damaged);
            let layered = repo.open_index(USE).unwrap();
            assert_same(&layered, &whole, 0..30);
            assert_eq!(layered.problems().len(), 1, "{name} byte {at}");
        }
        store.overwrite(name, bytes);
    }
    let layered = repo.open_index(USE).unwrap();
    assert_same(&layered, &whole, 0..30);
    assert_eq!(layered.problems(), Vec::<String>::new());
}

#[test]
fn a_part_that_is_missing_cut_short_or_of_another_sidecar_changes_no_answer() {
    let (store, repo) = small();
    let earlier = stored(&store);
    // The same index files and blobs again: only the nonce tells the parts apart.
    for name in earlier.keys() {
        store.delete(name).unwrap();
    }
    assert!(extend(&repo).unwrap());
    let present = stored(&store);
    let whole = repo.load_index().unwrap();
    let names = || present.iter().zip(earlier.values());
    for ((name, bytes), other) in names().filter(|((name, _), _)| !head::Head::is_name_of_one(name)) {
        let shifted: Vec<u8> = [&[0][..], bytes].concat();
        let wrong = [
            Some(bytes[..bytes.len() - 1].to_vec()),
            Some(Vec::new()),
            Some(shifted),
            Some(other.clone()),
            None,
        ];
        for wrong in wrong {
            match wrong {
                Some(wrong) => store.overwrite(name.clone(), wrong),
                None => store.delete(name).unwrap(),
            }
            let layered = repo.open_index(USE).unwrap();
            assert_same(&layered, &whole, 0..30);
            assert_eq!(layered.problems().len(), 1, "{name}");
        }
        store.overwrite(name.clone(), bytes.clone());
    }
    let parts: Vec<&Vec<u8>> = present.values().collect();
    assert!(parts.len() >= 5, "packs, filters and entries of both kinds, and a head");
}

#[test]
fn a_sidecar_of_an_index_file_that_is_gone_is_not_used() {
    let (store, repo) = small();
    assert!(repo.open_index(USE).unwrap().covered() > 0);
    let (gone, _) = store.list(FileKind::Index).unwrap()[0];
    store.delete(&FileName::Object(FileKind::Index, gone)).unwrap();
    let layered = repo.open_index(USE).unwrap();
    assert_eq!(layered.covered(), 0);
    assert_same(&layered, &repo.load_index().unwrap(), 0..30);
    assert_eq!(layered.problems(), Vec::<String>::new(), "that is no damage");
}

#[test]
fn small_repositories_ask_for_no_sidecar() {
    let (store, repo) = small();
    let counted = Arc::new(Faulty::new(store, u64::MAX, Fault::Fail));
    let repo = through(&repo, counted.clone());
    let calls = counted.calls();
    assert_eq!(repo.open_index(IndexOptions::default()).unwrap().covered(), 0);
    // Lists of condemned packs, one such list, index files and their names.
    assert_eq!(counted.calls() - calls, 6);
}

#[test]
fn a_writer_that_fails_or_dies_at_any_call_leaves_a_repository_that_answers_right() {
    for fault in [Fault::Fail, Fault::Crash] {
        for at in 0.. {
            let (store, repo) = memory();
            repo.save_index(&[pack(1, &[1, 2, 5]), pack(2, &[7, 10])]).unwrap();
            let faulty = Arc::new(Faulty::new(store, u64::MAX, fault));
            drop(through(&repo, faulty.clone()));
            let opening = faulty.calls();
            let faulty = Arc::new(Faulty::new(
                Arc::new(faulty.after_crash(|_, _| true)),
                opening + at,
                fault,
            ));
            let outcome = extend(&through(&repo, faulty.clone()));
            let finished = faulty.calls() <= opening + at;
            for survives in [|_: &FileName| true, |_: &FileName| false, head::Head::is_name_of_one] {
                let left = Arc::new(faulty.after_crash(|name, _| survives(name)));
                let repo = through(&repo, left.clone());
                let layered = repo.open_index(USE).unwrap();
                assert_same(&layered, &repo.load_index().unwrap(), 0..12);
                assert_eq!(
                    layered.problems(),
                    Vec::<String>::new(),
                    "{fault:?} at {at}: {outcome:?}"
                );
                if finished {
                    assert_eq!(layered.covered(), 5);
                } else {
                    extend(&repo).unwrap();
                    assert_eq!(repo.open_index(USE).unwrap().covered(), 5, "{fault:?} at {at}");
                }
            }
            if finished {
                break;
            }
        }
    }
}

#[test]
fn a_writer_that_is_told_to_stop_writes_no_head() {
    let (store, repo) = memory();
    repo.save_index(&[pack(1, &[1, 2, 5])]).unwrap();
    let lock = Lock::acquire(&repo, LockKind::Shared).unwrap();
    let stop = || Err(RepositoryError::Cancelled);
    let written = repo.open_index(USE).unwrap().write_sidecar(&[], 0, &lock, &stop);
    assert!(matches!(written, Err(RepositoryError::Cancelled)));
    assert!(!stored(&store).keys().any(head::Head::is_name_of_one));
}

#[test]
fn of_many_writers_at_once_one_wins_and_the_next_sweep_removes_the_rest() {
    let (store, repo) = memory();
    repo.save_index(&[pack(1, &[1, 2, 5])]).unwrap();
    let opened: Vec<LayeredIndex> = (0..4).map(|_| repo.open_index(USE).unwrap()).collect();
    let lock = Lock::acquire(&repo, LockKind::Shared).unwrap();
    std::thread::scope(|scope| {
        for index in &opened {
            scope.spawn(|| index.write_sidecar(&[], 0, &lock, &|| Ok(())).unwrap());
        }
    });
    lock.release().unwrap();
    assert_eq!(repo.open_index(USE).unwrap().covered(), 3);
    sweep_now(&repo, false);
    let stems: BTreeSet<String> = parts(&store)
        .map(|name| name.split_once('-').unwrap().0.to_owned())
        .collect();
    assert_eq!(stems.len(), 1, "{stems:?}");
    assert_eq!(repo.open_index(USE).unwrap().covered(), 3);
}

fn parts(store: &MemoryStorage) -> impl Iterator<Item = String> {
    stored(store).into_keys().filter_map(|file| match file {
        FileName::Sidecar(name) if !name.ends_with("-head") => Some(name),
        _ => None,
    })
}

fn sweep_now(repo: &Repository, dry_run: bool) {
    let options = SweepOptions {
        extra_roots: &[],
        dry_run,
        workers: 2,
        cancel: &GO_ON,
    };
    sweep(repo, now(), SignedDuration::ZERO, &options).unwrap();
}

#[test]
fn a_sweep_removes_sidecars_that_a_fuller_one_supersedes_or_that_cannot_be_used() {
    let (store, repo) = memory();
    repo.save_index(&[pack(1, &[1, 2, 5])]).unwrap();
    assert!(extend(&repo).unwrap());
    repo.save_index(&[pack(2, &[3, 4])]).unwrap();
    assert!(extend(&repo).unwrap());
    assert!(!extend(&repo).unwrap(), "there is nothing new");
    let before = stored(&store);
    sweep_now(&repo, true);
    assert_eq!(stored(&store), before, "a dry run removes nothing");
    sweep_now(&repo, false);
    assert_eq!(
        stored(&store)
            .keys()
            .filter(|file| head::Head::is_name_of_one(file))
            .count(),
        1
    );
    assert_eq!(stored(&store).len(), before.len() / 2);
    assert_eq!(repo.open_index(USE).unwrap().covered(), 5);

    let (gone, _) = store.list(FileKind::Index).unwrap()[0];
    store.delete(&FileName::Object(FileKind::Index, gone)).unwrap();
    sweep_now(&repo, false);
    assert!(stored(&store).is_empty());
}

#[test]
fn a_sweep_that_cannot_ask_the_store_removes_nothing() {
    let (store, repo) = small();
    store.delete(&FileName::Sidecar("condemned/1.json".to_owned())).unwrap();
    let before = stored(&store);
    let watched = Arc::new(Faulty::new(store.clone(), u64::MAX, Fault::Fail));
    let through = |at| {
        let faulty = Arc::new(Faulty::new(store.clone(), at, Fault::Fail));
        Repository::open(faulty, ambient(), crate::Unlock::MasterKey(repo.key().clone())).unwrap()
    };
    drop(Repository::open(
        watched.clone(),
        ambient(),
        crate::Unlock::MasterKey(repo.key().clone()),
    ));
    let opening = watched.calls();
    for at in 0..20 {
        let options = SweepOptions {
            extra_roots: &[],
            dry_run: false,
            workers: 1,
            cancel: &GO_ON,
        };
        // An error or not: what is usable stays.
        drop(sweep(&through(opening + at), now(), SignedDuration::ZERO, &options));
        for (lock, _) in store.list(FileKind::Lock).unwrap() {
            store.delete(&FileName::Object(FileKind::Lock, lock)).unwrap();
        }
        assert_eq!(stored(&store), before, "at {at}");
    }
}
