//! A server as a protected resource: policies back it up and pull its log, its window is known, and what breaks it is told.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_cli::args::Place;
use holdfast_cli::embedded::{Parts, System, load, pause, turn};
use holdfast_core::domain::{BackupKind, Point, ResourceId, Window};
use holdfast_core::ports::Clock;
use holdfast_core::workflow::inventory;
use holdfast_local::{DataFolder, system_ambient};
use holdfast_repository::Ambient;
use jiff::{SignedDuration, Timestamp};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use crate::server::{MAJOR, Server, folder, give_to_owner, wait_until};
use crate::tools::Ran;
use crate::world::World;

/// How far the time of this process is ahead of the real one, in seconds.
static AHEAD: AtomicI64 = AtomicI64::new(0);

/// Held by the test whose time it is.
static TIME: Mutex<()> = Mutex::new(());

#[expect(
    clippy::disallowed_methods,
    reason = "servers have the real time, and tests go on from there"
)]
pub fn now() -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(AHEAD.load(Ordering::SeqCst))
}

/// Minutes for a rule that is due so many minutes from now and then again and again: what tests find due does not depend on the
/// time of day.
fn minutes(first: i64, every: i64) -> String {
    let first = (now() + SignedDuration::from_mins(first)).as_second() / 60;
    let mut minutes: Vec<i64> = (0..60 / every).map(|n| (first + n * every) % 60).collect();
    minutes.sort_unstable();
    minutes.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
}

struct Ahead;

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        now()
    }
}

/// A server, its ledger, and an installation that protects it.
pub struct Scene {
    pub world: World,
    pub runtime: Runtime,
    pub lines: u64,
    _time: MutexGuard<'static, ()>,
}

impl Scene {
    pub fn new(settings: &[&str]) -> Scene {
        Scene::with(settings, |_| String::new())
    }

    /// The same, with more to be said of the server in the configuration.
    pub fn with(settings: &[&str], more: impl Fn(&World) -> String) -> Scene {
        Scene::on(MAJOR, settings, "full", more)
    }

    /// The same with a server of another version and base backups of a kind.
    fn on(major: u32, settings: &[&str], kind: &str, more: impl Fn(&World) -> String) -> Scene {
        let time = TIME.lock().unwrap_or_else(PoisonError::into_inner);
        AHEAD.store(0, Ordering::SeqCst);
        let world = World::of(major, settings);
        let configuration = format!(
            r#"
            region = "west"
            [[vault]]
            name = "primary"
            region = "west"
            [[vault]]
            name = "recovery"
            region = "east"
            [[resource]]
            name = "orders"
            kind = "postgres"
            path = "{}"
            slot = "pulled"
            {}
            [[policy]]
            name = "databases"
            vault = "primary"
            rpo = "15m"
            rto = "4h"
            select = {{ kinds = ["postgres"] }}
            keep = {{ last = 3 }}
            copy = [{{ vault = "recovery", within = "1h" }}]
            [[policy.rule]]
            name = "base"
            cron = "{} * * * *"
            kind = "{kind}"
            [[policy.rule]]
            name = "log"
            cron = "{} * * * *"
            kind = "log"
            "#,
            world.connection(),
            more(&world),
            minutes(30, 60),
            minutes(4, 5),
        );
        fs::write(world.path("holdfast.toml"), configuration).unwrap();
        Scene {
            world,
            runtime: Runtime::new().unwrap(),
            lines: 0,
            _time: time,
        }
    }

    pub fn data(&self) -> PathBuf {
        self.world.path("holdfast-data")
    }

    /// A process that works on the installation.
    pub fn open(&self) -> System {
        let place = Place {
            config: self.world.path("holdfast.toml"),
            data: None,
        };
        let Ok(installation) = load(&place, now()) else {
            panic!("the configuration is good");
        };
        let ambient = Ambient {
            now,
            ..system_ambient()
        };
        let parts = Parts {
            clock: Arc::new(Ahead),
            ambient: ambient.clone(),
            poll: SignedDuration::from_secs(1),
            print_pages: false,
        };
        self.runtime.block_on(async {
            let folder = DataFolder::open(&installation.data, &ambient).unwrap();
            let system = System::open(&installation.config, folder, parts).unwrap();
            system.apply(&installation.config).await.unwrap();
            system
        })
    }

    /// Lets time pass in steps of half a minute, until something holds.
    pub fn until(&self, system: &System, what: &str, holds: impl Fn(&System) -> bool) {
        for _ in 0..400 {
            self.runtime.block_on(async {
                turn(system).await.unwrap();
                while !system.engine.working().is_empty() {
                    pause(Duration::from_millis(5)).await;
                }
                turn(system).await.unwrap();
            });
            if holds(system) {
                return;
            }
            AHEAD.fetch_add(30, Ordering::SeqCst);
        }
        panic!("in vain: {what}; {:?}; {}", self.window(system), self.pages());
    }

