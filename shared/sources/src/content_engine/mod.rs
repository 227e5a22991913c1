//! The content engine: files and objects in restic-format repositories, behind the engine port.
//!
//! Each order runs on a thread of its own; [`Engine::start`] returns at once. What came of a task is written down as a
//! receipt before anything else learns of it, and a task that nobody remembers is looked for in the world, so a task
//! whose effect stands is found done after any crash.

mod backup;
mod changes;
mod cursors;
mod executors;
mod ledger;
mod lists;
mod moves;
pub mod places;
mod portions;
mod receipts;
mod receivers;
mod reclaim;
mod recover;
mod repositories;
mod restore;
mod servers;
mod task;
mod trial;
mod verify;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use holdfast_core::domain::{Failure, FailureKind, JobId, Order, Outcome, Progress, ResourceId, VaultName};
use holdfast_core::ports::{Engine, Keys, Observation, Task};
use holdfast_repository::storage::Storage;
use holdfast_repository::{Ambient, ErrorKind, RepositoryError};
use tokio::sync::Notify;

use places::Places;
use portions::Part;
use receipts::Receipts;
use repositories::Repositories;
use task::{MayPublish, Running, Stopping, TaskState};

pub use executors::{ExecutorParts, SharedEngine};
pub use receipts::ReceiptStore;
pub use receivers::Listener;

/// Opens the storage of a resource's repository in a vault.
pub type OpenStorage = Arc<dyn Fn(&VaultName, &ResourceId) -> Result<Arc<dyn Storage>, Failure> + Send + Sync>;

/// Gives the password of the escrow key file. Called only when a repository is made.
pub type EscrowPassword = Arc<dyn Fn() -> Result<String, Failure> + Send + Sync>;

/// Gives the password of a PostgreSQL server from where a resource says that it is: a file, or a secret's ARN.
pub type ServerPassword = Arc<dyn Fn(&str) -> Result<String, Failure> + Send + Sync>;

/// What the content engine is given.
#[derive(Clone)]
pub struct ContentEngineParts {
    /// Leads to the vaults.
    pub open_storage: OpenStorage,
    /// Wraps the master key of each repository.
    pub keys: Arc<dyn Keys>,
    /// Time, randomness and identity.
    pub ambient: Ambient,
    /// The password of the escrow key file that every new repository gets, so that `restic` can read it without Holdfast.
    pub escrow_password: EscrowPassword,
    /// Where receipts of finished tasks are kept.
    pub receipts: ReceiptStore,
    /// Where resources and restore targets are; it knows the area that drills restore into.
    pub places: Arc<dyn Places>,
    /// The passwords of PostgreSQL servers.
    pub server_password: ServerPassword,
    /// A folder that takes log on its way into a repository. It may be lost with the process, unless that receives log as it is
    /// written.
    pub spools: PathBuf,
    /// Files read at one time by a backup.
    pub readers: usize,
    /// Threads of each other stage.
    pub threads: usize,
}

/// Backs up, copies, tests, repairs, restores and deletes content.
#[derive(Clone)]
pub struct ContentEngine {
    inner: Arc<Inner>,
}

struct Inner {
    repositories: Repositories,
    receipts: Receipts,
    places: Arc<dyn Places>,
    server_password: ServerPassword,
    spools: PathBuf,
    readers: usize,
    threads: usize,
    running: Mutex<HashMap<JobId, Running>>,
    ended: Notify,
}

