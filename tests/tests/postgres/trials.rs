//! Trials by schedule: what holds is signed, what does not is told apart from damage, and nothing is left behind.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use holdfast_cli::embedded::System;
use holdfast_core::domain::{Copy, CopyState, Level, Point, PointState, Proof, Statement};
use holdfast_core::workflow::chain;

use crate::domain::{Scene, now};
use crate::server::{ADMIN, give_to_owner, wait_until};
use crate::tools::Ran;
use crate::world::World;

/// The folder that trials are made in.
fn place(world: &World) -> PathBuf {
    world.path("t")
}

/// A scene in which the server is tried every ten minutes.
fn scene(checks: &str) -> Scene {
    Scene::with(&[], |world| {
        fs::create_dir(place(world)).unwrap();
        give_to_owner(&place(world));
        format!(
            "[resource.trial]\nevery = \"10m\"\nfolder = \"{}\"\nsuperuser = \"{ADMIN}\"\n{checks}",
            place(world).display()
        )
    })
}

/// The verdicts of trials, oldest first.
fn trials(points: &[Point]) -> Vec<Proof> {
    let proofs = points
        .iter()
        .flat_map(|point| &point.copies)
        .flat_map(|copy| &copy.proofs);
    let mut proofs: Vec<Proof> = proofs.filter(|proof| proof.level >= Level::L3).cloned().collect();
    proofs.sort_by_key(|proof| (proof.at, proof.statement));
    proofs
}

impl Scene {
    fn last_trial(&self, system: &System) -> Option<(Level, bool)> {
        let last = trials(&self.points(system)).pop()?;
        Some((last.level, last.passed))
    }

    /// The newest statement about a trial, of a chain that holds.
    fn statement(&self, system: &System) -> Statement {
        let evidence = &system.world.evidence;
        let documents = self.runtime.block_on(async {
            let mut documents = Vec::new();
            for name in evidence.list().await.unwrap() {
                let document = evidence.get(&name).await.unwrap().unwrap();
                documents.push((name, document));
            }
            documents
        });
        let statements = chain::verify(&documents, &|_, _| true).unwrap().statements;
        let of_trial = |statement: &Statement| statement.findings.contains_key("trial");
        statements.into_iter().rfind(of_trial).unwrap()
    }

    fn is_clear(&self) -> bool {
        fs::read_dir(place(&self.world)).unwrap().next().is_none()
    }
}

const CHECKS: &str = r#"
assert = [{ database = "postgres", sql = "SELECT count(*) >= 1000 FROM ledger" }]
heartbeat = { database = "postgres", column = "public.beats.at" }
"#;

#[test]
fn a_scheduled_trial_holds_and_one_whose_statement_fails_pages_and_leaves_the_point_usable() {
    let mut scene = scene(CHECKS);
    scene
        .world
        .server
        .sql("CREATE TABLE beats AS SELECT clock_timestamp() AS at");
    scene.write(1000);
    let system = scene.open();
    scene.until(&system, "a trial holds", |system| {
        scene.last_trial(system) == Some((Level::L5, true))
    });
    let statement = scene.statement(&system);
    assert_eq!((statement.level, statement.passed), (Level::L5, true));
    let trial = &statement.findings["trial"];
    assert!(trial["recovery_millis"].as_u64().unwrap() > 0, "{trial}");
    assert!(trial["data_loss_millis"].as_u64().is_some(), "{trial}");
    assert!(trial["findings"]["counts"]["rows"].as_u64().unwrap() >= 1000, "{trial}");
    println!(
        "recovery {} ms, data loss {} ms, {}",
        trial["recovery_millis"], trial["data_loss_millis"], trial["findings"]["counts"]
    );
    assert!(scene.is_clear());
    assert_eq!(scene.told("trial/"), 0);

    scene.world.server.sql("DELETE FROM ledger WHERE id > 10");
    scene.until(&system, "a trial refutes it", |system| {
        scene.last_trial(system) == Some((Level::L5, false))
    });
    assert_eq!(scene.statement(&system).findings["verdict"], "refuted");
    assert_eq!(scene.told("does not hold what it must"), 1);
    assert_eq!(scene.told("is damaged"), 0);
    for point in scene.points(&system) {
        assert_eq!(point.state, PointState::Available);
        assert!(point.copies.iter().all(|copy| copy.state == CopyState::Available));
    }
    assert!(scene.is_clear());
}

#[test]
fn a_page_that_is_flipped_on_the_server_is_a_database_that_is_not_sound() {
    let mut scene = scene("");
    let server = &mut scene.world.server;
    server.fill(1);
    let file = server.sql("SELECT pg_relation_filepath('pgbench_accounts')");
    server.stop();
    let open = File::options().write(true).open(server.data.join(&file)).unwrap();
    open.write_all_at(b"?", 3 * 8192 + 5000).unwrap();
    server.begin();
    let system = scene.open();
    scene.until(&system, "a trial finds it", |system| {
        scene.last_trial(system) == Some((Level::L4, false))
    });
    let statement = scene.statement(&system);
    assert_eq!(statement.findings["verdict"], "corrupt");
    let corrupt = statement.findings["trial"]["corrupt"].to_string();
    assert!(corrupt.contains(&file) && corrupt.contains("page 3"), "{corrupt}");
    assert_eq!(scene.told("not sound"), 1);
    // Every copy has what the server gave, and there is nothing to repair them from.
    let points = scene.points(&system);
    assert!(points.iter().flat_map(|point| &point.copies).all(Copy::is_usable));
    assert_eq!(scene.told("is damaged"), 0);
    assert!(scene.is_clear());
}

