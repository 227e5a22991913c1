//! Prefixes as restore targets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use holdfast_core::domain::{FailureKind, Order, Outcome, Span};
use holdfast_core::ports::{Engine, Observation, Task, Workers};
use holdfast_local::system_ambient;
use holdfast_repository::Ambient;
use holdfast_tests::front::{Front, What};
use holdfast_tests::radosgw::Radosgw;
use jiff::Timestamp;

use super::world::{World, clean, restore, task};
use crate::tools::noise;

/// Keys that try every rule of escaping, of paths and of URLs.
const ODD_KEYS: [&str; 34] = [
    "plain",
    "a",
    "a/b",
    "a/",
    "a//b",
    "a//",
    "/",
    "//",
    "/leading",
    ".",
    "..",
    "./x",
    "../x",
    "a/./b",
    "a/../b",
    "...",
    "%",
    "%25",
    "%empty",
    "%object",
    "a%object",
    "%2E",
    "100%",
    "sp ace",
    "plus+plus",
    "q?u=e&r#y",
    "back\\slash",
    "\"quotes\" 'more' <a&b>",
    "new\nline\ttab\r",
    "control \u{1}\u{7f}",
    "ümläut ñ 日本語",
    "emoji 😀",
    "zero\u{200b}width",
    "trailing space ",
];

fn scene() -> (Front, World, String) {
    let server = Radosgw::shared();
    let front = server.watched();
    let (vault, objects) = (server.fresh_name(), server.fresh_name());
    let world = World::new(&front.endpoint(), &vault, &format!("s3://{objects}/drills"));
    world.reach.make_bucket(&vault, false);
    world.reach.make_bucket(&objects, true);
    (front, world, objects)
}

/// Everything that a person can see of the objects below a prefix, by the rest of their keys.
fn everything(world: &World, bucket: &str, prefix: &str) -> BTreeMap<String, (Vec<u8>, String)> {
    let client = world.reach.clients.home().s3();
    let mut keys = Vec::new();
    world.reach.runtime.block_on(async {
        let mut pages = client.list_object_versions().bucket(bucket).prefix(prefix);
        pages = pages.set_max_keys(Some(1000));
        let page = pages.encoding_type("url".into()).send().await.expect("a listing");
        assert_ne!(page.is_truncated(), Some(true), "more objects than this test lists");
        for version in page
            .versions()
            .iter()
            .filter(|version| version.is_latest() == Some(true))
        {
            let encoded = format!("k={}", version.key().unwrap_or_default());
            let key = form_urlencoded::parse(encoded.as_bytes()).next();
            keys.push(key.expect("a key").1.into_owned());
        }
    });
    let mut found = BTreeMap::new();
    for key in keys {
        let (bytes, shown) = world.reach.runtime.block_on(async {
            let answer = client.get_object().bucket(bucket).key(&key).send().await;
            let answer = answer.unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
            let metadata: BTreeMap<String, String> =
                answer.metadata().cloned().unwrap_or_default().into_iter().collect();
            let headers = (
                answer.content_type().map(str::to_owned),
                answer.cache_control().map(str::to_owned),
                answer.content_disposition().map(str::to_owned),
                answer.content_encoding().map(str::to_owned),
                answer.content_language().map(str::to_owned),
            );
            let tags = client
                .get_object_tagging()
                .bucket(bucket)
                .key(&key)
                .send()
                .await
                .expect("tags");
            let mut tags: Vec<_> = tags
                .tag_set()
                .iter()
                .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
                .collect();
            tags.sort();
            let shown = format!("{metadata:?} {headers:?} {tags:?}");
            (answer.body.collect().await.expect("bytes").to_vec(), shown)
        });
        let rest = key.strip_prefix(prefix).expect("below the prefix").to_owned();
        found.insert(rest, (bytes, shown));
    }
    found
}

