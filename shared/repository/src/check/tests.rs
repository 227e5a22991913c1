use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::pack::PackBlob;
use crate::progress::NoProgress;
use crate::storage::{MemoryStorage, Storage};
use crate::testing::{GO_ON, assert_whole, check_all, chunks, content, memory, plain_snapshot, snapshot};

const FILES: &[(&str, usize)] = &[("alpha", 950), ("beta", 430), ("bravo", 0), ("big", 2000)];

fn object(kind: FileKind, id: Id) -> FileName {
    FileName::Object(kind, id)
}

fn packs(repo: &Repository, kind: BlobKind) -> BTreeMap<Id, Vec<PackBlob>> {
    let index = repo.load_index().unwrap();
    let contents = PackContents::new(&index);
    let all = index
        .packs()
        .iter()
        .enumerate()
        .map(|(n, pack)| (pack.id, contents.of(n)));
    all.filter(|(_, blobs)| blobs[0].kind == kind).collect()
}

fn damaged(store: &MemoryStorage, file: &FileName, damage: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = store.read(file).unwrap();
    damage(&mut bytes);
    store.overwrite(file.clone(), bytes);
}

#[test]
fn a_sound_repository_is_clean_and_every_byte_is_read() {
    let (store, repo) = memory();
    let id = snapshot(&repo, FILES, 500);
    assert_whole(&repo, &[(id, FILES)], "fresh");
    let report = check_all(&repo);
    let stored: u64 = store.list(FileKind::Data).unwrap().iter().map(|(_, size)| size).sum();
    assert_eq!((report.bytes_read, report.snapshots), (stored, 1));
    assert_eq!(report.orphan_packs, []);
}

#[test]
fn every_flipped_byte_of_a_pack_is_found_and_names_the_pack() {
    let (store, repo) = memory();
    snapshot(&repo, &[("a", 150)], 10_000);
    let (pack, blobs) = packs(&repo, BlobKind::Data).pop_first().unwrap();
    let file = object(FileKind::Data, pack);
    let size = store.read(&file).unwrap().len();
    for at in 0..size {
        damaged(&store, &file, |bytes| bytes[at] ^= 1);
        let report = check_all(&repo);
        assert!(
            report
                .damages
                .iter()
                .any(|d| matches!(d, Damage::PackHash { pack: p, .. } if *p == pack))
        );
        let hit = blobs
            .iter()
            .find(|b| (b.offset as usize..(b.offset + b.length) as usize).contains(&at));
        let named = report.damages.iter().find_map(|d| match d {
            Damage::BlobDamaged { blob, .. } => Some(*blob),
            _ => None,
        });
        assert_eq!(named, hit.map(|blob| blob.id), "byte {at}");
        damaged(&store, &file, |bytes| bytes[at] ^= 1);
    }
    assert!(check_all(&repo).is_clean());
}

#[test]
fn a_check_without_reading_still_finds_missing_and_short_packs() {
    let (store, repo) = memory();
    snapshot(&repo, FILES, 500);
    let packs: Vec<Id> = packs(&repo, BlobKind::Data).into_keys().collect();
    repo.storage().delete(&object(FileKind::Data, packs[0])).unwrap();
    damaged(&store, &object(FileKind::Data, packs[1]), |bytes| {
        bytes.truncate(bytes.len() - 1);
    });
    let options = CheckOptions {
        read_data: false,
        snapshots: None,
        workers: 2,
        progress: &NoProgress,
        cancel: &GO_ON,
        ledger: None,
    };
    let damages = check(&repo, &options).unwrap().damages;
    assert!(damages.contains(&Damage::MissingPack { pack: packs[0] }), "{damages:?}");
    assert!(
        matches!(damages[1], Damage::PackSize { pack, found, expected } if pack == packs[1] && found + 1 == expected)
    );
    assert_eq!(damages.len(), 2);
}

#[test]
fn damage_is_named_to_the_file() {
    let (store, repo) = memory();
    let id = snapshot(&repo, FILES, 500);
    let lost = chunks(&content("big", 2000))[7];
    let index = repo.load_index().unwrap();
    let location = index.lookup(BlobKind::Data, &lost).unwrap();
    damaged(&store, &object(FileKind::Data, location.pack), |bytes| {
        bytes[location.offset as usize + 20] ^= 4;
    });
    let affected = affected_files(&repo, &index, &check_all(&repo).damages).unwrap();
    assert_eq!(
        affected,
        [AffectedFile {
            snapshot: id,
            path: PathBuf::from("/b/big")
        }]
    );
}

