//! The engines of managed resources, over the stand-in of RDS, AWS Backup and DynamoDB's backups.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use holdfast_aws::Clients;
use holdfast_aws::engines::managed;
use holdfast_core::config::deployment::{DeployedVault, Deployment};
use holdfast_core::domain::{
    BackupKind, Failure, FailureKind, JobId, Level, Location, Order, Outcome, Patterns, PointId, PointRef, ResourceId,
    ResourceKind, VaultName,
};
use holdfast_core::ports::{Catalog, Clock, Engine, Observation, Task};
use holdfast_testkit::contract::engine::{self, EngineWorld};
use holdfast_testkit::fakes::FakeCatalog;
use holdfast_tests::standin::{Delivery, Fault, Standin, Trouble};
use jiff::{SignedDuration, Timestamp};

const HOME: &str = "eu-central-1";
const AWAY: &str = "eu-west-1";
const DATABASE: &str = "arn:aws:rds:eu-central-1:123456789012:db:orders";
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
    clients: Arc<Clients>,
    deployment: Deployment,
    catalog: Mutex<Arc<FakeCatalog>>,
}

impl Scene {
    /// A database, a table and two vaults, for one kind of engine.
    async fn new(kind: ResourceKind) -> Scene {
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

    fn path(&self) -> &'static str {
        if self.kind == ResourceKind::AwsBackup {
            DATABASE
        } else {
            "orders"
        }
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
        };
        task(job, order)
    }

    fn backup(&self, job: &str) -> Task {
        Self::backup_of(job, self.path(), "orders")
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

#[tokio::test]
async fn rds_keeps_what_every_engine_promises() {
    engine::suite(async || Scene::new(ResourceKind::Rds).await).await;
}

#[tokio::test]
async fn aurora_keeps_what_every_engine_promises() {
    engine::suite(async || Scene::new(ResourceKind::Aurora).await).await;
}

#[tokio::test]
async fn aws_backup_keeps_what_every_engine_promises() {
    engine::suite(async || Scene::new(ResourceKind::AwsBackup).await).await;
}

/// All but the promise about attempts that fail after they were accepted: a backup of a table has no state for that.
#[tokio::test]
async fn dynamodb_keeps_what_every_engine_promises() {
    let fresh = || Scene::new(ResourceKind::Dynamodb);
    engine::nothing_is_started_before_its_start(&fresh().await).await;
    engine::a_started_task_completes_and_stays_completed(&fresh().await).await;
    engine::starting_twice_is_starting_once(&fresh().await).await;
    engine::what_stands_in_the_world_is_completed_after_a_crash(&fresh().await).await;
    engine::a_vault_that_does_not_answer_is_no_empty_vault(&fresh().await).await;
    engine::what_a_crash_interrupted_can_be_started_again(&fresh().await).await;
    engine::other_jobs_are_other_work(&fresh().await).await;
}

/// Backup, copy with the other Region's key, verification, restore and deletion, as one point lives.
async fn a_point_lives(kind: ResourceKind) {
    let scene = Scene::new(kind).await;
    let before = scene.standin.now();
    let original = scene.made("backup").await;
    match scene.observe(&scene.backup("backup")).await {
        Observation::Completed(Outcome::Backup { taken_at, unread, .. }) => {
            assert_eq!(taken_at, before);
            assert!(unread.is_empty());
        }
        other => panic!("{other:?}"),
    }
    let copied = scene.copied("copy", &original).await;
    for place in [&original, &copied] {
        assert_eq!(scene.damages(place).await, Vec::<String>::new(), "{kind:?}");
        let refused = scene.refusal(&verify(place, Level::L2)).await;
        assert_eq!(refused.kind, FailureKind::Invalid);
        assert!(refused.message.contains("restore test"), "{refused}");
        let target = format!("orders-in-{}", place.vault);
        let restored = scene.carry_out(&restore(&target, place, &target)).await;
        assert!(matches!(restored, Outcome::Restore { .. }), "{restored:?}");
    }
    for place in [&copied, &original] {
        assert_eq!(scene.carry_out(&delete(place)).await, Outcome::Delete);
        assert_eq!(
            scene.observe(&delete(place)).await,
            Observation::Completed(Outcome::Delete)
        );
        assert!(scene.damages(place).await[0].contains("does not exist any more"));
    }
    assert_eq!(scene.artefacts().await, 0);
}

#[tokio::test]
async fn a_point_of_an_instance_lives() {
    a_point_lives(ResourceKind::Rds).await;
}

#[tokio::test]
async fn a_point_of_a_cluster_lives() {
    a_point_lives(ResourceKind::Aurora).await;
}

#[tokio::test]
async fn a_point_of_aws_backup_lives() {
    a_point_lives(ResourceKind::AwsBackup).await;
}

#[tokio::test]
async fn a_point_of_a_table_lives_in_its_region() {
    let scene = Scene::new(ResourceKind::Dynamodb).await;
    let original = scene.made("backup").await;
    assert!(scene.damages(&original).await.is_empty());
    let refused = scene.refusal(&copy("copy", &original)).await;
    assert_eq!(refused.kind, FailureKind::Invalid);
    assert!(refused.message.contains("aws_backup"), "{refused}");
    // The answer to the first start is lost before the table could be tagged.
    scene.fault(Fault::next("TagResource", Trouble::ServerError, 1));
    let task = restore("restore", &original, "orders-2");
    assert_eq!(scene.refusal(&task).await.kind, FailureKind::Transient);
    let outcome = scene.carry_out(&task).await;
    assert!(matches!(outcome, Outcome::Restore { bytes: 4096, .. }), "{outcome:?}");
    assert_eq!(scene.calls_of("RestoreTableFromBackup"), 1);
    assert_eq!(scene.carry_out(&delete(&original)).await, Outcome::Delete);
    assert_eq!(scene.artefacts().await, 0);
}

/// More copies than the account may make at once: never more, none lost, and waiting is told as such.
#[tokio::test]
async fn a_full_quota_defers_copies_until_a_place_is_free() {
    let scene = Scene::new(ResourceKind::Rds).await;
    let key = scene.deployment.vaults[0].key.clone();
    let mut copies = Vec::new();
    for n in 0..25 {
        let name = format!("db-{n}");
        scene
            .standin
            .with(|state| state.add_database(HOME, &name, false, 10, Some(&key)));
        let backup = Scene::backup_of(&name, &name, &name);
        scene.engine().start(&backup).await.unwrap();
        copies.push((name, backup));
    }
    scene.standin.advance(HOUR);
    let mut open = Vec::new();
    for (name, backup) in copies {
        let Observation::Completed(Outcome::Backup { artefact, .. }) = scene.observe(&backup).await else {
            panic!("{name} is not backed up");
        };
        let from = Location {
            resource: name.parse().unwrap(),
            ..at("home", &artefact)
        };
        open.push(copy(&format!("copy of {name}"), &from));
    }
    let mut deferred = 0;
    for _ in 0..40 {
        let mut waiting = Vec::new();
        for task in open {
            match scene.observe(&task).await {
                Observation::Completed(_) => continue,
                Observation::NotStarted => {
                    if let Err(failure) = scene.engine().start(&task).await {
                        assert_eq!(failure.kind, FailureKind::Deferred, "{failure}");
                        assert!(failure.message.contains("20 of 20"), "{failure}");
                        assert!(failure.retry_at.is_some_and(|at| at > scene.standin.now()));
                        deferred += 1;
                    }
                }
                Observation::Running(_) => {}
                failed @ Observation::Failed { .. } => panic!("{failed:?}"),
            }
            waiting.push(task);
        }
        open = waiting;
        scene.standin.advance(Duration::from_secs(300));
    }
    assert!(open.is_empty(), "{} copies never came", open.len());
    assert!(deferred >= 5, "{deferred}");
    let (most, there) = scene
        .standin
        .with(|state| (state.most_copies[AWAY], state.snapshots_in(AWAY).len()));
    assert_eq!((most, there), (20, 25));
}

#[tokio::test]
async fn copies_of_one_source_wait_for_each_other() {
    let scene = Scene::new(ResourceKind::Rds).await;
    let first = scene.made("a").await;
    let second = scene.made("b").await;
    scene.engine().start(&copy("copy a", &first)).await.unwrap();
    let waits = scene.refusal(&copy("copy b", &second)).await;
    assert_eq!(waits.kind, FailureKind::Deferred);
    assert!(waits.message.contains("resource orders"), "{waits}");
    // Nobody looks at the first any more: its place is free when its lease runs out.
    scene.standin.advance(Duration::from_secs(31 * 60));
    scene.engine().start(&copy("copy b", &second)).await.unwrap();
}

#[tokio::test]
async fn quotas_that_others_use_up_defer_too() {
    let scene = Scene::new(ResourceKind::Rds).await;
    let original = scene.made("backup").await;
    scene.standin.with(|state| state.copy_quota = 0);
    let full = scene.refusal(&copy("copy", &original)).await;
    assert_eq!(full.kind, FailureKind::Deferred);
    assert!(
        full.message.contains("SnapshotQuotaExceeded") && full.retry_at.is_some(),
        "{full}"
    );
    scene
        .standin
        .with(|state| (state.copy_quota, state.snapshot_quota) = (20, 2));
    let full = scene.refusal(&copy("copy", &original)).await;
    assert_eq!(full.kind, FailureKind::Deferred);
    assert!(full.message.contains("manual snapshots exist in eu-west-1"), "{full}");
    assert_eq!(
        scene.calls_of("CopyDBSnapshot"),
        1,
        "what is known to be full is not asked for"
    );
    scene.standin.with(|state| state.snapshot_quota = 100);
    scene.copied("copy", &original).await;
}

#[tokio::test]
async fn throttling_for_a_minute_delays_and_nothing_else() {
    for kind in [
        ResourceKind::Rds,
        ResourceKind::Aurora,
        ResourceKind::AwsBackup,
        ResourceKind::Dynamodb,
    ] {
        let scene = Scene::new(kind).await;
        let until = scene.standin.now() + SignedDuration::from_secs(60);
        scene.fault(Fault::always(Trouble::Throttle, Some(until)));
        let task = scene.backup("backup");
        for _ in 0..3 {
            assert_eq!(scene.refusal(&task).await.kind, FailureKind::Throttled, "{kind:?}");
            let unanswered = scene.engine().observe(&task).await.unwrap_err();
            assert_eq!(unanswered.kind, FailureKind::Throttled, "{kind:?}");
        }
        scene.standin.advance(Duration::from_secs(61));
        scene.carry_out(&task).await;
        assert_eq!(scene.artefacts().await, 1, "{kind:?}");
    }
}

#[tokio::test]
async fn every_trouble_has_its_one_kind() {
    let scene = Scene::new(ResourceKind::Rds).await;
    let original = scene.made("backup").await;
    let mut elsewhere = scene.backup("elsewhere");
    let Order::Backup { vault: to, .. } = &mut elsewhere.order else {
        panic!("a backup");
    };
    *to = vault("away");
    let wrong_region = scene.refusal(&elsewhere).await;
    assert_eq!(wrong_region.kind, FailureKind::NotFound);
    assert!(
        wrong_region.message.contains("\"orders\" in eu-west-1"),
        "{wrong_region}"
    );

    let mut keyless = scene.deployment.clone();
    keyless.vaults[1].key = format!("arn:aws:kms:{AWAY}:123456789012:key/gone");
    let missing_key = scene
        .engine_of(&keyless)
        .start(&copy("copy", &original))
        .await
        .unwrap_err();
    assert_eq!(missing_key.kind, FailureKind::Denied);
    assert!(missing_key.message.contains("key/gone"), "{missing_key}");

    let mut unknown_vault = copy("copy", &original);
    let Order::Copy { to, .. } = &mut unknown_vault.order else {
        panic!("a copy");
    };
    *to = vault("nowhere");
    assert_eq!(scene.refusal(&unknown_vault).await.kind, FailureKind::NotFound);

    scene
        .standin
        .with(|state| state.set_database_word(HOME, "orders", false, Some("modifying")));
    let busy = scene.refusal(&scene.backup("busy")).await;
    assert_eq!(busy.kind, FailureKind::Deferred);
    assert!(busy.retry_at.is_some());
    scene
        .standin
        .with(|state| state.set_database_word(HOME, "orders", false, None));

    for (trouble, kind) in [
        (Trouble::Deny, FailureKind::Denied),
        (Trouble::Throttle, FailureKind::Throttled),
        (Trouble::ServerError, FailureKind::Transient),
    ] {
        scene.fault(Fault::next("CreateDBSnapshot", trouble, 1));
        let failure = scene.refusal(&scene.backup("troubled")).await;
        assert_eq!(failure.kind, kind, "{failure}");
    }

    let scene = Scene::new(ResourceKind::AwsBackup).await;
    let mut deployment = scene.deployment.clone();
    deployment.backup_role = "arn:aws:iam::123456789012:role/plain".into();
    let missing_role = scene
        .engine_of(&deployment)
        .start(&scene.backup("backup"))
        .await
        .unwrap_err();
    assert_eq!(missing_role.kind, FailureKind::Invalid);
    assert!(missing_role.message.contains("HOLDFAST_BACKUP_ROLE"), "{missing_role}");
}

#[tokio::test]
async fn an_answer_that_is_lost_does_not_make_a_second_snapshot() {
    for (kind, operation) in [
        (ResourceKind::Rds, "CreateDBSnapshot"),
        (ResourceKind::Aurora, "CreateDBClusterSnapshot"),
        (ResourceKind::AwsBackup, "StartBackupJob"),
        (ResourceKind::Dynamodb, "CreateBackup"),
    ] {
        let scene = Scene::new(kind).await;
        scene.fault(Fault::next(operation, Trouble::LoseAnswer, 1));
        let first = scene.backup("backup");
        assert_eq!(scene.refusal(&first).await.kind, FailureKind::Transient, "{kind:?}");
        let second = Task { attempt: 2, ..first };
        scene.carry_out(&second).await;
        assert_eq!(scene.artefacts().await, 1, "{kind:?}");
    }
}

#[tokio::test]
async fn a_word_that_nobody_knows_is_an_error_that_names_it() {
    for kind in [
        ResourceKind::Rds,
        ResourceKind::Aurora,
        ResourceKind::AwsBackup,
        ResourceKind::Dynamodb,
    ] {
        let scene = Scene::new(kind).await;
        let task = scene.backup("backup");
        scene.engine().start(&task).await.unwrap();
        scene.standin.with(|state| state.word = Some("hibernating".into()));
        let failure = scene.engine().observe(&task).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Invalid, "{kind:?}");
        assert!(failure.message.contains("\"hibernating\""), "{failure}");
    }
}

