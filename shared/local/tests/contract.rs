//! The embedded adapters obey the same contracts as every other.

mod common;

use std::sync::Arc;

use async_trait::async_trait;
use common::{data_folder, vault};
use holdfast_core::domain::Span;
use holdfast_core::ports::{Bus, Page, Pager, Queue};
use holdfast_local::{Database, FileKeys, LocalBus, Regions, SqliteCatalog, SqliteQueue, StderrPager, system_ambient};
use holdfast_testkit::contract::pager::{Heard, PagerWorld};
use holdfast_testkit::contract::{self, queue::QueueWorld};
use holdfast_testkit::fakes::FakeClock;
use jiff::Timestamp;
use tempfile::TempDir;

/// Folders that live as long as the suite.
#[derive(Default)]
struct Folders {
    folders: std::cell::RefCell<Vec<TempDir>>,
}

impl Folders {
    fn fresh(&self) -> std::path::PathBuf {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().to_owned();
        self.folders.borrow_mut().push(folder);
        path
    }

    fn database(&self) -> Database {
        Database::open(self.fresh().join("holdfast.db")).expect("a database")
    }
}

fn clock() -> Arc<FakeClock> {
    Arc::new(FakeClock::at(Timestamp::from_second(1_800_000_000).expect("a time")))
}

#[tokio::test]
async fn the_sqlite_catalog_obeys_the_contract() {
    let folders = Folders::default();
    contract::catalog::suite(async || Arc::new(SqliteCatalog::new(folders.database())) as _).await;
}

struct Queues {
    clock: Arc<FakeClock>,
    queue: SqliteQueue,
}

#[async_trait]
impl QueueWorld for Queues {
    fn queue(&self) -> &dyn Queue {
        &self.queue
    }

    async fn pass(&self, span: Span) {
        self.clock.advance(span);
    }
}

#[tokio::test]
async fn the_sqlite_queue_obeys_the_contract() {
    let folders = Folders::default();
    contract::queue::suite(async || {
        let clock = clock();
        Queues {
            queue: SqliteQueue::new(folders.database(), clock.clone()),
            clock,
        }
    })
    .await;
}

#[tokio::test]
async fn the_local_bus_obeys_the_contract() {
    let folders = Folders::default();
    contract::bus::suite(async || {
        let queue: Arc<dyn Queue> = Arc::new(SqliteQueue::new(folders.database(), clock()));
        (Arc::new(LocalBus::new(queue.clone())) as Arc<dyn Bus>, queue)
    })
    .await;
}

struct Pages {
    file: std::path::PathBuf,
    pager: StderrPager,
}

#[async_trait]
impl PagerWorld for Pages {
    fn pager(&self) -> &dyn Pager {
        &self.pager
    }

    async fn heard(&self) -> Vec<Heard> {
        let lines = std::fs::read_to_string(&self.file).expect("the pages");
        let pages = lines
            .lines()
            .map(|line| serde_json::from_str::<Page>(line).expect("a page"));
        pages.map(|page| Heard::from(&page)).collect()
    }
}

#[tokio::test]
async fn the_stderr_pager_obeys_the_contract() {
    let folders = Folders::default();
    contract::pager::suite(async || {
        let file = folders.fresh().join("pages.jsonl");
        let pager = StderrPager::new(&file, clock()).to_file_only();
        Pages { file, pager }
    })
    .await;
}

#[tokio::test]
async fn the_file_keys_obey_the_contract() {
    let folder = TempDir::new().expect("a folder");
    contract::keys::suite(async |name: &str| {
        let path = folder.path().join(format!("{name}.json"));
        Arc::new(FileKeys::open_or_create(path, &system_ambient()).expect("keys")) as _
    })
    .await;
}

#[tokio::test]
async fn the_directory_evidence_store_obeys_the_contract() {
    let folders = Folders::default();
    contract::evidence::suite(async || {
        let data = data_folder(&folders.fresh());
        let vaults = [vault("local", "primary"), vault("remote", "recovery")];
        let regions = Regions::open(&data, &vaults).expect("Regions");
        Arc::new(regions.evidence().expect("evidence")) as _
    })
    .await;
}