#[test]
fn a_damaged_blob_that_another_pack_holds_harms_no_file() {
    let (store, repo) = memory();
    let id = snapshot(&repo, FILES, 500);
    let lost = chunks(&content("big", 2000))[7];
    let mut writer = crate::rewrite::PackWriter::new(&repo, 500, 1).unwrap();
    writer
        .add(BlobKind::Data, lost, &content("big", 2000)[700..800])
        .unwrap();
    writer.finish().unwrap();
    let index = repo.load_index().unwrap();
    let location = index.lookup(BlobKind::Data, &lost).unwrap();
    damaged(&store, &object(FileKind::Data, location.pack), |bytes| {
        bytes[location.offset as usize + 20] ^= 4;
    });
    let report = check_all(&repo);
    assert!(!report.is_clean());
    assert_eq!(affected_files(&repo, &index, &report.damages).unwrap(), []);
    assert_eq!(crate::testing::restore(&repo, &id)["big"], content("big", 2000));
}

#[test]
fn a_lost_tree_pack_is_named_to_the_folder() {
    let (store, repo) = memory();
    let id = snapshot(&repo, FILES, 100);
    let index = repo.load_index().unwrap();
    let root = repo.load_tree(&index, &repo.snapshot(&id).unwrap().tree).unwrap();
    let folder = root.find(b"b").unwrap().subtree.unwrap();
    let pack = index.lookup(BlobKind::Tree, &folder).unwrap().pack;
    store.delete(&object(FileKind::Data, pack)).unwrap();
    let report = check_all(&repo);
    assert!(report.damages.contains(&Damage::MissingPack { pack }));
    assert!(
        report
            .damages
            .iter()
            .any(|d| matches!(d, Damage::BadTree { tree, .. } if *tree == folder))
    );
    let affected = affected_files(&repo, &index, &report.damages).unwrap();
    assert_eq!(
        affected,
        [AffectedFile {
            snapshot: id,
            path: PathBuf::from("/b")
        }]
    );
}

#[test]
fn damaged_index_and_snapshot_files_are_named() {
    let (store, repo) = memory();
    let id = snapshot(&repo, FILES, 500);
    let index = repo.storage().list(FileKind::Index).unwrap()[0].0;
    damaged(&store, &object(FileKind::Index, index), |bytes| bytes[30] ^= 1);
    damaged(&store, &object(FileKind::Snapshot, id), |bytes| bytes[30] ^= 1);
    let damages = check_all(&repo).damages;
    assert!(
        matches!(&damages[0], Damage::BadSnapshot { snapshot, .. } if *snapshot == id),
        "{damages:?}"
    );
    assert!(matches!(&damages[1], Damage::BadIndex { index: i, .. } if *i == index));
    assert_eq!(damages.len(), 2);
}

#[test]
fn what_no_index_names_is_missing_for_those_who_need_it_and_a_hint_otherwise() {
    let (_store, repo) = memory();
    let id = snapshot(&repo, FILES, 500);
    for (index, _) in repo.storage().list(FileKind::Index).unwrap() {
        repo.storage().delete(&object(FileKind::Index, index)).unwrap();
    }
    let report = check_all(&repo);
    let tree = repo.snapshot(&id).unwrap().tree;
    assert_eq!(
        report.damages,
        [Damage::MissingBlob {
            kind: BlobKind::Tree,
            blob: tree
        }]
    );
    assert_eq!(
        report.orphan_packs.len(),
        repo.storage().list(FileKind::Data).unwrap().len()
    );
}

#[test]
fn one_snapshot_is_proven_from_the_packs_it_needs_alone() {
    let (store, repo) = memory();
    let good = snapshot(&repo, &[("alpha", 950)], 500);
    let before: Vec<Id> = repo
        .storage()
        .list(FileKind::Data)
        .unwrap()
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    let bad = snapshot(&repo, &[("other", 950)], 500);
    for (pack, _) in repo.storage().list(FileKind::Data).unwrap() {
        if !before.contains(&pack) {
            damaged(&store, &object(FileKind::Data, pack), |bytes| bytes[3] ^= 1);
        }
    }
    let of = |id| {
        let snapshots = Some(vec![id]);
        let options = CheckOptions {
            read_data: true,
            snapshots,
            workers: 2,
            progress: &NoProgress,
            cancel: &GO_ON,
            ledger: None,
        };
        check(&repo, &options).unwrap()
    };
    assert!(of(good).is_clean());
    assert_eq!(of(good).packs, before.len() as u64);
    assert!(!of(bad).is_clean());
    let absent = of(Id::of(b"no such snapshot"));
    assert!(matches!(absent.damages[..], [Damage::BadSnapshot { .. }]));
}

