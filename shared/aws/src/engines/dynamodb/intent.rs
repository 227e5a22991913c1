//! What a restore is about to make. A table cannot be made together with its tags, and tells none before it is usable, so the
//! intent is what tells a table of ours from another until it carries our tags.

use holdfast_core::domain::{Failure, JobId};
use holdfast_core::ports::{Catalog, Key, Wake};
use holdfast_core::workflow::records::{self, Record};
use serde::{Deserialize, Serialize};

/// The table that a job makes, kept before it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Intent {
    /// The job.
    pub job: JobId,
    /// The name of the table.
    pub target: String,
    /// The backup that it is made from.
    pub backup_arn: String,
}

fn key(job: &JobId) -> Key {
    Key {
        partition: format!("JOB#{job}"),
        sort: "DYNAMODB".to_owned(),
    }
}

impl Record for Intent {
    const KIND: &'static str = "dynamodb_intent";
    fn key(&self) -> Key {
        key(&self.job)
    }
    fn wake(&self) -> Option<Wake> {
        None
    }
}

impl Intent {
    /// Whether this was kept.
    pub(super) async fn is_kept(&self, catalog: &dyn Catalog) -> Result<bool, Failure> {
        let stored = records::read::<Self>(catalog, &key(&self.job)).await?;
        Ok(stored.is_some_and(|stored| stored.value == *self))
    }

    /// Keeps it; a job has one intent, and every attempt the same.
    pub(super) async fn keep(&self, catalog: &dyn Catalog) -> Result<(), Failure> {
        records::insert(catalog, self).await.map(|_| ())
    }
}
