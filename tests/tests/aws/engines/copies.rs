//! Copies: their quotas, their keys, and what becomes of one that is lost.

use std::time::Duration;

use holdfast_core::domain::{FailureKind, Level, Location, Order, Outcome, ResourceKind};
use holdfast_core::ports::Observation;

use super::{AWAY, HOME, HOUR, Scene, at, copy, point, task, verify};

/// More copies than the account may make at once: never more, none lost, and waiting is told as such.
#[tokio::test]
async fn a_full_quota_defers_copies_until_a_place_is_free() {
    let scene = Scene::new(ResourceKind::Rds).await;
    let key = scene.deployment.vaults[0].key.clone();
    let mut copies = Vec::new();
    for n in 0..25 {
        let name = format!("db-{n}");
        scene
            .standin
            .with(|state| state.add_database(HOME, &name, false, 10, Some(&key)));
        let backup = Scene::backup_of(&name, &name, &name);
        scene.engine().start(&backup).await.unwrap();
        copies.push((name, backup));
    }
    scene.standin.advance(HOUR);
    let mut open = Vec::new();
    for (name, backup) in copies {
        let Observation::Completed(Outcome::Backup { artefact, .. }) = scene.observe(&backup).await else {
            panic!("{name} is not backed up");
        };
        let from = Location {
            resource: name.parse().unwrap(),
            ..at("home", &artefact)
        };
        open.push(copy(&format!("copy of {name}"), &from));
    }
    let mut deferred = 0;
    for _ in 0..40 {
        let mut waiting = Vec::new();
        for task in open {
            match scene.observe(&task).await {
                Observation::Completed(_) => continue,
                Observation::NotStarted => {
                    if let Err(failure) = scene.engine().start(&task).await {
                        assert_eq!(failure.kind, FailureKind::Deferred, "{failure}");
                        assert!(failure.message.contains("20 of 20"), "{failure}");
                        assert!(failure.retry_at.is_some_and(|at| at > scene.standin.now()));
                        deferred += 1;
                    }
                }
                Observation::Running(_) => {}
                failed @ Observation::Failed { .. } => panic!("{failed:?}"),
            }
            waiting.push(task);
        }
        open = waiting;
        scene.standin.advance(Duration::from_secs(300));
    }
    assert!(open.is_empty(), "{} copies never came", open.len());
    assert!(deferred >= 5, "{deferred}");
    let (most, there) = scene
        .standin
        .with(|state| (state.most_copies[AWAY], state.snapshots_in(AWAY).len()));
    assert_eq!((most, there), (20, 25));
}

#[tokio::test]
async fn copies_of_one_source_wait_for_each_other() {
    let scene = Scene::new(ResourceKind::Rds).await;
    let first = scene.made("a").await;
    let second = scene.made("b").await;
    scene.engine().start(&copy("copy a", &first)).await.unwrap();
    let waits = scene.refusal(&copy("copy b", &second)).await;
    assert_eq!(waits.kind, FailureKind::Deferred);
    assert!(waits.message.contains("resource orders"), "{waits}");
    // Nobody looks at the first any more: its place is free when its lease runs out.
    scene.standin.advance(Duration::from_secs(31 * 60));
    scene.engine().start(&copy("copy b", &second)).await.unwrap();
}

#[tokio::test]
async fn quotas_that_others_use_up_defer_too() {
    let scene = Scene::new(ResourceKind::Rds).await;
    let original = scene.made("backup").await;
    scene.standin.with(|state| state.copy_quota = 0);
    let full = scene.refusal(&copy("copy", &original)).await;
    assert_eq!(full.kind, FailureKind::Deferred);
    assert!(
        full.message.contains("SnapshotQuotaExceeded") && full.retry_at.is_some(),
        "{full}"
    );
    scene
        .standin
        .with(|state| (state.copy_quota, state.snapshot_quota) = (20, 2));
    let full = scene.refusal(&copy("copy", &original)).await;
    assert_eq!(full.kind, FailureKind::Deferred);
    assert!(full.message.contains("manual snapshots exist in eu-west-1"), "{full}");
    assert_eq!(
        scene.calls_of("CopyDBSnapshot"),
        1,
        "what is known to be full is not asked for"
    );
    scene.standin.with(|state| state.snapshot_quota = 100);
    scene.copied("copy", &original).await;
}

