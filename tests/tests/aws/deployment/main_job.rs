//! The main job: what is due is backed up, proven, copied, repaired, restored and in the end expired; people hear of what
//! went wrong, and restic reads what is left.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_core::domain::{CopyState, JobKind, PointState};
use serde_json::json;

use super::scene::{HOME, RECOVERY, RESTORED, SOURCE, Scene};
use crate::tools::{noise, prose};

const CONFIGURATION: &str = r#"
region = "eu-central-1"

[[vault]]
name = "primary"
region = "eu-central-1"

[[vault]]
name = "recovery"
region = "eu-west-1"

[[resource]]
name = "photos"
kind = "s3"
path = "s3://photo-bucket/2026"
tags = { app = "shop" }

[[resource]]
name = "orders"
kind = "rds"
path = "orders"
tags = { app = "shop" }

[[resource]]
name = "gone"
kind = "s3"
path = "s3://bucket-that-was-deleted/x"
tags = { app = "old" }

[[policy]]
name = "nightly"
vault = "primary"
rpo = "2d"
rto = "4h"
delete-after = "1d"
[policy.select]
tags = { app = "shop" }
[policy.keep]
last = 1
[[policy.rule]]
name = "nightly"
cron = "0 2 * * *"
kind = "incremental"
[[policy.copy]]
vault = "recovery"
within = "6h"

[[policy]]
name = "old"
vault = "primary"
rpo = "2d"
rto = "1d"
[policy.select]
tags = { app = "old" }
[policy.keep]
last = 1
[[policy.rule]]
name = "nightly"
cron = "0 3 * * *"
kind = "full"
"#;

fn objects() -> BTreeMap<String, Vec<u8>> {
    let mut objects: BTreeMap<String, Vec<u8>> = (0..40)
        .map(|number| (format!("2026/{:02}/{number}.txt", number % 12), prose(number, 20_000)))
        .collect();
    objects.insert("2026/large.raw".to_owned(), noise(1, 12_000_000));
    objects.insert("2026/odd names/ä \"b\" %.jpg".to_owned(), noise(2, 300_000));
    objects
}

#[test]
fn a_night_in_the_life_of_a_deployment() {
    let scene = Scene::new();
    let objects = objects();
    for (key, bytes) in &objects {
        scene.put(SOURCE, key, bytes);
    }
    scene
        .standin
        .with(|state| state.add_database(HOME, "orders", false, 20, None));
    scene.go(CONFIGURATION);

    backed_up_proven_and_copied(&scene);
    let first = damaged_found_and_repaired(&scene);
    told_who_is_on_call(&scene);
    restored_from_the_console(&scene, &objects);
    expired(&scene, &first);
    for vault in ["vault-primary", "vault-recovery"] {
        scene
            .restic(vault, "photos", &["check", "--read-data"])
            .says("no errors were found");
    }
}

/// Nothing is done before its time; then the objects and the database stand in both Regions, proven.
fn backed_up_proven_and_copied(scene: &Scene) {
    assert!(scene.points("photos").is_empty());
    scene.advance_to(2, 0);
    let photos = scene.until_protected("photos", 1, 2);
    assert_eq!((photos.files, photos.is_partial()), (42, false), "{:?}", photos.unread);
    scene.until_protected("orders", 1, 2);
    let [here, there] = [HOME, RECOVERY].map(|region| scene.standin.with(|state| state.snapshots_in(region).len()));
    assert_eq!((here, there), (1, 1));
}

