//! The engine: whatever really backs up, copies, tests, restores and deletes.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{Failure, FailureKind, Job, JobId, Order, Outcome, Progress};

/// An order together with the job and attempt it belongs to. Artefacts are named after the job, so that a second start of
/// the same job finds the first one's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The job.
    pub job: JobId,
    /// Counts from 1. A higher attempt replaces one that failed; the same attempt started twice is one.
    pub attempt: u32,
    /// What to do.
    pub order: Order,
}

impl Task {
    /// The task of a job's present attempt.
    pub fn of(job: &Job) -> Self {
        Self {
            job: job.id.clone(),
            attempt: job.attempt,
            order: job.order.clone(),
        }
    }
}

/// What an engine sees when it looks for a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// No trace of it: never started, or lost with the process that ran it.
    NotStarted,
    /// In progress.
    Running(Progress),
    /// Done; looking again gives the same answer.
    Completed(Outcome),
    /// This attempt failed.
    Failed {
        /// What the caller should do.
        kind: FailureKind,
        /// What failed, where, and how to mend it.
        message: String,
    },
}

/// Starts and observes long work. A start returns at once; nothing waits inside a function.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Starts the task unless this attempt is running or done. A failure means that it was not started.
    async fn start(&self, task: &Task) -> Result<(), Failure>;

    /// What has become of the task. After a crash this looks at the world, not at memory: a task whose effect stands is
    /// [`Observation::Completed`] even if nobody remembers starting it. Where the world cannot be looked at (a vault that
    /// does not answer), that is the failure: [`Observation::NotStarted`] says that somebody looked, and nothing stands.
    async fn observe(&self, task: &Task) -> Result<Observation, Failure>;
}

/// Work that goes on in this process after its start has returned.
#[async_trait]
pub trait Workers: Send + Sync {
    /// How many tasks are at work in this process.
    fn working(&self) -> usize;

    /// Waits until a task ends, or for `at_most`. Meanwhile what the tasks hold (leases) is kept alive.
    async fn wait(&self, at_most: Duration);

    /// Asks every task to stop, and waits until all have, for `at_most`. What they have done is kept and found when they
    /// start again; one that takes longer than half of the time ends without that, and one that works even at the end can
    /// make nothing visible that another took over meanwhile.
    async fn stop(&self, at_most: Duration);
}