#[test]
fn odd_keys_and_all_metadata_come_back_exactly() {
    let (_front, world, bucket) = scene();
    for key in ODD_KEYS {
        world.reach.put(&bucket, &format!("odd/{key}"), key.as_bytes());
    }
    let put = |key: &str| world.reach.clients.home().s3().put_object().bucket(&bucket).key(key);
    let call = put("odd/with/everything")
        .content_type("application/x-holdfast")
        .cache_control("max-age=60")
        .content_disposition("attachment; filename=\"a b\"")
        .content_encoding("identity")
        .content_language("de")
        .metadata("owner", "somebody else")
        .metadata("empty-one", "")
        .tagging("team=back%20up&cost=%2B1")
        .body(noise(3, 5000).into());
    world.reach.runtime.block_on(call.send()).expect("put");
    // In parts; this server forgets the tags of those.
    let call = put("odd/large")
        .content_type("video/x-holdfast")
        .metadata("owner", "nobody")
        .body(noise(4, 17 << 20).into());
    world.reach.runtime.block_on(call.send()).expect("put");
    let source = everything(&world, &bucket, "odd/");
    assert_eq!(source.len(), ODD_KEYS.len() + 2);

    let backup = world.back_up("odd", &format!("s3://{bucket}/odd"), None);
    assert_eq!((backup.files, backup.unread), (36, vec![]));
    let (files, differences) = world.restore("restore", &backup.artefact, &format!("s3://{bucket}/back/here"));
    assert_eq!(differences, [""; 0]);
    assert_eq!(files, 36);
    let restored = everything(&world, &bucket, "back/here/");
    assert_eq!(restored.keys().collect::<Vec<_>>(), source.keys().collect::<Vec<_>>());
    for (key, expected) in &source {
        let found = &restored[key];
        assert!(found.0 == expected.0, "the bytes of {key:?}");
        assert_eq!(found.1, expected.1, "{key:?}");
    }
}

#[test]
fn nothing_is_written_over_unless_asked_for() {
    let (_front, world, bucket) = scene();
    world.reach.put(&bucket, "a/one", b"one");
    world.reach.put(&bucket, "full/one", b"somebody's");
    world.reach.put(&bucket, "full/two", b"somebody's too");
    let backup = world.back_up("backup", &format!("s3://{bucket}/a"), None);
    let target = format!("s3://{bucket}/full");
    let message = world.fail("refused", restore(&backup.artefact, &target));
    assert!(message.contains("is not empty"), "{message}");
    assert_eq!(world.reach.get(&bucket, "full/one"), b"somebody's");

    let mut over = restore(&backup.artefact, &target);
    if let Order::Restore { overwrite, .. } = &mut over {
        *overwrite = true;
    }
    assert!(matches!(world.run("over", over), Outcome::Restore { files: 1, .. }));
    assert_eq!(world.reach.get(&bucket, "full/one"), b"one");
    assert_eq!(world.reach.get(&bucket, "full/two"), b"somebody's too");
}

#[test]
fn an_interrupted_restore_is_run_again_by_another_process() {
    let (front, world, bucket) = scene();
    for n in 0..40 {
        world.reach.put(&bucket, &format!("a/{n:02}"), &noise(n, 5000));
    }
    world.reach.put(&bucket, "a/large", &noise(99, 50 << 20));
    let backup = world.back_up("backup", &format!("s3://{bucket}/a"), None);
    let target = format!("s3://{bucket}/back");
    let first = task("restore", restore(&backup.artefact, &target));
    for words in [format!("PUT /{bucket}/back/17"), format!("PUT /{bucket}/back/large?")] {
        front.trouble(&words, 0, usize::MAX, What::Answered(503));
    }
    let failed = world.attempt(&world.engine(), &first);
    assert!(matches!(failed, Observation::Failed { .. }), "{failed:?}");
    front.no_more_trouble();
    let again = Task { attempt: 2, ..first };
    match world.attempt(&world.engine(), &again) {
        Observation::Completed(Outcome::Restore { files, differences, .. }) => {
            assert_eq!((files, differences), (41, vec![]));
        }
        other => panic!("{other:?}"),
    }
    assert!(world.reach.get(&bucket, "back/large") == noise(99, 50 << 20));
    // What is done is not done again, whoever asks.
    front.requests();
    assert!(matches!(
        world.attempt(&world.engine(), &again),
        Observation::Completed(_)
    ));
    assert!(!front.requests().iter().any(|request| request.starts_with("PUT")));
}

