//! Objects as the source of backups.

use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_core::domain::{BackupKind, FailureKind, Order, Outcome, Patterns};
use holdfast_core::ports::Observation;
use holdfast_tests::front::What;
use holdfast_tests::radosgw::Radosgw;
use holdfast_tests::s3s::S3s;

use super::world::{World, restore, task};
use crate::tools::noise;

/// A vault and a bucket of objects on a server that names ETags in its listings, behind a front.
fn scene() -> (holdfast_tests::front::Front, World, String) {
    let server = Radosgw::shared();
    let front = server.watched();
    let (vault, objects) = (server.fresh_name(), server.fresh_name());
    let world = World::new(&front.endpoint(), &vault, "s3://drills/area");
    world.reach.make_bucket(&vault, false);
    world.reach.make_bucket(&objects, true);
    (front, world, objects)
}

fn backup(path: &str) -> Order {
    Order::Backup {
        resource: "photos".parse().expect("a name"),
        path: path.to_owned(),
        vault: "primary".parse().expect("a name"),
        kind: BackupKind::Full,
        base: None,
        patterns: Patterns::default(),
        bandwidth_limit: None,
        server: None,
    }
}

#[test]
fn what_did_not_change_is_not_read_again() {
    let (front, world, bucket) = scene();
    for n in 0..30 {
        world.reach.put(&bucket, &format!("app/{}/{n}", n % 3), &noise(n, 1000));
    }
    world.reach.put(&bucket, "apple", b"beside the prefix");
    world.reach.put(&bucket, "other/x", b"elsewhere");
    let path = format!("s3://{bucket}/app");
    let first = world.back_up("first", &path, None);
    assert_eq!((first.files, first.unread.len()), (30, 0));

    let reads = format!("GET /{bucket}/");
    front.requests();
    let same = world.back_up("same", &path, Some(&first.artefact));
    assert_eq!((same.files, same.unread.len(), same.added_bytes), (30, 0, 0));
    let requests = front.requests();
    let of_objects = requests
        .iter()
        .filter(|request| request.contains(&format!("/{bucket}/app")));
    assert_eq!(of_objects.count(), 0, "listings alone: {requests:?}");

    world.reach.put(&bucket, "app/1/4", b"changed");
    world.reach.put(&bucket, "app/1/new", b"new");
    front.requests();
    let changed = world.back_up("changed", &path, Some(&same.artefact));
    assert_eq!((changed.files, changed.unread.len()), (31, 0));
    let requests = front.requests();
    let objects = requests
        .iter()
        .filter(|request| request.starts_with(&format!("{reads}app/")));
    assert_eq!(objects.count(), 2, "{requests:?}");
    let (files, differences) = world.restore("restore", &changed.artefact, &format!("s3://{bucket}/back"));
    assert_eq!((files, differences), (31, vec![]));
    assert_eq!(world.reach.get(&bucket, "back/1/4"), b"changed");
    assert_eq!(world.reach.get(&bucket, "back/0/3"), noise(3, 1000));
}

#[test]
fn an_empty_prefix_is_backed_up_and_a_missing_bucket_is_not() {
    let (_front, world, bucket) = scene();
    let empty = world.back_up("empty", &format!("s3://{bucket}/nothing"), None);
    assert_eq!((empty.files, empty.unread.len()), (0, 0));
    let (files, differences) = world.restore("restore", &empty.artefact, &format!("s3://{bucket}/back"));
    assert_eq!((files, differences), (0, vec![]));
    let message = world.fail("missing", backup("s3://no-such-bucket-here/x"));
    assert!(message.contains("the bucket does not exist"), "{message}");
    let message = world.fail("address", backup("s3://X/y"));
    assert!(message.contains("write s3://bucket/prefix"), "{message}");
}

#[test]
fn thousands_of_objects_in_one_folder_are_all_backed_up() {
    let server = S3s::start();
    let (vault, bucket) = (server.bucket("vault"), server.bucket("objects"));
    let world = World::new(&server.endpoint(), &vault, "s3://drills/area");
    std::fs::create_dir_all(server.file(&bucket, "many")).expect("a folder");
    for n in 0..2_200 {
        std::fs::write(server.file(&bucket, &format!("many/{n:05}")), format!("object {n}")).expect("an object");
    }
    let backup = world.back_up("many", "s3://objects/many", None);
    assert_eq!((backup.files, backup.unread.len()), (2_200, 0));
    // Every hundredth comes back.
    let mut order = restore(&backup.artefact, "s3://objects/back");
    if let Order::Restore { include, .. } = &mut order {
        include.push("/objects/many/*99".to_owned());
    }
    let outcome = world.run("restore", order);
    assert!(
        matches!(&outcome, Outcome::Restore { files: 22, differences, .. } if differences.is_empty()),
        "{outcome:?}"
    );
    for n in [99, 999, 1099, 2_199] {
        let found = std::fs::read_to_string(server.file(&bucket, &format!("back/{n:05}"))).expect("restored");
        assert_eq!(found, format!("object {n}"));
    }
}

