//! Trials, extracts and logical exports by the program, as the user who runs servers.

use std::fs;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::server::{ADMIN, run, wait_until};
use crate::tools::Ran;
use crate::world::World;

/// A folder of the world for private servers, with the words that every command about them has.
pub fn place(world: &World) -> Vec<String> {
    let folder = world.path("t");
    if !folder.exists() {
        fs::create_dir(&folder).unwrap();
        crate::server::give_to_owner(&folder);
    }
    ["--folder", folder.to_str().unwrap(), "--superuser", ADMIN]
        .map(str::to_owned)
        .to_vec()
}

/// What is left in that folder.
pub fn left(world: &World) -> Vec<String> {
    let names = fs::read_dir(world.path("t")).unwrap();
    names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

const CHECKS: &str = r#"
[[assert]]
database = "postgres"
sql = "SELECT count(*) FROM ledger"
expects = "1000"

[heartbeat]
database = "postgres"
column = "public.beats.at"
"#;

#[test]
fn a_backup_is_proven_and_a_killed_trial_is_cleared_by_the_next() {
    let world = World::new(&[]);
    world.back_up();
    world.server.sql("CREATE TABLE beats AS SELECT clock_timestamp() AS at");
    world
        .server
        .sql("INSERT INTO ledger SELECT FROM generate_series(1, 1000)");
    world.pull().ends(0);
    let checks = world.path("checks.toml");
    fs::write(&checks, CHECKS).unwrap();
    let prove = |words: &[&str]| {
        let mut command = world.postgres("prove", words);
        command.args(place(&world)).arg("--checks").arg(&checks);
        command
    };
    let mut killed = prove(&[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let data = || {
        let folder = left(&world).into_iter().find(|name| !name.ends_with(".lock"));
        folder.map(|name| world.path("t").join(name).join("data"))
    };
    let pid = || {
        let text = fs::read_to_string(data()?.join("postmaster.pid")).ok()?;
        text.lines().next()?.parse::<i32>().ok()
    };
    wait_until("the private server runs", || pid().is_some());
    let orphan = pid().unwrap();
    kill_process(Pid::from_child(&killed), Signal::KILL).unwrap();
    killed.wait().unwrap();
    assert!(left(&world).len() >= 2, "what it worked on stays behind");

    let proven = Ran::of(&mut prove(&[])).ends(0).json();
    assert_eq!(
        (&proven["level"], &proven["passed"]),
        (&Value::from("L5"), &Value::from(true)),
        "{proven}"
    );
    assert!(
        proven["findings"]["heartbeat"]["data_loss_seconds"].as_f64().unwrap() > 0.0,
        "{proven}"
    );
    assert!(left(&world).is_empty(), "{:?}", left(&world));
    wait_until("the orphan is gone", || {
        fs::read_to_string(format!("/proc/{orphan}/stat")).map_or(true, |state| state.contains(") Z "))
    });

    // As it was before there was anything in the ledger.
    let refused = Ran::of(&mut prove(&["--to", "immediate"])).ends(1).json();
    assert_eq!(
        (&refused["level"], &refused["passed"]),
        (&Value::from("L5"), &Value::from(false))
    );
    let faults = refused["findings"]["faults"].as_array().unwrap();
    assert_eq!(faults[0]["reason"], "0, where 1000 is expected", "{refused}");
    fs::write(
        &checks,
        "[[assert]]\ndatabase = \"postgres\"\nquery = \"SELECT true\"\n",
    )
    .unwrap();
    Ran::of(&mut prove(&[]))
        .ends(2)
        .says("checks.toml: line 3: unknown field `query`");
}

#[test]
fn a_mistake_is_taken_back_from_a_backup_and_from_an_export() {
    let world = World::new(&[]);
    world
        .server
        .sql("INSERT INTO ledger SELECT FROM generate_series(1, 1000)");
    world.back_up();
    let connection = world.connection();
    let exported = Ran::of(world.postgres("export", &[]).args(["--server", &connection]))
        .ends(0)
        .json();
    assert_eq!(
        (&exported["tables"], &exported["rows"]),
        (&Value::from(1), &Value::from(1000)),
        "{exported}"
    );
    world.server.sql("DROP TABLE ledger");
    let mut extract = world.postgres("extract", &["--database", "postgres", "--table", "ledger"]);
    Ran::of(extract.args(place(&world)).args(["--into", &connection])).ends(0);
    assert_eq!(world.server.sql("SELECT count(*) FROM ledger"), "1000");
    assert!(left(&world).is_empty(), "{:?}", left(&world));

    world.server.sql("DROP TABLE ledger");
    let mut import = world.postgres("import", &["--database", "postgres", "--table", "ledger"]);
    Ran::of(import.args(["--into", &connection])).ends(0);
    assert_eq!(world.server.sql("SELECT count(*), max(id) FROM ledger"), "1000|1000");
    assert_eq!(
        world.server.sql("INSERT INTO ledger DEFAULT VALUES RETURNING id"),
        "1001"
    );

    let file = world.path("ledger.dump");
    let mut extract = world.postgres("extract", &["--database", "postgres"]);
    Ran::of(extract.args(place(&world)).arg("--file").arg(&file)).ends(0);
    world.server.sql("CREATE DATABASE again");
    run(world
        .server
        .client("pg_restore")
        .args(["--exit-on-error", "-d", "again"])
        .arg(&file));
    let mut extract = world.postgres("extract", &["--database", "orders"]);
    Ran::of(extract.args(place(&world)).args(["--file", "/tmp/never"]))
        .ends(2)
        .says("has no database orders");
}