/// Requests of this kind for objects below `back/`, by name.
fn asked(front: &Front, method: &str, bucket: &str) -> BTreeSet<String> {
    let begin = format!("{method} /{bucket}/back/");
    let name = |request: String| Some(request.strip_prefix(&begin)?.split('?').next()?.to_owned());
    front.requests().into_iter().filter_map(name).collect()
}

#[test]
fn a_restore_that_is_stopped_while_it_writes_goes_on_in_another_process() {
    let (front, world, bucket) = scene();
    for n in 0..7 {
        world.reach.put(&bucket, &format!("a/{n}"), &noise(n, 12 << 20));
    }
    let backup = world.back_up("backup", &format!("s3://{bucket}/a"), None);
    let task = task("restore", restore(&backup.artefact, &format!("s3://{bucket}/back")));
    let seen = world.stop_at(&world.engine(), &task, &front, &format!("PUT /{bucket}/back/4"));
    assert_eq!(seen, Observation::NotStarted);
    assert_eq!(asked(&front, "PUT", &bucket).len(), 6, "two of three batches");
    let Observation::Completed(Outcome::Restore {
        files,
        bytes,
        differences,
        ..
    }) = world.attempt(&world.engine(), &task)
    else {
        panic!("it does not go on");
    };
    assert_eq!(asked(&front, "PUT", &bucket), BTreeSet::from(["6".to_owned()]));
    assert_eq!((files, bytes, differences), (7, 7 * (12 << 20), vec![]));
}

/// Every look at this clock is half a minute after the one before.
fn soon() -> Timestamp {
    static LOOKS: AtomicI64 = AtomicI64::new(0);
    let now = (system_ambient().now)();
    Span::seconds(30 * LOOKS.fetch_add(1, Ordering::Relaxed)).after(now)
}

#[test]
fn a_restore_that_is_stopped_while_it_compares_goes_on_in_another_process() {
    let (front, world, bucket) = scene();
    for n in 0..300 {
        world.reach.put(&bucket, &format!("a/{n:03}"), &noise(n, 100));
    }
    let backup = world.back_up("backup", &format!("s3://{bucket}/a"), None);
    front.trouble(&format!("GET /{bucket}/back/007"), 0, 1, What::Answered(404));
    let task = task("restore", restore(&backup.artefact, &format!("s3://{bucket}/back")));
    let hurried = Ambient {
        now: soon,
        ..system_ambient()
    };
    let seen = world.stop_at(
        &world.engine_in(hurried),
        &task,
        &front,
        &format!("GET /{bucket}/back/270"),
    );
    assert_eq!(seen, Observation::NotStarted);
    front.requests();
    let Observation::Completed(Outcome::Restore { files, differences, .. }) = world.attempt(&world.engine(), &task)
    else {
        panic!("it does not go on");
    };
    assert_eq!(
        (files, differences),
        (300, vec!["007: cannot be read: it vanished".to_owned()])
    );
    let left: BTreeSet<String> = (256..300).map(|n| format!("{n:03}")).collect();
    assert_eq!(asked(&front, "GET", &bucket), left);
}

