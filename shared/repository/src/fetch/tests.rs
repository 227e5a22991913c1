use std::sync::atomic::Ordering;

use super::*;
use crate::error::ErrorKind;
use crate::progress::NoProgress;
use crate::storage::faults::{Fault, Faulty};
use crate::storage::{MemoryStorage, Storage};
use crate::testing::{GO_ON, chunks, content, memory, restore, snapshot, through};

#[derive(Default)]
struct Written(Mutex<Vec<(u32, u64, Vec<u8>)>>);

impl BlobSink for Written {
    fn write(&self, file: u32, offset: u64, bytes: &[u8]) -> Result<()> {
        self.0.lock().unwrap().push((file, offset, bytes.to_vec()));
        Ok(())
    }
}

fn options() -> FetchOptions<'static> {
    FetchOptions {
        workers: 3,
        progress: &NoProgress,
        cancel: &GO_ON,
    }
}

fn flip(store: &MemoryStorage, index: &Index, blob: &Id) {
    for location in index.lookup_all(BlobKind::Data, blob) {
        let file = FileName::Object(FileKind::Data, location.pack);
        let mut bytes = store.read(&file).unwrap();
        bytes[location.offset as usize + 17] ^= 1;
        store.overwrite(file, bytes);
    }
}

#[test]
fn a_blob_is_read_once_and_written_to_every_place() {
    let (_store, repo) = memory();
    snapshot(&repo, &[("a", 300)], 10_000);
    let index = repo.load_index().unwrap();
    let blob = chunks(&content("a", 300))[1];
    let wanted = vec![
        Wanted {
            blob,
            file: 2,
            offset: 50,
        },
        Wanted {
            blob,
            file: 0,
            offset: 0,
        },
        Wanted {
            blob,
            file: 2,
            offset: 500,
        },
    ];
    let sink = Written::default();
    fetch(&repo, &index, wanted, &sink, &options()).unwrap();
    let bytes = content("a", 300)[100..200].to_vec();
    let written = sink.0.into_inner().unwrap();
    assert_eq!(
        written,
        [(0, 0, bytes.clone()), (2, 50, bytes.clone()), (2, 500, bytes)]
    );
}

#[test]
fn neighbours_in_a_pack_take_one_request() {
    let (store, repo) = memory();
    snapshot(&repo, &[("a", 5000)], 1 << 20);
    let index = repo.load_index().unwrap();
    let blobs = chunks(&content("a", 5000));
    let faulty = std::sync::Arc::new(Faulty::new(store, u64::MAX, Fault::Fail));
    let counted = through(&repo, faulty.clone());
    let before = faulty.calls();
    let wanted = blobs
        .iter()
        .step_by(2)
        .map(|blob| Wanted {
            blob: *blob,
            file: 0,
            offset: 0,
        })
        .collect();
    fetch(&counted, &index, wanted, &Written::default(), &options()).unwrap();
    assert_eq!(faulty.calls() - before, 1);
}

#[test]
fn requests_are_cut_at_gaps_and_at_the_budget() {
    const GAP: u32 = 256 << 10;
    let part = |offset, length| Part {
        location: Location {
            pack: Id::of(b""),
            offset,
            length,
            uncompressed_length: None,
        },
        places: 0..1,
    };
    let lengths = |parts: &[Part], budget| {
        coalesce(parts, budget, GAP.into())
            .iter()
            .map(|p| p.len())
            .collect::<Vec<_>>()
    };
    let parts = [part(0, 10), part(10, 10), part(20 + GAP, 10), part(31 + 2 * GAP, 10)];
    assert_eq!(lengths(&parts, 16 << 20), [3, 1]);
    let neighbours: Vec<Part> = (0..13).map(|n| part(n * 100, 100)).collect();
    assert_eq!(lengths(&neighbours, 900), [13], "a little more takes no second request");
    assert_eq!(
        lengths(&neighbours, 800),
        [7, 6],
        "and what takes two is cut in the middle"
    );
    assert_eq!(lengths(&[part(0, 100), part(100, 300), part(400, 1)], 100), [2, 1]);
    assert_eq!(lengths(&[part(u32::MAX - 5, 5)], 1), [1]);
}

