//! The engines of managed resources, over the stand-in of RDS, AWS Backup and DynamoDB's backups.

mod aws_backup;
mod contract;
mod copies;
mod dynamodb;
mod standin;
mod troubles;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use holdfast_aws::Clients;
use holdfast_aws::engines::managed;
use holdfast_core::config::deployment::{DeployedVault, Deployment};
use holdfast_core::domain::{
    BackupKind, Failure, JobId, Level, Location, Order, Outcome, Patterns, PointId, PointRef, ResourceId, ResourceKind,
    VaultName,
};
use holdfast_core::ports::{Catalog, Clock, Engine, Observation, Task};
use holdfast_testkit::contract::engine::EngineWorld;
use holdfast_testkit::fakes::FakeCatalog;
use holdfast_tests::standin::{Fault, Standin, Trouble};
use jiff::Timestamp;

const HOME: &str = "eu-central-1";
const AWAY: &str = "eu-west-1";
const DATABASE: &str = "arn:aws:rds:eu-central-1:123456789012:db:orders";
/// Of a type whose points AWS Backup keeps itself.
const FILES: &str = "arn:aws:elasticfilesystem:eu-central-1:123456789012:file-system/fs-1";
const HOUR: Duration = Duration::from_secs(3600);

/// The stand-in's clock as ours.
struct StandinClock(Arc<Standin>);

impl Clock for StandinClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

struct Scene {
    standin: Arc<Standin>,
    kind: ResourceKind,
    /// What is backed up.
    path: &'static str,
    clients: Arc<Clients>,
    deployment: Deployment,
    catalog: Mutex<Arc<FakeCatalog>>,
}

impl Scene {
    /// A database, a table and two vaults, for one kind of engine.
    async fn new(kind: ResourceKind) -> Scene {
        let path = if kind == ResourceKind::AwsBackup {
            DATABASE
        } else {
            "orders"
        };
        Self::of(kind, path).await
    }

    /// As [`Scene::new`], and `path` is what is backed up.
    async fn of(kind: ResourceKind, path: &'static str) -> Scene {
        let standin = Arc::new(Standin::start("2026-03-01T10:00:00Z".parse().unwrap()));
        let keys = standin.with(|state| {
            let keys = [HOME, AWAY].map(|region| state.add_key(region));
            for (region, key) in [HOME, AWAY].into_iter().zip(&keys) {
                state.add_vault(region, "holdfast", key);
            }
            for is_cluster in [false, true] {
                state.add_database(HOME, "orders", is_cluster, 100, Some(&keys[0]));
            }
            state.add_table(HOME, "orders", 4096);
            state.add_protected(DATABASE, "RDS", 100 << 30);
            state.add_protected(FILES, "EFS", 0);
            keys
        });
        let vault = |name: &str, region: &str, key: &str| DeployedVault {
            name: name.parse().unwrap(),
            region: region.parse().unwrap(),
            bucket: format!("bucket-{name}"),
            key: key.to_owned(),
            backup_vault: "holdfast".to_owned(),
        };
        let deployment = Deployment {
            region: HOME.parse().unwrap(),
            table: "catalog".into(),
            bus: "holdfast".into(),
            alert_topic: "topic".into(),
            vaults: vec![vault("home", HOME, &keys[0]), vault("away", AWAY, &keys[1])],
            evidence: Vec::new(),
            wrapping_key: keys[0].clone(),
            signing_key: keys[0].clone(),
            escrow_secret: "secret".into(),
            backup_role: "arn:aws:iam::123456789012:role/HoldfastAWSBackup".into(),
            drill_area: "s3://drills/area".into(),
        };
        Scene {
            clients: Arc::new(Clients::of_emulator(HOME.parse().unwrap(), &standin.endpoint()).await),
            standin,
            kind,
            path,
            deployment,
            catalog: Mutex::default(),
        }
    }

    fn engine_of(&self, deployment: &Deployment) -> Arc<dyn Engine> {
        let catalog: Arc<dyn Catalog> = self.catalog.lock().unwrap().clone();
        let clock: Arc<dyn Clock> = Arc::new(StandinClock(Arc::clone(&self.standin)));
        managed(&self.clients, deployment, &catalog, &clock)[&self.kind].clone()
    }

    /// The engine of a fresh process.
    fn engine(&self) -> Arc<dyn Engine> {
        self.engine_of(&self.deployment)
    }

    fn backup_of(job: &str, path: &str, resource: &str) -> Task {
        let order = Order::Backup {
            resource: resource.parse().unwrap(),
            path: path.to_owned(),
            vault: vault("home"),
            kind: BackupKind::Full,
            base: None,
            patterns: Patterns::default(),
            bandwidth_limit: None,
            server: None,
        };
        task(job, order)
    }

    fn backup(&self, job: &str) -> Task {
        Self::backup_of(job, self.path, "orders")
    }

    fn log_of(job: &str, path: &str) -> Task {
        let mut task = Self::backup_of(job, path, "orders");
        if let Order::Backup { kind, .. } = &mut task.order {
            *kind = BackupKind::Log;
        }
        task
    }

    /// A look at the log that the service keeps.
    fn log(&self, job: &str) -> Task {
        Self::log_of(job, self.path)
    }