#[test]
fn what_a_restore_has_left_is_done_by_several_side_by_side() {
    let (front, world, bucket) = scene();
    let names: Vec<String> = (0..24).map(|n| format!("{n:02}")).collect();
    for (name, seed) in names.iter().zip(0..) {
        world.reach.put(&bucket, &format!("a/{name}"), &noise(seed, 4 << 20));
    }
    let backup = world.back_up("backup", &format!("s3://{bucket}/a"), None);
    let task = task("restore", restore(&backup.artefact, &format!("s3://{bucket}/back")));
    let seen = world.stop_at(&world.engine(), &task, &front, &format!("PUT /{bucket}/back/04"));
    assert_eq!(seen, Observation::NotStarted);
    assert_eq!(asked(&front, "PUT", &bucket).len(), 8, "one batch");
    // The answer to one comparison is wrong: whoever makes it tells, and whoever does the rest tells of it.
    front.trouble(&format!("GET /{bucket}/back/20"), 0, 1, What::Answered(404));
    let executors = ["a", "b", "c"].map(|name| world.executor(name, 3));
    let fourth = world.executor("d", 3);
    world.reach.runtime.block_on(async {
        for executor in &executors {
            executor.start(&task).await.expect("start");
            assert_eq!(executor.working(), 1, "a slice for each");
        }
        fourth.start(&task).await.expect("start");
        assert_eq!(fourth.working(), 0, "and none for the fourth");
        for executor in &executors {
            while executor.working() > 0 {
                executor.wait(Duration::from_millis(20)).await;
            }
            let seen = executor.observe(&task).await.expect("observe");
            assert!(
                !matches!(seen, Observation::Completed(_) | Observation::Failed { .. }),
                "{seen:?}"
            );
        }
    });
    let made: Vec<String> = front.requests();
    for (method, first) in [("PUT", 8), ("GET", 0)] {
        for (name, at) in names.iter().zip(0..) {
            let begin = format!("{method} /{bucket}/back/{name}");
            let times = made.iter().filter(|request| request.starts_with(&begin)).count();
            assert_eq!(times, usize::from(at >= first), "{begin}");
        }
    }
    world.reach.runtime.block_on(async {
        fourth.start(&task).await.expect("start");
        while fourth.working() > 0 {
            fourth.wait(Duration::from_millis(20)).await;
        }
        let Observation::Completed(Outcome::Restore {
            files,
            bytes,
            differences,
            ..
        }) = fourth.observe(&task).await.expect("observe")
        else {
            panic!("it does not come to its end");
        };
        assert_eq!((files, bytes), (24, 24 * (4 << 20)));
        assert_eq!(differences, ["20: cannot be read: it vanished"]);
    });
    assert!(asked(&front, "PUT", &bucket).is_empty() && asked(&front, "GET", &bucket).is_empty());
    for (name, seed) in names.iter().zip(0..) {
        assert!(world.reach.get(&bucket, &format!("back/{name}")) == noise(seed, 4 << 20));
    }
}

