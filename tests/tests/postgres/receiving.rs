//! The log as it is written: what a killed server loses, pulls on a schedule, and a promotion.

use std::fs;

use crate::server::{pause, wait_until};
use crate::tools::Ran;
use crate::world::{SLOT, World, ledger};

#[test]
fn a_killed_server_loses_no_more_than_two_seconds() {
    let mut world = World::new(&[]);
    let receiver = world.receive();
    world.back_up();
    let writer = world.writer();
    wait_until("the ledger grows", || {
        world.server.sql("SELECT count(*) FROM ledger").parse::<u64>().unwrap() > 1500
    });
    let last = world.server.sql("SELECT max(id) FROM ledger").parse::<u64>().unwrap();
    world.server.kill();
    drop(writer);
    // Nobody tells the receiver anything; it stores what it has by itself.
    let spool = world.path("spool");
    let partial = |name: &str| name.len() > 24 && name.ends_with(".partial");
    let names = || {
        fs::read_dir(&spool)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
    };
    assert!(names().any(|name| partial(&name)));
    let stored = || {
        world.windows()["windows"][0]["latest"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let mut before = stored();
    wait_until("what came is stored", || {
        for _ in 0..40 {
            pause();
        }
        let now = stored();
        let is_settled = now == before;
        before = now;
        is_settled
    });
    receiver.stop();
    let restored = world.recovered(&[]);
    let found = ledger(&restored).last().unwrap().0;
    drop(restored);
    // What stands on the killed server's own disk is the truth.
    world.server.begin();
    let truth = ledger(&world.server);
    let ours = truth.iter().find(|(id, _)| *id == found).unwrap().1;
    let lost = truth.last().unwrap().1 - ours;
    assert!(found + 3 >= last, "{found} of {last}, which stood before the kill");
    assert!(lost <= 2_000_000, "{lost} microseconds of commits are lost");
}

#[test]
fn pulls_follow_one_another_without_a_gap_also_when_the_spool_is_lost() {
    let world = World::new(&[]);
    world.pull().ends(0);
    world.back_up();
    for round in 0..4 {
        world
            .server
            .sql("INSERT INTO ledger SELECT FROM generate_series(1, 20000)");
        if round % 2 == 0 {
            world.server.sql("SELECT pg_switch_wal()");
        }
        if round == 2 {
            // As in a function that was never called, and the next one on another machine.
            fs::remove_dir_all(world.path("pulls")).unwrap();
        } else {
            world.pull().ends(0).says("kept up to");
        }
    }
    world.pull().ends(0);
    let windows = world.windows();
    assert_eq!(windows["gaps"].as_array().unwrap().len(), 0, "{windows}");
    assert_eq!(world.recovered(&[]).sql("SELECT count(*) FROM ledger"), "80000");

    // A newer base backup makes most of the log superfluous.
    world.back_up();
    world
        .server
        .sql("INSERT INTO ledger SELECT FROM generate_series(1, 1000)");
    world.pull().ends(0);
    let snapshots = || {
        Ran::of(&mut world.command(&["--json", "repository", "snapshots"]))
            .ends(0)
            .json()
    };
    let count = |list: &serde_json::Value| list.as_array().unwrap().len();
    let before = count(&snapshots());
    let plan = |words: &[&str]| Ran::of(&mut world.postgres("forget", words)).ends(0).json();
    let planned = plan(&["--keep-last", "1", "--dry-run"]);
    assert_eq!(count(&snapshots()), before, "{planned}");
    let forgotten = plan(&["--keep-last", "1"]);
    assert_eq!(forgotten["forgotten"], planned["forgotten"]);
    assert!(count(&forgotten["forgotten"]) >= 4, "{forgotten}");
    assert_eq!(count(&snapshots()), before - count(&forgotten["forgotten"]));
    Ran::of(&mut world.command(&["repository", "prune", "--grace", "0s"])).ends(0);
    assert_eq!(world.recovered(&[]).sql("SELECT count(*) FROM ledger"), "81000");
    assert_eq!(count(&plan(&["--keep-last", "1"])["forgotten"]), 0);
}

#[test]
fn a_lost_slot_and_a_lost_segment_are_told_as_a_gap() {
    let world = World::new(&[
        "max_slot_wal_keep_size = '32MB'",
        "wal_keep_size = 0",
        "max_wal_size = '32MB'",
        "min_wal_size = '32MB'",
    ]);
    world.server.configure("wal_keep_size = 0");
    world.server.sql("SELECT pg_reload_conf()");
    world.pull().ends(0);
    world.back_up();
    for _ in 0..8 {
        world
            .server
            .sql("INSERT INTO ledger SELECT FROM generate_series(1, 20000)");
        world.server.sql("SELECT pg_switch_wal()");
        world.server.sql("CHECKPOINT");
    }
    wait_until("the server drops log", || {
        world.server.sql("CHECKPOINT");
        world.server.sql("SELECT wal_status FROM pg_replication_slots") == "lost"
    });
    let refused = world.pull();
    assert_ne!(refused.code, Some(0), "{refused}");
    assert!(refused.err.contains("slot") || refused.err.contains("log"), "{refused}");
    world.server.sql(&format!("SELECT pg_drop_replication_slot('{SLOT}')"));
    // A new slot goes on later than the log ended: what lies between is gone, and said to be.
    fs::remove_dir_all(world.path("pulls")).unwrap();
    let again = world.pull();
    let windows = world.windows();
    let gaps = windows["gaps"].as_array().unwrap().len();
    assert!(again.code != Some(0) || gaps == 1, "{again}\n{windows}");
}

#[test]
fn the_log_goes_on_along_the_timeline_of_a_promoted_server() {
    let mut world = World::new(&[]);
    world.back_up();
    world.pull().ends(0);
    world
        .server
        .sql("INSERT INTO ledger SELECT FROM generate_series(1, 1000)");
    world.pull().ends(0);
    world.server.stop();
    // The server comes back from its own backup, on timeline 2, with more written to it.
    let mut server = world.recovered(&[]);
    server.sql("INSERT INTO ledger SELECT FROM generate_series(1, 500)");
    std::mem::swap(&mut world.server, &mut server);
    drop(server);
    world.pull().ends(0).says("on timeline 2");
    let windows = world.windows();
    let timelines: Vec<u64> = windows["windows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|window| window["timeline"].as_u64().unwrap())
        .collect();
    assert_eq!(timelines, [1, 2], "{windows}");
    assert_eq!(world.recovered(&[]).sql("SELECT count(*) FROM ledger"), "1500");
    let first = world.recovered(&["--timeline", "1"]);
    assert_eq!(first.sql("SELECT count(*) FROM ledger"), "1000");
}