#[tokio::test]
async fn a_copy_that_is_gone_is_made_again_under_its_name() {
    for kind in [ResourceKind::Rds, ResourceKind::Aurora] {
        let scene = Scene::new(kind).await;
        let original = scene.made("backup").await;
        let copied = scene.copied("copy", &original).await;
        let is_cluster = kind == ResourceKind::Aurora;
        assert!(
            scene
                .standin
                .with(|state| state.lose_snapshot(AWAY, &copied.artefact, is_cluster))
        );
        let damages = scene.damages(&copied).await;
        assert!(damages[0].contains("does not exist any more"), "{damages:?}");
        let order = Order::Repair {
            point: point(),
            damaged: copied.clone(),
            from: original,
        };
        // The first attempt fails half-way; the next takes its failed copy away and makes another.
        scene.standin.with(|state| state.doomed = 1);
        let first = task("repair", order);
        scene.engine().start(&first).await.unwrap();
        scene.standin.advance(HOUR);
        let failed = scene.observe(&first).await;
        assert!(matches!(failed, Observation::Failed { .. }), "{failed:?}");
        let second = Task { attempt: 2, ..first };
        let Outcome::Repair { repaired, unrepairable } = scene.carry_out(&second).await else {
            panic!("a repair");
        };
        assert_eq!((repaired.len(), unrepairable.len()), (1, 0));
        assert_eq!(scene.damages(&copied).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_is_not_ours_stays_as_it_is() {
    let scene = Scene::new(ResourceKind::Rds).await;
    let original = scene.made("backup").await;
    let taken = scene.observe(&restore("restore", &original, "orders")).await;
    let Observation::Failed { kind, message } = taken else {
        panic!("{taken:?}");
    };
    assert_eq!(kind, FailureKind::Invalid);
    assert!(message.contains("exists already"), "{message}");
    assert_eq!(
        scene.refusal(&restore("restore", &original, "orders")).await.kind,
        FailureKind::Invalid
    );

    rds_call(
        &scene,
        HOME,
        &[
            ("Action", "CreateDBSnapshot"),
            ("DBSnapshotIdentifier", "by-hand"),
            ("DBInstanceIdentifier", "orders"),
        ],
    );
    scene.standin.advance(HOUR);
    let refused = scene.refusal(&delete(&at("home", "by-hand"))).await;
    assert_eq!(refused.kind, FailureKind::Invalid);
    assert!(refused.message.contains("not ours"), "{refused}");
    assert_eq!(scene.calls_of("DeleteDBSnapshot"), 0);
}

#[tokio::test]
async fn aws_backup_completed_with_issues_is_partial_and_a_lock_holds() {
    let scene = Scene::new(ResourceKind::AwsBackup).await;
    scene
        .standin
        .with(|state| state.set_backup_issue(Some("two files were open")));
    let Outcome::Backup { unread, artefact, .. } = scene.carry_out(&scene.backup("backup")).await else {
        panic!("a backup");
    };
    assert_eq!(unread[0].reason, "two files were open");
    scene.standin.with(|state| state.lock_vault(HOME, "holdfast", true));
    let locked = scene.refusal(&delete(&at("home", &artefact))).await;
    assert_eq!(locked.kind, FailureKind::Invalid);
    assert!(locked.message.contains("locked"), "{locked}");
    assert_eq!(scene.artefacts().await, 1);
    // A vault that does not exist is no proof that its points are gone.
    let mut deployment = scene.deployment.clone();
    deployment.vaults[0].backup_vault = "misspelt".into();
    let unanswered = scene
        .engine_of(&deployment)
        .observe(&delete(&at("home", &artefact)))
        .await;
    assert_eq!(unanswered.unwrap_err().kind, FailureKind::NotFound);
}

#[tokio::test]
async fn events_of_the_stand_in_come_late_twice_or_never() {
    let scene = Scene::new(ResourceKind::Rds).await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    scene.standin.on_event(move |event| ear.lock().unwrap().push(event));
    let told = |id: &str| {
        let heard = heard.lock().unwrap();
        heard.iter().filter(|event| event["detail"]["EventID"] == id).count()
    };
    scene.made("prompt").await;
    assert_eq!((told("RDS-EVENT-0040"), told("RDS-EVENT-0042")), (1, 1));
    scene.standin.with(|state| state.delivery = Delivery::Doubled);
    scene.made("doubled").await;
    assert_eq!(told("RDS-EVENT-0042"), 3);
    scene.standin.with(|state| state.delivery = Delivery::Missing);
    scene.made("missing").await;
    assert_eq!(told("RDS-EVENT-0042"), 3);
    scene
        .standin
        .with(|state| state.delivery = Delivery::Late(SignedDuration::from_hours(5)));
    scene.made("late").await;
    assert_eq!(told("RDS-EVENT-0042"), 3);
    scene.standin.advance(HOUR * 6);
    assert_eq!(told("RDS-EVENT-0042"), 4);
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

#[tokio::test]
async fn the_stand_in_refuses_what_rds_refuses() {
    let scene = Scene::new(ResourceKind::Rds).await;
    for n in 0..25 {
        scene.made(&format!("backup {n}")).await;
    }
    let (status, body) = rds_call(&scene, HOME, &[("Action", "DescribeDBSnapshots"), ("MaxRecords", "20")]);
    assert_eq!((status, body.matches("<DBSnapshot>").count()), (200, 20));
    assert!(body.contains("<Marker>20</Marker>"), "{body}");
    let rest = [
        ("Action", "DescribeDBSnapshots"),
        ("MaxRecords", "20"),
        ("Marker", "20"),
    ];
    assert_eq!(rds_call(&scene, HOME, &rest).1.matches("<DBSnapshot>").count(), 5);
    let original = scene.made("backup 0").await.artefact;
    let arn = format!("arn:aws:rds:{HOME}:123456789012:snapshot:{original}");
    let refused = [
        (
            AWAY,
            "InvalidParameterCombination",
            vec![
                ("Action", "CopyDBSnapshot"),
                ("SourceDBSnapshotIdentifier", arn.as_str()),
                ("TargetDBSnapshotIdentifier", "without-key"),
            ],
        ),
        (
            HOME,
            "DBSnapshotAlreadyExists",
            vec![
                ("Action", "CreateDBSnapshot"),
                ("DBSnapshotIdentifier", original.as_str()),
                ("DBInstanceIdentifier", "orders"),
            ],
        ),
        (
            HOME,
            "InvalidParameterValue",
            vec![
                ("Action", "RestoreDBInstanceToPointInTime"),
                ("SourceDBInstanceIdentifier", "orders"),
                ("TargetDBInstanceIdentifier", "too-late"),
                ("RestoreTime", "2030-01-01T00:00:00Z"),
            ],
        ),
        (
            HOME,
            "InvalidParameterCombination",
            vec![("Action", "DeleteDBInstance"), ("DBInstanceIdentifier", "orders")],
        ),
        (
            HOME,
            "InvalidParameterValue",
            vec![("Action", "DescribeDBSnapshots"), ("MaxRecords", "7")],
        ),
    ];
    for (region, code, form) in refused {
        let (status, body) = rds_call(&scene, region, &form);
        assert_eq!(status, 400, "{body}");
        assert!(body.contains(&format!("<Code>{code}</Code>")), "{body}");
    }
    let in_time = [
        ("Action", "RestoreDBInstanceToPointInTime"),
        ("SourceDBInstanceIdentifier", "orders"),
        ("TargetDBInstanceIdentifier", "in-time"),
        ("UseLatestRestorableTime", "true"),
    ];
    assert_eq!(rds_call(&scene, HOME, &in_time).0, 200);
}