impl ContentEngine {
    /// An engine over these parts. Must be made inside a Tokio runtime, whose blocking threads do the work.
    pub fn new(parts: ContentEngineParts) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|error| Failure::caused(FailureKind::Bug, "the content engine needs a Tokio runtime", error))?;
        let receipts = Receipts::open(parts.receipts, runtime.clone())?;
        let repositories = Repositories {
            open_storage: parts.open_storage,
            keys: parts.keys,
            ambient: parts.ambient,
            escrow_password: parts.escrow_password,
            runtime,
        };
        let (places, readers, threads) = (parts.places, parts.readers, parts.threads);
        let running = Mutex::new(HashMap::new());
        Ok(Self {
            inner: Arc::new(Inner {
                repositories,
                receipts,
                places,
                server_password: parts.server_password,
                spools: parts.spools,
                readers,
                threads,
                running,
                ended: Notify::new(),
            }),
        })
    }

    /// Asks every running task to stop. What they leave is found and used when they are started again.
    pub fn stop(&self) {
        self.inner.running().values().for_each(Running::stop);
    }

    /// Stops a task without keeping what it is at.
    fn cancel(&self, job: &JobId) {
        if let Some(running) = self.inner.running().get(job) {
            running.cancel();
        }
    }

    /// Waits until a task ends, or for `at_most`.
    pub async fn wait(&self, at_most: Duration) {
        // A task that ended before is seen at the next look.
        drop(tokio::time::timeout(at_most, self.inner.ended.notified()).await);
    }

    async fn parts_left(&self, task: &Task, slices: u32) -> Result<Vec<Part>, Failure> {
        let (inner, task) = (Arc::clone(&self.inner), task.clone());
        let left = tokio::task::spawn_blocking(move || inner.parts_left(&task, slices)).await;
        left.map_err(|error| Failure::caused(FailureKind::Bug, "looking for what is left came to no end", error))?
    }

    /// Starts a part of a task, unless this process is at work on the task or has done it.
    fn start_part(&self, task: &Task, part: Part, may_publish: MayPublish) -> Result<(), Failure> {
        let running = Running::new(task.attempt, stopping(&task.order));
        {
            let mut table = self.inner.running();
            if let Some(known) = table.get(&task.job) {
                let replaces = match known.state() {
                    TaskState::Working => false,
                    TaskState::Stored => true,
                    TaskState::Completed(_) | TaskState::Failed(..) => task.attempt > known.attempt,
                };
                if !replaces {
                    return Ok(());
                }
            }
            table.insert(task.job.clone(), running.clone());
        }
        let (inner, task) = (Arc::clone(&self.inner), task.clone());
        tokio::task::spawn_blocking(move || {
            running.end(inner.run(&task, part, &running, &may_publish));
            inner.ended.notify_waiters();
        });
        Ok(())
    }

    /// How far the tasks that still work have come, by job.
    pub fn working(&self) -> Vec<(JobId, Progress)> {
        let table = self.inner.running();
        let working = table
            .iter()
            .filter(|(_, running)| matches!(running.state(), TaskState::Working));
        working
            .map(|(job, running)| (job.clone(), running.control.progress()))
            .collect()
    }
}

impl Inner {
    fn running(&self) -> MutexGuard<'_, HashMap<JobId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a task of this process stands; none where the world must tell. What its receipt tells from now on is forgotten,
    /// so that a process that lives long does not grow; a failure is remembered until the next attempt.
    fn remembered(&self, task: &Task) -> Option<Observation> {
        let mut table = self.running();
        let known = table.get(&task.job)?;
        let seen = match known.state() {
            TaskState::Working => return Some(Observation::Running(known.control.progress())),
            TaskState::Failed(kind, message) if known.attempt >= task.attempt => {
                return Some(Observation::Failed { kind, message });
            }
            TaskState::Completed(outcome) => Some(Observation::Completed(outcome)),
            // It may have failed after its effect stood.
            TaskState::Stored | TaskState::Failed(..) => None,
        };
        table.remove(&task.job);
        seen
    }

    /// Carries out an order to its end, unless its effect stands already: a restore that is done and in use must not be
    /// written over because its start is delivered once more.
    fn run(
        &self,
        task: &Task,
        part: Part,
        running: &Running,
        may_publish: &MayPublish,
    ) -> Result<Option<Outcome>, Failure> {
        if let Some(outcome) = self.look(task)? {
            return Ok(Some(outcome));
        }
        let outcome = match &task.order {
            Order::Backup { server: Some(_), .. } => self.back_up_server(task, &running.control, may_publish)?,
            Order::Backup { .. } => self.back_up(task, part, &running.control, may_publish)?,
            Order::Verify {
                at, trial: Some(trial), ..
            } => Some(self.try_out(at, trial, &running.control)?),
            Order::Verify { at, level, .. } => self.verify(&task.job, (at, *level), part, &running.control)?,
            Order::Restore {
                recovery: Some(recovery),
                ..
            } => Some(self.recover(task, *recovery, &running.control)?),
            Order::Restore { .. } => self.restore(task, part, &running.control)?,
            _ => Some(self.execute(task, running)?),
        };
        if let Some(outcome) = &outcome {
            self.receipts.keep(&task.job, outcome)?;
        }
        Ok(outcome)
    }

