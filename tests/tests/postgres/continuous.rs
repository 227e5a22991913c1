//! A server's log that the running program receives as it is written: what a killed server loses, also where the program itself
//! was killed before.

use crate::domain::Scene;
use crate::server::wait_until;
use crate::tools::Ran;
use crate::world::ledger;

impl Scene {
    fn is_received(&self) -> bool {
        let asked = "SELECT active FROM pg_replication_slots WHERE slot_name = 'pulled_receiver'";
        self.world.server.sql(asked) == "t"
    }

    fn written(&self) -> u64 {
        self.world.server.sql("SELECT count(*) FROM ledger").parse().unwrap()
    }
}

#[test]
fn a_killed_server_loses_no_more_than_two_seconds_of_what_the_program_receives() {
    let mut scene = Scene::with(&[], |_| "log = \"continuous\"".to_owned());
    Ran::of(&mut scene.holdfast(&["backup", "orders"])).ends(0);
    let serving = scene.serve();
    wait_until("the log is received", || scene.is_received());
    let writer = scene.world.writer();
    wait_until("the ledger grows", || scene.written() > 1000);
    // The program is killed, and the next one goes on where it was.
    serving.kill();
    wait_until("the server notices", || !scene.is_received());
    let before = scene.written();
    let serving = scene.serve();
    wait_until("the log is received again", || scene.is_received());
    wait_until("the ledger grows", || scene.written() > before + 1500);
    let last: u64 = scene.world.server.sql("SELECT max(id) FROM ledger").parse().unwrap();
    scene.world.server.kill();
    drop(writer);
    serving.stop();

    let restored = scene.recovered("primary");
    let found = ledger(&restored);
    drop(restored);
    // What stands on the killed server's own disk is the truth.
    scene.world.server.begin();
    let truth = ledger(&scene.world.server);
    assert_eq!(found, truth[..found.len()], "what is restored is its history");
    let lost = truth.last().unwrap().1 - found.last().unwrap().1;
    println!(
        "{} of {} transactions restored, {} microseconds of commits lost",
        found.len(),
        truth.len(),
        lost
    );
    assert!(found.last().unwrap().0 + 3 >= last, "{last} stood before the kill");
    assert!(lost <= 2_000_000, "{lost} microseconds of commits are lost");
}

/// How a slot comes to be lost while nobody receives.
fn lose(scene: &mut Scene, by_hand: bool) {
    if by_hand {
        scene
            .world
            .server
            .sql("SELECT pg_drop_replication_slot('pulled_receiver')");
    }
    for _ in 0..8 {
        scene.write(20_000);
        scene.world.server.sql("SELECT pg_switch_wal()");
        scene.world.server.sql("CHECKPOINT");
    }
    let lost = "SELECT count(*) FROM pg_replication_slots WHERE wal_status <> 'lost'";
    wait_until("the server keeps no log for it", || {
        scene.world.server.sql("CHECKPOINT");
        scene.world.server.sql(lost) == "0"
    });
}

fn a_lost_slot_is_told_at_once(by_hand: bool) {
    let settings = [
        "max_slot_wal_keep_size = '32MB'",
        "max_wal_size = '32MB'",
        "min_wal_size = '32MB'",
    ];
    let mut scene = Scene::with(&settings, |_| "log = \"continuous\"".to_owned());
    scene.world.server.configure("wal_keep_size = 0");
    scene.world.server.sql("SELECT pg_reload_conf()");
    Ran::of(&mut scene.holdfast(&["backup", "orders"])).ends(0);
    let serving = scene.serve();
    wait_until("the log is received", || scene.is_received());
    scene.write(20_000);
    serving.stop();
    lose(&mut scene, by_hand);

    let serving = scene.serve();
    wait_until("people are told", || scene.told("is broken") == 1);
    wait_until("the log is received over a new slot", || scene.is_received());
    let bases = || {
        let points = Ran::of(&mut scene.holdfast(&["--json", "points"])).ends(0).json();
        points.as_array().unwrap().len()
    };
    wait_until("a base backup follows", || bases() == 2);
    scene.write(500);
    serving.stop();
    assert_eq!(scene.told("is not received as it is written"), 0);
    assert_eq!(scene.restored("primary"), scene.lines);
}

#[test]
fn a_slot_that_the_server_gave_up_while_nobody_received_is_told_at_once_and_made_anew() {
    a_lost_slot_is_told_at_once(false);
}

#[test]
fn a_slot_that_somebody_dropped_while_nobody_received_is_told_at_once_and_made_anew() {
    a_lost_slot_is_told_at_once(true);
}
