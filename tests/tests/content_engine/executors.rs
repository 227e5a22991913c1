//! Several executions that share one backup: side by side, one after another, and over the bodies of those that died.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use holdfast_core::domain::{Order, Outcome, Span};
use holdfast_core::ports::{Clock, Engine, Observation, Task, Workers};
use holdfast_core::workflow::leases;
use holdfast_repository::storage::FileKind;
use holdfast_sources::content_engine::{ContentEngine, ExecutorParts, SharedEngine};
use holdfast_testkit::fakes::{FakeCatalog, FakeClock};

use crate::tools::{self, noise};
use crate::world::{self, PRIMARY, World, app, repair, task, vault, verify};

/// How long the part of an executor that died stays taken.
const TERM: Span = Span::minutes(3);
/// How long stopping may take.
const BUDGET: Duration = Duration::from_secs(60);

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
            at_once: 1,
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

/// Starts a task in an execution whose time is over after some megabytes.
async fn begin(task: &Task, (executor, engine): &(SharedEngine, ContentEngine)) {
    executor.start(task).await.expect("start");
    let done = || {
        let working = engine.working();
        working.iter().map(|(_, progress)| progress.done_bytes).sum::<u64>()
    };
    while executor.working() > 0 && done() < 9_000_000 {
        executor.wait(Duration::from_millis(1)).await;
    }
    executor.stop(BUDGET).await;
    assert_eq!(executor.working(), 0);
}

/// A task that waits behind the shut door of a vault, whoever starts it.
fn behind_the_door(job: &str) -> Task {
    task(job, repair(&"0".repeat(64)))
}

