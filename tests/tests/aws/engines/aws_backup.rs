//! AWS Backup: points that are snapshots of their services, jobs that are not visible yet, deletions that do not happen.

use holdfast_core::domain::{FailureKind, Level, Outcome, ResourceKind};
use holdfast_core::ports::{Observation, Task};
use holdfast_testkit::contract::engine::EngineWorld as _;
use holdfast_tests::standin::{Fault, Trouble};

use super::{AWAY, DATABASE, FILES, HOME, HOUR, Scene, at, delete, restore, verify};

const CLUSTER: &str = "arn:aws:rds:eu-central-1:123456789012:cluster:orders";
const VOLUME: &str = "arn:aws:ec2:eu-central-1:123456789012:volume/vol-1";

#[tokio::test]
async fn aws_backup_completed_with_issues_is_partial_and_a_lock_holds() {
    let scene = Scene::new(ResourceKind::AwsBackup).await;
    scene
        .standin
        .with(|state| state.set_backup_issue(Some("two files were open")));
    let Outcome::Backup { unread, artefact, .. } = scene.carry_out(&scene.backup("backup")).await else {
        panic!("a backup");
    };
    assert_eq!(unread[0].reason, "two files were open");
    scene.standin.with(|state| state.lock_vault(HOME, "holdfast", true));
    let locked = scene.refusal(&delete(&at("home", &artefact))).await;
    assert_eq!(locked.kind, FailureKind::Invalid);
    assert!(locked.message.contains("locked"), "{locked}");
    assert_eq!(scene.artefacts().await, 1);
    // A vault that does not exist is no proof that its points are gone.
    let mut deployment = scene.deployment.clone();
    deployment.vaults[0].backup_vault = "misspelt".into();
    let unanswered = scene
        .engine_of(&deployment)
        .observe(&delete(&at("home", &artefact)))
        .await;
    assert_eq!(unanswered.unwrap_err().kind, FailureKind::NotFound);
}

#[tokio::test]
async fn a_point_that_tells_no_tags_is_ours_by_its_role() {
    for path in [DATABASE, FILES] {
        let scene = Scene::of(ResourceKind::AwsBackup, path).await;
        let original = scene.made("backup").await;
        let copied = scene.copied("copy", &original).await;
        let mut deployment = scene.deployment.clone();
        deployment.backup_role = "arn:aws:iam::123456789012:role/AnotherAWSBackup".into();
        for place in [&original, &copied] {
            assert_eq!(scene.damages(place).await, Vec::<String>::new(), "{place}");
            let foreign = scene.engine_of(&deployment).start(&delete(place)).await.unwrap_err();
            assert_eq!(foreign.kind, FailureKind::Invalid);
            assert!(foreign.message.contains("AnotherAWSBackup"), "{foreign}");
            assert_eq!(scene.carry_out(&delete(place)).await, Outcome::Delete);
        }
        assert_eq!(scene.artefacts().await, 0);
    }
}

/// Points of databases tell no tags, so the token is what makes a job that is started again the same one.
#[tokio::test]
async fn a_receipt_that_is_lost_does_not_make_a_second_point() {
    let scene = Scene::new(ResourceKind::AwsBackup).await;
    let backup = scene.backup("backup");
    let outcome = scene.carry_out(&backup).await;
    scene.forget().await;
    assert_eq!(scene.observe(&backup).await, Observation::NotStarted);
    assert_eq!(scene.carry_out(&backup).await, outcome);
    assert_eq!(scene.artefacts().await, 1);
}

#[tokio::test]
async fn only_what_promises_a_size_is_damaged_without_one() {
    for (path, kind, damages) in [(FILES, "EFS", 0), (DATABASE, "RDS", 0), (VOLUME, "EBS", 1)] {
        let scene = Scene::of(ResourceKind::AwsBackup, path).await;
        scene.standin.with(|state| state.add_protected(path, kind, 0));
        let original = scene.made("backup").await;
        let found = scene.damages(&original).await;
        assert_eq!(found.len(), damages, "{found:?}");
    }
}

