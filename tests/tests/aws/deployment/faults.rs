//! What goes wrong on the wire: processes that die, services that refuse, messages that end among the dead letters, quotas
//! that are used up. Nothing is lost, and nothing is done twice.

use std::time::Duration;

use holdfast_core::domain::{JobKind, JobState};
use holdfast_tests::front::What;
use holdfast_tests::lambda::ACCOUNT;
use serde_json::json;

use super::scene::{HOME, SOURCE, Scene, rest};
use crate::tools::noise;

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

[[resource]]
name = "orders"
kind = "rds"
path = "orders"

[[policy]]
name = "nightly"
vault = "primary"
rpo = "2d"
rto = "4h"
[policy.select]
resources = ["photos", "orders"]
[policy.keep]
last = 7
[[policy.rule]]
name = "nightly"
cron = "0 2 * * *"
kind = "incremental"
[[policy.copy]]
vault = "recovery"
within = "6h"
"#;

const TRIGGER: &str = "holdfast-snapshot-trigger";

fn scene() -> Scene {
    let scene = Scene::new();
    for number in 0..30 {
        scene.put(SOURCE, &format!("2026/{number}.raw"), &noise(number, 400_000));
    }
    scene
        .standin
        .with(|state| state.add_database(HOME, "orders", false, 20, None));
    scene
}

fn snapshots(scene: &Scene, vault: &str) -> usize {
    scene.list(vault, "repositories/photos/snapshots/").len()
}

/// Passes the time until a message that somebody has in hand is delivered again.
fn past_visibility(scene: &Scene) {
    scene.advance(1_000);
}

#[test]
fn what_kills_or_refuses_loses_nothing_and_doubles_nothing() {
    let scene = scene();
    scene.go(CONFIGURATION);

    // Whoever backs up dies in the middle, and again.
    scene.s3.trouble(&format!("GET /{SOURCE}/"), 0, 30, What::Delayed(700));
    scene.advance_to(2, 0);
    for _ in 0..2 {
        scene.until("the backup is at work", || scene.service.busy(TRIGGER) > 0);
        scene.until("it is in the middle", || {
            scene
                .s3
                .requests()
                .iter()
                .any(|request| request.starts_with(&format!("GET /{SOURCE}/")))
        });
        assert!(scene.service.kill_busy(TRIGGER) > 0);
        past_visibility(&scene);
    }
    scene.until_protected("photos", 1, 2);
    scene.until_protected("orders", 1, 2);
    for vault in ["vault-primary", "vault-recovery"] {
        assert_eq!(snapshots(&scene, vault), 1, "{vault}");
    }

    // For a while, S3 and the catalog's table refuse most of what they are asked.
    scene.put(SOURCE, "2026/new.raw", &noise(99, 400_000));
    scene.s3.trouble(" /vault-", 0, 12, What::Answered(503));
    scene.dynamodb.trouble("POST /", 5, 60, What::Answered(500));
    scene.advance_to(2, 0);
    for resource in ["photos", "orders"] {
        scene.until_tried_again("it is done after all", || scene.is_protected(resource, 2, 2));
    }
    for vault in ["vault-primary", "vault-recovery"] {
        assert_eq!(snapshots(&scene, vault), 2, "{vault}");
    }
    let jobs = scene.subjects();
    assert!(!jobs.iter().any(|subject| subject.contains("job")), "{jobs:?}");
    scene
        .restic("vault-recovery", "photos", &["check", "--read-data"])
        .says("no errors were found");
}

#[test]
fn a_request_that_could_not_be_done_lies_among_the_dead_letters_until_somebody_sends_it_again() {
    let scene = scene();
    scene.go(CONFIGURATION);
    scene.advance_to(2, 0);
    let point = scene.until_protected("photos", 1, 2);

    // The catalog is away for longer than a message is delivered.
    scene.dynamodb.trouble("POST /", 0, usize::MAX, What::Answered(500));
    let ask = json!({ "request": "audit", "resource": "photos", "point": point.id, "vault": "primary", "requested_by": "ada" });
    scene.publish("Verification Requested", &ask);
    let dead = || scene.wire.depth("holdfast-verifier-dead-letters").unwrap().0;
    scene.until("it has been tried five times", || {
        let (waiting, in_hand) = scene.wire.depth("holdfast-verifier").unwrap();
        if waiting == 0 && in_hand > 0 && scene.service.busy("holdfast-verifier") == 0 {
            past_visibility(&scene);
        }
        dead() > 0
    });
    let proofs = |scene: &Scene| scene.points("photos")[0].copies[0].proofs.len();
    assert_eq!(proofs(&scene), 1);

    // `aws sqs start-message-move-task`, as docs/deploy.md has it.
    scene.dynamodb.no_more_trouble();
    let arn = |queue: &str| format!("arn:aws:sqs:{HOME}:{ACCOUNT}:{queue}");
    let again =
        json!({ "SourceArn": arn("holdfast-verifier-dead-letters"), "DestinationArn": arn("holdfast-verifier") });
    scene.wire.sqs("StartMessageMoveTask", &again).unwrap();
    scene.until("it is done after all", || proofs(&scene) == 2);
    assert_eq!(dead(), 0);
}

#[test]
fn a_copy_waits_quietly_while_the_quota_of_its_region_is_used_up() {
    let scene = scene();
    scene.standin.with(|state| state.copy_quota = 0);
    scene.go(CONFIGURATION);
    scene.advance_to(2, 0);
    scene.until_protected("orders", 1, 1);
    scene.until("the copy waits", || {
        let states = scene.open_jobs(JobKind::Copy).into_iter().map(|job| job.state);
        states.eq([JobState::Running])
    });
    for _ in 0..6 {
        scene.advance(600);
        rest(Duration::from_secs(2));
    }
    assert_eq!(scene.points("orders")[0].copies.len(), 1);
    assert_eq!(
        scene.subjects(),
        Vec::<String>::new(),
        "nobody is told of what passes by itself"
    );
    scene.standin.with(|state| state.copy_quota = 20);
    scene.advance(600);
    scene.until_protected("orders", 1, 2);
    assert_eq!(scene.standin.with(|state| state.snapshots_in("eu-west-1").len()), 1);
}