#[tokio::test]
async fn a_copy_that_is_gone_is_made_again_under_its_name() {
    for kind in [ResourceKind::Rds, ResourceKind::Aurora] {
        let scene = Scene::new(kind).await;
        let original = scene.made("backup").await;
        let copied = scene.copied("copy", &original).await;
        let is_cluster = kind == ResourceKind::Aurora;
        assert!(
            scene
                .standin
                .with(|state| state.lose_snapshot(AWAY, &copied.artefact, is_cluster))
        );
        let damages = scene.damages(&copied).await;
        assert!(damages[0].contains("does not exist any more"), "{damages:?}");
        let order = Order::Repair {
            point: point(),
            damaged: copied.clone(),
            from: original,
        };
        // The first copy fails half-way and keeps its name. A person takes it away: the verifier deletes nothing.
        scene.standin.with(|state| state.doomed = 1);
        let Outcome::Repair { repaired, unrepairable } = scene.carry_out(&task("repair", order.clone())).await else {
            panic!("a repair");
        };
        let told = unrepairable.join("\n");
        assert!(repaired.is_empty() && told.contains("is failed"), "{told}");
        let command = if is_cluster {
            format!("aws rds delete-db-cluster-snapshot --region {AWAY} --db-cluster-snapshot-identifier ")
        } else {
            format!("aws rds delete-db-snapshot --region {AWAY} --db-snapshot-identifier ")
        };
        assert!(told.contains(&format!("{command}{}", copied.artefact)), "{told}");
        assert_eq!(
            scene.calls_of("DeleteDBSnapshot") + scene.calls_of("DeleteDBClusterSnapshot"),
            0
        );
        scene
            .standin
            .with(|state| state.lose_snapshot(AWAY, &copied.artefact, is_cluster));
        let Outcome::Repair { repaired, unrepairable } = scene.carry_out(&task("repair again", order)).await else {
            panic!("a repair");
        };
        assert_eq!((repaired.len(), unrepairable.len()), (1, 0));
        assert_eq!(scene.damages(&copied).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_copy_is_encrypted_where_it_can_be_and_proven_so() {
    for kind in [ResourceKind::Rds, ResourceKind::Aurora] {
        let scene = Scene::new(kind).await;
        let is_cluster = kind == ResourceKind::Aurora;
        scene
            .standin
            .with(|state| state.add_database(HOME, "plain", is_cluster, 10, None));
        let backup = Scene::backup_of("plain", "plain", "orders");
        let Outcome::Backup { artefact, .. } = scene.carry_out(&backup).await else {
            panic!("a backup");
        };
        let copied = scene.copied("copy", &at("home", &artefact)).await;
        assert_eq!(scene.damages(&copied).await, Vec::<String>::new(), "{kind:?}");
        // With another key in the deployment, what is encrypted with the old one is told.
        let mut deployment = scene.deployment.clone();
        deployment.vaults[1].key = scene.standin.with(|state| state.add_key(AWAY));
        let seen = scene.engine_of(&deployment).observe(&verify(&copied, Level::L1)).await;
        let Ok(Observation::Completed(Outcome::Verify(verdict))) = seen else {
            panic!("{seen:?}");
        };
        assert_eq!(verdict.damages.len(), usize::from(!is_cluster), "{:?}", verdict.damages);
    }
}

#[tokio::test]
async fn a_source_that_will_never_be_whole_is_not_waited_for() {
    let scene = Scene::new(ResourceKind::Rds).await;
    let original = scene.made("backup").await;
    scene.standin.with(|state| state.word = Some("creating".into()));
    let waits = scene.refusal(&copy("copy", &original)).await;
    assert_eq!(waits.kind, FailureKind::Deferred, "{waits}");
    for word in ["failed", "deleting"] {
        scene.standin.with(|state| state.word = Some(word.into()));
        let lost = scene.refusal(&copy("copy", &original)).await;
        assert_eq!(lost.kind, FailureKind::Integrity, "{lost}");
    }
}
