//! Admission: how many copies the account allows at once is counted here first, so that its quota is not run into, and what
//! is full is told as [`FailureKind::Deferred`] with a reason and a time.

use std::sync::Arc;

use async_trait::async_trait;
use holdfast_core::config::deployment::Deployment;
use holdfast_core::domain::{Failure, FailureKind, Location, Order, Span, VaultName};
use holdfast_core::ports::{Catalog, Clock, Engine, Observation, Task};
use holdfast_core::workflow::semaphore::{self, Holder, Limits};

/// RDS copies 20 snapshots at once into a Region, and those of one source one after another, without showing progress.
pub(super) const RDS_COPIES: Limits = Limits {
    total: 20,
    per_group: 1,
};
/// AWS Backup works on one copy of a resource at a time.
pub(super) const BACKUP_COPIES: Limits = Limits {
    total: 20,
    per_group: 1,
};

/// How long a place is kept for a job that nobody looks at. Jobs are looked at every few minutes.
const LEASE: Span = Span::minutes(30);
/// When to come back to what is full or busy.
const RETRY_AFTER: Span = Span::minutes(2);

/// Lets copies into an engine only while there is a place in their destination Region.
pub(super) struct Admitted {
    pub engine: Arc<dyn Engine>,
    /// Whose places copies need, and how many there are; engines with the same word share them.
    pub copies: Option<(&'static str, Limits)>,
    pub deployment: Arc<Deployment>,
    pub catalog: Arc<dyn Catalog>,
    pub clock: Arc<dyn Clock>,
}

/// A place in the account's limit of copies.
struct Place {
    semaphore: String,
    /// What waits for each other.
    group: String,
    limits: Limits,
}

impl Admitted {
    /// The place that a task needs, if it needs one.
    fn place(&self, task: &Task) -> Result<Option<Place>, Failure> {
        let Some((service, limits)) = self.copies else {
            return Ok(None);
        };
        let (from, to): (&Location, &VaultName) = match &task.order {
            Order::Copy { from, to, .. } => (from, to),
            Order::Repair { from, damaged, .. } => (from, &damaged.vault),
            _ => return Ok(None),
        };
        let region = &self.deployment.vault(to)?.region;
        Ok(Some(Place {
            semaphore: format!("copies/{service}/{region}"),
            group: format!("resource {}", from.resource),
            limits,
        }))
    }

    /// Takes or keeps the task's place.
    async fn enter(&self, task: &Task) -> Result<Option<Failure>, Failure> {
        let Some(place) = self.place(task)? else {
            return Ok(None);
        };
        let now = self.clock.now();
        let holder = Holder {
            group: place.group,
            expires_at: LEASE.after(now),
        };
        let full = semaphore::enter(
            self.catalog.as_ref(),
            &place.semaphore,
            &task.job,
            &holder,
            place.limits,
            now,
        )
        .await?;
        Ok(full.map(|why| Failure::deferred(format!("{}: {why}", place.semaphore), RETRY_AFTER.after(now))))
    }

    async fn leave(&self, task: &Task) -> Result<(), Failure> {
        match self.place(task)? {
            Some(place) => semaphore::leave(self.catalog.as_ref(), &place.semaphore, &task.job).await,
            None => Ok(()),
        }
    }

    /// What is deferred says when to come back.
    fn with_time(&self, mut failure: Failure) -> Failure {
        if failure.kind == FailureKind::Deferred && failure.retry_at.is_none() {
            failure.retry_at = Some(RETRY_AFTER.after(self.clock.now()));
        }
        failure
    }
}

#[async_trait]
impl Engine for Admitted {
    async fn start(&self, task: &Task) -> Result<(), Failure> {
        if let Some(full) = self.enter(task).await? {
            return Err(full);
        }
        let Err(failure) = self.engine.start(task).await else {
            return Ok(());
        };
        // A call without an answer may have started the copy: its place is kept until a look tells, or the lease runs out.
        if failure.kind != FailureKind::Transient {
            self.leave(task).await?;
        }
        Err(self.with_time(failure))
    }

    async fn observe(&self, task: &Task) -> Result<Observation, Failure> {
        let seen = self
            .engine
            .observe(task)
            .await
            .map_err(|failure| self.with_time(failure))?;
        match &seen {
            // The copy runs, place or not: one that was let in before its lease ran out is counted again.
            Observation::Running(_) => self.enter(task).await.map(|_| ())?,
            Observation::Completed(_) | Observation::Failed { .. } => self.leave(task).await?,
            Observation::NotStarted => {}
        }
        Ok(seen)
    }
}