#[test]
fn everything_that_can_be_read_is_and_all_that_cannot_is_listed() {
    let (store, repo) = memory();
    snapshot(&repo, &[("a", 1000), ("b", 1000)], 450);
    let index = repo.load_index().unwrap();
    let (a, b) = (chunks(&content("a", 1000)), chunks(&content("b", 1000)));
    let unknown = Id::of(b"in no pack");
    flip(&store, &index, &a[3]);
    flip(&store, &index, &b[0]);
    let all = a
        .iter()
        .map(|blob| (blob, 1))
        .chain(b.iter().map(|blob| (blob, 2)))
        .chain([(&unknown, 3), (&a[3], 3)]);
    let wanted = all
        .map(|(blob, file)| Wanted {
            blob: *blob,
            file,
            offset: 0,
        })
        .collect();
    let sink = Written::default();
    let error = fetch(&repo, &index, wanted, &sink, &options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    let RepositoryError::BlobsUnreadable { blobs } = error else {
        panic!("{error}")
    };
    let mut listed: Vec<_> = blobs
        .iter()
        .map(|bad| (bad.blob, bad.files.clone(), bad.packs.len()))
        .collect();
    let mut expected = vec![(a[3], vec![1, 3], 1), (b[0], vec![2], 1), (unknown, vec![3], 0)];
    listed.sort_unstable();
    expected.sort_unstable();
    assert_eq!(listed, expected);
    assert_eq!(sink.0.into_inner().unwrap().len(), 18);
}

#[test]
fn a_pack_that_is_cut_short_still_gives_its_beginning() {
    let (store, repo) = memory();
    snapshot(&repo, &[("a", 1000)], 1 << 20);
    let index = repo.load_index().unwrap();
    let blobs = chunks(&content("a", 1000));
    let location = index.lookup(BlobKind::Data, &blobs[6]).unwrap();
    let file = FileName::Object(FileKind::Data, location.pack);
    let mut bytes = store.read(&file).unwrap();
    bytes.truncate(location.offset as usize);
    store.overwrite(file, bytes);
    let wanted = blobs
        .iter()
        .map(|blob| Wanted {
            blob: *blob,
            file: 0,
            offset: 0,
        })
        .collect();
    let sink = Written::default();
    let error = fetch(&repo, &index, wanted, &sink, &options()).unwrap_err();
    let RepositoryError::BlobsUnreadable { blobs } = error else {
        panic!("{error}")
    };
    assert_eq!((blobs.len(), sink.0.into_inner().unwrap().len()), (4, 6));
}

#[test]
fn a_failing_sink_and_a_cancel_stop_everything() {
    struct Full;
    impl BlobSink for Full {
        fn write(&self, _: u32, _: u64, _: &[u8]) -> Result<()> {
            Err(RepositoryError::Bug("no room".into()))
        }
    }
    let (_store, repo) = memory();
    snapshot(&repo, &[("a", 1000)], 450);
    let index = repo.load_index().unwrap();
    let blobs = chunks(&content("a", 1000));
    let wanted: Vec<_> = blobs
        .iter()
        .map(|blob| Wanted {
            blob: *blob,
            file: 0,
            offset: 0,
        })
        .collect();
    assert!(matches!(
        fetch(&repo, &index, wanted.clone(), &Full, &options()),
        Err(RepositoryError::Bug(_))
    ));
    let cancel = AtomicBool::new(false);
    cancel.store(true, Ordering::Relaxed);
    let options = FetchOptions {
        cancel: &cancel,
        ..options()
    };
    let result = fetch(&repo, &index, wanted, &Written::default(), &options);
    assert!(matches!(result, Err(RepositoryError::Cancelled)));
}

#[test]
fn a_store_that_does_not_answer_is_an_error_and_not_damage() {
    let (store, repo) = memory();
    let id = snapshot(&repo, &[("a", 1000)], 450);
    let index = repo.load_index().unwrap();
    let blobs = chunks(&content("a", 1000));
    let wanted: Vec<_> = blobs
        .iter()
        .map(|blob| Wanted {
            blob: *blob,
            file: 0,
            offset: 0,
        })
        .collect();
    let faulty = std::sync::Arc::new(Faulty::new(store.clone(), u64::MAX, Fault::Fail));
    through(&repo, faulty.clone());
    let opening = faulty.calls();
    let faulty = std::sync::Arc::new(Faulty::new(store, opening + 1, Fault::Fail));
    let error = fetch(&through(&repo, faulty), &index, wanted, &Written::default(), &options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
    assert_eq!(restore(&repo, &id)["a"], content("a", 1000));
}