#[tokio::test]
async fn the_key_of_the_vault_is_asked_of_what_is_encrypted() {
    let scene = Scene::new(ResourceKind::AwsBackup).await;
    let mut deployment = scene.deployment.clone();
    deployment.vaults[1].key = scene.standin.with(|state| state.add_key(AWAY));
    for (job, is_plain) in [("encrypted", false), ("plain", true)] {
        if is_plain {
            scene.standin.with(|state| state.leave_plain(DATABASE));
        }
        let original = scene.made(job).await;
        assert_eq!(scene.damages(&original).await, Vec::<String>::new(), "{job}");
        let copied = scene.copied(&format!("copy of {job}"), &original).await;
        assert_eq!(scene.damages(&copied).await, Vec::<String>::new(), "{job}");
        let seen = scene.engine_of(&deployment).observe(&verify(&copied, Level::L1)).await;
        let Ok(Observation::Completed(Outcome::Verify(verdict))) = seen else {
            panic!("{seen:?}");
        };
        assert_eq!(verdict.damages.is_empty(), is_plain, "{job}: {:?}", verdict.damages);
    }
}

#[tokio::test]
async fn a_cluster_without_an_instance_is_no_restore() {
    let scene = Scene::of(ResourceKind::AwsBackup, CLUSTER).await;
    scene.standin.with(|state| state.add_protected(CLUSTER, "Aurora", 0));
    let original = scene.made("backup").await;
    let refused = scene.refusal(&restore("restore", &original, "orders-2")).await;
    assert_eq!(refused.kind, FailureKind::Invalid);
    assert!(refused.message.contains("kind aurora"), "{refused}");
    assert_eq!(scene.calls_of("StartRestoreJob"), 0);
}

#[tokio::test]
async fn a_deletion_that_is_accepted_and_does_not_happen_is_told() {
    let scene = Scene::new(ResourceKind::AwsBackup).await;
    let original = scene.made("backup").await;
    let task = delete(&original);
    scene.standin.with(|state| state.lack_right_to_delete(true));
    scene.engine().start(&task).await.unwrap();
    for _ in 0..2 {
        assert_eq!(scene.observe(&task).await, Observation::NotStarted);
        let expired = scene.refusal(&task).await;
        assert_eq!(expired.kind, FailureKind::Transient);
        for part in [
            "EXPIRED",
            "Insufficient permissions",
            "HoldfastAWSBackup",
            "iam:CreateServiceLinkedRole",
        ] {
            assert!(expired.message.contains(part), "{expired}");
        }
    }
    // With the right, the deletion that is sent all the same takes it away.
    scene.standin.with(|state| state.lack_right_to_delete(false));
    assert_eq!(scene.refusal(&task).await.kind, FailureKind::Transient);
    assert_eq!(scene.observe(&task).await, Observation::Completed(Outcome::Delete));
}

#[tokio::test]
async fn a_job_that_is_not_visible_yet_is_not_started_again() {
    let scene = Scene::new(ResourceKind::AwsBackup).await;
    let backup = scene.backup("backup");
    scene.engine().start(&backup).await.unwrap();
    for attempt in [1, 2] {
        scene.fault(Fault::next("DescribeBackupJob", Trouble::Overlook, 2));
        let task = Task {
            attempt,
            ..backup.clone()
        };
        assert!(matches!(scene.observe(&task).await, Observation::Running(_)));
        scene.engine().start(&task).await.unwrap();
    }
    assert_eq!(scene.calls_of("StartBackupJob"), 1);
    scene.standin.advance(HOUR * 2);
    // What is not found after hours is forgotten, and its point is looked for.
    scene.fault(Fault::next("DescribeBackupJob", Trouble::Overlook, 1));
    assert_eq!(scene.observe(&backup).await, Observation::NotStarted);
    assert_eq!(scene.artefacts().await, 1);
}
