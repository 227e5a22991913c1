use super::*;
use crate::error::ErrorKind;
use crate::pack::BlobKind;
use crate::progress::NoProgress;
use crate::storage::MemoryStorage;
use crate::storage::faults::{Fault, Faulty};
use crate::testing::{GO_ON, assert_whole, chunks, content, memory, pass, restore, snapshot, through};

const OLD: &[(&str, usize)] = &[("alpha", 700), ("beta", 430)];
const NEW: &[(&str, usize)] = &[("alpha", 700), ("bravo", 900)];

fn options(snapshots: Option<Vec<Id>>) -> CopyOptions<'static> {
    CopyOptions {
        snapshots,
        workers: 2,
        progress: &NoProgress,
        cancel: &GO_ON,
    }
}

type Files = &'static [(&'static str, usize)];

fn source() -> (Arc<MemoryStorage>, Repository, [(Id, Files); 2]) {
    let (store, repo) = memory();
    let snapshots = [(snapshot(&repo, OLD, 400), OLD), (snapshot(&repo, NEW, 400), NEW)];
    (store, repo, snapshots)
}

#[test]
fn a_copy_is_a_whole_repository_of_its_own() {
    let (store, repo, snapshots) = source();
    store
        .put(&FileName::Sidecar("key/kms.json".to_owned()), b"wrapped")
        .unwrap();
    let copied = Arc::new(MemoryStorage::new());
    let report = copy(&repo, copied.clone(), &options(None)).unwrap();
    assert_eq!((report.snapshots_copied, report.snapshots_present), (2, 0));
    assert_eq!(report.packs_copied, store.list(FileKind::Data).unwrap().len() as u64);
    for file in [FileName::Config, FileName::Sidecar("key/kms.json".to_owned())] {
        assert_eq!(copied.read(&file).unwrap(), store.read(&file).unwrap());
    }
    assert_eq!(
        copied.list(FileKind::Data).unwrap(),
        store.list(FileKind::Data).unwrap()
    );
    assert_eq!(
        copied.list(FileKind::Snapshot).unwrap(),
        store.list(FileKind::Snapshot).unwrap()
    );
    assert_eq!(copied.list(FileKind::Lock).unwrap(), []);
    assert_whole(&through(&repo, copied), &snapshots, "copy");
}

#[test]
fn a_second_copy_sends_only_what_is_new() {
    let (_store, repo, snapshots) = source();
    let copied = Arc::new(MemoryStorage::new());
    let first = copy(&repo, copied.clone(), &options(Some(vec![snapshots[0].0]))).unwrap();
    let one = through(&repo, copied.clone());
    assert_whole(&one, &snapshots[..1], "the first alone");
    let second = copy(&repo, copied.clone(), &options(None)).unwrap();
    assert_eq!((second.snapshots_copied, second.snapshots_present), (1, 1));
    assert_eq!(second.packs_present, first.packs_copied);
    let third = copy(&repo, copied.clone(), &options(None)).unwrap();
    assert_eq!(
        (third.snapshots_copied, third.packs_copied, third.bytes_copied),
        (0, 0, 0)
    );
    assert_whole(&one, &snapshots, "both");
    let index_files = copied.list(FileKind::Index).unwrap().len();
    assert_eq!(index_files, 2);
}