#[tokio::test(flavor = "multi_thread")]
async fn executors_side_by_side_read_each_file_once_and_one_of_them_publishes() {
    let fleet = Fleet::with_slices(3);
    let executors: Vec<(SharedEngine, ContentEngine)> = ["a", "b", "c", "d"]
        .map(|name| fleet.executor(name))
        .into_iter()
        .collect();
    let task = fleet.world.backup("shared");
    let alone = fleet.executor("alone");
    begin(&task, &alone).await;
    assert_eq!(
        observe(&alone.0, &task).await,
        Observation::NotStarted,
        "it was too short"
    );
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

/// Turns over a bit of the largest pack.
fn flip(repository: &Path) {
    let packs = tools::open(repository).storage().list(FileKind::Data).expect("packs");
    let (pack, _) = packs.iter().max_by_key(|(_, size)| *size).expect("a pack");
    let name = pack.to_string();
    let path = repository.join("data").join(&name[..2]).join(name);
    let mut bytes = fs::read(&path).expect("a pack");
    bytes[1_000] ^= 1;
    fs::write(&path, bytes).expect("a pack");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_verification_has_left_is_read_by_several_side_by_side() {
    let fleet = Fleet::with_slices(3);
    let outcome = world::run(&fleet.world.engine(), &fleet.world.backup("read")).await;
    let Outcome::Backup { artefact, .. } = outcome else {
        panic!("a backup");
    };
    let whole = world::run(&fleet.world.engine(), &task("whole", verify(PRIMARY, &artefact))).await;
    let repository = fleet.world.repository(PRIMARY);
    flip(&repository);
    let task = task("shared", verify(PRIMARY, &artefact));
    begin(&task, &fleet.executor("alone")).await;
    let executors = ["a", "b", "c"].map(|name| fleet.executor(name));
    for (executor, _) in &executors {
        executor.start(&task).await.expect("start");
    }
    for (executor, _) in &executors {
        finish(executor).await;
    }
    for (executor, _) in &executors {
        assert_eq!(observe(executor, &task).await, Observation::NotStarted, "more is left");
    }
    let notes = tools::open(&repository)
        .storage()
        .list_sidecar("portions/")
        .expect("notes");
    for part in ["0-of-3", "1-of-3", "2-of-3"] {
        let of_part = notes.iter().filter(|(name, _)| name.contains(part));
        assert_eq!(of_part.count(), 1, "{part} of {notes:?}");
    }
    // What was read is not read again, or the damage would be gone.
    flip(&repository);
    let last = &fleet.executor("last").0;
    last.start(&task).await.expect("start");
    finish(last).await;
    let (Outcome::Verify(whole), Observation::Completed(Outcome::Verify(verdict))) =
        (whole, observe(last, &task).await)
    else {
        panic!("a verdict");
    };
    assert!(whole.damages.is_empty(), "{whole:?}");
    assert_eq!(verdict.bytes, whole.bytes, "every byte once");
    assert!(
        verdict.damages.iter().any(|damage| damage.contains("hashes to")),
        "{verdict:?}"
    );
    assert_eq!(verdict.affected.len(), 1, "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_stopped_at_every_deadline_goes_on_elsewhere_and_comes_to_its_end() {
    let fleet = Fleet::with_slices(1);
    let task = fleet.world.backup("long");
    let mut executions = 0;
    loop {
        executions += 1;
        assert!(executions < 200, "it makes no headway");
        let execution = fleet.executor(&format!("execution {executions}"));
        if let Observation::Completed(_) = observe(&execution.0, &task).await {
            break;
        }
        begin(&task, &execution).await;
    }
    assert!(executions > 2, "{executions} executions");
    fleet.require_whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_part_of_an_executor_that_died_is_taken_over_when_its_lease_runs_out() {
    let fleet = Fleet::with_slices(1);
    let task = fleet.world.backup("orphaned");
    // All that it left is its lease: it will never do anything again.
    let (part, now) = (format!("task/{}/rest", task.job), fleet.clock.now());
    let dead = leases::take(fleet.catalog.as_ref(), (&part, "dead"), now, TERM).await;
    assert!(dead.expect("take"));
    let (heir, _) = fleet.executor("heir");
    assert!(matches!(observe(&heir, &task).await, Observation::Running(_)));
    heir.start(&task).await.expect("it is left");
    assert_eq!(heir.working(), 0);
    fleet.clock.advance(TERM);
    assert_eq!(observe(&heir, &task).await, Observation::NotStarted);
    heir.start(&task).await.expect("start");
    finish(&heir).await;
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

#[tokio::test]
async fn a_lease_that_another_had_meanwhile_is_not_kept() {
    let (catalog, clock) = (
        FakeCatalog::default(),
        FakeClock::at("2026-06-01T00:00:00Z".parse().expect("a time")),
    );
    let take = async |owner| {
        leases::take(&catalog, ("part", owner), clock.now(), TERM)
            .await
            .expect("take")
    };
    let keep = async |owner| {
        leases::keep(&catalog, ("part", owner), clock.now(), TERM)
            .await
            .expect("keep")
    };
    assert!(!keep("first").await, "nobody has it");
    assert!(take("first").await);
    clock.advance(TERM);
    assert!(keep("first").await, "it ran out, and nobody took it");
    clock.advance(TERM);
    assert!(take("second").await);
    assert!(!keep("first").await);
    leases::release(&catalog, "part", "second").await.expect("release");
    assert!(!keep("first").await, "it is free, but what it guards has moved on");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_with_its_hands_full_leaves_a_task_to_others_and_keeps_what_it_holds() {
    let fleet = Fleet::with_slices(1);
    let ((busy, _), (other, _)) = (fleet.executor("busy"), fleet.executor("other"));
    let (first, second) = (behind_the_door("first"), behind_the_door("second"));
    fleet.world.door.shut(true);
    busy.start(&first).await.expect("start");
    busy.start(&second).await.expect("it is left");
    assert_eq!(busy.working(), 1);
    assert_eq!(observe(&other, &second).await, Observation::NotStarted);
    // Whatever it is asked, it renews its lease: two thirds of it pass each time.
    for look in [true, false] {
        fleet.clock.advance(Span::minutes(2));
        if look {
            observe(&busy, &first).await;
        } else {
            busy.start(&second).await.expect("it is left");
        }
        fleet.clock.advance(Span::minutes(2));
        assert!(
            matches!(observe(&other, &first).await, Observation::Running(_)),
            "{look}"
        );
        busy.wait(Duration::ZERO).await;
    }
    fleet.world.door.shut(false);
    finish(&busy).await;
    busy.start(&second).await.expect("start");
    finish(&busy).await;
    let seen = observe(&busy, &second).await;
    assert!(
        matches!(seen, Observation::Failed { .. }),
        "there is nothing to repair: {seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_in_time_and_keeps_others_from_what_still_works() {
    let fleet = Fleet::with_slices(1);
    let ((deaf, _), (other, _)) = (fleet.executor("deaf"), fleet.executor("other"));
    let task = behind_the_door("deaf");
    fleet.world.door.shut(true);
    deaf.start(&task).await.expect("start");
    deaf.stop(Duration::from_millis(100)).await;
    assert_eq!(deaf.working(), 1);
    assert!(matches!(observe(&other, &task).await, Observation::Running(_)));
    fleet.world.door.shut(false);
    finish(&deaf).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_executors_that_come_to_the_end_of_a_backup_one_publishes() {
    let world = World::new();
    fs::write(world.source().join("two"), noise(2, 3_000_000)).expect("file");
    let fast = world.backup("both");
    let mut slow = fast.clone();
    let Order::Backup { bandwidth_limit, .. } = &mut slow.order else {
        panic!("a backup");
    };
    // Its trees wait five seconds for the content to be sent.
    *bandwidth_limit = Some(600_000);
    let (late, engine) = (world.engine(), world.engine());
    late.start(&slow).await.expect("start");
    while late.working().iter().any(|(_, progress)| progress.done_bytes == 0) {
        late.wait(Duration::from_millis(1)).await;
    }
    let outcome = world::run(&engine, &fast).await;
    assert_eq!(late.working().len(), 1, "it has seen that nothing stood");
    world::finish(&late).await;
    assert_eq!(
        late.observe(&slow).await.expect("observe"),
        Observation::Completed(outcome)
    );
    let snapshots = fs::read_dir(world.repository(PRIMARY).join("snapshots")).expect("snapshots");
    assert_eq!(snapshots.count(), 1);
}

/// Reclaims the space of the vault in a process of its own; returns how many packs were condemned.
async fn reclaim(fleet: &Fleet, job: &str, grace_seconds: i64) -> u64 {
    let (resource, vault) = (app(), vault(PRIMARY));
    let order = Order::Reclaim {
        resource,
        vault,
        grace_seconds,
    };
    match world::run(&fleet.world.engine(), &task(job, order)).await {
        Outcome::Reclaim { condemned, .. } => condemned,
        other => panic!("no reclaiming: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_unfinished_backup_has_stored_is_kept_while_it_may_go_on() {
    let fleet = Fleet::with_slices(1);
    let backup = fleet.world.backup("unfinished");
    // Small packs of several executions are merged: they are condemned, what is in them stays.
    for name in ["first", "second"] {
        begin(&backup, &fleet.executor(name)).await;
    }
    reclaim(&fleet, "early", 3600).await;
    let heir = fleet.executor("heir").0;
    heir.start(&backup).await.expect("start");
    finish(&heir).await;
    let Observation::Completed(Outcome::Backup { added_bytes, .. }) = observe(&heir, &backup).await else {
        panic!("it is done");
    };
    let stored = 200 * 40_000 + 60_000_000;
    assert!(
        (stored..stored + stored / 50).contains(&added_bytes),
        "{added_bytes} bytes for {stored}: nothing was stored again"
    );
    reclaim(&fleet, "after it", 3600).await;
    fleet.require_whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_backup_that_has_given_up_has_stored_is_reclaimed() {
    let fleet = Fleet::with_slices(1);
    let backup = fleet.world.backup("unfinished");
    begin(&backup, &fleet.executor("stopped")).await;
    let repository = tools::open(&fleet.world.repository(PRIMARY));
    let notes = || repository.storage().list_sidecar("portions/").expect("notes").len();
    let packs = || repository.storage().list(FileKind::Data).expect("packs").len();
    assert!(notes() > 0 && packs() > 0);
    assert!(reclaim(&fleet, "late", 0).await > 0);
    reclaim(&fleet, "later", 0).await;
    assert_eq!((notes(), packs()), (0, 0));
}
