use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::copy::{CopyOptions, copy};
use crate::storage::faults::{Fault, Faulty};
use crate::storage::{MemoryStorage, Storage};
use crate::testing::{GO_ON, assert_whole, check_all, chunks, content, memory, pass, snapshot, through};

const OLD: &[(&str, usize)] = &[("alpha", 700), ("beta", 430)];
const NEW: &[(&str, usize)] = &[("alpha", 700), ("bravo", 900)];

struct Pair {
    store: Arc<MemoryStorage>,
    repo: Repository,
    copy_store: Arc<MemoryStorage>,
    copy: Repository,
    snapshots: [(Id, &'static [(&'static str, usize)]); 2],
}

fn pair() -> Pair {
    let (store, repo) = memory();
    let snapshots = [(snapshot(&repo, OLD, 400), OLD), (snapshot(&repo, NEW, 400), NEW)];
    let copy_store = Arc::new(MemoryStorage::new());
    let options = CopyOptions {
        snapshots: None,
        workers: 1,
        progress: &NoProgress,
        cancel: &GO_ON,
    };
    copy(&repo, copy_store.clone(), &options).unwrap();
    let copied = through(&repo, copy_store.clone());
    Pair {
        store,
        repo,
        copy_store,
        copy: copied,
        snapshots,
    }
}

fn flip(store: &MemoryStorage, kind: FileKind, id: Id, at: usize) {
    let file = FileName::Object(kind, id);
    let mut bytes = store.read(&file).unwrap();
    bytes[at] ^= 1;
    store.overwrite(file, bytes);
}

fn all(store: &MemoryStorage, kind: FileKind) -> Vec<Id> {
    store.list(kind).unwrap().into_iter().map(|(id, _)| id).collect()
}

#[test]
fn every_file_that_is_flipped_cut_or_lost_comes_back_from_the_copy() {
    for kind in [FileKind::Data, FileKind::Index, FileKind::Snapshot] {
        for damage in 0..3 {
            let pair = pair();
            for id in all(&pair.store, kind) {
                let file = FileName::Object(kind, id);
                match damage {
                    0 => flip(&pair.store, kind, id, 40),
                    1 => pair
                        .store
                        .overwrite(file.clone(), pair.store.read(&file).unwrap()[..20].to_vec()),
                    _ if kind == FileKind::Snapshot => continue,
                    _ => pair.store.delete(&file).unwrap(),
                }
            }
            let damages = check_all(&pair.repo).damages;
            let report = repair(&pair.repo, &pair.copy, &damages, &GO_ON).unwrap();
            assert_eq!(report.unrepairable, [], "{kind:?} {damage}");
            for damage in &damages {
                assert!(report.repaired.contains(damage), "{damage}");
            }
            assert_whole(&pair.repo, &pair.snapshots, &format!("{kind:?} {damage}"));
        }
    }
}

#[test]
fn what_neither_side_has_is_named_and_the_rest_is_saved() {
    let pair = pair();
    let lost = chunks(&content("bravo", 900))[4];
    let location = pair.repo.load_index().unwrap().lookup(BlobKind::Data, &lost).unwrap();
    for store in [&pair.store, &pair.copy_store] {
        flip(store, FileKind::Data, location.pack, location.offset as usize + 20);
    }
    let report = repair(&pair.repo, &pair.copy, &check_all(&pair.repo).damages, &GO_ON).unwrap();
    assert_eq!(
        report.unrepairable,
        [Damage::MissingBlob {
            kind: BlobKind::Data,
            blob: lost
        }]
    );
    let path = PathBuf::from("/b/bravo");
    assert_eq!(
        report.affected,
        [AffectedFile {
            snapshot: pair.snapshots[1].0,
            path
        }]
    );
    assert_eq!(report.repaired, []);
    let again = check_all(&pair.repo).damages;
    assert_eq!(again, report.unrepairable, "only the lost blob is missing now");
    assert_eq!(pair.store.list_sidecar("quarantine/").unwrap().len(), 1);
    let healed = snapshot(&pair.repo, NEW, 400);
    assert_whole(
        &pair.repo,
        &[pair.snapshots[0], pair.snapshots[1], (healed, NEW)],
        "a new backup brings the blob back",
    );
}

