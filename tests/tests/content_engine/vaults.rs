//! Deleting, reclaiming and cleaning: what goes, and what must stay.

use std::fs;
use std::os::unix::fs::symlink;

use holdfast_core::domain::{FailureKind, Outcome};

use crate::tools::{assert_same, noise};
use crate::world::{
    PRIMARY, World, assert_proven, back_up, clean, copy, delete, fail, reclaim, repair, restore, run, task,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_deleted_points_leave_behind_is_reclaimed_and_the_others_stay_whole() {
    let world = World::with_everything();
    let engine = world.engine();
    fs::write(world.source().join("short-lived"), noise(7, 20_000_000)).expect("file");
    let first = back_up(&engine, &world.backup("a")).await;
    fs::remove_file(world.source().join("short-lived")).expect("file");
    fs::write(world.source().join("two"), noise(8, 3_000_000)).expect("file");
    let second = back_up(&engine, &world.backup("b")).await;

    for job in ["delete", "delete once more"] {
        assert_eq!(run(&engine, &task(job, delete(&first))).await, Outcome::Delete);
    }
    let pass = run(&engine, &task("mark", reclaim())).await;
    assert!(
        matches!(
            pass,
            Outcome::Reclaim {
                condemned: 1..,
                deleted: 0,
                freed_bytes: 0
            }
        ),
        "{pass:?}"
    );
    let pass = run(&engine, &task("sweep", reclaim())).await;
    assert!(
        matches!(
            pass,
            Outcome::Reclaim {
                deleted: 1..,
                freed_bytes: 20_000_000..,
                ..
            }
        ),
        "{pass:?}"
    );

    assert_proven(&world, &engine, "proven", PRIMARY, &second).await;
    let target = world.path("restored");
    run(&engine, &task("restore", restore(&second, &target))).await;
    assert_same(&world.source(), &target);
    let (kind, _) = fail(&engine, &task("gone", restore(&first, &world.path("gone")))).await;
    assert_eq!(kind, FailureKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_is_not_reported_deleted_while_its_snapshot_stands_behind_a_lost_config() {
    let world = World::new();
    let engine = world.engine();
    let artefact = back_up(&engine, &world.backup("a")).await;
    run(&engine, &task("copy", copy(&artefact))).await;
    fs::remove_file(world.repository(PRIMARY).join("config")).expect("config");
    let refused = task("delete", delete(&artefact));
    let (kind, message) = fail(&engine, &refused).await;
    assert_eq!(kind, FailureKind::Integrity);
    assert!(message.contains(&artefact), "{message}");
    let (kind, _) = fail(&engine, &world.backup("b")).await;
    assert_eq!(
        kind,
        FailureKind::Integrity,
        "no new repository is made over the old one's data"
    );
    run(&engine, &task("repair", repair(&artefact))).await;
    assert_eq!(run(&engine, &crate::world::again(&refused)).await, Outcome::Delete);
    assert_eq!(
        fs::read_dir(world.repository(PRIMARY).join("snapshots"))
            .expect("folder")
            .count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_or_reclaimed_where_nothing_is() {
    let world = World::new();
    let engine = world.engine();
    assert_eq!(
        run(&engine, &task("delete", delete(&"0".repeat(64)))).await,
        Outcome::Delete
    );
    let nothing = Outcome::Reclaim {
        condemned: 0,
        deleted: 0,
        freed_bytes: 0,
    };
    assert_eq!(run(&engine, &task("reclaim", reclaim())).await, nothing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_folder_is_removed_with_all_that_is_in_it_and_with_no_more() {
    let world = World::new();
    let engine = world.engine();
    let drill = world.drills().join("drill");
    fs::create_dir_all(drill.join("deep/er")).expect("folder");
    symlink(world.source(), drill.join("deep/link")).expect("link");
    assert_eq!(run(&engine, &task("clean", clean(&drill))).await, Outcome::Clean);
    assert!(!drill.exists());
    assert!(world.source().join("one").exists(), "what a link points to stays");
    assert_eq!(run(&engine, &task("clean again", clean(&drill))).await, Outcome::Clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outside_the_drill_area_is_ever_cleaned() {
    let world = World::new();
    let engine = world.engine();
    let (area, source) = (world.drills(), world.source());
    fs::create_dir(source.join("inner")).expect("folder");
    fs::create_dir(world.path("drills-not")).expect("folder");
    symlink(&source, area.join("link")).expect("link");
    let outside = [
        area.clone(),
        area.join("."),
        area.join(".."),
        area.join("../app"),
        area.join("drill/../../app"),
        area.join("link"),
        area.join("link/inner"),
        source.clone(),
        world.path("drills-not"),
        "drills/drill".into(),
        "/".into(),
    ];
    for target in outside {
        let job = target.display().to_string();
        let (kind, message) = fail(&engine, &task(&job, clean(&target))).await;
        assert_eq!(kind, FailureKind::Invalid, "{message}");
        assert!(message.contains(&job), "{message}");
    }
    assert!(area.join("link").is_symlink());
    assert!(source.join("inner").exists() && source.join("one").exists() && world.path("drills-not").exists());
}
