//! The contract of every storage, and what S3 adds to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use holdfast_aws::storage::{Lock, LockMode, S3StorageOptions};
use holdfast_repository::storage::{FileKind, FileName, Put, Storage, contract};
use holdfast_repository::{ErrorKind, Id};
use holdfast_tests::front::What;
use holdfast_tests::moto::Moto;
use holdfast_tests::radosgw::Radosgw;
use holdfast_tests::s3s::S3s;
use jiff::{SignedDuration, Timestamp};

use super::world::{Reach, count};
use crate::tools::noise;

fn pack(bytes: &[u8]) -> FileName {
    FileName::Object(FileKind::Data, Id::of(bytes))
}

#[test]
fn the_contract_holds_where_checksums_are_checked() {
    let server = S3s::start();
    let reach = Reach::to(&server.endpoint());
    let bucket = server.bucket("vault");
    let stores = AtomicU32::new(0);
    contract::all(&|| reach.storage(&bucket, &format!("a/b{}", stores.fetch_add(1, Ordering::Relaxed))));
}

#[test]
fn the_contract_holds_where_races_are_decided() {
    let server = Radosgw::shared();
    let reach = Reach::to(&server.endpoint());
    let bucket = server.fresh_name();
    reach.make_bucket(&bucket, false);
    let stores = AtomicU32::new(0);
    contract::all(&|| reach.storage(&bucket, &format!("r{}/", stores.fetch_add(1, Ordering::Relaxed))));
}

#[test]
fn the_contract_holds_where_versions_are_kept() {
    let server = Moto::start();
    let reach = Reach::to(server.endpoint());
    reach.make_bucket("vault", true);
    let stores = AtomicU32::new(0);
    contract::all(&|| reach.storage("vault", &format!("r{}", stores.fetch_add(1, Ordering::Relaxed))));
    assert!(reach.versions("vault", "") > 200);
}

#[test]
fn exactly_one_of_sixteen_writers_creates_a_file() {
    let server = Radosgw::shared();
    let reach = Reach::to(&server.endpoint());
    let bucket = server.fresh_name();
    reach.make_bucket(&bucket, false);
    let store = reach.storage(&bucket, "");
    for round in 0..4 {
        let bytes = noise(round, 200_000);
        let file = pack(&bytes);
        let created = std::thread::scope(|scope| {
            let put = || scope.spawn(|| store.put(&file, &bytes));
            let writers: Vec<_> = (0..16).map(|_| put()).collect();
            let puts = writers
                .into_iter()
                .map(|writer| writer.join().expect("no panic").expect("put"));
            puts.filter(|put| *put == Put::Created).count()
        });
        assert_eq!(created, 1);
        assert_eq!(store.read(&file).expect("read"), bytes);
    }
}

#[test]
fn bytes_that_are_damaged_on_their_way_are_never_stored() {
    let server = S3s::start();
    let reach = Reach::to(&server.endpoint());
    let bucket = server.bucket("vault");
    let store = reach.storage(&bucket, "");
    server.trouble("PUT /vault/", 0, 1, What::Damaged);
    assert_eq!(store.put(&pack(b"bytes"), b"bytes").expect("put"), Put::Created);
    assert_eq!(store.read(&pack(b"bytes")).expect("read"), b"bytes");
    assert_eq!(count(&server.requests(), &["PUT /vault/data"])["PUT /vault/data"], 2);

    server.trouble("PUT /vault/", 0, usize::MAX, What::Damaged);
    let error = store.put(&pack(b"other"), b"other").expect_err("damaged every time");
    assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
    assert!(error.to_string().contains("nothing was written"), "{error}");
    server.no_more_trouble();
    assert_eq!(store.size(&pack(b"other")).expect("size"), None);
}

