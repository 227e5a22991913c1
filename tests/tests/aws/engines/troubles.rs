//! What goes wrong, and whose things are left alone.

use std::time::Duration;

use holdfast_core::domain::{FailureKind, Order, ResourceKind};
use holdfast_core::ports::{Observation, Task};
use holdfast_testkit::contract::engine::EngineWorld as _;
use holdfast_tests::standin::{Fault, Trouble};
use jiff::SignedDuration;

use super::{AWAY, HOME, HOUR, Scene, at, copy, delete, rds_call, restore, vault};

#[tokio::test]
async fn throttling_for_a_minute_delays_and_nothing_else() {
    for kind in [
        ResourceKind::Rds,
        ResourceKind::Aurora,
        ResourceKind::AwsBackup,
        ResourceKind::Dynamodb,
    ] {
        let scene = Scene::new(kind).await;
        let until = scene.standin.now() + SignedDuration::from_secs(60);
        scene.fault(Fault::always(Trouble::Throttle, Some(until)));
        let task = scene.backup("backup");
        for _ in 0..3 {
            assert_eq!(scene.refusal(&task).await.kind, FailureKind::Throttled, "{kind:?}");
            let unanswered = scene.engine().observe(&task).await.unwrap_err();
            assert_eq!(unanswered.kind, FailureKind::Throttled, "{kind:?}");
        }
        scene.standin.advance(Duration::from_secs(61));
        scene.carry_out(&task).await;
        assert_eq!(scene.artefacts().await, 1, "{kind:?}");
    }
}

#[tokio::test]
async fn every_trouble_has_its_one_kind() {
    let scene = Scene::new(ResourceKind::Rds).await;
    let original = scene.made("backup").await;
    let mut elsewhere = scene.backup("elsewhere");
    let Order::Backup { vault: to, .. } = &mut elsewhere.order else {
        panic!("a backup");
    };
    *to = vault("away");
    let wrong_region = scene.refusal(&elsewhere).await;
    assert_eq!(wrong_region.kind, FailureKind::NotFound);
    assert!(
        wrong_region.message.contains("\"orders\" in eu-west-1"),
        "{wrong_region}"
    );

    let mut keyless = scene.deployment.clone();
    keyless.vaults[1].key = format!("arn:aws:kms:{AWAY}:123456789012:key/gone");
    let missing_key = scene
        .engine_of(&keyless)
        .start(&copy("copy", &original))
        .await
        .unwrap_err();
    assert_eq!(missing_key.kind, FailureKind::Denied);
    assert!(missing_key.message.contains("key/gone"), "{missing_key}");

    let mut unknown_vault = copy("copy", &original);
    let Order::Copy { to, .. } = &mut unknown_vault.order else {
        panic!("a copy");
    };
    *to = vault("nowhere");
    assert_eq!(scene.refusal(&unknown_vault).await.kind, FailureKind::NotFound);

    scene
        .standin
        .with(|state| state.set_database_word(HOME, "orders", false, Some("modifying")));
    let busy = scene.refusal(&scene.backup("busy")).await;
    assert_eq!(busy.kind, FailureKind::Deferred);
    assert!(busy.retry_at.is_some());
    scene
        .standin
        .with(|state| state.set_database_word(HOME, "orders", false, None));

    for (trouble, kind) in [
        (Trouble::Deny, FailureKind::Denied),
        (Trouble::Throttle, FailureKind::Throttled),
        (Trouble::ServerError, FailureKind::Transient),
    ] {
        scene.fault(Fault::next("CreateDBSnapshot", trouble, 1));
        let failure = scene.refusal(&scene.backup("troubled")).await;
        assert_eq!(failure.kind, kind, "{failure}");
    }

    let scene = Scene::new(ResourceKind::AwsBackup).await;
    let mut deployment = scene.deployment.clone();
    deployment.backup_role = "arn:aws:iam::123456789012:role/plain".into();
    let missing_role = scene
        .engine_of(&deployment)
        .start(&scene.backup("backup"))
        .await
        .unwrap_err();
    assert_eq!(missing_role.kind, FailureKind::Invalid);
    assert!(missing_role.message.contains("HOLDFAST_BACKUP_ROLE"), "{missing_role}");
}

#[tokio::test]
async fn an_answer_that_is_lost_does_not_make_a_second_snapshot() {
    for (kind, operation) in [
        (ResourceKind::Rds, "CreateDBSnapshot"),
        (ResourceKind::Aurora, "CreateDBClusterSnapshot"),
        (ResourceKind::AwsBackup, "StartBackupJob"),
        (ResourceKind::Dynamodb, "CreateBackup"),
    ] {
        let scene = Scene::new(kind).await;
        scene.fault(Fault::next(operation, Trouble::LoseAnswer, 1));
        let first = scene.backup("backup");
        assert_eq!(scene.refusal(&first).await.kind, FailureKind::Transient, "{kind:?}");
        let second = Task { attempt: 2, ..first };
        scene.carry_out(&second).await;
        assert_eq!(scene.artefacts().await, 1, "{kind:?}");
    }
}

#[tokio::test]
async fn a_word_that_nobody_knows_is_an_error_that_names_it() {
    for kind in [
        ResourceKind::Rds,
        ResourceKind::Aurora,
        ResourceKind::AwsBackup,
        ResourceKind::Dynamodb,
    ] {
        let scene = Scene::new(kind).await;
        let task = scene.backup("backup");
        scene.engine().start(&task).await.unwrap();
        scene.standin.with(|state| state.word = Some("hibernating".into()));
        let failure = scene.engine().observe(&task).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Invalid, "{kind:?}");
        assert!(failure.message.contains("\"hibernating\""), "{failure}");
    }
}

#[tokio::test]
async fn what_is_not_ours_stays_as_it_is() {
    let scene = Scene::new(ResourceKind::Rds).await;
    let original = scene.made("backup").await;
    let taken = scene.observe(&restore("restore", &original, "orders")).await;
    let Observation::Failed { kind, message } = taken else {
        panic!("{taken:?}");
    };
    assert_eq!(kind, FailureKind::Invalid);
    assert!(message.contains("exists already"), "{message}");
    assert_eq!(
        scene.refusal(&restore("restore", &original, "orders")).await.kind,
        FailureKind::Invalid
    );

    rds_call(
        &scene,
        HOME,
        &[
            ("Action", "CreateDBSnapshot"),
            ("DBSnapshotIdentifier", "by-hand"),
            ("DBInstanceIdentifier", "orders"),
        ],
    );
    scene.standin.advance(HOUR);
    let refused = scene.refusal(&delete(&at("home", "by-hand"))).await;
    assert_eq!(refused.kind, FailureKind::Invalid);
    assert!(refused.message.contains("not ours"), "{refused}");
    assert_eq!(scene.calls_of("DeleteDBSnapshot"), 0);
}

#[tokio::test]
async fn a_target_that_goes_away_is_not_waited_for() {
    let scene = Scene::new(ResourceKind::Rds).await;
    let original = scene.made("backup").await;
    let task = restore("restore", &original, "orders-2");
    scene.engine().start(&task).await.unwrap();
    for (word, is_failed) in [("scaling-compute", false), ("deleting", true)] {
        scene
            .standin
            .with(|state| state.set_database_word(HOME, "orders-2", false, Some(word)));
        let seen = scene.observe(&task).await;
        assert_eq!(
            matches!(seen, Observation::Failed { .. }),
            is_failed,
            "{word}: {seen:?}"
        );
    }
}
