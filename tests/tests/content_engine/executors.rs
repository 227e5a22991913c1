//! Several executions that share one backup: side by side, one after another, and over the bodies of those that died.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use holdfast_core::domain::{Outcome, Span};
use holdfast_core::ports::{Engine, Observation, Task, Workers};
use holdfast_sources::content_engine::{ContentEngine, ExecutorParts, SharedEngine};
use holdfast_testkit::fakes::{FakeCatalog, FakeClock};

use crate::tools::{self, noise};
use crate::world::{PRIMARY, World};

/// How long the part of an executor that died stays taken.
const TERM: Span = Span::minutes(3);

struct Fleet {
    world: World,
    catalog: Arc<FakeCatalog>,
    clock: Arc<FakeClock>,
    slices: u32,
}

impl Fleet {
    /// Two hundred files to back up, by executors that deal them into so many slices.
    fn with_slices(slices: u32) -> Self {
        let world = World::new();
        for number in 0..200 {
            fs::write(world.source().join(format!("file {number}")), noise(number, 40_000)).expect("file");
        }
        fs::write(world.source().join("large"), noise(1_000, 60_000_000)).expect("file");
        let clock = Arc::new(FakeClock::at("2026-06-01T00:00:00Z".parse().expect("a time")));
        Self {
            world,
            catalog: Arc::default(),
            clock,
            slices,
        }
    }

    /// The engine of one more process, and a hand on what works inside.
    fn executor(&self, name: &str) -> (SharedEngine, ContentEngine) {
        let engine = self.world.engine();
        let parts = ExecutorParts {
            catalog: self.catalog.clone(),
            clock: self.clock.clone(),
            executor: name.to_owned(),
            term: TERM,
            slices: self.slices,
        };
        (SharedEngine::new(engine.clone(), parts), engine)
    }

    fn snapshots(&self) -> usize {
        fs::read_dir(self.world.repository(PRIMARY).join("snapshots")).map_or(0, Iterator::count)
    }

    /// One whole snapshot stands, which restic finds sound and restores to what the source is.
    fn require_whole(&self) {
        assert_eq!(self.snapshots(), 1);
        let repository = self.world.repository(PRIMARY);
        tools::restic(&repository, &[&"check", &"--read-data"]);
        let out = self.world.path("out");
        tools::restic(&repository, &[&"restore", &"latest", &"--target", &out]);
        tools::assert_same(&self.world.source(), &tools::restored(&out, &self.world.source()));
    }
}

async fn finish(executor: &SharedEngine) {
    while executor.working() > 0 {
        executor.wait(Duration::from_millis(50)).await;
    }
}

async fn observe(executor: &SharedEngine, task: &Task) -> Observation {
    executor.observe(task).await.expect("observe")
}

#[tokio::test(flavor = "multi_thread")]
async fn executors_side_by_side_read_each_file_once_and_one_of_them_publishes() {
    let fleet = Fleet::with_slices(3);
    let executors: Vec<(SharedEngine, ContentEngine)> = ["a", "b", "c", "d"]
        .map(|name| fleet.executor(name))
        .into_iter()
        .collect();
    let task = fleet.world.backup("shared");
    for (executor, _) in &executors {
        executor.start(&task).await.expect("start");
    }
    let at_work: Vec<usize> = executors.iter().map(|(executor, _)| executor.working()).collect();
    assert_eq!(at_work, [1, 1, 1, 0], "three slices, three at work");
    assert!(matches!(observe(&executors[3].0, &task).await, Observation::Running(_)));
    for (executor, _) in &executors {
        finish(executor).await;
    }
    assert_eq!(fleet.snapshots(), 0, "slices are not published");
    for (executor, _) in &executors[..3] {
        assert_eq!(
            observe(executor, &task).await,
            Observation::NotStarted,
            "the rest is left"
        );
    }
    let last = &executors[3].0;
    last.start(&task).await.expect("start");
    assert!(matches!(observe(&executors[0].0, &task).await, Observation::Running(_)));
    finish(last).await;
    let Observation::Completed(Outcome::Backup { files, added_bytes, .. }) = observe(last, &task).await else {
        panic!("it is done");
    };
    assert_eq!(files, 202);
    let stored = 200 * 40_000 + 60_000_000;
    assert!(
        (stored..stored + stored / 50).contains(&added_bytes),
        "{added_bytes} bytes for {stored}"
    );
    fleet.require_whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_stopped_at_every_deadline_goes_on_elsewhere_and_comes_to_its_end() {
    let fleet = Fleet::with_slices(1);
    let task = fleet.world.backup("long");
    let mut executions = 0;
    loop {
        executions += 1;
        assert!(executions < 200, "it makes no headway");
        let (executor, engine) = fleet.executor(&format!("execution {executions}"));
        if let Observation::Completed(_) = observe(&executor, &task).await {
            break;
        }
        executor.start(&task).await.expect("start");
        // The budget of one execution: some megabytes.
        let done = || {
            engine
                .working()
                .iter()
                .map(|(_, progress)| progress.done_bytes)
                .sum::<u64>()
        };
        let before = done();
        while executor.working() > 0 && done() < before + 9_000_000 {
            executor.wait(Duration::from_millis(1)).await;
        }
        executor.stop().await;
    }
    assert!(executions > 2, "{executions} executions");
    fleet.require_whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_part_of_an_executor_that_died_is_taken_over_when_its_lease_runs_out() {
    let fleet = Fleet::with_slices(1);
    let task = fleet.world.backup("orphaned");
    let (dead, _) = fleet.executor("dead");
    // It holds its lease, and will never do anything again.
    fleet.world.door.shut(true);
    let start = dead.start(&task);
    fleet.world.door.shut(false);
    start.await.expect("start");
    finish(&dead).await;
    drop(dead);
    let (heir, _) = fleet.executor("heir");
    if fleet.snapshots() == 0 {
        assert!(matches!(observe(&heir, &task).await, Observation::Running(_)));
        fleet.clock.advance(TERM);
        assert_eq!(observe(&heir, &task).await, Observation::NotStarted);
        heir.start(&task).await.expect("start");
        finish(&heir).await;
    }
    assert!(matches!(observe(&heir, &task).await, Observation::Completed(_)));
    fleet.require_whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_stood_still_longer_than_its_lease_publishes_nothing() {
    let fleet = Fleet::with_slices(1);
    let task = fleet.world.backup("frozen");
    let (frozen, engine) = fleet.executor("frozen");
    frozen.start(&task).await.expect("start");
    // Its work goes on in the background while its lease runs out and another takes the part.
    fleet.clock.advance(TERM);
    let (heir, _) = fleet.executor("heir");
    heir.start(&task).await.expect("start");
    while !engine.working().is_empty() {
        engine.wait(Duration::from_millis(20)).await;
    }
    finish(&heir).await;
    assert!(matches!(observe(&heir, &task).await, Observation::Completed(_)));
    fleet.require_whole();
}
