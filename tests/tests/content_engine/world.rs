//! A folder to back up, two vaults, and engines over them, of which every one stands for another process.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use holdfast_cli::embedded::pause;
use holdfast_core::domain::{
    BackupKind, Failure, FailureKind, JobId, Level, Location, Order, Outcome, Patterns, PointId, PointRef, ResourceId,
    VaultName, Verdict,
};
use holdfast_core::ports::{Engine, Observation, Task};
use holdfast_local::{FileKeys, system_ambient};
use holdfast_repository::storage::DiskStorage;
use holdfast_sources::content_engine::places::PlacesByScheme;
use holdfast_sources::content_engine::{ContentEngine, ContentEngineParts, ReceiptStore};
use jiff::Timestamp;
use tempfile::TempDir;

use crate::tools::{self, PASSWORD};

/// Where backups go.
pub const PRIMARY: &str = "primary";
/// Where copies go.
pub const RECOVERY: &str = "recovery";

/// What opening a vault meets.
#[derive(Default)]
pub struct Door {
    /// The next opening fails.
    pub jammed: AtomicBool,
    /// Openings wait while this is set.
    shut: Mutex<bool>,
    moved: Condvar,
}

impl Door {
    pub fn shut(&self, shut: bool) {
        *self.shut.lock().expect("door") = shut;
        self.moved.notify_all();
    }

    fn pass(&self) -> Result<(), Failure> {
        let shut = self.shut.lock().expect("door");
        drop(self.moved.wait_while(shut, |shut| *shut).expect("door"));
        if self.jammed.swap(false, Ordering::SeqCst) {
            return Err(Failure::new(FailureKind::Transient, "the vault is away for a moment"));
        }
        Ok(())
    }
}

pub struct World {
    folder: TempDir,
    pub door: Arc<Door>,
}

impl World {
    /// Everything empty, and one file to back up.
    pub fn new() -> World {
        let folder = tempfile::tempdir().expect("folder");
        let world = World {
            folder,
            door: Arc::default(),
        };
        for name in ["app", "drills"] {
            fs::create_dir(world.path(name)).expect("folder");
        }
        fs::write(world.source().join("one"), "first").expect("file");
        world
    }

    /// Every kind of file to back up.
    pub fn with_everything() -> World {
        let world = World::new();
        tools::everything(&world.source());
        world
    }