#[test]
fn a_destination_with_another_repository_is_refused() {
    let (_store, repo, _) = source();
    let (other, _) = memory();
    let before = other.snapshot();
    let error = copy(&repo, other.clone(), &options(None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("another repository"), "{error}");
    assert_eq!(other.snapshot(), before);
}

#[test]
fn a_pack_of_the_wrong_size_in_the_destination_is_replaced() {
    let (_store, repo, snapshots) = source();
    let copied = Arc::new(MemoryStorage::new());
    copy(&repo, copied.clone(), &options(None)).unwrap();
    let (pack, size) = copied.list(FileKind::Data).unwrap()[0];
    copied.overwrite(FileName::Object(FileKind::Data, pack), vec![0; 7]);
    let report = copy(&repo, copied.clone(), &options(None)).unwrap();
    assert_eq!((report.packs_replaced, report.bytes_copied), (1, size));
    assert_whole(&through(&repo, copied), &snapshots, "replaced");
}

#[test]
fn a_damaged_source_pack_keeps_its_snapshots_back_and_no_others() {
    let (store, repo, snapshots) = source();
    let blob = chunks(&content("bravo", 900))[2];
    let pack = repo.load_index().unwrap().lookup(BlobKind::Data, &blob).unwrap().pack;
    let mut bytes = store.read(&FileName::Object(FileKind::Data, pack)).unwrap();
    bytes[9] ^= 1;
    store.overwrite(FileName::Object(FileKind::Data, pack), bytes);
    let copied = Arc::new(MemoryStorage::new());
    let error = copy(&repo, copied.clone(), &options(None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(error.to_string().contains(&pack.to_string()), "{error}");
    let RepositoryError::CopyIncomplete {
        snapshots: kept_back,
        packs,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!((kept_back, packs), (vec![snapshots[1].0], vec![pack]));
    assert_eq!(copied.size(&FileName::Object(FileKind::Data, pack)).unwrap(), None);
    assert_eq!(copied.list(FileKind::Snapshot).unwrap().len(), 1);
    assert_whole(&through(&repo, copied), &snapshots[..1], "the good one");
}

#[test]
fn a_damaged_source_tree_keeps_its_snapshots_back_and_no_others() {
    let (store, repo, snapshots) = source();
    let tree = repo.snapshot(&snapshots[1].0).unwrap().tree;
    let pack = repo.load_index().unwrap().lookup(BlobKind::Tree, &tree).unwrap().pack;
    store.delete(&FileName::Object(FileKind::Data, pack)).unwrap();
    let copied = Arc::new(MemoryStorage::new());
    let error = copy(&repo, copied.clone(), &options(None)).unwrap_err();
    assert!(
        matches!(&error, RepositoryError::CopyIncomplete { snapshots: s, .. } if *s == [snapshots[1].0]),
        "{error}"
    );
    assert_whole(&through(&repo, copied), &snapshots[..1], "the good one");
}

#[test]
fn a_damaged_snapshot_file_is_not_published() {
    let (store, repo, snapshots) = source();
    let file = FileName::Object(FileKind::Snapshot, snapshots[0].0);
    let mut bytes = store.read(&file).unwrap();
    bytes[9] ^= 1;
    store.overwrite(file, bytes);
    let copied = Arc::new(MemoryStorage::new());
    let error = copy(&repo, copied.clone(), &options(None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
    assert_eq!(copied.list(FileKind::Snapshot).unwrap(), []);
}

#[test]
fn a_copy_that_fails_or_crashes_at_any_call_is_finished_by_the_next() {
    let (_store, repo, snapshots) = source();
    for fault in [Fault::Fail, Fault::Crash] {
        for survivors in 0..3u8 {
            for at in 0.. {
                let context = format!("{fault:?} at {at}, survivors {survivors}");
                let target = Arc::new(MemoryStorage::new());
                let faulty = Arc::new(Faulty::new(target.clone(), at, fault));
                let result = copy(
                    &repo,
                    faulty.clone(),
                    &CopyOptions {
                        workers: 1,
                        ..options(None)
                    },
                );
                if faulty.calls() <= at {
                    assert!(at > 20 && result.is_ok());
                    break;
                }
                let target = match fault {
                    Fault::Fail => target,
                    Fault::Crash => Arc::new(faulty.after_crash(|name, _| match survivors {
                        0 => true,
                        1 => false,
                        _ => Id::of(name.to_string().as_bytes()).0[0] & 1 == 0,
                    })),
                };
                if target.size(&FileName::Config).unwrap().is_some() {
                    let cut_off = through(&repo, target.clone());
                    for (id, _) in target.list(FileKind::Snapshot).unwrap() {
                        let files = snapshots.iter().find(|(s, _)| *s == id).unwrap().1;
                        assert_eq!(
                            restore(&cut_off, &id).len(),
                            files.len(),
                            "{context}: published but not whole"
                        );
                    }
                }
                pass(jiff::SignedDuration::from_hours(1));
                let report = copy(&repo, target.clone(), &options(None)).unwrap();
                assert_eq!(report.packs_replaced, 0, "{context}");
                assert_whole(&through(&repo, target), &snapshots, &context);
            }
        }
    }
}