#[test]
fn a_restore_that_comes_no_further_in_three_executions_has_failed() {
    let (front, world, bucket) = scene();
    world.reach.put(&bucket, "a/one", b"one");
    let backup = world.back_up("backup", &format!("s3://{bucket}/a"), None);
    let first = task("restore", restore(&backup.artefact, &format!("s3://{bucket}/back")));
    for _ in 0..3 {
        let seen = world.stop_at(&world.engine(), &first, &front, "/data/");
        assert_eq!(seen, Observation::NotStarted);
    }
    match world.attempt(&world.engine(), &first) {
        Observation::Failed { kind, message } => {
            assert_eq!(kind, FailureKind::Transient);
            assert!(message.contains("no further than 0 files written"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    let again = Task { attempt: 2, ..first };
    let seen = world.attempt(&world.engine(), &again);
    assert!(matches!(seen, Observation::Completed(_)), "{seen:?}");
}

#[test]
fn a_restore_is_compared_with_the_point_by_reading_it_again() {
    let (front, world, bucket) = scene();
    for key in ["a/one", "a/two", "a/three"] {
        world.reach.put(&bucket, key, key.as_bytes());
    }
    let backup = world.back_up("backup", &format!("s3://{bucket}/a"), None);
    front.trouble(&format!("GET /{bucket}/back/two"), 0, 1, What::Answered(404));
    let (files, differences) = world.restore("restore", &backup.artefact, &format!("s3://{bucket}/back"));
    assert_eq!(files, 3);
    assert_eq!(differences, ["two: cannot be read: it vanished"]);

    front.trouble(&format!("GET /{bucket}/late/two"), 0, 1, What::Damaged);
    let (files, differences) = world.restore("late", &backup.artefact, &format!("s3://{bucket}/late"));
    assert_eq!(files, 3);
    assert_eq!(differences, ["two: content differs in the 5 bytes from byte 0"]);
}

#[test]
fn a_restore_that_cannot_be_read_again_now_is_tried_again() {
    let (front, world, bucket) = scene();
    world.reach.put(&bucket, "a/large", &noise(1, 20 << 20));
    let backup = world.back_up("backup", &format!("s3://{bucket}/a"), None);
    front.trouble(&format!("GET /{bucket}/back/large"), 1, usize::MAX, What::Answered(503));
    let first = task("restore", restore(&backup.artefact, &format!("s3://{bucket}/back")));
    match world.attempt(&world.engine(), &first) {
        Observation::Failed { kind, message } => assert_eq!(kind, FailureKind::Transient, "{message}"),
        other => panic!("{other:?}"),
    }
    front.no_more_trouble();
    let again = Task { attempt: 2, ..first };
    match world.attempt(&world.engine(), &again) {
        Observation::Completed(Outcome::Restore { differences, .. }) => assert_eq!(differences, [""; 0]),
        other => panic!("{other:?}"),
    }
}

/// A write whose answer was lost and that was sent again meets its own object. Whether it is that one, the bytes tell.
#[test]
fn what_stands_already_is_judged_by_the_comparison() {
    let (front, world, bucket) = scene();
    for key in ["a/one", "a/two", "back/one"] {
        world
            .reach
            .put(&bucket, key, key.rsplit('/').next().unwrap().as_bytes());
    }
    world.reach.put(&bucket, "back/two", b"another");
    let backup = world.back_up("backup", &format!("s3://{bucket}/a"), None);
    front.trouble(&format!("PUT /{bucket}/back/"), 0, 2, What::Answered(412));
    let mut order = restore(&backup.artefact, &format!("s3://{bucket}/back"));
    if let Order::Restore { overwrite, .. } = &mut order {
        *overwrite = true;
    }
    let Outcome::Restore { differences, .. } = world.run("restore", order) else {
        panic!("a restore");
    };
    assert_eq!(differences, ["two: size is 7, was 3"]);
}

#[test]
fn a_tree_of_files_becomes_objects_and_what_cannot_is_listed() {
    let (_front, world, bucket) = scene();
    let tree = world.folder().join("tree");
    std::fs::create_dir_all(tree.join("deep/empty")).unwrap();
    std::fs::write(tree.join("deep/100%25"), "percent").unwrap();
    std::fs::write(tree.join("%empty"), "named so").unwrap();
    std::os::unix::fs::symlink("deep", tree.join("link")).unwrap();
    std::os::unix::net::UnixListener::bind(tree.join("socket")).unwrap();
    let backup = world.back_up("files", tree.to_str().unwrap(), None);
    let (files, differences) = world.restore("restore", &backup.artefact, &format!("s3://{bucket}/tree"));
    assert_eq!(files, 2);
    assert_eq!(
        differences,
        [
            "link: a symlink cannot be an object",
            "socket: a socket cannot be an object"
        ]
    );
    assert_eq!(world.reach.get(&bucket, "tree/deep/100%25"), b"percent");
    assert_eq!(world.reach.get(&bucket, "tree/%empty"), b"named so");
}

#[test]
fn objects_become_a_tree_of_files() {
    let (_front, world, bucket) = scene();
    world.reach.put(&bucket, "a/x/../y", b"one");
    world.reach.put(&bucket, "a/x", b"two");
    let backup = world.back_up("objects", &format!("s3://{bucket}/a"), None);
    let target = world.folder().join("restored");
    let (files, _) = world.restore("restore", &backup.artefact, target.to_str().unwrap());
    assert_eq!(files, 2);
    assert_eq!(std::fs::read(target.join("x/%2E%2E/y")).unwrap(), b"one");
    assert_eq!(std::fs::read(target.join("x%object")).unwrap(), b"two");
}

#[test]
fn drills_are_cleaned_with_every_version_and_nothing_else_is() {
    let (_front, world, bucket) = scene();
    for n in 0..1_050 {
        world.reach.put(&bucket, &format!("drills/one/{n}"), b"x");
    }
    world.reach.put(&bucket, "drills/one/0", b"another version");
    world.reach.put(&bucket, "drills/one/new\nline", b"odd");
    world.reach.put(&bucket, "drills/other/0", b"x");
    world.run("clean", clean(&format!("s3://{bucket}/drills/one")));
    assert_eq!(world.reach.versions(&bucket, "drills/one/"), 0);
    assert_eq!(world.reach.versions(&bucket, "drills/other/"), 1);
    world.run("clean again", clean(&format!("s3://{bucket}/drills/one")));
    for outside in ["drills", "", "elsewhere/one", "drills2/one"] {
        let message = world.fail(
            &format!("outside {outside}"),
            clean(&format!("s3://{bucket}/{outside}")),
        );
        assert!(message.contains("does not lie in the drill area"), "{message}");
    }
    assert_eq!(world.reach.versions(&bucket, "drills/other/"), 1);
}
