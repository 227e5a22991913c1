//! Snapshots of databases: what RDS instances and Aurora clusters have in common. A snapshot is named after its job and
//! carries our tags, so every look asks the service by that name, and nothing is remembered.

mod observe;
mod service;
mod start;

use std::sync::Arc;

use async_trait::async_trait;
use holdfast_core::config::deployment::Deployment;
use holdfast_core::domain::{Failure, FailureKind, JobId, Location, Region, VaultName};
use holdfast_core::ports::{Engine, Observation, Task};

pub(crate) use service::RestoredState;
pub(super) use service::{Made, Restorable, Restored, Snapshot, SnapshotService, SnapshotState};

use super::words::{self, artefact, is_of_job, is_of_resource};

/// How many artefacts of one job may have failed before somebody has to look: far more than a job has attempts.
const MAX_GENERATIONS: u32 = 64;

/// An engine over one kind of snapshot.
pub(super) struct SnapshotEngine<S> {
    pub service: S,
    pub deployment: Arc<Deployment>,
}

/// What stands of a job.
struct Trace {
    /// The artefact that has not failed, if there is one.
    standing: Option<Snapshot>,
    /// The newest one that failed.
    failed: Option<Snapshot>,
    /// The number of those that failed, which makes the next name.
    generation: u32,
}

impl Trace {
    /// The failed artefact that answers for this attempt; an earlier attempt's does not.
    fn failed_in(&self, attempt: u32) -> Option<&Snapshot> {
        let answers = |failed: &&Snapshot| words::attempt_of(&failed.tags) >= attempt;
        self.failed.as_ref().filter(answers)
    }
}

impl<S: SnapshotService> SnapshotEngine<S> {
    fn region(&self, vault: &VaultName) -> Result<&Region, Failure> {
        self.deployment.vault(vault).map(|vault| &vault.region)
    }

    /// The name of a snapshot and where it is, for messages.
    fn named(&self, region: &Region, name: &str) -> String {
        format!("{} {name} in {region}", self.service.noun())
    }

    /// Looks for the artefacts of a job, in the order in which they were named.
    async fn trace(&self, region: &Region, job: &JobId) -> Result<Trace, Failure> {
        let mut failed = None;
        for generation in 0..MAX_GENERATIONS {
            let name = artefact(job, generation);
            let Some(found) = self.service.find(region, &name).await? else {
                return Ok(Trace {
                    standing: None,
                    failed,
                    generation,
                });
            };
            if !is_of_job(&found.tags, job) {
                return Err(self.name_is_taken(region, &name, job));
            }
            if !matches!(found.state, SnapshotState::Failed | SnapshotState::Deleting) {
                return Ok(Trace {
                    standing: Some(found),
                    failed,
                    generation,
                });
            }
            failed = Some(found);
        }
        let message =
            format!("{MAX_GENERATIONS} snapshots of job {job} have failed in {region}; look into them and delete them");
        Err(words::invalid(message))
    }

    fn name_is_taken(&self, region: &Region, name: &str, job: &JobId) -> Failure {
        let message = format!(
            "{} exists and does not carry the tag {}={job}: it is not ours; rename or delete it",
            self.named(region, name),
            words::JOB
        );
        words::invalid(message)
    }

    /// The snapshot at a place, which must be there and ours.
    async fn ours(&self, at: &Location) -> Result<Snapshot, Failure> {
        let region = self.region(&at.vault)?;
        let Some(found) = self.service.find(region, &at.artefact).await? else {
            let message = format!("{} does not exist", self.named(region, &at.artefact));
            return Err(Failure::new(FailureKind::NotFound, message));
        };
        self.check_ours(region, &found, at)?;
        Ok(found)
    }

    fn check_ours(&self, region: &Region, found: &Snapshot, at: &Location) -> Result<(), Failure> {
        if is_of_resource(&found.tags, &at.resource) {
            return Ok(());
        }
        let message = format!(
            "{} does not carry the tags {} and {}={}: it is not ours, and stays as it is",
            self.named(region, &at.artefact),
            words::JOB,
            words::RESOURCE,
            at.resource
        );
        Err(words::invalid(message))
    }

    /// What is wrong with a snapshot that stands: what level L1 looks at.
    fn damages(&self, found: &Snapshot, at: &Location) -> Result<Vec<String>, Failure> {
        let vault = self.deployment.vault(&at.vault)?;
        let name = self.named(&vault.region, &at.artefact);
        let mut damages = Vec::new();
        if found.state != SnapshotState::Available {
            damages.push(format!("{name} is {}, not available", found.state));
        }
        if self.service.tells_size() && found.size_bytes == 0 {
            damages.push(format!("{name} has no size"));
        }
        if !is_of_resource(&found.tags, &at.resource) {
            damages.push(format!("{name} has lost its tag {}={}", words::RESOURCE, at.resource));
        }
        // The original is encrypted as its source is; only copies are made with the key of their vault.
        let is_encrypted_here =
            found.tags.contains_key(words::ORIGIN) && (found.key.is_some() || self.service.encrypts_copies());
        if is_encrypted_here && found.key.as_deref() != Some(vault.key.as_str()) {
            let key = found.key.as_deref().unwrap_or("no key");
            damages.push(format!("{name} is encrypted with {key}, not with {}", vault.key));
        }
        Ok(damages)
    }
}

#[async_trait]
impl<S: SnapshotService> Engine for SnapshotEngine<S> {
    async fn start(&self, task: &Task) -> Result<(), Failure> {
        self.start_task(task).await
    }

    async fn observe(&self, task: &Task) -> Result<Observation, Failure> {
        self.observe_task(task).await
    }
}