/// One flipped byte in a pack is found when somebody asks, mended from the copy, and proven again. Returns the artefact.
fn damaged_found_and_repaired(scene: &Scene) -> String {
    let packs = scene.list("vault-primary", "repositories/photos/data/");
    let (pack, _) = packs.iter().max_by_key(|(_, size)| *size).unwrap();
    let mut bytes = scene.get("vault-primary", pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    scene.put("vault-primary", pack, &bytes);
    let point = scene.points("photos").pop().unwrap();
    let ask = json!({ "request": "audit", "resource": "photos", "point": point.id, "vault": "primary", "requested_by": "ada" });
    scene.publish("Verification Requested", &ask);
    scene.until("the damage is found, repaired and proven to be mended", || {
        let point = scene.points("photos").pop().unwrap();
        let copy = &point.copies[0];
        let verdicts: Vec<bool> = copy.proofs.iter().map(|proof| proof.passed).collect();
        copy.state == CopyState::Available && verdicts == [true, false, true]
    });
    assert!(
        scene.subjects().iter().any(|subject| subject.contains("damaged")),
        "{:?}",
        scene.subjects()
    );
    bytes[middle] ^= 1;
    assert!(
        scene.get("vault-primary", pack).unwrap() == bytes,
        "the pack is what it was"
    );
    point.copies[0].artefact.clone()
}

/// A backup that cannot succeed reaches the pager over HTTP, as one alarm: it may be told more than once, as SNS promises no less,
/// and is known by its subject and its key.
fn told_who_is_on_call(scene: &Scene) {
    scene.advance_to(3, 0);
    let about = |scene: &Scene| -> BTreeSet<String> {
        let pages = scene.pages().into_iter();
        let about = pages.filter(|page| page["Message"].to_string().contains("bucket-that-was-deleted"));
        about.map(|page| page["Subject"].to_string()).collect()
    };
    scene.until("the failed backup is paged", || !about(scene).is_empty());
    let told = about(scene);
    assert!(
        told.len() == 1 && told.iter().all(|subject| subject.contains("backup job")),
        "{told:?}"
    );
}

/// A person tries a restore out, is told what it needs, orders it, and asks how far it is.
fn restored_from_the_console(scene: &Scene, objects: &BTreeMap<String, Vec<u8>>) {
    let target = format!("s3://{RESTORED}/back");
    let tried = scene
        .invoke(
            "restore-runner",
            &json!({ "resource": "photos", "target": target, "vault": "recovery" }),
        )
        .unwrap();
    assert_eq!(
        (&tried["dry_run"], &tried["would_restore"]["files"]),
        (&json!(true), &json!(42)),
        "{tried}"
    );
    assert_eq!(tried["would_restore"]["from_region"], RECOVERY);
    assert!(scene.list(RESTORED, "back/").is_empty());
    let mut order =
        json!({ "resource": "photos", "target": target, "vault": "recovery", "dry_run": false, "requested_by": "ada" });
    let refused = scene.invoke("restore-runner", &order).unwrap_err();
    assert!(refused.contains("approved_by"), "{refused}");
    order["approved_by"] = json!("ben");
    let accepted = scene.invoke("restore-runner", &order).unwrap();
    let ask = json!({ "status": accepted["request"] });
    scene.until("the restore is done", || {
        let status = scene.invoke("restore-runner", &ask).unwrap();
        assert!(status["state"] != "failed" && status["state"] != "partial", "{status}");
        status["state"] == "completed"
    });
    for (key, bytes) in objects {
        let restored = key.replacen("2026/", "back/", 1);
        assert!(scene.get(RESTORED, &restored).as_ref() == Some(bytes), "{restored}");
    }
    assert_eq!(scene.list(RESTORED, "back/").len(), objects.len());
}

/// The next night makes another point; the first one is marked, waits for a day, and goes from both vaults. Its space
/// follows when no backup can need it any more.
fn expired(scene: &Scene, first: &str) {
    scene.put(SOURCE, "2026/large.raw", &noise(3, 12_000_000));
    scene.advance_to(2, 0);
    for resource in ["photos", "orders"] {
        scene.until_protected(resource, 2, 2);
        scene.until("the first point is marked", || {
            scene.points(resource)[0].expiry.is_some()
        });
    }
    let snapshot = format!("repositories/photos/snapshots/{first}");
    assert!(scene.get("vault-primary", &snapshot).is_some(), "it waits");
    // Not yet the next night: then there is nothing new.
    scene.advance(23 * 3600);
    scene.advance(2 * 3600);
    scene.until_protected("photos", 3, 2);
    for resource in ["photos", "orders"] {
        scene.until("the first point is gone", || {
            scene.points(resource)[0].state == PointState::Deleted
        });
    }
    for vault in ["vault-primary", "vault-recovery"] {
        assert!(scene.get(vault, &snapshot).is_none(), "{vault}");
    }
    let stored = |vault: &str| -> i64 {
        let packs = scene.list(vault, "repositories/photos/data/");
        packs.iter().map(|(_, size)| size).sum()
    };
    let vaults = ["vault-primary", "vault-recovery"];
    let before = vaults.map(stored);
    // Only then may time pass: what is condemned later waits from then.
    scene.until("what is dead is condemned", || {
        scene.open_jobs(JobKind::Delete).is_empty() && scene.vaults_with_condemned().len() == vaults.len()
    });
    scene.advance(49 * 3600);
    // The sweep wants the repository for itself, and waits for what else the new night brought.
    scene.until_tried_again("its space is free", || {
        let now = vaults.map(stored);
        (0..2).all(|vault| now[vault] < before[vault] - 10_000_000)
    });
    let left = scene.standin.with(|state| state.snapshots_in(HOME).len());
    assert!(left >= 1, "the newest stays");
}
