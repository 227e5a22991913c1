//! Log in the other Region: it follows every pull, and a server is restored from there to a moment after its last base backup
//! once the home Region is lost.

use std::fs;

use holdfast_cli::embedded::System;
use jiff::Timestamp;

use crate::domain::{Scene, now};
use crate::moments::{ledger, place, recovered};
use crate::server::wait_until;
use crate::tools::Ran;

const AWAY: &str = "recovery";

impl Scene {
    /// Whether all that was committed by a time can be restored from the other Region.
    fn covers_away(&self, system: &System, time: Timestamp) -> bool {
        let window = self.window_in(system, AWAY);
        window
            .and_then(|window| window.state.covered_at)
            .is_some_and(|at| at > time)
    }

    /// Waits until a base backup and log after it stand in the other Region.
    fn has_copies(&self, system: &System) {
        let begun = now();
        self.until(system, "log stands in the other Region", |system| {
            self.covers_away(system, begun)
        });
    }
}

#[test]
fn a_lost_region_takes_no_log_along_that_was_pulled() {
    let mut scene = Scene::new(&[]);
    let system = scene.open();
    scene.write(1000);
    scene.back_up(&system);
    scene.has_copies(&system);
    let earliest = scene.window_in(&system, AWAY).unwrap().state.stretches[0].earliest_at;
    wait_until("the server's time is in its window", || scene.time() > earliest);
    scene.write(700);
    let (of_then, moment) = (ledger(&scene.world.server), scene.time());
    scene.write(30_000);
    scene.world.server.sql("DELETE FROM ledger WHERE id % 3 = 0");
    let at_last = ledger(&scene.world.server);
    let written = now();
    scene.until(&system, "the log is copied", |system| {
        scene.covers_away(system, written)
    });
    let away = scene.window_in(&system, AWAY).unwrap();
    assert_eq!((away.state.stretches.len(), away.state.gaps.len()), (1, 0), "{away:?}");

    drop(system);
    fs::remove_dir_all(scene.data().join("regions/west")).unwrap();
    for (to, expected) in [(moment.to_string().as_str(), of_then), ("latest", at_last)] {
        let (folder, target) = place();
        let restored = Ran::of(&mut scene.restore(to, &target, &["--vault", AWAY])).ends(0);
        restored.says("start PostgreSQL over it");
        assert_eq!(recovered((folder, target)), expected, "{to}");
    }
}

#[test]
fn log_goes_on_in_the_other_region_after_a_gap() {
    let mut scene = Scene::new(&["max_wal_size = '32MB'", "min_wal_size = '32MB'"]);
    scene.world.server.configure("wal_keep_size = 0");
    scene.world.server.sql("SELECT pg_reload_conf()");
    let system = scene.open();
    scene.has_copies(&system);
    scene.world.server.sql("SELECT pg_drop_replication_slot('pulled')");
    for _ in 0..6 {
        scene.write(20_000);
        scene.world.server.sql("SELECT pg_switch_wal()");
        scene.world.server.sql("CHECKPOINT");
    }
    scene.until(&system, "people are told", |_| scene.told("is broken") > 0);
    let told = now();
    scene.until(&system, "log leads on in the other Region", |system| {
        scene.covers_away(system, told)
    });
    let away = scene.window_in(&system, AWAY).unwrap();
    assert_eq!(away.state.gaps.len(), 1, "{away:?}");
    drop(system);
    assert_eq!(scene.restored(AWAY), scene.lines);
}
