//! Tasks whose process died between their effect and their receipt, and tasks that were told to stop.

use std::fs;

use holdfast_core::domain::{FailureKind, Outcome};
use holdfast_core::ports::{Engine, Observation, Task};

use crate::tools::assert_same;
use crate::world::{
    PRIMARY, World, again, attempt, back_up, clean, copy, fail, finish, reclaim, repair, restore, run, task, verify,
};

/// The engine of the next process, after the one that carried out `task` died before it wrote the receipt.
fn without_receipt(world: &World, task: &Task) -> holdfast_sources::content_engine::ContentEngine {
    fs::remove_file(world.receipt(task)).expect("there was a receipt");
    world.engine()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_without_its_receipt_is_found_done() {
    let world = World::with_everything();
    let backup = world.backup("a");
    let outcome = run(&world.engine(), &backup).await;
    let next = without_receipt(&world, &backup);
    assert_eq!(
        next.observe(&backup).await.expect("observe"),
        Observation::Completed(outcome.clone())
    );
    assert_eq!(run(&next, &backup).await, outcome);
    let other = world.backup("b");
    assert_eq!(next.observe(&other).await.expect("observe"), Observation::NotStarted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_without_its_receipt_is_found_done() {
    let world = World::new();
    let artefact = back_up(&world.engine(), &world.backup("a")).await;
    let copied = task("copy", copy(&artefact));
    assert_eq!(
        world.engine().observe(&copied).await.expect("observe"),
        Observation::NotStarted
    );
    assert!(matches!(
        run(&world.engine(), &copied).await,
        Outcome::Copy { bytes: 1.., .. }
    ));
    let next = without_receipt(&world, &copied);
    let seen = next.observe(&copied).await.expect("observe");
    assert_eq!(seen, Observation::Completed(Outcome::Copy { artefact, bytes: 0 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_died_before_its_receipt_is_completed_and_doubles_nothing() {
    let world = World::with_everything();
    let artefact = back_up(&world.engine(), &world.backup("a")).await;
    let target = world.path("restored");
    let restored = task("restore", restore(&artefact, &target));
    let Outcome::Restore { files, bytes: 1.., .. } = run(&world.engine(), &restored).await else {
        panic!("the first run restores");
    };
    let next = without_receipt(&world, &restored);
    assert_eq!(next.observe(&restored).await.expect("observe"), Observation::NotStarted);
    let outcome = run(&next, &restored).await;
    let Outcome::Restore {
        files: found,
        differences,
        ..
    } = outcome
    else {
        panic!("no restore: {outcome:?}");
    };
    assert_eq!((found, differences), (files, Vec::new()));
    assert_same(&world.source(), &target);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_done_is_not_done_again_over_what_has_changed_since() {
    let world = World::new();
    let artefact = back_up(&world.engine(), &world.backup("a")).await;
    let target = world.path("restored");
    let restored = task("restore", restore(&artefact, &target));
    let outcome = run(&world.engine(), &restored).await;
    fs::write(target.join("one"), "written after the restore").expect("file");
    for start in [restored.clone(), again(&restored)] {
        assert_eq!(run(&world.engine(), &start).await, outcome);
    }
    let stands = fs::read_to_string(target.join("one")).expect("file");
    assert_eq!(stands, "written after the restore");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_done_is_remembered_by_its_receipt_alone() {
    let world = World::new();
    let engine = world.engine();
    let cleaned = task("clean", clean(&world.drills().join("drill")));
    assert_eq!(run(&engine, &cleaned).await, Outcome::Clean);
    fs::remove_file(world.receipt(&cleaned)).expect("there was a receipt");
    assert_eq!(
        engine.observe(&cleaned).await.expect("observe"),
        Observation::NotStarted
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_is_cut_off_is_an_error_that_names_it() {
    let world = World::new();
    let backup = world.backup("a");
    run(&world.engine(), &backup).await;
    let receipt = world.receipt(&backup);
    let whole = fs::read(&receipt).expect("receipt");
    fs::write(&receipt, &whole[..whole.len() / 2]).expect("receipt");
    let failure = world
        .engine()
        .observe(&backup)
        .await
        .expect_err("half a receipt tells nothing");
    let name = receipt.to_str().expect("UTF-8");
    assert!(failure.message.contains(name), "{}", failure.message);
    let (_, message) = fail(&world.engine(), &backup).await;
    assert!(message.contains(name), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_was_told_to_stop_has_not_failed_and_goes_on() {
    let world = World::with_everything();
    let engine = world.engine();
    let artefact = back_up(&engine, &world.backup("a")).await;
    run(&engine, &task("first copy", copy(&artefact))).await;
    fs::write(world.source().join("two"), "second").expect("file");
    let orders = [
        world.backup("b"),
        task("verify", verify(PRIMARY, &artefact)),
        task("repair", repair(&artefact)),
        task("restore", restore(&artefact, &world.path("restored"))),
        task("reclaim", reclaim()),
    ];
    for order in orders {
        world.door.shut(true);
        engine.start(&order).await.expect("start");
        assert_eq!(engine.working().len(), 1);
        engine.stop();
        world.door.shut(false);
        finish(&engine).await;
        // It keeps what it has, and is started again as if nothing had been.
        let seen = engine.observe(&order).await.expect("observe");
        assert_eq!(seen, Observation::NotStarted, "{:?} is told to stop", order.order);
        assert!(!world.receipt(&order).exists());
        run(&engine, &again(&order)).await;
    }
    assert_same_but_two(&world);
}

fn assert_same_but_two(world: &World) {
    fs::remove_file(world.source().join("two")).expect("file");
    crate::tools::set_times(&world.source(), 1_000_000_000, 100_000_000);
    assert_same(&world.source(), &world.path("restored"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_without_its_receipt_is_completed_again() {
    let world = World::new();
    let drill = world.drills().join("drill");
    fs::create_dir_all(drill.join("deep")).expect("folder");
    let cleaned = task("clean", clean(&drill));
    assert_eq!(run(&world.engine(), &cleaned).await, Outcome::Clean);
    let next = without_receipt(&world, &cleaned);
    assert_eq!(attempt(&next, &cleaned).await, Observation::Completed(Outcome::Clean));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_comes_no_further_from_one_stop_to_the_next_has_failed() {
    let world = World::new();
    let (engine, backup) = (world.engine(), world.backup("stuck"));
    let stopped = async || {
        world.door.shut(true);
        engine.start(&backup).await.expect("start");
        engine.stop();
        world.door.shut(false);
        finish(&engine).await;
        engine.observe(&backup).await.expect("observe")
    };
    assert_eq!(stopped().await, Observation::NotStarted, "what it has is noted");
    let seen = stopped().await;
    let Observation::Failed { kind, message } = &seen else {
        panic!("it would go on like this for ever: {seen:?}");
    };
    assert_eq!(*kind, FailureKind::Transient);
    assert!(message.contains("came no further"), "{message}");
    back_up(&engine, &again(&backup)).await;
}