    /// The same once more, vaults, keys and receipts included, at another place. The source is not copied.
    pub fn twin(&self) -> World {
        let twin = World {
            folder: tempfile::tempdir().expect("folder"),
            door: Arc::default(),
        };
        for name in ["vaults", "keys.json", "drills", "receipts"] {
            let copied = std::process::Command::new("cp")
                .arg("-a")
                .arg(self.path(name))
                .arg(twin.path(name))
                .status();
            assert!(copied.expect("cp").success(), "{name}");
        }
        twin
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What is backed up.
    pub fn source(&self) -> PathBuf {
        self.path("app")
    }

    /// Where drills restore into.
    pub fn drills(&self) -> PathBuf {
        self.path("drills")
    }

    pub fn repository(&self, vault: &str) -> PathBuf {
        self.path("vaults").join(vault).join("app")
    }

    /// The engine of one process.
    pub fn engine(&self) -> ContentEngine {
        let ambient = system_ambient();
        let (door, vaults) = (Arc::clone(&self.door), self.path("vaults"));
        ContentEngine::new(ContentEngineParts {
            open_storage: Arc::new(move |vault: &VaultName, resource: &ResourceId| {
                door.pass()?;
                let path = vaults.join(vault.as_str()).join(resource.as_str());
                let storage = DiskStorage::open_or_create(path).map_err(holdfast_local::repository_failure)?;
                Ok(Arc::new(storage))
            }),
            keys: Arc::new(FileKeys::open_or_create(self.path("keys.json"), &ambient).expect("keys")),
            ambient,
            escrow_password: Arc::new(|| Ok(PASSWORD.to_owned())),
            receipts: ReceiptStore::Folder(self.path("receipts")),
            places: Arc::new(PlacesByScheme::files(self.drills())),
            server_password: Arc::new(|place| panic!("no server has a password, so not {place}")),
            spools: std::env::temp_dir(),
            readers: 2,
            threads: 2,
        })
        .expect("an engine")
    }

    /// The receipt of a task.
    pub fn receipt(&self, task: &Task) -> PathBuf {
        self.path("receipts").join(format!("{}.json", task.job))
    }

    pub fn backup(&self, job: &str) -> Task {
        self.backup_of(job, BackupKind::Incremental, None)
    }

    pub fn backup_of(&self, job: &str, kind: BackupKind, base: Option<(PointId, String)>) -> Task {
        task(
            job,
            Order::Backup {
                resource: app(),
                path: self.source().to_str().expect("UTF-8").to_owned(),
                vault: vault(PRIMARY),
                kind,
                base,
                patterns: Patterns::default(),
                bandwidth_limit: None,
                server: None,
            },
        )
    }
}

/// An order as the first attempt of a job of this name.
pub fn task(job: &str, order: Order) -> Task {
    Task {
        job: JobId::derive(&["test", job]),
        attempt: 1,
        order,
    }
}

/// The next attempt.
pub fn again(task: &Task) -> Task {
    Task {
        attempt: task.attempt + 1,
        ..task.clone()
    }
}

pub fn app() -> ResourceId {
    "app".parse().expect("a name")
}

pub fn vault(name: &str) -> VaultName {
    name.parse().expect("a name")
}

pub fn at(name: &str, artefact: &str) -> Location {
    Location {
        vault: vault(name),
        resource: app(),
        artefact: artefact.to_owned(),
    }
}

pub fn point() -> PointRef {
    PointRef {
        resource: app(),
        taken_at: Timestamp::UNIX_EPOCH,
        id: PointId::derive(&["test"]),
    }
}

pub fn copy(artefact: &str) -> Order {
    Order::Copy {
        point: point(),
        from: at(PRIMARY, artefact),
        to: vault(RECOVERY),
    }
}

pub fn verify(name: &str, artefact: &str) -> Order {
    Order::Verify {
        point: point(),
        at: at(name, artefact),
        level: Level::L2,
        trial: None,
    }
}

pub fn repair(artefact: &str) -> Order {
    Order::Repair {
        point: point(),
        damaged: at(PRIMARY, artefact),
        from: at(RECOVERY, artefact),
    }
}

pub fn delete(artefact: &str) -> Order {
    Order::Delete {
        point: point(),
        at: at(PRIMARY, artefact),
    }
}

pub fn reclaim() -> Order {
    Order::Reclaim {
        resource: app(),
        vault: vault(PRIMARY),
        grace_seconds: 0,
    }
}

pub fn clean(target: &Path) -> Order {
    let run = holdfast_core::domain::RunId::derive(&["test"]);
    Order::Clean {
        run,
        target: target.to_str().expect("UTF-8").to_owned(),
    }
}

/// A restore of everything into a free folder, from the primary vault.
pub fn restore(artefact: &str, target: &Path) -> Order {
    Order::Restore {
        point: point(),
        from: at(PRIMARY, artefact),
        target: target.to_str().expect("UTF-8").to_owned(),
        include: Vec::new(),
        overwrite: false,
        heartbeat: None,
        recovery: None,
    }
}

/// Lets the engine work until nothing runs any more.
pub async fn finish(engine: &ContentEngine) {
    while !engine.working().is_empty() {
        pause(Duration::from_millis(2)).await;
    }
}

/// Starts a task and sees what comes of it.
pub async fn attempt(engine: &ContentEngine, task: &Task) -> Observation {
    engine.start(task).await.expect("start");
    finish(engine).await;
    engine.observe(task).await.expect("observe")
}

/// Carries out a task, which must complete.
pub async fn run(engine: &ContentEngine, task: &Task) -> Outcome {
    match attempt(engine, task).await {
        Observation::Completed(outcome) => outcome,
        other => panic!("{:?} does not complete: {other:?}", task.order),
    }
}

/// Carries out a task, which must fail.
pub async fn fail(engine: &ContentEngine, task: &Task) -> (FailureKind, String) {
    match attempt(engine, task).await {
        Observation::Failed { kind, message } => (kind, message),
        other => panic!("{:?} does not fail: {other:?}", task.order),
    }
}

/// Backs up, and gives the artefact.
pub async fn back_up(engine: &ContentEngine, task: &Task) -> String {
    match run(engine, task).await {
        Outcome::Backup { artefact, unread, .. } => {
            assert_eq!(unread, []);
            artefact
        }
        other => panic!("no backup: {other:?}"),
    }
}

/// The verdict on a copy, asked for by a job of this name.
pub async fn verdict(engine: &ContentEngine, job: &str, name: &str, artefact: &str) -> Verdict {
    match run(engine, &task(job, verify(name, artefact))).await {
        Outcome::Verify(verdict) => verdict,
        other => panic!("no verdict: {other:?}"),
    }
}

/// Requires that a copy is proven, and that restic agrees.
pub async fn assert_proven(world: &World, engine: &ContentEngine, job: &str, name: &str, artefact: &str) {
    let verdict = verdict(engine, job, name, artefact).await;
    assert!(
        verdict.damages.is_empty() && verdict.affected.is_empty(),
        "{job}: {verdict:?}"
    );
    assert!(verdict.bytes > 0, "{job}: nothing was read");
    tools::restic(&world.repository(name), &[&"check", &"--read-data"]);
}