#[test]
fn an_index_that_disagrees_with_a_pack_is_found() {
    let (_store, repo) = memory();
    snapshot(&repo, FILES, 10_000);
    let (pack, mut blobs) = packs(&repo, BlobKind::Data).pop_first().unwrap();
    let (name, _) = repo.storage().list(FileKind::Index).unwrap()[0];
    let json = repo.load_unpacked(FileKind::Index, &name).unwrap();
    let mut lists = decode_index(&name, &json).unwrap();
    let second = blobs[1].id;
    blobs[1].id = std::mem::replace(&mut blobs[0].id, second);
    lists.retain(|list| list.id != pack);
    lists.push(crate::index::IndexPack { id: pack, blobs });
    repo.save_index(&lists).unwrap();
    repo.storage().delete(&object(FileKind::Index, name)).unwrap();
    let damages = check_all(&repo).damages;
    assert!(
        damages
            .iter()
            .any(|d| matches!(d, Damage::PackHeader { pack: p, .. } if *p == pack)),
        "{damages:?}"
    );
}

#[test]
fn a_tree_whose_file_lists_no_blobs_is_malformed() {
    let (_store, repo) = memory();
    let mut node = crate::tree::Node::new("file", crate::tree::NodeKind::File);
    node.content = Some(Vec::new());
    let good = String::from_utf8(crate::tree::Tree::new(vec![node]).encode().unwrap()).unwrap();
    let bytes = good.replace("\"content\":[]", "\"content\":null").into_bytes();
    assert_ne!(good.as_bytes(), bytes);
    let mut writer = crate::rewrite::PackWriter::new(&repo, 500, 1).unwrap();
    let tree = Id::of(&bytes);
    writer.add(BlobKind::Tree, tree, &bytes).unwrap();
    writer.finish().unwrap();
    repo.save_snapshot(&plain_snapshot(tree)).unwrap();
    let damages = check_all(&repo).damages;
    assert!(
        matches!(&damages[..], [Damage::BadTree { tree: t, .. }] if *t == tree),
        "{damages:?}"
    );
}

#[test]
fn a_store_that_cannot_be_asked_is_an_error_and_not_damage() {
    use crate::storage::faults::{Fault, Faulty};
    let (store, repo) = memory();
    snapshot(&repo, FILES, 500);
    let count = |at| {
        let faulty = Arc::new(Faulty::new(Arc::clone(&store), u64::MAX, Fault::Fail));
        let through = crate::testing::through(&repo, faulty.clone());
        let calls_to_open = faulty.calls();
        let faulty = Arc::new(Faulty::new(Arc::clone(&store), calls_to_open + at, Fault::Fail));
        let options = CheckOptions {
            read_data: true,
            snapshots: None,
            workers: 1,
            progress: &NoProgress,
            cancel: &GO_ON,
            ledger: None,
        };
        drop(through);
        let result = check(&crate::testing::through(&repo, faulty.clone()), &options);
        (result, faulty.calls() > calls_to_open + at)
    };
    let mut failures = 0;
    for at in 0.. {
        let (result, was_hit) = count(at);
        if !was_hit {
            break;
        }
        failures += 1;
        assert_eq!(
            result.expect_err("a fault").kind(),
            crate::error::ErrorKind::Transient,
            "call {at}"
        );
    }
    assert!(failures > 10);
}

#[test]
fn damages_keep_their_stored_form() {
    let id = Id::of(b"");
    let damages = vec![
        Damage::MissingBlob {
            kind: BlobKind::Data,
            blob: id,
        },
        Damage::PackSize {
            pack: id,
            found: 1,
            expected: 2,
        },
    ];
    let json = serde_json::to_string(&damages).unwrap();
    assert_eq!(
        json,
        format!(
            "[{{\"damage\":\"missing_blob\",\"kind\":\"data\",\"blob\":\"{id}\"}},\
             {{\"damage\":\"pack_size\",\"pack\":\"{id}\",\"found\":1,\"expected\":2}}]"
        )
    );
    assert_eq!(serde_json::from_str::<Vec<Damage>>(&json).unwrap(), damages);
    assert!(serde_json::from_str::<Damage>("{\"damage\":\"eaten\"}").is_err());
}
