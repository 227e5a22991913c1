//! Buckets, and engines that work on them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use holdfast_aws::Clients;
use holdfast_aws::s3::S3Places;
use holdfast_aws::storage::{S3Storage, S3StorageOptions};
use holdfast_cli::embedded::pause;
use holdfast_core::domain::{
    BackupKind, JobId, Location, Order, Outcome, Patterns, PointId, PointRef, ResourceId, Span, UnreadEntry, VaultName,
};
use holdfast_core::ports::{Engine, Observation, Task};
use holdfast_local::{FileKeys, system_ambient};
use holdfast_repository::Ambient;
use holdfast_sources::content_engine::places::PlacesByScheme;
use holdfast_sources::content_engine::{ContentEngine, ContentEngineParts, ExecutorParts, ReceiptStore, SharedEngine};
use holdfast_testkit::fakes::{FakeCatalog, FakeClock};
use holdfast_tests::front::{Front, What};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::tools::PASSWORD;

/// What opens a bucket, from a test that is no runtime's.
pub struct Reach {
    pub runtime: Runtime,
    pub clients: Arc<Clients>,
}

impl Reach {
    pub fn to(endpoint: &str) -> Reach {
        let runtime = Runtime::new().expect("a runtime");
        let home = "us-east-1".parse().expect("a Region");
        let clients = Arc::new(runtime.block_on(Clients::of_emulator(home, endpoint)));
        Reach { runtime, clients }
    }

    /// A repository in a bucket.
    pub fn storage(&self, bucket: &str, prefix: &str) -> S3Storage {
        self.storage_with(S3StorageOptions {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            ..S3StorageOptions::default()
        })
    }

    pub fn storage_with(&self, options: S3StorageOptions) -> S3Storage {
        S3Storage::new(self.clients.home().s3(), self.runtime.handle().clone(), options)
    }

    /// Makes a bucket; with `lock`, one that keeps versions and locks objects.
    pub fn make_bucket(&self, name: &str, lock: bool) {
        let call = self.clients.home().s3().create_bucket().bucket(name);
        let made = self.runtime.block_on(call.object_lock_enabled_for_bucket(lock).send());
        made.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }

    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        let call = self.clients.home().s3().put_object().bucket(bucket).key(key);
        let put = self.runtime.block_on(call.body(bytes.to_vec().into()).send());
        put.unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
    }

    /// Puts many objects, several at one time.
    pub fn put_all(&self, bucket: &str, objects: Vec<(String, Vec<u8>)>) {
        let s3 = self.clients.home().s3();
        let puts = objects.into_iter().map(|(key, bytes)| {
            let call = s3.put_object().bucket(bucket).key(&key).body(bytes.into());
            async move { call.send().await.unwrap_or_else(|error| panic!("{key:?}: {error:?}")) }
        });
        let all = futures::stream::iter(puts).buffer_unordered(16).for_each(|_| async {});
        self.runtime.block_on(all);
    }

    pub fn delete(&self, bucket: &str, key: &str) {
        let call = self.clients.home().s3().delete_object().bucket(bucket).key(key);
        let deleted = self.runtime.block_on(call.send());
        deleted.unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
    }

    pub fn get(&self, bucket: &str, key: &str) -> Vec<u8> {
        let call = self.clients.home().s3().get_object().bucket(bucket).key(key);
        self.runtime.block_on(async {
            let answer = call.send().await.unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
            answer.body.collect().await.expect("all bytes").to_vec()
        })
    }

    /// How many versions and delete markers a bucket holds below a prefix.
    pub fn versions(&self, bucket: &str, prefix: &str) -> usize {
        let call = self
            .clients
            .home()
            .s3()
            .list_object_versions()
            .bucket(bucket)
            .prefix(prefix);
        let page = self.runtime.block_on(call.send()).expect("versions");
        page.versions().len() + page.delete_markers().len()
    }
}

/// An engine over buckets.
pub struct World {
    pub reach: Reach,
    folder: TempDir,
    vault: String,
    drills: String,
    catalog: Arc<FakeCatalog>,
}

impl World {
    /// Repositories in the bucket `vault`, drills below `drills`.
    pub fn new(endpoint: &str, vault: &str, drills: &str) -> World {
        World {
            reach: Reach::to(endpoint),
            folder: tempfile::tempdir().expect("a folder"),
            vault: vault.to_owned(),
            drills: drills.to_owned(),
            catalog: Arc::default(),
        }
    }

    /// The folder whose trees can be backed up as well.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The engine of one process. What it leaves for the next one is in the vault's bucket and in the catalog.
    pub fn engine(&self) -> ContentEngine {
        self.engine_in(system_ambient())
    }

    /// The engine of a process with these surroundings.
    pub fn engine_in(&self, ambient: Ambient) -> ContentEngine {
        let _inside = self.reach.runtime.enter();
        let (clients, handle) = (Arc::clone(&self.reach.clients), self.reach.runtime.handle().clone());
        let options = S3StorageOptions {
            bucket: self.vault.clone(),
            ..S3StorageOptions::default()
        };
        let drills = self.drills.parse().expect("an address");
        let places = S3Places::new(Arc::clone(&clients), handle.clone(), drills);
        ContentEngine::new(ContentEngineParts {
            open_storage: Arc::new(move |_: &VaultName, resource: &ResourceId| {
                let prefix = format!("repositories/{resource}");
                let options = S3StorageOptions {
                    prefix,
                    ..options.clone()
                };
                Ok(Arc::new(S3Storage::new(clients.home().s3(), handle.clone(), options)))
            }),
            keys: Arc::new(FileKeys::open_or_create(self.folder.path().join("keys.json"), &ambient).expect("keys")),
            ambient,
            escrow_password: Arc::new(|| Ok(PASSWORD.to_owned())),
            receipts: ReceiptStore::Catalog(self.catalog.clone()),
            places: Arc::new(PlacesByScheme::files(self.folder.path().join("drills")).and("s3://", Arc::new(places))),
            server_password: Arc::new(|place| panic!("no server has a password, so not {place}")),
            spools: std::env::temp_dir(),
            readers: 2,
            threads: 2,
        })
        .expect("an engine")
    }

