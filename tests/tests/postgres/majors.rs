//! The whole story on newer versions of PostgreSQL than the one that the other tests run on.

use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use serde_json::Value;

use crate::proving::{left, place};
use crate::recovery::{at_least, until};
use crate::server::{folder, programs, run, verify};
use crate::tools::Ran;
use crate::world::{NAME, World, ledger, restored_by_restic};

#[test]
fn postgresql_16_is_backed_up_restored_and_proven() {
    is_backed_up_restored_and_proven(16);
}

#[test]
fn postgresql_17_is_backed_up_restored_and_proven() {
    is_backed_up_restored_and_proven(17);
}

#[test]
fn postgresql_18_is_backed_up_restored_and_proven() {
    is_backed_up_restored_and_proven(18);
}

fn is_backed_up_restored_and_proven(major: u32) {
    let world = World::of(major, &[]);
    world.server.fill(1);
    world.pull().ends(0);
    let writer = world.writer();
    at_least(&world.server, 200);
    let backup = world.back_up();
    assert_eq!(backup["damaged_pages"], 0, "{backup}");
    at_least(&world.server, 700);
    drop(writer);
    world.pull().ends(0);
    let history = ledger(&world.server);
    let windows = world.windows();
    assert_eq!(windows["gaps"], Value::Array(Vec::new()), "{windows}");

    assert_eq!(ledger(&world.recovered(&[])), history, "to the end");
    let earliest: Timestamp = windows["windows"][0]["earliest_at"].as_str().unwrap().parse().unwrap();
    let moment = i64::midpoint(earliest.as_microsecond(), history.last().unwrap().1);
    let time = Timestamp::from_microsecond(moment).unwrap().to_string();
    let found = ledger(&world.recovered(&["--time", &time]));
    assert!(found == until(&history, moment), "{time}: {} lines", found.len());
    assert!((200..history.len()).contains(&found.len()), "{}", found.len());

    let out = folder();
    let data = restored_by_restic(&world, backup["snapshot"].as_str().unwrap(), out.path());
    verify(major, &data);
    is_proven(&world);
    a_table_comes_back_from_a_backup_and_from_an_export(&world);
    its_log_is_pushed_and_fetched(&world);
}

/// A trial with the programs in a folder; its findings.
fn proven(world: &World, folder: &Path) -> Value {
    let mut prove = world.postgres("prove", &[]);
    let mut proven = Ran::of(prove.args(place(world)).arg("--programs").arg(folder))
        .ends(0)
        .json();
    assert_eq!(
        (&proven["level"], &proven["passed"]),
        (&Value::from("L4"), &Value::from(true)),
        "{proven}"
    );
    assert!(left(world).is_empty(), "{:?}", left(world));
    let findings = proven["findings"].take();
    let counted = |what: &str| findings["counts"][what].as_u64().unwrap();
    assert!(counted("pages") > 2000 && counted("rows") > 100_000, "{findings}");
    findings
}

fn is_proven(world: &World) {
    let findings = proven(world, &programs(world.server.major));
    assert_eq!(findings["unchecked"], Value::Array(Vec::new()), "{findings}");
    let counted = |what: &str| findings["counts"][what].as_u64().unwrap();
    assert!(counted("heaps") > 100 && counted("indexes") > 200, "{findings}");
}

#[test]
fn a_trial_without_amcheck_says_what_it_did_not_look_at() {
    let world = World::of(18, &[]);
    world.server.fill(1);
    world.back_up();
    let without = world.path("without");
    run(Command::new("cp")
        .arg("-r")
        .arg(programs(18).parent().unwrap())
        .arg(&without));
    run(Command::new("find")
        .arg(&without)
        .args(["-name", "amcheck*", "-delete"]));
    let findings = proven(&world, &without.join("bin"));
    let unchecked = findings["unchecked"].to_string();
    let said = "database postgres: heaps and indexes, as amcheck is not installed";
    assert!(unchecked.contains(said), "{unchecked}");
    assert_eq!(findings["counts"]["heaps"], 0, "{findings}");
    assert_eq!(findings["counts"]["indexes"], 0, "{findings}");
}

fn a_table_comes_back_from_a_backup_and_from_an_export(world: &World) {
    let connection = world.connection();
    let folder = programs(world.server.major);
    let sum = "SELECT count(*) || ' ' || sum(id) FROM ledger";
    let before = world.server.sql(sum);
    let of_table = ["--database", "postgres", "--table", "ledger"];
    let done = |verb: &str, words: &[&str], more: &[String]| {
        let mut command = world.postgres(verb, words);
        Ran::of(command.args(more).arg("--programs").arg(&folder)).ends(0);
    };
    done("export", &["--server", &connection], &[]);
    let verbs: [(&str, Vec<String>); 2] = [("extract", place(world)), ("import", Vec::new())];
    for (verb, more) in verbs {
        world.server.sql("DROP TABLE ledger");
        done(verb, &[&of_table[..], &["--into", &connection]].concat(), &more);
        assert_eq!(world.server.sql(sum), before, "{verb}");
    }
}

/// As by the server's `archive_command`, and by the `restore_command` of what is restored.
fn its_log_is_pushed_and_fetched(world: &World) {
    world
        .server
        .sql("CREATE TABLE pushed AS SELECT generate_series(1, 1000) AS number");
    let segment = world.server.sql("SELECT pg_walfile_name(pg_switch_wal())");
    let mut push = world.command(&["wal", "push", "--name", NAME]);
    Ran::of(push.arg(world.server.data.join("pg_wal").join(segment))).ends(0);
    let restored = world.recovered(&[]);
    assert_eq!(restored.sql("SELECT count(*) FROM pushed"), "1000");
}
