//! AWS Backup: whatever it protects, in vaults of its own.
//!
//! A job is started with a token that follows from ours, so that starting again is the same start; [`receipt`] tells how it is
//! found again. Copies of a recovery point get ARNs that the service chooses, so a damaged one cannot be made again under its
//! name: repairs say so.

mod jobs;
mod points;
mod receipt;

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_backup::Client;
use holdfast_core::config::deployment::{DeployedVault, Deployment};
use holdfast_core::domain::{Failure, FailureKind, Level, Location, Order, Outcome, Progress, Span, VaultName};
use holdfast_core::ports::{Catalog, Clock, Engine, Observation, Task};

use self::jobs::{JobView, ServiceJob};
use self::receipt::Receipt;
use super::words::{self, artefact, check_restore};
use crate::clients::Clients;

/// When a job that was started is found at the latest. AWS Backup keeps its jobs for a month.
const VISIBLE_WITHIN: Span = Span::hours(1);

/// The engine of AWS Backup.
pub(super) struct AwsBackupEngine {
    pub clients: Arc<Clients>,
    pub deployment: Arc<Deployment>,
    pub catalog: Arc<dyn Catalog>,
    pub clock: Arc<dyn Clock>,
}

fn failed(kind: FailureKind, message: impl Into<String>) -> Observation {
    Observation::Failed {
        kind,
        message: message.into(),
    }
}

impl AwsBackupEngine {
    fn vault(&self, name: &VaultName) -> Result<(&DeployedVault, Client), Failure> {
        let vault = self.deployment.vault(name)?;
        Ok((vault, self.clients.of(&vault.region).backup()))
    }

    /// Roles of other names have no rights in AWS Backup; the job would fail hours later with a word about permissions.
    fn role(&self) -> Result<&str, Failure> {
        let role = self.deployment.backup_role.as_str();
        let name = role.rsplit('/').next().unwrap_or(role);
        if name.contains("AWSBackup") || name.contains("AwsBackup") {
            return Ok(role);
        }
        Err(words::invalid(format!(
            "HOLDFAST_BACKUP_ROLE: the name of role {role} must contain AWSBackup or AwsBackup, or AWS Backup cannot use it"
        )))
    }

    /// How the service's job behind a receipt is doing; none when the service has forgotten it. One that was started just now
    /// need not be visible yet.
    async fn look_for(&self, job: &ServiceJob<'_>, receipt: &Receipt) -> Result<Option<JobView>, Failure> {
        let seen = self.look(job, &receipt.service_job).await?;
        let is_new = self.clock.now() < VISIBLE_WITHIN.after(receipt.started_at);
        Ok(seen.or_else(|| is_new.then(|| JobView::Running(Progress::default()))))
    }

    /// Starts the service's job of this task, unless this attempt has one.
    async fn start_job(&self, task: &Task, job: &ServiceJob<'_>) -> Result<(), Failure> {
        let catalog = self.catalog.as_ref();
        let mut generation = 0;
        if let Some(receipt) = Receipt::of(catalog, &task.job).await? {
            match self.look_for(job, &receipt).await? {
                Some(JobView::Failed(_)) if receipt.attempt < task.attempt => generation = receipt.generation + 1,
                // The service has forgotten it, and its token may be forgotten too or not.
                None => generation = receipt.generation + 1,
                Some(_) => return Ok(()),
            }
        }
        let token = artefact(&task.job, generation);
        let service_job = self.call_start(task, job, &token).await?;
        let receipt = Receipt {
            job: task.job.clone(),
            service_job,
            generation,
            attempt: task.attempt,
            started_at: self.clock.now(),
        };
        receipt.keep(catalog).await
    }

    /// What has become of the service's job of this task; none when no receipt leads to it.
    async fn observe_job(&self, task: &Task, job: &ServiceJob<'_>) -> Result<Option<Observation>, Failure> {
        let Some(receipt) = Receipt::of(self.catalog.as_ref(), &task.job).await? else {
            return Ok(None);
        };
        Ok(match self.look_for(job, &receipt).await? {
            None => None,
            Some(JobView::Running(progress)) => Some(Observation::Running(progress)),
            Some(JobView::Completed(outcome)) => Some(Observation::Completed(outcome)),
            Some(JobView::Failed(message)) if receipt.attempt >= task.attempt => {
                Some(failed(FailureKind::Transient, message))
            }
            Some(JobView::Failed(_)) => Some(Observation::NotStarted),
        })
    }

