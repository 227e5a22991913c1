//! Several executions of a function at once: each takes on a part of a task under a lease, so that no two do the same, and
//! whoever comes next goes on where one ended, was stopped or died.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use holdfast_core::domain::{Failure, FailureKind, JobId, Progress, Span};
use holdfast_core::ports::{Catalog, Clock, Engine, Observation, Task, Workers};
use holdfast_core::workflow::leases;
use jiff::Timestamp;

use super::ContentEngine;

/// What distinguishes one execution's engine from another's.
pub struct ExecutorParts {
    /// Where leases are kept.
    pub catalog: Arc<dyn Catalog>,
    /// Tells when they expire.
    pub clock: Arc<dyn Clock>,
    /// Unique to this process.
    pub executor: String,
    /// How long the part of an executor that died stays taken.
    pub term: Span,
    /// How many executors may read one backup's files side by side.
    pub slices: u32,
    /// How many tasks this process works on at one time. Others are left to other executors, or for later.
    pub at_once: usize,
}

/// A content engine that shares its tasks with the engines of other processes.
pub struct SharedEngine {
    engine: ContentEngine,
    parts: ExecutorParts,
    held: Mutex<BTreeMap<JobId, Held>>,
}

/// A part that this process works on.
#[derive(Clone)]
struct Held {
    lease: String,
    renewed_at: Timestamp,
}

impl SharedEngine {
    /// Shares the tasks of `engine`.
    pub fn new(engine: ContentEngine, parts: ExecutorParts) -> Self {
        let held = Mutex::default();
        Self { engine, parts, held }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<JobId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(&self, lease: &str) -> Result<bool, Failure> {
        let ExecutorParts {
            catalog,
            clock,
            executor,
            term,
            ..
        } = &self.parts;
        leases::take(catalog.as_ref(), (lease, executor), clock.now(), *term).await
    }

    async fn let_go(&self, job: &JobId) -> Result<(), Failure> {
        let Some(Held { lease, .. }) = self.held().get(job).cloned() else {
            return Ok(());
        };
        leases::release(self.parts.catalog.as_ref(), &lease, &self.parts.executor).await?;
        self.held().remove(job);
        Ok(())
    }

    /// Renews what is held. A part whose lease was lost belongs to another executor now, and is worked on no more. A
    /// renewal that fails is tried again at the next call, long before the lease expires.
    async fn renew(&self) {
        let third = Span::seconds(self.parts.term.as_seconds() / 3);
        let held: Vec<(JobId, Held)> = self.held().clone().into_iter().collect();
        for (job, Held { lease, renewed_at }) in held {
            let now = self.parts.clock.now();
            if now < third.after(renewed_at) {
                continue;
            }
            let who = (lease.as_str(), self.parts.executor.as_str());
            match leases::keep(self.parts.catalog.as_ref(), who, now, self.parts.term).await {
                Ok(true) => drop(self.held().insert(job, Held { lease, renewed_at: now })),
                Ok(false) => {
                    self.engine.cancel(&job);
                    self.held().remove(&job);
                }
                Err(_) => {}
            }
        }
    }

    fn has_room_for(&self, job: &JobId) -> bool {
        let working = self.engine.working();
        working.len() < self.parts.at_once && working.iter().all(|(known, _)| known != job)
    }

    /// Waits until nothing works here, for `at_most`.
    async fn end_within(&self, at_most: Duration) {
        let ended = async {
            while self.working() > 0 {
                self.engine.wait(Duration::from_secs(1)).await;
            }
        };
        drop(tokio::time::timeout(at_most, ended).await);
    }
}

fn lease_name(job: &JobId, part: &str) -> String {
    format!("task/{job}/{part}")
}

#[async_trait]
impl Engine for SharedEngine {
    async fn start(&self, task: &Task) -> Result<(), Failure> {
        self.renew().await;
        if !self.has_room_for(&task.job) {
            return Ok(());
        }
        for part in self.engine.parts_left(task, self.parts.slices).await? {
            let lease = lease_name(&task.job, &part.name());
            if !self.take(&lease).await? {
                continue;
            }
            let held = Held {
                lease: lease.clone(),
                renewed_at: self.parts.clock.now(),
            };
            self.held().insert(task.job.clone(), held);
            let (catalog, clock) = (self.parts.catalog.clone(), self.parts.clock.clone());
            let (executor, term) = (self.parts.executor.clone(), self.parts.term);
            let job = task.job.clone();
            let runtime = tokio::runtime::Handle::current();
            // Asked on the engine's own thread, right before the point becomes visible: an executor that stood still for
            // longer than its lease must not publish what another has taken over.
            let may_publish = move || {
                let still = leases::keep(catalog.as_ref(), (&lease, &executor), clock.now(), term);
                if runtime.block_on(still)? {
                    return Ok(());
                }
                let message = format!("job {job} was taken over by another executor");
                Err(Failure::new(FailureKind::Conflict, message))
            };
            return self.engine.start_part(task, part, Arc::new(may_publish));
        }
        Ok(())
    }

    async fn observe(&self, task: &Task) -> Result<Observation, Failure> {
        self.renew().await;
        let seen = self.engine.observe(task).await?;
        if matches!(seen, Observation::Running(_)) {
            return Ok(seen);
        }
        self.let_go(&task.job).await?;
        if seen != Observation::NotStarted {
            return Ok(seen);
        }
        for part in self.engine.parts_left(task, self.parts.slices).await? {
            let lease = lease_name(&task.job, &part.name());
            let who = (lease.as_str(), self.parts.executor.as_str());
            if !leases::is_taken(self.parts.catalog.as_ref(), who, self.parts.clock.now()).await? {
                return Ok(Observation::NotStarted);
            }
        }
        Ok(Observation::Running(Progress::default()))
    }
}

#[async_trait]
impl Workers for SharedEngine {
    fn working(&self) -> usize {
        self.engine.working().len()
    }

    async fn wait(&self, at_most: Duration) {
        self.engine.wait(at_most).await;
        self.renew().await;
    }

    async fn stop(&self, at_most: Duration) {
        self.engine.stop();
        self.end_within(at_most / 2).await;
        let jobs: Vec<JobId> = self.held().keys().cloned().collect();
        jobs.iter().for_each(|job| self.engine.cancel(job));
        self.end_within(at_most / 2).await;
        let working = self.engine.working();
        for job in jobs {
            // What cannot be given back expires, and so does what is still at work: until then nobody else begins it.
            if working.iter().all(|(known, _)| *known != job) {
                drop(self.let_go(&job).await);
            }
        }
    }
}