#[test]
fn a_pack_that_the_copy_lacks_is_saved_blob_by_blob() {
    let pair = pair();
    let (a, b) = (chunks(&content("bravo", 900))[4], chunks(&content("bravo", 900))[5]);
    let index = pair.repo.load_index().unwrap();
    let at = |blob| index.lookup(BlobKind::Data, blob).unwrap();
    for (store, blob) in [(&pair.store, &a), (&pair.copy_store, &b)] {
        flip(store, FileKind::Data, at(blob).pack, at(blob).offset as usize + 20);
    }
    let report = repair(&pair.repo, &pair.copy, &check_all(&pair.repo).damages, &GO_ON).unwrap();
    assert_eq!(report.unrepairable, []);
    assert_whole(&pair.repo, &pair.snapshots, "each side had one half");
}

#[test]
fn a_wrong_index_is_written_anew_from_the_pack() {
    let pair = pair();
    let index = pair.repo.load_index().unwrap();
    let contents = PackContents::new(&index);
    let mut lists: Vec<IndexPack> = index
        .packs()
        .iter()
        .enumerate()
        .map(|(n, p)| IndexPack {
            id: p.id,
            blobs: contents.of(n),
        })
        .collect();
    let bad = lists.iter_mut().find(|list| list.blobs.len() > 1).unwrap();
    let second = bad.blobs[1].id;
    bad.blobs[1].id = std::mem::replace(&mut bad.blobs[0].id, second);
    let old = all(&pair.store, FileKind::Index);
    pair.repo.save_index(&lists).unwrap();
    old.iter()
        .for_each(|id| pair.store.delete(&FileName::Object(FileKind::Index, *id)).unwrap());
    let report = repair(&pair.repo, &pair.copy, &check_all(&pair.repo).damages, &GO_ON).unwrap();
    assert_eq!(report.unrepairable, []);
    assert_whole(&pair.repo, &pair.snapshots, "wrong index");
}

const WRAPPED: &str = "key/wrapped";

/// The config and the wrapped key, which a pair has in both stores.
fn opening_files(pair: &Pair) -> [FileName; 2] {
    let wrapped = FileName::Sidecar(WRAPPED.to_owned());
    for store in [&pair.store, &pair.copy_store] {
        store.put(&wrapped, b"a wrapped key").unwrap();
    }
    [FileName::Config, wrapped]
}

#[test]
fn what_a_repository_is_opened_with_comes_back_from_the_copy_and_the_damaged_bytes_are_kept() {
    for number in 0..2 {
        for damaged in [Some(&b"damaged"[..]), Some(b""), None] {
            let pair = pair();
            let file = &opening_files(&pair)[number];
            let right = pair.store.read(file).unwrap();
            match damaged {
                Some(bytes) => pair.store.overwrite(file.clone(), bytes.to_vec()),
                None => pair.store.delete(file).unwrap(),
            }
            for _ in 0..2 {
                repair_opening_files(&*pair.store, &pair.copy, WRAPPED).unwrap();
                assert_eq!(pair.store.read(file).unwrap(), right, "{file} {damaged:?}");
            }
            let kept = pair.store.list_sidecar("quarantine/").unwrap();
            let sizes: Vec<_> = kept.iter().map(|(_, size)| *size).collect();
            let expected: Vec<_> = damaged.iter().map(|bytes| bytes.len() as u64).collect();
            assert_eq!(sizes, expected, "{file} {damaged:?}");
            assert_whole(
                &through(&pair.repo, pair.store.clone()),
                &pair.snapshots,
                "opened again",
            );
        }
    }
}

#[test]
fn opening_files_that_are_right_are_not_written() {
    let pair = pair();
    opening_files(&pair);
    let watched = Faulty::new(pair.store.clone(), u64::MAX, Fault::Fail);
    repair_opening_files(&watched, &pair.copy, WRAPPED).unwrap();
    assert_eq!(watched.calls(), 2, "each is read, and no more");
}

