//! What every engine promises.

use std::sync::Arc;

use async_trait::async_trait;
use holdfast_core::domain::{FailureKind, JobId, Outcome};
use holdfast_core::ports::{Engine, Observation, Task};

/// An engine whose work a test can watch from outside.
#[async_trait]
pub trait EngineWorld: Send + Sync {
    /// The engine; after [`EngineWorld::crash`], the one of the next process.
    fn engine(&self) -> Arc<dyn Engine>;

    /// A backup of the one resource of this world into its one vault, all read, without a base.
    fn backup(&self, job: JobId, attempt: u32) -> Task;

    /// Waits, or lets time pass, until nothing runs any more.
    async fn finish(&self);

    /// Makes the next attempt that starts fail, after its start was accepted.
    fn doom_next(&self);

    /// Kills the process that runs the tasks, and starts another.
    async fn crash(&self);

    /// As [`EngineWorld::crash`], and all that was kept outside the vault is gone too.
    async fn forget(&self);

    /// Takes the vault off the air, or brings it back. Nothing in it changes meanwhile.
    fn set_reachable(&self, reachable: bool);

    /// Whether work goes on without the process that started it, as in a service.
    fn outlives_a_crash(&self) -> bool {
        false
    }

    /// How many artefacts stand in the vault.
    async fn artefacts(&self) -> usize;
}

/// Runs every promise, each in a world without artefacts.
pub async fn suite<W: EngineWorld>(fresh: impl AsyncFn() -> W) {
    nothing_is_started_before_its_start(&fresh().await).await;
    a_started_task_completes_and_stays_completed(&fresh().await).await;
    starting_twice_is_starting_once(&fresh().await).await;
    what_stands_in_the_world_is_completed_after_a_crash(&fresh().await).await;
    a_vault_that_does_not_answer_is_no_empty_vault(&fresh().await).await;
    what_a_crash_interrupted_can_be_started_again(&fresh().await).await;
    a_failed_attempt_stays_failed_until_the_next_replaces_it(&fresh().await).await;
    other_jobs_are_other_work(&fresh().await).await;
}

fn job(name: &str) -> JobId {
    JobId::derive(&["contract", name])
}

async fn start(world: &impl EngineWorld, task: &Task) {
    world.engine().start(task).await.expect("start");
}

async fn observe(world: &impl EngineWorld, task: &Task) -> Observation {
    world.engine().observe(task).await.expect("observe")
}

async fn artefact_of(world: &impl EngineWorld, task: &Task) -> String {
    match observe(world, task).await {
        Observation::Completed(Outcome::Backup { artefact, .. }) => artefact,
        other => panic!("the backup is completed: {other:?}"),
    }
}

/// Looking does not start anything.
pub async fn nothing_is_started_before_its_start(world: &impl EngineWorld) {
    let task = world.backup(job("a"), 1);
    assert_eq!(observe(world, &task).await, Observation::NotStarted);
    world.finish().await;
    assert_eq!(observe(world, &task).await, Observation::NotStarted);
    assert_eq!(world.artefacts().await, 0);
}

/// Once started, a task is seen running or completed; once completed, every look gives the same answer.
pub async fn a_started_task_completes_and_stays_completed(world: &impl EngineWorld) {
    let task = world.backup(job("a"), 1);
    start(world, &task).await;
    let seen = observe(world, &task).await;
    assert!(
        matches!(seen, Observation::Running(_) | Observation::Completed(_)),
        "{seen:?}"
    );
    world.finish().await;
    let completed = observe(world, &task).await;
    assert!(!artefact_of(world, &task).await.is_empty());
    for _ in 0..3 {
        assert_eq!(observe(world, &task).await, completed);
    }
}

/// A second start of the same attempt, or of a later one, finds the work running or done.
pub async fn starting_twice_is_starting_once(world: &impl EngineWorld) {
    let task = world.backup(job("a"), 1);
    start(world, &task).await;
    start(world, &task).await;
    world.finish().await;
    let artefact = artefact_of(world, &task).await;
    start(world, &task).await;
    let later = world.backup(job("a"), 2);
    start(world, &later).await;
    world.finish().await;
    assert_eq!(artefact_of(world, &task).await, artefact);
    assert_eq!(artefact_of(world, &later).await, artefact);
    assert_eq!(world.artefacts().await, 1);
}

/// After a crash the world is looked at: work that was done is not done again.
pub async fn what_stands_in_the_world_is_completed_after_a_crash(world: &impl EngineWorld) {
    let task = world.backup(job("a"), 1);
    start(world, &task).await;
    world.finish().await;
    let artefact = artefact_of(world, &task).await;
    world.crash().await;
    assert_eq!(artefact_of(world, &task).await, artefact);
    start(world, &task).await;
    world.finish().await;
    assert_eq!(artefact_of(world, &task).await, artefact);
    assert_eq!(world.artefacts().await, 1);
}

/// Who cannot look does not say that nothing stands.
pub async fn a_vault_that_does_not_answer_is_no_empty_vault(world: &impl EngineWorld) {
    let task = world.backup(job("a"), 1);
    start(world, &task).await;
    world.finish().await;
    let artefact = artefact_of(world, &task).await;
    world.forget().await;
    world.set_reachable(false);
    let seen = world.engine().observe(&task).await;
    assert!(
        matches!(&seen, Err(failure) if failure.kind == FailureKind::Transient),
        "{seen:?}"
    );
    world.set_reachable(true);
    assert_eq!(artefact_of(world, &task).await, artefact);
}

/// Wherever the crash came, starting again leads to one artefact.
pub async fn what_a_crash_interrupted_can_be_started_again(world: &impl EngineWorld) {
    let task = world.backup(job("a"), 1);
    start(world, &task).await;
    world.crash().await;
    let seen = observe(world, &task).await;
    let still_runs = world.outlives_a_crash() && matches!(seen, Observation::Running(_));
    assert!(
        still_runs || matches!(seen, Observation::NotStarted | Observation::Completed(_)),
        "nobody runs it any more: {seen:?}"
    );
    start(world, &task).await;
    world.finish().await;
    artefact_of(world, &task).await;
    assert_eq!(world.artefacts().await, 1);
}

/// A failed attempt says so however often one looks or starts it; the next attempt runs.
pub async fn a_failed_attempt_stays_failed_until_the_next_replaces_it(world: &impl EngineWorld) {
    let first = world.backup(job("a"), 1);
    world.doom_next();
    start(world, &first).await;
    world.finish().await;
    let failed = observe(world, &first).await;
    assert!(matches!(failed, Observation::Failed { .. }), "{failed:?}");
    start(world, &first).await;
    world.finish().await;
    assert_eq!(
        observe(world, &first).await,
        failed,
        "the same attempt is not tried again"
    );
    let second = world.backup(job("a"), 2);
    assert_eq!(observe(world, &second).await, Observation::NotStarted);
    start(world, &second).await;
    world.finish().await;
    artefact_of(world, &second).await;
    assert_eq!(world.artefacts().await, 1);
}

/// Each job has its own artefact.
pub async fn other_jobs_are_other_work(world: &impl EngineWorld) {
    let tasks = [world.backup(job("a"), 1), world.backup(job("b"), 1)];
    for task in &tasks {
        start(world, task).await;
        world.finish().await;
    }
    assert_ne!(artefact_of(world, &tasks[0]).await, artefact_of(world, &tasks[1]).await);
    assert_eq!(world.artefacts().await, 2);
}
