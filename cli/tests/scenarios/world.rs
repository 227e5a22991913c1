//! An installation on one machine with two Regions, an application that works, and time that a scenario moves.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_cli::args::Place;
use holdfast_cli::embedded::{Parts, System, load, pause, turn};
use holdfast_core::config::Config;
use holdfast_core::domain::{
    Detail, Failure, Job, JobId, JobState, Point, ResourceId, Run, RunId, RunState, VaultName,
};
use holdfast_core::ports::Clock;
use holdfast_core::workflow::inventory;
use holdfast_core::workflow::records::{self, Record};
use holdfast_local::{DataFolder, system_ambient};
use holdfast_repository::Ambient;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

/// Seconds since the epoch in the time of the scenario that runs. The engine asks for the time through a plain function, so
/// there is one time in a process, and scenarios take turns.
static NOW: AtomicI64 = AtomicI64::new(1_790_000_000);
static TURN: Mutex<()> = Mutex::new(());

pub fn now() -> Timestamp {
    Timestamp::from_second(NOW.load(Ordering::SeqCst)).unwrap()
}

struct MovedClock;

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        now()
    }
}

const CONFIGURATION: &str = r#"
region = "west"
[[vault]]
name = "primary"
region = "west"
[[vault]]
name = "recovery"
region = "east"
[[resource]]
name = "shop"
kind = "files"
path = "files"
heartbeat = "heartbeat"
[[policy]]
name = "on-request"
vault = "primary"
zone = "UTC"
verify-every = "7d"
max-parallel = 1
select = { resources = ["shop"] }
files = { canaries = ["documents/.canary"] }
keep = { last = 100 }
copy = [{ vault = "recovery", within = "30m" }]
[[plan]]
name = "shop-in-east"
rpo = "2h"
rto = "1h"
[[plan.step]]
name = "proven"
check = { that = "proven-point", resource = "shop", vault = "recovery" }
[[plan.step]]
name = "restore"
restore = { resource = "shop", vault = "recovery" }
after = ["proven"]
[[plan.step]]
name = "compare"
verify = { restored-by = "restore" }
"#;

/// The scene of a scenario.
pub struct World {
    pub folder: TempDir,
    pub config: Config,
    pub system: Option<System>,
    asked: AtomicI64,
    _turn: MutexGuard<'static, ()>,
}

/// Runs a scenario.
pub fn play<F: Future<Output = ()>>(scenario: impl FnOnce(World) -> F) {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("files/documents")).unwrap();
    fs::write(folder.path().join("holdfast.toml"), CONFIGURATION).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = Place {
        config: folder.path().join("holdfast.toml"),
        data: None,
    };
    let config = load(&place, now()).map_err(|error| error.to_string()).unwrap().config;
    let world = World {
        folder,
        config,
        system: None,
        asked: AtomicI64::new(0),
        _turn: turn,
    };
    runtime.block_on(async {
        let mut world = world;
        world.start().await.unwrap();
        scenario(world).await;
    });
}