    fn execute(&self, task: &Task, running: &Running) -> Result<Outcome, Failure> {
        let control = running.control.as_ref();
        match &task.order {
            Order::Backup { .. } | Order::Verify { .. } | Order::Restore { .. } => {
                Err(Failure::new(FailureKind::Bug, "this is done part by part"))
            }
            Order::Copy { from, to, .. } => self.copy(from, to, control),
            Order::CopyLog {
                resource,
                from,
                to,
                pulled_at,
            } => self.copy_log(resource, (from, to), *pulled_at, control),
            Order::Repair { damaged, from, .. } => self.repair(&task.job, damaged, from, control),
            Order::Delete { at, .. } => self.delete(at),
            Order::Reclaim {
                resource,
                vault,
                grace_seconds,
            } => self.reclaim(resource, vault, *grace_seconds, control),
            Order::Clean { target, .. } => self.places.clean(target).map(|()| Outcome::Clean),
        }
    }

    /// What the world shows of a task that nobody remembers.
    fn look(&self, task: &Task) -> Result<Option<Outcome>, Failure> {
        if let Some(outcome) = self.receipts.find(&task.job)? {
            return Ok(Some(outcome));
        }
        match &task.order {
            Order::Backup {
                resource,
                vault,
                patterns,
                ..
            } => self.find_backup(&task.job, (vault, resource), &patterns.canaries),
            Order::Copy { from, to, .. } => self.find_copy(from, to),
            Order::Delete { at, .. } => self.find_deletion(at),
            // These are safe to do again, and doing them again is how to see what they come to.
            Order::CopyLog { .. }
            | Order::Verify { .. }
            | Order::Repair { .. }
            | Order::Restore { .. }
            | Order::Reclaim { .. }
            | Order::Clean { .. } => Ok(None),
        }
    }
}

#[async_trait]
impl Engine for ContentEngine {
    async fn start(&self, task: &Task) -> Result<(), Failure> {
        self.start_part(task, Part::Rest, Arc::new(|| Ok(())))
    }

    async fn observe(&self, task: &Task) -> Result<Observation, Failure> {
        if let Some(seen) = self.inner.remembered(task) {
            return Ok(seen);
        }
        let (inner, task) = (Arc::clone(&self.inner), task.clone());
        let looked = tokio::task::spawn_blocking(move || inner.look(&task)).await;
        let looked =
            looked.map_err(|error| Failure::caused(FailureKind::Bug, "looking for a task came to no end", error))?;
        Ok(looked?.map_or(Observation::NotStarted, Observation::Completed))
    }
}

/// What it means for a task of this order to be stopped.
fn stopping(order: &Order) -> Stopping {
    match order {
        Order::Backup { server: None, .. } => Stopping::Pauses,
        // A base backup begins anew, and finds what it stored; a pull stores what came.
        Order::Backup { server: Some(_), .. } => Stopping::GoesOn,
        Order::Copy { .. }
        | Order::CopyLog { .. }
        | Order::Verify { .. }
        | Order::Repair { .. }
        | Order::Restore { .. }
        | Order::Delete { .. }
        | Order::Reclaim { .. }
        | Order::Clean { .. } => Stopping::GoesOn,
    }
}

/// What a caller can do about an error of the repository.
pub(crate) fn failure_kind(error: &RepositoryError) -> FailureKind {
    match error.kind() {
        ErrorKind::Transient | ErrorKind::Full | ErrorKind::Cancelled => FailureKind::Transient,
        ErrorKind::Conflict => FailureKind::Conflict,
        ErrorKind::NotFound => FailureKind::NotFound,
        ErrorKind::Denied => FailureKind::Denied,
        ErrorKind::Invalid => FailureKind::Invalid,
        ErrorKind::Integrity => FailureKind::Integrity,
        _ => FailureKind::Bug,
    }
}

/// An error of the repository as it crosses the port.
fn failure(error: RepositoryError) -> Failure {
    let kind = failure_kind(&error);
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        message = format!("{message}: {inner}");
        cause = inner.source();
    }
    Failure::caused(kind, message, error)
}
