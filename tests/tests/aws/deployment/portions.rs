//! A backup that is larger than what one invocation has time for.

use std::time::Duration;

use holdfast_core::domain::JobKind;
use holdfast_tests::front::What;

use super::scene::{SOURCE, Scene, rest};
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

[[policy]]
name = "nightly"
vault = "primary"
rpo = "2d"
rto = "4h"
[policy.select]
resources = ["photos"]
[policy.keep]
last = 7
[[policy.rule]]
name = "nightly"
cron = "0 2 * * *"
kind = "incremental"
"#;

const TRIGGER: &str = "holdfast-snapshot-trigger";
const OBJECTS: u64 = 800;
const BYTES: usize = 64 << 10;
/// How many of the objects differ: the first invocation meets all of them, and whoever goes on meets them again.
const CONTENTS: u64 = 40;

/// How long reading one object takes, in milliseconds. A part must take clearly longer than the seconds after which
/// another invocation looks for work, or none is ever found side by side.
const DELAY: u64 = 2_000;

/// What one invocation gets: enough to read a part of the objects.
const BUDGET: Duration = Duration::from_secs(30);

#[test]
fn a_backup_larger_than_an_invocation_goes_on_in_others_side_by_side_and_over_a_dead_one() {
    let scene = Scene::with_budget(TRIGGER, BUDGET);
    for number in 0..OBJECTS {
        let bytes = noise(number % CONTENTS, BYTES);
        scene.put(SOURCE, &format!("2026/{number:04}.raw"), &bytes);
    }
    scene
        .s3
        .trouble(&format!("GET /{SOURCE}/2026"), 0, usize::MAX, What::Delayed(DELAY));
    scene.go(CONFIGURATION);
    let before = scene.service.invocations(TRIGGER);
    scene.advance_to(2, 0);

    let slices = "repositories/photos/holdfast/portions/";
    scene.until("the first invocation has left something to others", || {
        scene
            .list("vault-primary", slices)
            .iter()
            .any(|(name, _)| name.ends_with("/slices"))
    });
    scene.until("several work side by side", || scene.service.busy(TRIGGER) >= 2);
    assert!(scene.service.kill_busy(TRIGGER) >= 1, "they die");
    // Their messages come again, and their parts are free.
    scene.advance(1_000);
    scene.until("the backup is done and proven", || {
        // An invocation that came to nothing is tried again after a while. Time passes only while none is at work: each
        // would take it for its own.
        if scene.service.busy(TRIGGER) == 0 {
            rest(Duration::from_secs(1));
            scene.advance(20);
        }
        scene.is_protected("photos", 1, 1)
    });
    let point = scene.points("photos").pop().unwrap();
    assert_eq!(
        (point.files, point.is_partial()),
        (OBJECTS, false),
        "{:?}",
        point.unread
    );
    assert!(scene.service.invocations(TRIGGER) >= before + 3);

    let snapshots = scene.list("vault-primary", "repositories/photos/snapshots/");
    assert_eq!(snapshots.len(), 1, "{snapshots:?}");
    let stored: i64 = scene
        .list("vault-primary", "repositories/photos/data/")
        .iter()
        .map(|(_, size)| size)
        .sum();
    let unique = CONTENTS as usize * BYTES;
    let times = stored as f64 / unique as f64;
    // Without looking for what others stored, it would stand there once for each of the five parts at least. Two that are at
    // work at the same time may store the same.
    assert!(times < 2.0, "{times:.2} times what is different is stored");
    scene.until("the job is done", || scene.open_jobs(JobKind::Backup).is_empty());
    scene
        .restic("vault-primary", "photos", &["check", "--read-data"])
        .says("no errors were found");
}
