//! Which of the service's jobs stands for a job of ours.
//!
//! AWS Backup gives its jobs ids of its own and lists them without their tokens and tags. So the id is kept in the catalog.
//! A receipt that was never written is no harm: starting again with the same token gives the same id and starts nothing.

use holdfast_core::domain::{Failure, JobId};
use holdfast_core::ports::{Catalog, Key, Wake};
use holdfast_core::workflow::records::{self, Record};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The service's job that stands for a job of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Receipt {
    /// Our job.
    pub job: JobId,
    /// The service's id for it.
    pub service_job: String,
    /// How many of the service's jobs failed before; the token follows from it.
    pub generation: u32,
    /// The attempt of our job that started it.
    pub attempt: u32,
    /// When it was started.
    pub started_at: Timestamp,
}

fn key(job: &JobId) -> Key {
    Key {
        partition: format!("JOB#{job}"),
        sort: "AWS_BACKUP".to_owned(),
    }
}

impl Record for Receipt {
    const KIND: &'static str = "aws_backup_receipt";
    fn key(&self) -> Key {
        key(&self.job)
    }
    fn wake(&self) -> Option<Wake> {
        None
    }
}

impl Receipt {
    /// The receipt of a job, if there is one.
    pub(super) async fn of(catalog: &dyn Catalog, job: &JobId) -> Result<Option<Self>, Failure> {
        Ok(records::read::<Self>(catalog, &key(job))
            .await?
            .map(|stored| stored.value))
    }

    /// Keeps the receipt, unless one of a later generation is there.
    pub(super) async fn keep(self, catalog: &dyn Catalog) -> Result<(), Failure> {
        if records::insert(catalog, &self).await?.is_none() {
            return Ok(());
        }
        let replace = |stored: &mut Self| {
            let is_newer = stored.generation < self.generation;
            if is_newer {
                *stored = self.clone();
            }
            is_newer
        };
        records::amend(catalog, &key(&self.job), replace).await.map(|_| ())
    }
}