    pub fn points(&self, system: &System) -> Vec<Point> {
        let id: ResourceId = "orders".parse().unwrap();
        self.runtime.block_on(inventory::points(&system.world, &id)).unwrap()
    }

    /// What can be restored of the server from the vault that its log is pulled to.
    pub fn window(&self, system: &System) -> Option<Window> {
        self.window_in(system, "primary")
    }

    pub fn window_in(&self, system: &System, vault: &str) -> Option<Window> {
        let id: ResourceId = "orders".parse().unwrap();
        let windows = self.runtime.block_on(inventory::windows(&system.world, &id)).unwrap();
        windows.into_iter().find(|window| window.vault.as_str() == vault)
    }

    pub fn covers(&self, system: &System, time: Timestamp) -> bool {
        let window = self.window(system);
        window
            .and_then(|window| window.state.covered_at)
            .is_some_and(|at| at > time)
    }

    pub fn write(&mut self, lines: u64) {
        self.world
            .server
            .sql(&format!("INSERT INTO ledger SELECT FROM generate_series(1, {lines})"));
        self.lines += lines;
    }

    /// How many times people were told of something.
    pub fn told(&self, about: &str) -> usize {
        self.pages().matches(about).count()
    }

    fn pages(&self) -> String {
        fs::read_to_string(self.data().join("pages.jsonl")).unwrap_or_default()
    }

    /// How many lines a server holds that was restored from a vault to its latest state.
    pub fn restored(&self, vault: &str) -> u64 {
        self.recovered(vault)
            .sql("SELECT count(*) FROM ledger")
            .parse()
            .unwrap()
    }

    /// A server over what was restored from a vault to its latest state.
    pub fn recovered(&self, vault: &str) -> Server {
        let region = if vault == "primary" { "west" } else { "east" };
        let repository = self.data().join(format!("regions/{region}/vaults/{vault}/orders"));
        let password = self.data().join("repository-password");
        give_to_owner(&self.data());
        let folder = folder();
        let data = folder.path().join("data");
        let mut restore = crate::server::as_owner(&self.world.path("holdfast"));
        restore
            .args(["postgres", "restore", "--name", "orders", "--repo"])
            .arg(&repository);
        restore.arg("--password-file").arg(&password).arg("--target").arg(&data);
        Ran::of(&mut restore).ends(0);
        let mut server = Server::over(folder, data);
        server.begin();
        wait_until("recovery has ended", || server.sql("SELECT pg_is_in_recovery()") == "f");
        server
    }

    /// The program at work on the installation, as the owner of servers.
    pub fn holdfast(&self, words: &[&str]) -> Command {
        let mut command = crate::server::as_owner(&self.world.path("holdfast"));
        command
            .args(words)
            .arg("--config")
            .arg(self.world.path("holdfast.toml"));
        command.stdin(Stdio::null());
        command
    }