    async fn observe_backup(&self, task: &Task, job: &ServiceJob<'_>) -> Result<Observation, Failure> {
        if let Some(seen) = self.observe_job(task, job).await? {
            return Ok(seen);
        }
        let ServiceJob::Backup {
            vault, resource_arn, ..
        } = job
        else {
            return Ok(Observation::NotStarted);
        };
        let Some(point) = self.find_by_tag(vault, resource_arn, &task.job).await? else {
            return Ok(Observation::NotStarted);
        };
        if points::is_busy(&point) {
            return Ok(Observation::Running(Progress::default()));
        }
        let name = point.recovery_point_arn.clone().unwrap_or_default();
        let is_usable = points::status_problem(&point, &name)?.is_none() || points::is_partial(&point);
        Ok(match is_usable {
            true => Observation::Completed(points::outcome(&point, None)?),
            false => Observation::NotStarted,
        })
    }

    /// What a repair finds. It cannot make anything.
    async fn observe_repair(&self, damaged: &Location) -> Result<Observation, Failure> {
        let verdict = match self.verify(damaged).await? {
            Observation::Completed(Outcome::Verify(verdict)) => verdict,
            other => return Ok(other),
        };
        let hint = "AWS Backup cannot make a recovery point again under its ARN: restore from another copy";
        let stands = verdict.damages.is_empty().then(|| damaged.artefact.clone());
        Ok(Observation::Completed(Outcome::Repair {
            repaired: stands.into_iter().collect(),
            unrepairable: verdict
                .damages
                .iter()
                .map(|damage| format!("{damage}; {hint}"))
                .collect(),
        }))
    }
}

/// Why an order is never carried out, if so.
fn objection(order: &Order) -> Option<Failure> {
    match order {
        Order::CopyLog { .. } => Some(words::invalid(words::NO_LOG)),
        Order::Verify { level, .. } if *level > Level::L1 => Some(words::invalid(format!(
            "a recovery point can be proven to level L1 only by looking at it; level {level:?} needs a restore test"
        ))),
        Order::Restore {
            target,
            include,
            overwrite,
            ..
        } => check_restore(target, include, *overwrite).err(),
        Order::Clean { target, .. } => Some(words::invalid(format!(
            "\"{target}\": AWS Backup has no drill folder to clean"
        ))),
        _ => None,
    }
}

#[async_trait]
impl Engine for AwsBackupEngine {
    async fn start(&self, task: &Task) -> Result<(), Failure> {
        if let Some(refused) = objection(&task.order) {
            return Err(refused);
        }
        match &task.order {
            Order::Backup { .. } | Order::Copy { .. } | Order::Restore { .. } => {
                self.start_job(task, &ServiceJob::of(&task.order)?).await
            }
            Order::Delete { at, .. } => self.start_delete(at).await,
            Order::CopyLog { .. }
            | Order::Verify { .. }
            | Order::Repair { .. }
            | Order::Reclaim { .. }
            | Order::Clean { .. } => Ok(()),
        }
    }

    async fn observe(&self, task: &Task) -> Result<Observation, Failure> {
        if let Some(refused) = objection(&task.order) {
            return Ok(failed(refused.kind, refused.message));
        }
        match &task.order {
            Order::Backup { .. } => self.observe_backup(task, &ServiceJob::of(&task.order)?).await,
            Order::Copy { .. } | Order::Restore { .. } => {
                let seen = self.observe_job(task, &ServiceJob::of(&task.order)?).await?;
                Ok(seen.unwrap_or(Observation::NotStarted))
            }
            Order::Verify { at, .. } => self.verify(at).await,
            Order::Repair { damaged, .. } => self.observe_repair(damaged).await,
            Order::Delete { at, .. } => self.observe_delete(at).await,
            // The service reclaims what its recovery points leave behind.
            Order::Reclaim { .. } => Ok(Observation::Completed(Outcome::Reclaim {
                condemned: 0,
                deleted: 0,
                freed_bytes: 0,
            })),
            Order::CopyLog { .. } | Order::Clean { .. } => Ok(Observation::NotStarted),
        }
    }
}