/// Flips a bit in the middle of a file.
fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(file).unwrap();
    fs::write(file, bytes).unwrap();
}

/// The files below a folder, with their lengths.
fn files(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut folders = vec![folder.to_owned()];
    let mut files = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let found = entry.metadata().unwrap();
            if found.is_dir() {
                folders.push(entry.path());
            } else {
                files.insert(entry.path(), found.len());
            }
        }
    }
    files
}

#[test]
fn a_byte_that_is_flipped_in_the_vault_is_damage_is_repaired_and_tried_again() {
    let scene = scene("");
    scene.world.server.fill(1);
    let system = scene.open();
    scene.back_up(&system);
    // What is pulled later may have a larger pack, of log from before the base backup.
    let packs = files(&scene.data().join("regions/west/vaults/primary/orders/data"));
    let (pack, _) = packs.into_iter().max_by_key(|(_, bytes)| *bytes).unwrap();
    scene.until(&system, "a trial holds, and the copy is proven", |system| {
        let points = scene.points(system);
        let is_whole =
            |point: &Point| point.copies.len() == 2 && point.copies.iter().all(|copy| !copy.proofs.is_empty());
        scene.last_trial(system) == Some((Level::L4, true)) && points.iter().all(is_whole)
    });
    flip(&pack);
    scene.until(&system, "a trial finds it", |system| {
        trials(&scene.points(system))
            .iter()
            .any(|proof| (proof.level, proof.passed) == (Level::L3, false))
    });
    assert!(scene.told("is damaged") >= 1);
    scene.until(&system, "it is repaired and holds", |system| {
        let points = scene.points(system);
        let usable = points
            .iter()
            .flat_map(|point| &point.copies)
            .all(|copy| copy.state == CopyState::Available);
        usable && scene.last_trial(system) == Some((Level::L4, true))
    });
    assert!(scene.is_clear());
}

#[test]
fn what_a_killed_server_left_of_a_trial_is_cleared_by_the_next() {
    let scene = scene("");
    Ran::of(&mut scene.holdfast(&["backup", "orders"])).ends(0);
    let serving = scene.serve();
    let orphan = || {
        let names = fs::read_dir(place(&scene.world)).ok()?;
        let pid = names
            .flatten()
            .find_map(|entry| fs::read_to_string(entry.path().join("data/postmaster.pid")).ok())?;
        pid.lines().next()?.parse::<i32>().ok()
    };
    wait_until("the private server runs", || orphan().is_some());
    let orphan = orphan().unwrap();
    serving.kill();
    assert!(!scene.is_clear(), "what it worked on stays behind");

    let system = scene.open();
    scene.until(&system, "a trial holds", |system| {
        scene.last_trial(system) == Some((Level::L4, true))
    });
    assert!(scene.is_clear());
    wait_until("the orphan is gone", || {
        fs::read_to_string(format!("/proc/{orphan}/stat")).map_or(true, |state| state.contains(") Z "))
    });
}

#[test]
fn a_byte_that_is_flipped_in_stored_log_is_damage_of_the_vault_and_is_repaired_from_the_other() {
    let mut scene = scene("");
    scene.write(1000);
    let system = scene.open();
    scene.back_up(&system);
    scene.until(&system, "a trial holds, and log is copied", |system| {
        scene.last_trial(system) == Some((Level::L4, true)) && scene.window_in(system, "recovery").is_some()
    });
    let packs = scene.data().join("regions/west/vaults/primary/orders/data");
    let before = files(&packs);
    scene.write(20_000);
    let written = now();
    scene.until(&system, "the log is pulled and copied", |system| {
        let copied = scene
            .window_in(system, "recovery")
            .and_then(|window| window.state.covered_at);
        scene.covers(system, written) && copied.is_some_and(|at| at > written)
    });
    let new = files(&packs).into_iter().filter(|(path, _)| !before.contains_key(path));
    let (pack, _) = new.max_by_key(|(_, bytes)| *bytes).unwrap();
    flip(&pack);
    let damaged = |system: &System| {
        let proofs = trials(&scene.points(system));
        proofs
            .iter()
            .any(|proof| (proof.level, proof.passed) == (Level::L3, false))
    };
    scene.until(&system, "a trial finds it", damaged);
    assert!(scene.told("is damaged") >= 1);
    assert_eq!(scene.told("not sound"), 0);
    scene.until(&system, "it is repaired and holds", |system| {
        let points = scene.points(system);
        let mut copies = points.iter().flat_map(|point| &point.copies);
        copies.all(|copy| copy.state == CopyState::Available) && scene.last_trial(system) == Some((Level::L4, true))
    });
    assert!(scene.is_clear());
    drop(system);
    assert_eq!(scene.restored("primary"), scene.lines);
}
