//! Restores of a server that was written to all the time: to the end, to moments, positions and transactions.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use holdfast_testkit::seeds::noise;
use jiff::Timestamp;

use crate::server::{MAJOR, Server, verify, wait_until};
use crate::tools::{Ran, restic};
use crate::world::{Line, World, ledger, restored_by_restic};

/// How many moments are recovered to.
const MOMENTS: usize = 20;

/// Waits until the ledger has so many lines.
pub fn at_least(server: &Server, lines: usize) {
    wait_until("the ledger grows", || {
        server.sql("SELECT count(*) FROM ledger").parse::<usize>().unwrap() >= lines
    });
}

/// What stood at a moment, by when each line was committed.
pub fn until(history: &[Line], moment: i64) -> Vec<Line> {
    history.iter().copied().filter(|(_, at)| *at <= moment).collect()
}

#[test]
fn a_server_is_restored_to_any_moment_to_the_transaction() {
    let mut world = World::new(&[]);
    world.server.fill(2);
    let receiver = world.receive();
    let writer = world.writer();
    let load = world.server.load();
    at_least(&world.server, 200);
    let first = world.back_up();
    at_least(&world.server, 800);
    // The second base backup shares with the first one what did not change.
    let second = world.back_up();
    let bytes = |backup: &serde_json::Value| backup["bytes_added"].as_u64().unwrap();
    assert!(bytes(&second) < bytes(&first), "{second} after {first}");
    at_least(&world.server, 1500);
    let (lsn, count) = {
        // Nothing is committed between the two: the position is right behind the last line.
        drop(load);
        drop(writer);
        world.server.sql("SELECT pg_switch_wal()");
        let answer = world
            .server
            .sql("SELECT pg_current_wal_insert_lsn() || ' ' || count(*) FROM ledger");
        let (lsn, count) = answer.split_once(' ').unwrap();
        (lsn.to_owned(), count.parse::<usize>().unwrap())
    };
    let xid = world
        .server
        .sql("WITH line AS (INSERT INTO ledger DEFAULT VALUES RETURNING 1) SELECT pg_current_xact_id() FROM line");
    world.server.sql("INSERT INTO ledger DEFAULT VALUES");
    world.server.sql("SELECT pg_create_restore_point('before the mistake')");
    world.server.sql("DELETE FROM ledger WHERE id % 2 = 0");
    world.server.sql("SELECT pg_switch_wal()");
    let all = world.server.sql("SELECT count(*) FROM ledger");
    world.server.stop();
    receiver.stop();
    let windows = world.windows();
    assert_eq!(windows["gaps"].as_array().unwrap().len(), 0, "{windows}");
    assert_eq!(windows["windows"].as_array().unwrap().len(), 1, "{windows}");

    let latest = world.recovered(&[]);
    assert_eq!(latest.sql("SELECT count(*) FROM ledger"), all, "to the end");
    drop(latest);
    let named = world.recovered(&["--point", "before the mistake"]);
    let history = ledger(&named);
    drop(named);
    assert_eq!(history.len(), count + 2, "to a named point");
    assert_eq!(ledger(&world.recovered(&["--lsn", &lsn])).len(), count, "to a position");
    assert_eq!(
        ledger(&world.recovered(&["--transaction", &xid])).len(),
        count + 1,
        "to a transaction"
    );
    let before = world.recovered(&["--transaction", &xid, "--exclusive"]);
    assert_eq!(ledger(&before).len(), count, "right before it");
    drop(before);

    let ended = windows["windows"][0]["earliest_at"]
        .as_str()
        .unwrap()
        .parse::<Timestamp>()
        .unwrap();
    let (from, to) = (ended.as_microsecond(), history[count - 1].1);
    for (number, random) in noise(20, MOMENTS * 4).chunks(4).enumerate() {
        let share = f64::from(u32::from_le_bytes(random.try_into().unwrap())) / f64::from(u32::MAX);
        let moment = from + ((to - from) as f64 * share) as i64;
        let time = Timestamp::from_microsecond(moment).unwrap().to_string();
        let found = ledger(&world.recovered(&["--time", &time]));
        assert!(
            found == until(&history, moment),
            "moment {number}, {time}: {} lines",
            found.len()
        );
    }
}

