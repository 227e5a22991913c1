//! A protected server, restored to a moment by the program and by a payload of the console: PostgreSQL starts over what comes of
//! it, with nothing else at hand.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use holdfast_cli::embedded::System;
use holdfast_core::domain::{Detail, Failure, FailureKind};
use holdfast_restore_runner::answer;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::domain::{Scene, now};
use crate::server::{Server, as_owner, folder, give_to_owner, wait_until};
use crate::tools::Ran;

const RESOURCE: &str = "orders";

/// A folder of its own, and the data folder to be in it.
pub fn place() -> (TempDir, PathBuf) {
    let folder = folder();
    let data = folder.path().join("data");
    (folder, data)
}

impl Scene {
    /// Makes a base backup now.
    pub fn back_up(&self, system: &System) {
        let points = self.points(system).len();
        let detail = Detail::BackupRequested {
            request: format!("base-{points}"),
            resource: RESOURCE.parse().unwrap(),
            requested_by: "test".to_owned(),
        };
        self.runtime.block_on(system.world.publish(detail)).unwrap();
        self.until(system, "a base backup is made", |system| {
            self.points(system).len() > points
        });
    }

    fn pull(&self, system: &System) {
        let written = now();
        self.until(system, "the log is pulled", |system| self.covers(system, written));
    }

    /// The server's time.
    pub fn time(&self) -> Timestamp {
        let text = self
            .world
            .server
            .sql("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");
        text.parse().unwrap()
    }

    /// Every line of the ledger.
    fn ledger(&self) -> String {
        ledger(&self.world.server)
    }

    fn ask(&self, system: &System, payload: &Value) -> Result<Value, Failure> {
        self.runtime.block_on(answer(&system.world, payload))
    }

    /// `holdfast restore orders --to MOMENT --target DIR`, as the owner of servers.
    pub fn restore(&self, moment: &str, target: &std::path::Path, more: &[&str]) -> Command {
        give_to_owner(&self.data());
        let mut restore = as_owner(&self.world.path("holdfast"));
        restore
            .args(["restore", RESOURCE, "--to", moment, "--target"])
            .arg(target);
        restore.arg("--config").arg(self.world.path("holdfast.toml")).args(more);
        restore
    }
}

pub fn ledger(server: &Server) -> String {
    server.sql("SELECT id || ' ' || md5(text) FROM ledger ORDER BY id")
}

/// What a server holds that is started over a restored folder, once it has recovered by itself.
pub fn recovered((folder, data): (TempDir, PathBuf)) -> String {
    let mut server = Server::over(folder, data);
    server.begin();
    wait_until("recovery has ended", || server.sql("SELECT pg_is_in_recovery()") == "f");
    ledger(&server)
}

#[test]
fn a_protected_server_is_restored_to_a_moment_by_the_program_and_by_the_console() {
    let mut scene = Scene::new(&[]);
    let system = scene.open();
    scene.write(1000);
    scene.back_up(&system);
    scene.pull(&system);
    let earliest = scene.window(&system).unwrap().state.stretches[0].earliest_at;
    wait_until("the server's time is in its window", || scene.time() > earliest);
    scene.write(700);
    let (of_then, moment) = (scene.ledger(), scene.time());
    scene.write(30_000);
    scene.world.server.sql("DELETE FROM ledger WHERE id % 3 = 0");
    let at_last = scene.ledger();
    scene.pull(&system);

    // What a try says, and what is refused.
    let (folder, target) = place();
    let mut payload = json!({ "resource": RESOURCE, "target": target, "to": moment });
    let tried = scene.ask(&system, &payload).unwrap();
    let will = &tried["would_restore"];
    assert_eq!(will["recovery"]["to"], moment.to_string(), "{tried}");
    assert_eq!(will["point"], scene.points(&system)[0].id.as_str(), "{tried}");
    let window = format!("from {earliest} until");
    assert!(
        will["recovery"]["restorable"].as_str().unwrap().contains(&window),
        "{tried}"
    );
    let after = now() + SignedDuration::from_hours(1);
    for outside in [after, earliest - SignedDuration::from_secs(1)] {
        payload["to"] = json!(outside);
        let refusal = scene.ask(&system, &payload).unwrap_err();
        assert_eq!(refusal.kind, FailureKind::Invalid);
        assert!(refusal.message.contains(&window), "{refusal}");
    }

    // By the console, to the end of the log.
    payload["to"] = "latest".into();
    payload["dry_run"] = false.into();
    (payload["requested_by"], payload["approved_by"]) = ("ana".into(), "ben".into());
    let status = json!({ "status": scene.ask(&system, &payload).unwrap()["request"] });
    scene.until(&system, "it is restored", |system| {
        scene.ask(system, &status).unwrap()["state"] == "completed"
    });
    drop(system);
    assert_eq!(recovered((folder, target)), at_last);

    // By the program, to the moment.
    let (folder, target) = place();
    let said = Ran::of(&mut scene.restore(&moment.to_string(), &target, &["--dry-run"])).ends(0);
    let said = said.says(&moment.to_string()).says("what can be restored");
    assert!(!target.exists(), "{said}");
    Ran::of(&mut scene.restore(&after.to_string(), &target, &[]))
        .ends(2)
        .says("until");
    Ran::of(&mut scene.restore("2026-11-28T10:15:00", &target, &[]))
        .ends(2)
        .says("with its zone");
    Ran::of(&mut scene.restore(&moment.to_string(), &target, &[]))
        .ends(0)
        .says("start PostgreSQL over it");
    let names: Vec<_> = fs::read_dir(target.join("holdfast-log")).unwrap().collect();
    assert!(!names.is_empty());
    assert_eq!(recovered((folder, target)), of_then);
}
