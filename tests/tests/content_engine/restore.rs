//! What a restore refuses, heals, selects and measures; and a backup that could not read everything.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use holdfast_core::domain::{BackupKind, FailureKind, Order, Outcome, PointId};
use jiff::Timestamp;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::tools::{assert_same, set_mode};
use crate::world::{World, again, back_up, fail, restore, run, task};

/// The files of a proven restore, and the bytes it wrote.
fn proven(outcome: Outcome) -> (u64, u64) {
    match outcome {
        Outcome::Restore {
            files,
            bytes,
            differences,
            ..
        } => {
            assert_eq!(differences, Vec::<String>::new());
            (files, bytes)
        }
        other => panic!("no restore: {other:?}"),
    }
}

fn with(order: Order, change: impl FnOnce(&mut Vec<String>, &mut bool, &mut Option<String>)) -> Order {
    let mut order = order;
    if let Order::Restore {
        include,
        overwrite,
        heartbeat,
        ..
    } = &mut order
    {
        change(include, overwrite, heartbeat);
    }
    order
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_not_empty_is_refused_at_every_attempt() {
    let world = World::new();
    let engine = world.engine();
    let artefact = back_up(&engine, &world.backup("a")).await;
    let target = world.path("target");
    fs::create_dir(&target).expect("folder");
    fs::write(target.join("one"), "somebody's").expect("file");
    let refused = task("restore", restore(&artefact, &target));
    for attempt in [refused.clone(), again(&refused), again(&again(&refused))] {
        let (kind, message) = fail(&engine, &attempt).await;
        assert_eq!(kind, FailureKind::Invalid, "{message}");
        assert!(message.contains(target.to_str().expect("UTF-8")), "{message}");
        assert_eq!(fs::read_to_string(target.join("one")).expect("file"), "somebody's");
        assert_eq!(names(&target), ["one"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn overwriting_heals_only_what_differs_and_leaves_other_files_alone() {
    let world = World::with_everything();
    // A file with more than one name is always written anew: where other files stood, its other name may be anywhere.
    fs::remove_file(world.source().join("deep/hard link")).expect("link");
    let engine = world.engine();
    let artefact = back_up(&engine, &world.backup("a")).await;
    let target = world.path("target");
    let (files, _) = proven(run(&engine, &task("first", restore(&artefact, &target))).await);
    fs::write(target.join("one"), "worse").expect("file");
    fs::write(target.join("foreign"), "not ours").expect("file");
    let before = fs::metadata(target.join("noise")).expect("file");

    let order = with(restore(&artefact, &target), |_, overwrite, _| *overwrite = true);
    let (again, bytes) = proven(run(&engine, &task("second", order)).await);
    assert_eq!(again, files);
    assert_eq!(bytes, "first".len() as u64, "one file differed");
    let after = fs::metadata(target.join("noise")).expect("file");
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
    assert_eq!(fs::read_to_string(target.join("foreign")).expect("file"), "not ours");
    fs::remove_file(target.join("foreign")).expect("file");
    crate::tools::set_times(&target, 1_000_000_000, 100_000_000);
    assert_same(&world.source(), &target);
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_restore_a_part_and_only_that_is_compared() {
    let world = World::with_everything();
    let engine = world.engine();
    let artefact = back_up(&engine, &world.backup("a")).await;
    let target = world.path("target");
    let order = with(restore(&artefact, &target), |include, _, _| {
        *include = vec!["prose".to_owned()];
    });
    assert_eq!(proven(run(&engine, &task("part", order)).await), (1, 5_000_000));
    assert_eq!(names(&target), ["prose"]);

    let order = with(restore(&artefact, &world.path("nothing")), |include, _, _| {
        *include = vec!["no such".to_owned()];
    });
    let (kind, message) = fail(&engine, &task("nothing", order)).await;
    assert_eq!(kind, FailureKind::Invalid);
    assert!(message.contains("no such"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_heartbeat_in_the_restored_content_is_read_and_no_link_is_followed() {
    let world = World::new();
    let engine = world.engine();
    let beat: Timestamp = "2026-03-01T12:00:30Z".parse().expect("a time");
    fs::write(world.source().join("heartbeat"), format!("{beat}\n")).expect("file");
    fs::write(world.path("elsewhere"), beat.to_string()).expect("file");
    std::os::unix::fs::symlink(world.path("elsewhere"), world.source().join("link")).expect("link");
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        world.source().join("pipe"),
        rustix::fs::Mode::from_raw_mode(0o600),
    )
    .expect("pipe");
    let artefact = back_up(&engine, &world.backup("a")).await;
    for (name, expected) in [
        ("heartbeat", Some(beat)),
        ("one", None),
        ("absent", None),
        ("link", None),
        ("pipe", None),
    ] {
        let order = with(
            restore(&artefact, &world.path(&format!("with {name}"))),
            |_, _, heartbeat| {
                *heartbeat = Some(name.to_owned());
            },
        );
        let outcome = run(&engine, &task(name, order)).await;
        assert!(
            matches!(outcome, Outcome::Restore { heartbeat_at, .. } if heartbeat_at == expected),
            "{outcome:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incremental_stores_what_changed_and_a_lost_base_is_no_reason_to_fail() {
    let world = World::with_everything();
    let engine = world.engine();
    let base = back_up(&engine, &world.backup("a")).await;
    fs::write(world.source().join("one"), "second").expect("file");
    for (job, artefact) in [("b", base), ("c", "0".repeat(64))] {
        let parent = Some((PointId::derive(&["base"]), artefact));
        let outcome = run(&engine, &world.backup_of(job, BackupKind::Incremental, parent)).await;
        let Outcome::Backup {
            artefact, added_bytes, ..
        } = outcome
        else {
            panic!("{outcome:?}");
        };
        assert!(added_bytes < 100_000, "{added_bytes} bytes for one small file");
        let target = world.path(&format!("restored {job}"));
        proven(run(&engine, &task(&format!("restore {job}"), restore(&artefact, &target))).await);
        assert_same(&world.source(), &target);
    }
}

/// Threads that may not read what the permissions forbid, whoever runs the tests.
fn unprivileged() -> tokio::runtime::Runtime {
    let renounce = || {
        let mut sets = capabilities(None).expect("capabilities");
        sets.effective &= !(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
        set_capabilities(None, sets).expect("capabilities");
    };
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(1)
        .enable_all()
        .on_thread_start(renounce)
        .build()
        .expect("runtime")
}

#[test]
fn a_backup_that_cannot_read_everything_names_what_it_lacks_and_the_rest_restores() {
    let world = World::new();
    fs::write(world.source().join("secret\nfile"), "not for everybody").expect("file");
    set_mode(&world.source().join("secret\nfile"), 0o000);
    unprivileged().block_on(async {
        let engine = world.engine();
        let backup = world.backup("a");
        let outcome = run(&engine, &backup).await;
        let Outcome::Backup {
            artefact,
            unread,
            files,
            ..
        } = &outcome
        else {
            panic!("{outcome:?}");
        };
        assert_eq!(unread.len(), 1, "{unread:?}");
        assert_eq!(
            unread[0].path,
            world.source().join("secret\\nfile").display().to_string()
        );
        assert!(!unread[0].reason.is_empty());
        assert_eq!(*files, 1);
        fs::remove_file(world.receipt(&backup)).expect("receipt");
        assert_eq!(
            run(&world.engine(), &backup).await,
            outcome,
            "what was unread is remembered in the vault"
        );
        let target = world.path("target");
        assert_eq!(
            proven(run(&engine, &task("restore", restore(artefact, &target))).await).0,
            1
        );
        assert_eq!(names(&target), ["one"]);
    });
}