#[test]
fn other_tools_accept_a_base_backup_and_it_starts_by_itself() {
    let world = World::new(&[]);
    world.server.fill(1);
    let load = world.server.load();
    let backup = world.back_up();
    drop(load);
    restic(&world.repo(), &[&"check", &"--read-data"]).says("no errors were found");
    let out = crate::server::folder();
    let data = restored_by_restic(&world, backup["snapshot"].as_str().unwrap(), out.path());
    verify(MAJOR, &data);
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    let mut server = Server::over(out, data);
    server.begin();
    let ours = "SELECT count(*) FROM pgbench_accounts";
    assert_eq!(server.sql(ours), "100000");
    server.sql("CREATE EXTENSION amcheck");
    server.sql("SELECT bt_index_check(c.oid, true) FROM pg_class c WHERE c.relname = 'pgbench_accounts_pkey'");
}

#[test]
fn a_restore_over_another_state_writes_what_differs_and_removes_the_rest() {
    let mut world = World::new(&[]);
    world.server.fill(3);
    let backup = world.back_up();
    world
        .server
        .sql("CREATE TABLE later AS SELECT generate_series(1, 10000) AS number");
    world.server.sql("UPDATE pgbench_branches SET bbalance = 7");
    world.server.sql("CHECKPOINT");
    let target = world.server.data.to_str().unwrap().to_owned();
    let restore = |words: &[&str]| Ran::of(world.postgres("restore", words).args(["--target", &target]));
    restore(&[]).ends(2).says("is not empty");
    restore(&["--overwrite"]).ends(2).says("a server runs over it");
    assert_eq!(
        world.server.sql("SELECT count(*) FROM later"),
        "10000",
        "nothing was touched"
    );
    world.server.stop();
    fs::write(world.server.data.join("global/stranger"), "left").unwrap();
    let restored = Ran::of(
        world
            .postgres("restore", &["--overwrite", "--to", "immediate"])
            .args(["--target", &target]),
    )
    .ends(0)
    .json();
    let bytes = |word: &str| restored[word].as_u64().unwrap();
    assert!(bytes("bytes_written") < bytes("bytes_right"), "{restored}");
    assert!(bytes("removed") >= 2, "{restored}");
    assert!(!world.server.data.join("global/stranger").exists());
    world.server.begin();
    wait_until("recovery has ended", || {
        world.server.sql("SELECT pg_is_in_recovery()") == "f"
    });
    assert_eq!(world.server.sql("SELECT to_regclass('later') IS NULL"), "t");
    assert_eq!(
        world
            .server
            .sql("SELECT count(*) FROM pgbench_branches WHERE bbalance = 7"),
        "0"
    );
    assert_eq!(world.server.sql("SELECT count(*) FROM pgbench_accounts"), "300000");
    assert!(backup["damaged_pages"] == 0);
}

#[test]
fn what_cannot_be_restored_is_refused_and_says_why() {
    let mut world = World::new(&[]);
    let restore = |words: &[&str]| {
        Ran::of(
            world
                .postgres("restore", words)
                .args(["--target", "/tmp/holdfast-none"]),
        )
    };
    restore(&[]).ends(1).says("no base backup of orders is stored");
    world.back_up();
    restore(&["--time", "2001-01-01T00:00:00Z"])
        .ends(1)
        .says("after the target");
    restore(&["--time", "noon"]).ends(2).says("noon");
    restore(&["--time", "2026-01-01T00:00:00Z", "--lsn", "0/1"])
        .ends(2)
        .says("choose either");
    restore(&["--base", "ffff"]).ends(1).says("is no base backup");
    restore(&["--tablespace", "1"]).ends(2).says("16385=");
    // A folder of another cluster is not written over, whatever it is called.
    let mut other = Server::start(&[]);
    other.stop();
    let target = other.data.to_str().unwrap();
    Ran::of(world.postgres("restore", &["--overwrite"]).args(["--target", target]))
        .ends(2)
        .says("belongs to cluster");
    other.begin();
    assert_eq!(other.sql("SELECT 1"), "1");
    world.server.stop();
    Ran::of(&mut world.postgres("backup", &[])).ends(1);
    assert!(!std::path::Path::new("/tmp/holdfast-none").exists());
}
