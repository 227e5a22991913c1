//! What every engine promises, and how one point lives.

use holdfast_core::domain::{FailureKind, Level, Outcome, ResourceKind};
use holdfast_core::ports::Observation;
use holdfast_testkit::contract::engine::{self, EngineWorld as _};
use jiff::SignedDuration;

use super::{FILES, HOME, HOUR, Scene, delete, restore, verify};

#[tokio::test]
async fn rds_keeps_what_every_engine_promises() {
    engine::suite(async || Scene::new(ResourceKind::Rds).await).await;
}

#[tokio::test]
async fn aurora_keeps_what_every_engine_promises() {
    engine::suite(async || Scene::new(ResourceKind::Aurora).await).await;
}

#[tokio::test]
async fn aws_backup_keeps_what_every_engine_promises() {
    engine::suite(async || Scene::of(ResourceKind::AwsBackup, FILES).await).await;
}

/// All but the promise about attempts that fail after they were accepted: a backup of a table has no state for that.
#[tokio::test]
async fn dynamodb_keeps_what_every_engine_promises() {
    let fresh = || Scene::new(ResourceKind::Dynamodb);
    engine::nothing_is_started_before_its_start(&fresh().await).await;
    engine::a_started_task_completes_and_stays_completed(&fresh().await).await;
    engine::starting_twice_is_starting_once(&fresh().await).await;
    engine::what_stands_in_the_world_is_completed_after_a_crash(&fresh().await).await;
    engine::a_vault_that_does_not_answer_is_no_empty_vault(&fresh().await).await;
    engine::what_a_crash_interrupted_can_be_started_again(&fresh().await).await;
    engine::other_jobs_are_other_work(&fresh().await).await;
}

/// What a rule of kind `log` comes to: what the service says that can be restored.
async fn log_is_kept_by_the_service(kind: ResourceKind) {
    let scene = Scene::new(kind).await;
    let state = async |job: &str| match scene.observe(&scene.log(job)).await {
        Observation::Completed(Outcome::Log(state)) => state,
        other => panic!("{other:?}"),
    };
    let first = state("first").await;
    let [stretch] = first.stretches.as_slice() else {
        panic!("{first:?}")
    };
    assert_eq!(first.covered_at, Some(stretch.latest_at));
    let behind = scene.standin.now().duration_since(stretch.latest_at);
    assert_eq!(behind, SignedDuration::from_mins(5), "{first:?}");
    assert!(
        stretch.earliest_at < stretch.latest_at && stretch.bases.is_empty(),
        "{first:?}"
    );
    assert!(!first.is_broken());
    scene.standin.advance(HOUR);
    let later = state("later").await.covered_at.unwrap();
    assert_eq!(later.duration_since(stretch.latest_at), SignedDuration::from_hours(1));
    let missing = Scene::log_of("missing", "gone");
    let failure = scene.engine().observe(&missing).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotFound);
    assert!(failure.message.contains("\"gone\""), "{failure}");
}

#[tokio::test]
async fn what_rds_keeps_of_the_log_of_an_instance_is_told() {
    log_is_kept_by_the_service(ResourceKind::Rds).await;
    let scene = Scene::new(ResourceKind::Rds).await;
    scene.standin.with(|state| state.set_backed_up(HOME, scene.path, false));
    match scene.observe(&scene.log("off")).await {
        Observation::Failed { kind, message } => {
            assert_eq!(kind, FailureKind::Invalid);
            assert!(message.contains("backup retention period"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    // A new instance has no backup yet.
    scene.standin.with(|state| state.add_new_database(HOME, "fresh"));
    match scene.observe(&Scene::log_of("fresh", "fresh")).await {
        Observation::Completed(Outcome::Log(state)) => {
            assert!(state.stretches.is_empty() && state.covered_at.is_none(), "{state:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_aurora_keeps_of_the_log_of_a_cluster_is_told() {
    log_is_kept_by_the_service(ResourceKind::Aurora).await;
}

/// Backup, copy with the other Region's key, verification, restore and deletion, as one point lives.
async fn a_point_lives(kind: ResourceKind) {
    let scene = Scene::new(kind).await;
    let before = scene.standin.now();
    let original = scene.made("backup").await;
    match scene.observe(&scene.backup("backup")).await {
        Observation::Completed(Outcome::Backup { taken_at, unread, .. }) => {
            assert_eq!(taken_at, before);
            assert!(unread.is_empty());
        }
        other => panic!("{other:?}"),
    }
    let copied = scene.copied("copy", &original).await;
    for place in [&original, &copied] {
        assert_eq!(scene.damages(place).await, Vec::<String>::new(), "{kind:?}");
        let refused = scene.refusal(&verify(place, Level::L2)).await;
        assert_eq!(refused.kind, FailureKind::Invalid);
        assert!(refused.message.contains("restore test"), "{refused}");
        let target = format!("orders-in-{}", place.vault);
        let restored = scene.carry_out(&restore(&target, place, &target)).await;
        assert!(matches!(restored, Outcome::Restore { .. }), "{restored:?}");
    }
    for place in [&copied, &original] {
        assert_eq!(scene.carry_out(&delete(place)).await, Outcome::Delete);
        assert_eq!(
            scene.observe(&delete(place)).await,
            Observation::Completed(Outcome::Delete)
        );
        assert!(scene.damages(place).await[0].contains("does not exist any more"));
    }
    assert_eq!(scene.artefacts().await, 0);
}

#[tokio::test]
async fn a_point_of_an_instance_lives() {
    a_point_lives(ResourceKind::Rds).await;
}

#[tokio::test]
async fn a_point_of_a_cluster_lives() {
    a_point_lives(ResourceKind::Aurora).await;
}

#[tokio::test]
async fn a_point_of_aws_backup_lives() {
    a_point_lives(ResourceKind::AwsBackup).await;
}
