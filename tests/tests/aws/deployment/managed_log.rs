//! The log that RDS keeps of a database: looked at every five minutes, shown as a window, and the RPO is compared with it.

use jiff::SignedDuration;

use super::scene::{HOME, Scene};

const CONFIGURATION: &str = r#"
region = "eu-central-1"

[[vault]]
name = "primary"
region = "eu-central-1"

[[resource]]
name = "orders"
kind = "rds"
path = "orders"

[[policy]]
name = "databases"
vault = "primary"
rpo = "30m"
rto = "4h"
[policy.select]
resources = ["orders"]
[policy.keep]
last = 7
[[policy.rule]]
name = "nightly"
cron = "0 2 * * *"
kind = "full"
[[policy.rule]]
name = "log"
cron = "*/5 * * * *"
kind = "log"
"#;

#[test]
fn the_window_of_a_managed_database_moves_on_and_keeps_its_objective_until_its_log_stands_still() {
    let scene = Scene::new();
    scene
        .standin
        .with(|state| state.add_database(HOME, "orders", false, 20, None));
    scene.go(CONFIGURATION);
    scene.advance_to(2, 0);
    scene.until("it is backed up", || scene.points("orders").len() == 1);
    let asked = || {
        let before = scene.time.now();
        scene.advance(300);
        scene.until("RDS was asked", || {
            scene
                .covered_at("orders", "primary")
                .is_some_and(|at| before.duration_since(at) <= SignedDuration::from_mins(5))
        });
    };
    let breaches = || {
        let subjects = scene.subjects();
        subjects
            .iter()
            .filter(|subject| subject.contains("younger than its RPO"))
            .count()
    };
    asked();
    // The hours before the first snapshot were jumped over.
    let before = breaches();
    (0..12).for_each(|_| asked());
    // An hour after the snapshot, half an hour of loss is all that the objective allows.
    assert_eq!(scene.points("orders").len(), 1);
    assert_eq!(breaches(), before, "{:?}", scene.subjects());

    scene.standin.with(|state| state.set_backed_up(HOME, "orders", false));
    scene.advance(45 * 60);
    scene.until_tried_again("people are told", || breaches() > before);
    let behind = scene
        .time
        .now()
        .duration_since(scene.covered_at("orders", "primary").unwrap());
    assert!(behind > SignedDuration::from_mins(30), "{behind:?}");
}