    /// The engine of one of several processes, which deal what one of them leaves into so many slices.
    pub fn executor(&self, name: &str, slices: u32) -> SharedEngine {
        let parts = ExecutorParts {
            catalog: self.catalog.clone(),
            clock: Arc::new(FakeClock::at(Timestamp::UNIX_EPOCH)),
            executor: name.to_owned(),
            term: Span::minutes(3),
            slices,
            at_once: 1,
        };
        SharedEngine::new(self.engine(), parts)
    }

    /// Starts a task, stops it while a request that contains `words` waits, and waits until it has ended.
    pub fn stop_at(&self, engine: &ContentEngine, task: &Task, front: &Front, words: &str) -> Observation {
        front.trouble(words, 0, 1, What::Delayed(1500));
        front.requests();
        self.reach.runtime.block_on(async {
            engine.start(task).await.expect("start");
            while !front.has_asked(words) {
                assert!(!engine.working().is_empty(), "it ended before {words}");
                pause(Duration::from_millis(5)).await;
            }
            engine.stop();
            while !engine.working().is_empty() {
                pause(Duration::from_millis(5)).await;
            }
            front.no_more_trouble();
            engine.observe(task).await.expect("observe")
        })
    }

    /// Starts a task and sees what comes of it.
    pub fn attempt(&self, engine: &ContentEngine, task: &Task) -> Observation {
        self.reach.runtime.block_on(async {
            engine.start(task).await.expect("start");
            while !engine.working().is_empty() {
                pause(Duration::from_millis(5)).await;
            }
            engine.observe(task).await.expect("observe")
        })
    }

    /// Carries out the first attempt of a job, which must complete.
    pub fn run(&self, job: &str, order: Order) -> Outcome {
        match self.attempt(&self.engine(), &task(job, order)) {
            Observation::Completed(outcome) => outcome,
            other => panic!("{job} does not complete: {other:?}"),
        }
    }

    /// Carries out the first attempt of a job, which must fail; what it says.
    pub fn fail(&self, job: &str, order: Order) -> String {
        match self.attempt(&self.engine(), &task(job, order)) {
            Observation::Failed { message, .. } => message,
            other => panic!("{job} does not fail: {other:?}"),
        }
    }

    /// Backs up, incrementally where there is a base.
    pub fn back_up(&self, job: &str, path: &str, base: Option<&str>) -> Backup {
        let order = Order::Backup {
            resource: resource(),
            path: path.to_owned(),
            vault: vault(),
            kind: BackupKind::Incremental,
            base: base.map(|base| (PointId::derive(&["base"]), base.to_owned())),
            patterns: Patterns::default(),
            bandwidth_limit: None,
            server: None,
        };
        match self.run(job, order) {
            Outcome::Backup {
                artefact,
                files,
                unread,
                added_bytes,
                ..
            } => Backup {
                artefact,
                files,
                unread,
                added_bytes,
            },
            other => panic!("no backup: {other:?}"),
        }
    }

    /// Restores into `target`: how many files, and what differs.
    pub fn restore(&self, job: &str, artefact: &str, target: &str) -> (u64, Vec<String>) {
        match self.run(job, restore(artefact, target)) {
            Outcome::Restore { files, differences, .. } => (files, differences),
            other => panic!("no restore: {other:?}"),
        }
    }
}

/// What a backup came to.
pub struct Backup {
    pub artefact: String,
    pub files: u64,
    pub unread: Vec<UnreadEntry>,
    pub added_bytes: u64,
}

/// An order as the first attempt of a job of this name.
pub fn task(job: &str, order: Order) -> Task {
    Task {
        job: JobId::derive(&["test", job]),
        attempt: 1,
        order,
    }
}

pub fn restore(artefact: &str, target: &str) -> Order {
    Order::Restore {
        point: PointRef {
            resource: resource(),
            taken_at: Timestamp::UNIX_EPOCH,
            id: PointId::derive(&["test"]),
        },
        from: Location {
            vault: vault(),
            resource: resource(),
            artefact: artefact.to_owned(),
        },
        target: target.to_owned(),
        include: Vec::new(),
        overwrite: false,
        heartbeat: None,
        recovery: None,
    }
}

pub fn clean(target: &str) -> Order {
    Order::Clean {
        run: holdfast_core::domain::RunId::derive(&["test"]),
        target: target.to_owned(),
    }
}

fn resource() -> ResourceId {
    "photos".parse().expect("a name")
}

fn vault() -> VaultName {
    "primary".parse().expect("a name")
}

/// How many requests contain these words, by word.
pub fn count(requests: &[String], words: &[&str]) -> BTreeMap<String, usize> {
    let count = |word: &str| requests.iter().filter(|request| request.contains(word)).count();
    words.iter().map(|word| ((*word).to_owned(), count(word))).collect()
}