    async fn observe(&self, task: &Task) -> Observation {
        self.engine().observe(task).await.unwrap()
    }

    async fn refusal(&self, task: &Task) -> Failure {
        self.engine().start(task).await.unwrap_err()
    }

    /// Starts a task, lets an hour pass, and gives what came of it.
    async fn carry_out(&self, task: &Task) -> Outcome {
        for _ in 0..4 {
            match self.observe(task).await {
                Observation::Completed(outcome) => return outcome,
                Observation::NotStarted => self.engine().start(task).await.unwrap(),
                Observation::Running(_) => self.standin.advance(HOUR),
                failed @ Observation::Failed { .. } => panic!("{failed:?}"),
            }
        }
        match self.observe(task).await {
            Observation::Completed(outcome) => outcome,
            other => panic!("it takes too long: {other:?}"),
        }
    }

    async fn made(&self, job: &str) -> Location {
        match self.carry_out(&self.backup(job)).await {
            Outcome::Backup { artefact, .. } => at("home", &artefact),
            other => panic!("{other:?}"),
        }
    }

    async fn copied(&self, job: &str, from: &Location) -> Location {
        match self.carry_out(&copy(job, from)).await {
            Outcome::Copy { artefact, .. } => at("away", &artefact),
            other => panic!("{other:?}"),
        }
    }

    async fn damages(&self, at: &Location) -> Vec<String> {
        match self.carry_out(&verify(at, Level::L1)).await {
            Outcome::Verify(verdict) => verdict.damages,
            other => panic!("{other:?}"),
        }
    }

    fn calls_of(&self, operation: &str) -> usize {
        self.standin.with(|state| {
            let named = state
                .calls
                .iter()
                .filter(|call| call.split(' ').next() == Some(operation));
            named.count()
        })
    }

    fn fault(&self, fault: Fault) {
        self.standin.with(|state| state.faults.push(fault));
    }
}

fn vault(name: &str) -> VaultName {
    name.parse().unwrap()
}

fn at(name: &str, artefact: &str) -> Location {
    Location {
        vault: vault(name),
        resource: "orders".parse().unwrap(),
        artefact: artefact.to_owned(),
    }
}

fn task(job: &str, order: Order) -> Task {
    Task {
        job: JobId::derive(&["test", job]),
        attempt: 1,
        order,
    }
}

fn point() -> PointRef {
    point_of(&"orders".parse().unwrap())
}

fn point_of(resource: &ResourceId) -> PointRef {
    PointRef {
        resource: resource.clone(),
        taken_at: Timestamp::UNIX_EPOCH,
        id: PointId::derive(&["test"]),
    }
}

fn copy(job: &str, from: &Location) -> Task {
    let order = Order::Copy {
        point: point_of(&from.resource),
        from: from.clone(),
        to: vault("away"),
    };
    task(job, order)
}

fn verify(at: &Location, level: Level) -> Task {
    let order = Order::Verify {
        point: point(),
        at: at.clone(),
        level,
        trial: None,
    };
    task("verify", order)
}

fn restore(job: &str, from: &Location, target: &str) -> Task {
    let order = Order::Restore {
        point: point(),
        from: from.clone(),
        target: target.to_owned(),
        include: Vec::new(),
        overwrite: false,
        heartbeat: None,
        recovery: None,
    };
    task(job, order)
}

fn delete(at: &Location) -> Task {
    let order = Order::Delete {
        point: point(),
        at: at.clone(),
    };
    task(&format!("delete {at}"), order)
}

#[async_trait]
impl EngineWorld for Scene {
    fn engine(&self) -> Arc<dyn Engine> {
        Scene::engine(self)
    }

    fn backup(&self, job: JobId, attempt: u32) -> Task {
        Task {
            job,
            attempt,
            ..Scene::backup(self, "contract")
        }
    }

    async fn finish(&self) {
        self.standin.advance(HOUR);
    }

    fn doom_next(&self) {
        self.standin.with(|state| state.doomed += 1);
    }

    async fn crash(&self) {}

    async fn forget(&self) {
        *self.catalog.lock().unwrap() = Arc::default();
    }

    fn set_reachable(&self, reachable: bool) {
        self.standin.with(|state| {
            state.faults.clear();
            if !reachable {
                state.faults.push(Fault::always(Trouble::ServerError, None));
            }
        });
    }

    fn outlives_a_crash(&self) -> bool {
        true
    }

    async fn artefacts(&self) -> usize {
        self.standin.with(|state| match self.kind {
            ResourceKind::AwsBackup => state.points_in(HOME).len(),
            ResourceKind::Dynamodb => state.table_backups_in(HOME),
            _ => state.snapshots_in(HOME).len(),
        })
    }
}

/// A call of RDS without an SDK: status and body.
fn rds_call(scene: &Scene, region: &str, form: &[(&str, &str)]) -> (u16, String) {
    let scope = format!("AWS4-HMAC-SHA256 Credential=test/20260301/{region}/rds/aws4_request");
    let mut answer = ureq::post(scene.standin.endpoint())
        .config()
        .http_status_as_error(false)
        .build()
        .header("authorization", scope)
        .send_form(form.iter().copied())
        .unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}