#[test]
fn large_files_travel_in_parts() {
    let server = Radosgw::shared();
    let front = server.watched();
    let reach = Reach::to(&front.endpoint());
    let bucket = server.fresh_name();
    reach.make_bucket(&bucket, false);
    let store = reach.storage(&bucket, "repository");
    let bytes = noise(7, (72 << 20) + 5);
    front.requests();
    assert_eq!(store.put(&pack(&bytes), &bytes).expect("put"), Put::Created);
    let requests = front.requests();
    let seen = count(&requests, &["?uploads", "partNumber=", "POST"]);
    assert_eq!(
        (seen["?uploads"], seen["partNumber="], seen["POST"]),
        (1, 10, 2),
        "{requests:?}"
    );

    assert_eq!(store.read(&pack(&bytes)).expect("read"), bytes);
    assert_eq!(count(&front.requests(), &["GET"])["GET"], 1);
    let mut into = vec![0; 20 << 20];
    store.read_range(&pack(&bytes), 10_000_000, &mut into).expect("range");
    assert!(into == bytes[10_000_000..10_000_000 + into.len()]);
    let error = store
        .read_range(&pack(&bytes), 60 << 20, &mut into)
        .expect_err("past the end");
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
    // Nothing is sent of what is there.
    front.requests();
    assert_eq!(store.put(&pack(&bytes), &bytes).expect("put"), Put::AlreadyThere);
    assert_eq!(count(&front.requests(), &["PUT", "POST"]).values().sum::<usize>(), 0);
    store
        .replace_damaged(FileKind::Data, Id::of(&bytes), &bytes)
        .expect("replaced");
    assert_eq!(store.list_sidecar("quarantine/").expect("list").len(), 1);
}

#[test]
fn a_large_file_that_fails_leaves_nothing() {
    let server = S3s::start();
    let reach = Reach::to(&server.endpoint());
    let bucket = server.bucket("vault");
    let store = reach.storage(&bucket, "");
    let bytes = noise(8, 66 << 20);
    server.trouble("partNumber=2", 0, 1, What::Answered(403));
    let error = store.put(&pack(&bytes), &bytes).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert_eq!(
        count(&server.requests(), &["DELETE /vault/data"])["DELETE /vault/data"],
        1
    );
    assert_eq!(store.size(&pack(&bytes)).expect("size"), None);
    assert_eq!(store.put(&pack(&bytes), &bytes).expect("put"), Put::Created);
    assert_eq!(store.read(&pack(&bytes)).expect("read"), bytes);
}

#[test]
fn an_answer_that_breaks_off_goes_on_where_it_ended() {
    let server = S3s::start();
    let reach = Reach::to(&server.endpoint());
    let store = reach.storage(&server.bucket("vault"), "");
    let bytes = noise(9, 3 << 20);
    let file = pack(&bytes);
    store.put(&file, &bytes).expect("put");
    let mut into = vec![0; 1 << 20];
    for times in [1, 2] {
        server.trouble("GET /vault/data", 0, times, What::BrokenOff);
        server.requests();
        assert!(store.read(&file).expect("read") == bytes);
        assert_eq!(count(&server.requests(), &["GET"])["GET"], times + 1);
        server.trouble("GET /vault/data", 0, times, What::BrokenOff);
        store.read_range(&file, 5, &mut into).expect("range");
        assert!(into == bytes[5..5 + into.len()]);
    }
    server.trouble("GET /vault/data", 0, usize::MAX, What::BrokenOff);
    for error in [
        store.read(&file).expect_err("never whole"),
        store.read_range(&file, 5, &mut into).expect_err("never whole"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
        assert!(error.to_string().contains("broke off"), "{error}");
    }
}

#[test]
fn thousands_of_files_are_listed_and_half_a_listing_is_an_error() {
    let server = S3s::start();
    let reach = Reach::to(&server.endpoint());
    let bucket = server.bucket("vault");
    let store = reach.storage(&bucket, "r");
    let mut expected: Vec<(Id, u64)> = (0..2_345u32).map(|n| (Id::of(&n.to_le_bytes()), 4)).collect();
    expected.sort_unstable();
    std::fs::create_dir_all(server.file(&bucket, "r/index")).expect("a folder");
    for (id, _) in &expected {
        std::fs::write(server.file(&bucket, &format!("r/index/{id}")), b"four").expect("a file");
    }
    // What no id names is passed over.
    std::fs::write(server.file(&bucket, "r/index/notes"), b"x").expect("a file");
    assert_eq!(store.list(FileKind::Index).expect("list"), expected);
    assert_eq!(count(&server.requests(), &["GET /vault"])["GET /vault"], 3);
    for status in [500, 503, 403] {
        server.trouble("continuation-token", 1, 1, What::Answered(status));
        let error = store.list(FileKind::Index).expect_err("the third page is missing");
        let expected = if status == 403 {
            ErrorKind::Denied
        } else {
            ErrorKind::Transient
        };
        assert_eq!(error.kind(), expected, "{error}");
    }
}

#[test]
fn a_bucket_that_is_not_there_is_no_empty_repository() {
    let reach = Reach::to(&Radosgw::shared().endpoint());
    let store = reach.storage("nowhere", "");
    let errors = [
        store.size(&FileName::Config).expect_err("no bucket"),
        store.read(&FileName::Config).expect_err("no bucket"),
        store.list(FileKind::Snapshot).expect_err("no bucket"),
        store.put(&FileName::Config, b"{}").expect_err("no bucket"),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("the bucket does not exist"), "{error}");
    }
}

