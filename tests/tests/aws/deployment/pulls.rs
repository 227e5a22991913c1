//! The log of a PostgreSQL server, pulled and copied to the other Region by functions that are called every five minutes and keep
//! nothing between.

use holdfast_core::domain::JobKind;
use jiff::SignedDuration;

use super::scene::Scene;
use crate::server::{ADMIN, Server};

const TRIGGER: &str = "holdfast-snapshot-trigger";
/// How often the log is pulled.
const SCHEDULE: SignedDuration = SignedDuration::from_mins(5);

fn configuration(port: u16) -> String {
    format!(
        r#"
region = "eu-central-1"

[[vault]]
name = "primary"
region = "eu-central-1"

[[vault]]
name = "recovery"
region = "eu-west-1"

[[resource]]
name = "orders"
kind = "postgres"
path = "host=127.0.0.1 port={port} user={ADMIN} sslmode=disable"

[[policy]]
name = "databases"
vault = "primary"
rpo = "15m"
rto = "4h"
[policy.select]
resources = ["orders"]
[policy.keep]
last = 7
[[policy.copy]]
vault = "recovery"
within = "1h"
[[policy.rule]]
name = "base"
cron = "0 2 * * *"
kind = "full"
[[policy.rule]]
name = "log"
cron = "*/5 * * * *"
kind = "log"
"#
    )
}

/// Writes, lets five minutes pass, and waits for the pull; how old what it covers is then.
fn pulled(scene: &Scene, server: &Server) -> SignedDuration {
    server.sql("INSERT INTO ledger SELECT FROM generate_series(1, 20000)");
    let written = scene.time.now();
    scene.advance(SCHEDULE.as_secs());
    scene.until("the log is pulled", || {
        scene.covered_at("orders", "primary").is_some_and(|at| at > written)
    });
    let covered = scene.covered_at("orders", "primary").unwrap();
    scene.time.now().duration_since(covered)
}

#[test]
fn the_log_of_a_server_is_pulled_every_five_minutes_without_a_gap() {
    let mut server = Server::start(&["wal_level = replica"]);
    server.admit(&[
        "host all all 127.0.0.1/32 trust",
        "host replication all 127.0.0.1/32 trust",
    ]);
    server.sql("CREATE TABLE ledger (id bigserial PRIMARY KEY, text text DEFAULT repeat('x', 200))");
    let scene = Scene::new();
    scene.go(&configuration(server.port));
    scene.advance_to(2, 0);
    scene.until("a base backup is made", || scene.points("orders").len() == 1);
    scene.until("its job has ended", || scene.open_jobs(JobKind::Backup).is_empty());

    let age = pulled(&scene, &server);
    assert!(age <= SCHEDULE, "{age:?}");
    // The server restarts between two pulls.
    server.stop();
    server.begin();
    let age = pulled(&scene, &server);
    assert!(age <= SCHEDULE, "{age:?}");
    // One invocation is lost, wherever it is; the next is another process and has nothing of what the first had pulled.
    server.sql("INSERT INTO ledger SELECT FROM generate_series(1, 20000)");
    scene.advance(SCHEDULE.as_secs());
    scene.until("an invocation is killed", || scene.service.kill_busy(TRIGGER) > 0);
    let age = pulled(&scene, &server);
    assert!(age <= SCHEDULE, "{age:?}");

    // What was pulled last is in the other Region soon, with all that came before.
    let pulled = scene.covered_at("orders", "primary").unwrap() - SCHEDULE;
    scene.until("the log is copied", || {
        scene.covered_at("orders", "recovery").is_some_and(|at| at > pulled)
    });
    let copied = scene.window("orders", "recovery").unwrap();
    assert_eq!(copied.state.gaps.len(), 0, "{copied:?}");
    let window = scene.window("orders", "primary").unwrap();
    assert_eq!(
        (window.state.stretches.len(), window.state.gaps.len()),
        (1, 0),
        "{window:?}"
    );
    assert!(
        scene.subjects().iter().all(|subject| !subject.contains("broken")),
        "{:?}",
        scene.subjects()
    );
    let listed = scene.restic("vault-primary", "orders", &["snapshots", "--tag", "wal", "--json"]);
    assert!(listed.out.contains("end:"), "{listed}");
}