#[test]
fn a_folder_of_very_many_objects_is_kept_in_parts_and_comes_back_as_it_was() {
    let (front, world, bucket) = scene();
    let key = |n: usize| format!("many/{n:05}");
    world
        .reach
        .put_all(&bucket, (0..5_200).map(|n| (key(n), key(n).into_bytes())).collect());
    // An object that is a folder, too, and one deeper down.
    world.reach.put(&bucket, "many/02000/below", b"below");
    let path = format!("s3://{bucket}/many");
    let first = world.back_up("first", &path, None);
    assert_eq!((first.files, first.unread.len()), (5_201, 0));

    // What comes and goes changes the parts that it is in, and nothing else is read again.
    world.reach.put(&bucket, "many/00003-new", b"new");
    world.reach.delete(&bucket, &key(4_000));
    front.requests();
    let second = world.back_up("second", &path, Some(&first.artefact));
    assert_eq!((second.files, second.unread.len()), (5_201, 0));
    let reads = format!("GET /{bucket}/many/");
    let requests = front.requests();
    let objects = requests.iter().filter(|request| request.starts_with(&reads));
    assert_eq!(objects.count(), 1, "the new one alone");
    assert!(
        requests.iter().any(|request| request.contains("start-after")),
        "it is listed in parts"
    );

    // Patterns know nothing of parts, and neither do the keys of what is restored.
    let mut order = restore(&second.artefact, &format!("s3://{bucket}/back"));
    if let Order::Restore { include, .. } = &mut order {
        include.extend([format!("/{bucket}/many/*99"), format!("/{bucket}/many/02000/below")]);
    }
    let outcome = world.run("restore", order);
    assert!(
        matches!(&outcome, Outcome::Restore { files: 53, differences, .. } if differences.is_empty()),
        "{outcome:?}"
    );
    for n in [99, 5_199] {
        let found = world.reach.get(&bucket, &format!("back/{n:05}"));
        assert_eq!(found, key(n).into_bytes());
    }
    assert_eq!(world.reach.get(&bucket, "back/02000/below"), b"below");
}

#[test]
fn what_cannot_be_read_is_named() {
    let (front, world, bucket) = scene();
    let large = noise(1, 20 << 20);
    for (key, bytes) in [
        ("a/denied", &b"x"[..]),
        ("a/gone", b"x"),
        ("a/fine", b"x"),
        ("a/moving", &large),
    ] {
        world.reach.put(&bucket, key, bytes);
    }
    front.trouble(&format!("GET /{bucket}/a/denied"), 0, 1, What::Answered(403));
    front.trouble(&format!("GET /{bucket}/a/gone"), 0, 1, What::Answered(404));
    // It is written anew after its first bytes were read.
    front.trouble(&format!("GET /{bucket}/a/moving"), 1, usize::MAX, What::Answered(412));
    let first = world.back_up("first", &format!("s3://{bucket}/a"), None);
    let unread: Vec<(&str, &str)> = first
        .unread
        .iter()
        .map(|unread| {
            (
                unread.path.rsplit('/').next().unwrap_or_default(),
                unread.reason.as_str(),
            )
        })
        .collect();
    assert_eq!(
        unread,
        [
            ("denied", "permission denied"),
            ("gone", "it vanished"),
            ("moving", "it changed while it was read")
        ]
    );
    front.no_more_trouble();
    let second = world.back_up("second", &format!("s3://{bucket}/a"), Some(&first.artefact));
    assert_eq!((second.files, second.unread), (4, vec![]));
    let (files, differences) = world.restore("restore", &second.artefact, &format!("s3://{bucket}/back"));
    assert_eq!((files, differences), (4, vec![]));
    assert!(world.reach.get(&bucket, "back/moving") == large);
}

#[test]
fn a_store_that_does_not_answer_now_makes_no_partial_backup() {
    let (front, world, bucket) = scene();
    world.reach.put(&bucket, "a/large", &noise(1, 20 << 20));
    world.reach.put(&bucket, "a/deep/one", b"x");
    let path = format!("s3://{bucket}/a");
    let troubles = [
        ("delimiter=", 0, 503),
        ("delimiter=", 1, 429),
        ("/a/large", 0, 503),
        ("/a/large", 1, 503),
    ];
    for (number, (words, after, status)) in troubles.into_iter().enumerate() {
        front.trouble(words, after, usize::MAX, What::Answered(status));
        let order = backup(&path);
        match world.attempt(&world.engine(), &task(&format!("attempt {number}"), order)) {
            Observation::Failed { kind, message } => {
                assert_eq!(kind, FailureKind::Transient, "{words}: {message}");
                assert!(message.contains(&format!("status {status}")), "{words}: {message}");
            }
            other => panic!("{words}: {other:?}"),
        }
        front.no_more_trouble();
    }
    let whole = world.back_up("whole", &path, None);
    assert_eq!((whole.files, whole.unread), (2, vec![]));
}

/// Tells another thread to end, also when this one fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn an_object_that_is_written_anew_while_it_is_read_is_found_out() {
    let (front, world, bucket) = scene();
    world.reach.put(&bucket, "a/moving", &noise(1, 20 << 20));
    // The real thing: the store itself refuses later ranges of another state.
    let key = format!("GET /{bucket}/a/moving");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ends = Ends(&done);
        scope.spawn(|| {
            while !front.requests().iter().any(|request| request.starts_with(&key)) {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::yield_now();
            }
            world.reach.put(&bucket, "a/moving", &noise(2, 20 << 20));
        });
        let backup = world.back_up("moving", &format!("s3://{bucket}/a"), None);
        // Whoever was first: the backup holds one state, or says that it does not.
        let (files, differences) = world.restore("restore", &backup.artefact, &format!("s3://{bucket}/back"));
        assert_eq!(differences, [""; 0]);
        assert_eq!(files, 1);
        if backup.unread.is_empty() {
            let found = world.reach.get(&bucket, "back/moving");
            assert!(found == noise(1, 20 << 20) || found == noise(2, 20 << 20));
        }
    });
}