#[test]
fn refusals_say_what_to_do() {
    let server = S3s::start();
    let reach = Reach::to(&server.endpoint());
    let bucket = server.bucket("vault");
    let store = reach.storage(&bucket, "");
    for (status, kind) in [
        (403, ErrorKind::Denied),
        (503, ErrorKind::Transient),
        (507, ErrorKind::Full),
    ] {
        server.trouble("PUT", 0, 1, What::Answered(status));
        let error = store.put(&FileName::Config, b"x").expect_err("refused");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().starts_with("s3://vault"), "{error}");
    }
}

#[test]
fn a_locked_pack_outlives_whoever_wants_it_gone() {
    let server = Radosgw::shared();
    let reach = Reach::to(&server.endpoint());
    let bucket = server.fresh_name();
    reach.make_bucket(&bucket, true);
    let until = Arc::new(|| now() + SignedDuration::from_mins(10));
    let options = S3StorageOptions {
        bucket: bucket.clone(),
        ..S3StorageOptions::default()
    };
    let locks = [
        (Some(LockMode::Compliance), false),
        (Some(LockMode::Governance), false),
        (None, true),
        (None, false),
    ];
    for (number, (mode, legal_hold)) in (0u8..).zip(locks) {
        let until = until.clone();
        let store = reach.storage_with(S3StorageOptions {
            lock: mode.map(|mode| Lock { mode, until }),
            legal_hold,
            ..options.clone()
        });
        let bytes = [number; 9];
        store.put(&pack(&bytes), &bytes).expect("put");
        let lock_file = FileName::Object(FileKind::Lock, Id::of(&bytes));
        store.put(&lock_file, &bytes).expect("put");
        let is_locked = mode.is_some() || legal_hold;
        assert_eq!(
            delete_for_good(&reach, &bucket, &pack(&bytes)),
            !is_locked,
            "{mode:?} {legal_hold}"
        );
        // Nothing but packs is locked.
        assert!(delete_for_good(&reach, &bucket, &lock_file));
        if is_locked {
            store.delete(&pack(&bytes)).expect("a marker hides it");
            assert_eq!(store.size(&pack(&bytes)).expect("size"), None);
            assert_eq!(reach.versions(&bucket, &pack(&bytes).path().expect("a name")), 2);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the tests are the edge: the server's clock is the real one"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

/// Deletes the version of a file that stands; whether that was allowed.
fn delete_for_good(reach: &Reach, bucket: &str, file: &FileName) -> bool {
    let key = file.path().expect("a name");
    let client = reach.clients.home().s3();
    reach.runtime.block_on(async {
        let head = client
            .head_object()
            .bucket(bucket)
            .key(&key)
            .send()
            .await
            .expect("there");
        let version = head.version_id().expect("a version");
        let delete = client.delete_object().bucket(bucket).key(&key).version_id(version);
        delete.send().await.is_ok()
    })
}