#[test]
fn the_repair_of_opening_files_that_fails_at_any_call_is_finished_by_the_next() {
    for fault in [Fault::Fail, Fault::Crash] {
        for at in 0.. {
            let pair = pair();
            let files = opening_files(&pair);
            let right = files.clone().map(|file| pair.store.read(&file).unwrap());
            for file in &files {
                pair.store.overwrite(file.clone(), b"damaged".to_vec());
            }
            let faulty = Faulty::new(pair.store.clone(), at, fault);
            let result = repair_opening_files(&faulty, &pair.copy, WRAPPED);
            let done = faulty.calls() <= at;
            let store = match fault {
                Fault::Fail => pair.store.clone(),
                Fault::Crash => Arc::new(faulty.after_crash(|name, put| put ^ matches!(name, FileName::Config))),
            };
            if !done {
                assert!(result.is_err(), "{fault:?} at {at}");
                repair_opening_files(&*store, &pair.copy, WRAPPED).unwrap();
            }
            assert_eq!(
                files.clone().map(|file| store.read(&file).unwrap()),
                right,
                "{fault:?} at {at}"
            );
            if done {
                assert!(at > 8);
                break;
            }
        }
    }
}

#[test]
fn a_copy_without_the_opening_files_changes_nothing() {
    let pair = pair();
    let [config, wrapped] = opening_files(&pair);
    pair.store.overwrite(config.clone(), b"damaged".to_vec());
    pair.copy_store.delete(&wrapped).unwrap();
    let error = repair_opening_files(&*pair.store, &pair.copy, WRAPPED).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(pair.store.read(&config).unwrap(), b"damaged");
}

#[test]
fn another_repository_is_no_copy() {
    let pair = pair();
    let (_store, other) = memory();
    let error = repair(&pair.repo, &other, &[], &GO_ON).unwrap_err();
    assert_eq!(error.kind(), crate::error::ErrorKind::Invalid);
}

#[test]
fn a_repair_that_fails_or_crashes_at_any_call_is_finished_by_the_next() {
    for fault in [Fault::Fail, Fault::Crash] {
        for at in 0.. {
            let pair = pair();
            let index = pair.repo.load_index().unwrap();
            let [a, b] = [chunks(&content("bravo", 900))[4], chunks(&content("alpha", 700))[0]];
            let places: BTreeMap<_, _> = [a, b].map(|id| (id, index.lookup(BlobKind::Data, &id).unwrap())).into();
            for location in places.values() {
                flip(
                    &pair.store,
                    FileKind::Data,
                    location.pack,
                    location.offset as usize + 20,
                );
            }
            pair.copy_store
                .delete(&FileName::Object(FileKind::Data, places[&a].pack))
                .unwrap();
            let mut writer = PackWriter::new(&pair.copy, 400, 1).unwrap();
            for (n, chunk) in content("bravo", 900).chunks(100).enumerate() {
                writer
                    .add(BlobKind::Data, chunks(&content("bravo", 900))[n], chunk)
                    .unwrap();
            }
            writer.finish().unwrap();
            flip(&pair.store, FileKind::Index, all(&pair.store, FileKind::Index)[0], 40);
            let damages = check_all(&pair.repo).damages;

            let faulty = Arc::new(Faulty::new(pair.store.clone(), u64::MAX, fault));
            through(&pair.repo, faulty.clone());
            let opening = faulty.calls();
            let faulty = Arc::new(Faulty::new(pair.store.clone(), opening + at, fault));
            let result = repair(&through(&pair.repo, faulty.clone()), &pair.copy, &damages, &GO_ON);
            if faulty.calls() <= opening + at {
                assert!(at > 20);
                assert_eq!(result.unwrap().unrepairable, []);
                break;
            }
            let context = format!("{fault:?} at {at}");
            let store = match fault {
                Fault::Fail => pair.store.clone(),
                Fault::Crash => Arc::new(faulty.after_crash(|name, put| {
                    // Anything may reach the disk or not; half of it does here, by name.
                    put ^ (Id::of(name.to_string().as_bytes()).0[0] & 1 == 0)
                })),
            };
            pass(jiff::SignedDuration::from_hours(1));
            let repo = through(&pair.repo, store);
            let report = repair(&repo, &pair.copy, &check_all(&repo).damages, &GO_ON).unwrap();
            assert_eq!(report.unrepairable, [], "{context}");
            assert_whole(&repo, &pair.snapshots, &context);
        }
    }
}

#[test]
fn a_repair_that_is_told_to_stop_changes_no_more() {
    let pair = pair();
    for pack in all(&pair.store, FileKind::Data) {
        flip(&pair.store, FileKind::Data, pack, 20);
    }
    let damages = check_all(&pair.repo).damages;
    let before = pair.store.snapshot();
    let error = repair(&pair.repo, &pair.copy, &damages, &AtomicBool::new(true)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(pair.store.snapshot(), before);
}