    /// Starts `holdfast serve`.
    pub fn serve(&self) -> Serving {
        let log = File::create(self.world.path("serve.log")).unwrap();
        let mut serve = self.holdfast(&["serve"]);
        Serving(serve.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }
}

/// A `holdfast serve`, which ends with this.
pub struct Serving(Child);

impl Serving {
    /// Ends it as a failing machine would.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        assert_eq!(self.0.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_is_protected_like_any_other_resource_and_its_window_stays_whole() {
    let mut scene = Scene::new(&[]);
    let system = scene.open();
    scene.until(&system, "a base backup is made, copied and proven", |system| {
        let points = scene.points(system);
        points.last().is_some_and(|point| {
            point.copies.len() == 2 && point.copies.iter().all(|copy| point.routine_proof(copy).is_some())
        })
    });
    scene.write(20_000);
    let written = now();
    scene.until(&system, "the log is pulled", |system| scene.covers(system, written));
    // The process ends; one pull is missed.
    drop(system);
    scene.write(30_000);
    AHEAD.fetch_add(11 * 60, Ordering::SeqCst);
    scene.write(500);
    let system = scene.open();
    let written = now();
    scene.until(&system, "the log is pulled again", |system| {
        scene.covers(system, written)
    });
    let window = scene.window(&system).unwrap();
    assert_eq!(
        (window.state.stretches.len(), window.state.gaps.len()),
        (1, 0),
        "{window:?}"
    );
    let age = now().duration_since(window.state.covered_at.unwrap());
    assert!(age <= SignedDuration::from_mins(6), "{age:?}: {window:?}");
    assert!(!scene.pages().contains("broken"), "{}", scene.pages());
    // A later base backup takes its log along to the other vault.
    let points = scene.points(&system).len();
    scene.until(&system, "the next base backup is copied", |system| {
        let known = scene.points(system);
        known.len() > points && known.last().is_some_and(|point| point.copies.len() == 2)
    });
    drop(system);
    for vault in ["primary", "recovery"] {
        assert_eq!(scene.restored(vault), scene.lines, "{vault}");
    }
}

#[test]
fn log_that_is_first_pulled_long_after_a_base_backup_leads_on_from_it() {
    let mut scene = Scene::new(&["max_wal_size = '32MB'", "min_wal_size = '32MB'"]);
    let system = scene.open();
    scene.back_up(&system);
    for _ in 0..4 {
        scene.write(20_000);
        scene.world.server.sql("SELECT pg_switch_wal()");
        scene.world.server.sql("CHECKPOINT");
    }
    let written = now();
    scene.until(&system, "the log is pulled", |system| scene.covers(system, written));
    let window = scene.window(&system).unwrap();
    let state = &window.state;
    assert_eq!((state.stretches.len(), state.gaps.len()), (1, 0), "{window:?}");
    assert!(state.stretches[0].earliest_at < written, "{window:?}");
}

#[test]
fn a_rule_of_incremental_base_backups_reads_what_changed_of_a_server_that_can_tell() {
    let mut scene = Scene::on(18, &["summarize_wal = on"], "incremental", |_| String::new());
    let system = scene.open();
    scene.write(50_000);
    scene.back_up(&system);
    scene.write(500);
    scene.back_up(&system);
    let points = scene.points(&system);
    let (first, last) = (points.first().unwrap(), points.last().unwrap());
    assert!(points.iter().all(|point| point.kind == BackupKind::Full), "{points:?}");
    assert!(last.added_bytes < first.added_bytes / 4, "{points:?}");
    drop(system);
    let repository = scene.data().join("regions/west/vaults/primary/orders");
    let password = scene.data().join("repository-password");
    give_to_owner(&scene.data());
    let mut list = crate::server::as_owner(&scene.world.path("holdfast"));
    list.args(["--json", "repository", "snapshots", "--repo"])
        .arg(repository);
    list.arg("--password-file").arg(password);
    let listed = Ran::of(&mut list).ends(0).json();
    let of = |point: &Point| {
        let mut snapshots = listed.as_array().unwrap().iter();
        let id = &point.copies[0].artefact;
        let found = snapshots.find(|snapshot| snapshot["snapshot"] == id.as_str());
        found.unwrap_or_else(|| panic!("{id}: {listed}"))["tags"].to_string()
    };
    assert!(of(first).contains("since-full:0"), "{}", of(first));
    assert!(of(last).contains("since-full:1"), "{}", of(last));
    assert_eq!(scene.restored("primary"), scene.lines);
}

#[test]
fn a_gap_in_the_log_is_told_ends_the_window_and_is_followed_by_a_base_backup() {
    let mut scene = Scene::new(&["max_wal_size = '32MB'", "min_wal_size = '32MB'"]);
    scene.world.server.configure("wal_keep_size = 0");
    scene.world.server.sql("SELECT pg_reload_conf()");
    let system = scene.open();
    let begun = now();
    scene.until(&system, "the log leads on", |system| scene.covers(system, begun));
    scene.world.server.sql("SELECT pg_drop_replication_slot('pulled')");
    for _ in 0..6 {
        scene.write(20_000);
        scene.world.server.sql("SELECT pg_switch_wal()");
        scene.world.server.sql("CHECKPOINT");
    }
    let before = scene.points(&system).len();
    scene.until(&system, "people are told", |_| scene.pages().contains("is broken"));
    let window = scene.window(&system).unwrap();
    assert_eq!(window.state.gaps.len(), 1, "{window:?}");
    let told = now();
    scene.until(&system, "the log leads on again", |system| {
        scene.covers(system, told) && scene.pages().contains("leads on from a base backup again")
    });
    assert!(scene.points(&system).len() > before);
    assert_eq!(scene.pages().matches("is broken").count(), 1, "{}", scene.pages());
    drop(system);
    assert_eq!(scene.restored("primary"), scene.lines);
}

#[test]
fn a_wrong_server_is_named_without_its_password() {
    let mut scene = Scene::new(&[]);
    scene.world.server.stop();
    let system = scene.open();
    scene.until(&system, "people are told", |_| {
        scene.pages().contains("no PostgreSQL server answers")
    });
    assert!(scene.points(&system).is_empty());
    scene.world.server.begin();
    scene.until(&system, "it heals by itself", |system| scene.window(system).is_some());
}