impl World {
    pub fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("holdfast-data")
    }

    pub fn region(&self, region: &str) -> PathBuf {
        self.data().join("regions").join(region)
    }

    pub fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        fs::write(self.files().join(file), content).unwrap();
    }

    /// Starts the system on the data folder as it stands.
    pub async fn start(&mut self) -> Result<(), Failure> {
        let ambient = Ambient {
            now,
            ..system_ambient()
        };
        let folder = DataFolder::open(self.data(), &ambient)?;
        let parts = Parts {
            clock: Arc::new(MovedClock),
            ambient,
            poll: SignedDuration::from_secs(1),
            print_pages: false,
        };
        let system = System::open(&self.config, folder, parts)?;
        system.apply(&self.config).await?;
        self.system = Some(system);
        Ok(())
    }

    /// Ends the system, as a process that stops.
    pub fn stop(&mut self) {
        if let Some(system) = self.system.take() {
            system.engine.stop();
        }
    }

    pub fn system(&self) -> &System {
        self.system.as_ref().unwrap()
    }

    /// Lets the system work, a second at a time, until something is there.
    async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut(&System) -> Option<T>) -> T {
        for _ in 0..5000 {
            if let Some(found) = look(self.system()).await {
                return found;
            }
            // What cannot be done says so in its own records.
            let _ = turn(self.system()).await;
            NOW.fetch_add(1, Ordering::SeqCst);
            pause(Duration::from_millis(2)).await;
        }
        panic!("{what} does not come");
    }

    async fn record<T: Record>(&self, key: &holdfast_core::ports::Key) -> Option<T> {
        let stored = records::read::<T>(self.system().world.catalog.as_ref(), key)
            .await
            .unwrap();
        stored.map(|stored| stored.value)
    }

    fn request(&self) -> String {
        format!("request-{}", self.asked.fetch_add(1, Ordering::SeqCst))
    }

    /// The application beats, and is backed up and copied to the other Region.
    pub async fn back_up(&self) -> Point {
        self.write("heartbeat", now().to_string());
        let before = self.points().await.len();
        let detail = Detail::BackupRequested {
            request: self.request(),
            resource: shop(),
            requested_by: "scenario".to_owned(),
        };
        self.system().world.publish(detail).await.unwrap();
        let recovery = VaultName::new("recovery").unwrap();
        self.until("a backup in both Regions", async |system: &System| {
            let points = inventory::points(&system.world, &shop()).await.unwrap();
            let point = points.get(before)?;
            let copy = point.copy_in(&recovery)?;
            point.routine_proof(copy).map(|_| point.clone())
        })
        .await
    }

    pub async fn points(&self) -> Vec<Point> {
        inventory::points(&self.system().world, &shop()).await.unwrap()
    }

    /// Restores a point from a vault; how the job ended.
    pub async fn restore(&self, point: &Point, vault: &str, target: &Path) -> Job {
        let request = self.request();
        let detail = Detail::RestoreRequested {
            request: request.clone(),
            resource: shop(),
            point: Some(point.id.clone()),
            vault: Some(VaultName::new(vault).unwrap()),
            target: target.display().to_string(),
            include: Vec::new(),
            overwrite: false,
            to: None,
            requested_by: "scenario".to_owned(),
        };
        self.system().world.publish(detail).await.unwrap();
        let key = records::job_key(&JobId::derive(&["restore", &request]));
        self.until("the end of a restore", async |_: &System| {
            self.record::<Job>(&key).await.filter(|job| job.state.is_final())
        })
        .await
    }

    /// Runs a drill of the plan to its end.
    pub async fn drill(&self) -> Run {
        let request = self.request();
        let detail = Detail::RunRequested {
            request: request.clone(),
            plan: holdfast_core::domain::PlanId::new("shop-in-east").unwrap(),
            kind: holdfast_core::domain::RunKind::Drill,
            level: None,
            requested_by: "scenario".to_owned(),
        };
        self.system().world.publish(detail).await.unwrap();
        let key = records::run_key(&RunId::derive(&["run", &request]));
        self.until("the end of a drill", async |_: &System| {
            let run = self.record::<Run>(&key).await;
            run.filter(|run| matches!(run.state, RunState::Succeeded | RunState::Failed))
        })
        .await
    }

    /// Restores a point into a fresh folder that is given to `look`.
    pub async fn look_into<T>(&self, point: &Point, vault: &str, look: impl FnOnce(&Path) -> T) -> T {
        let target = tempfile::tempdir().unwrap();
        let job = self.restore(point, vault, target.path()).await;
        assert_eq!(job.state, JobState::Completed, "{:?}", job.failure);
        look(target.path())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop();
    }
}

pub fn shop() -> ResourceId {
    ResourceId::new("shop").unwrap()
}

/// Lets time pass while nothing works.
pub fn pass(span: SignedDuration) {
    NOW.fetch_add(span.as_secs(), Ordering::SeqCst);
}

/// Figures of a scenario, as its test prints them.
pub fn figure(what: &str, value: impl std::fmt::Display) {
    println!("{what}: {value}");
}
