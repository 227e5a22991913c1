//! The service's own jobs: backup, copy, restore.

use std::collections::HashMap;

use aws_sdk_backup::types::{BackupJobState, CopyJobState, RestoreJobStatus};
use holdfast_core::domain::{Failure, FailureKind, Location, Order, Outcome, Progress, ResourceId, VaultName};
use holdfast_core::ports::Task;

use super::super::words::{self, tags};
use super::{AwsBackupEngine, points};
use crate::failure::{code, failure};

/// A job as the service must be told of it.
pub(super) enum ServiceJob<'a> {
    Backup {
        vault: &'a VaultName,
        resource: &'a ResourceId,
        resource_arn: &'a str,
    },
    Copy {
        from: &'a Location,
        to: &'a VaultName,
    },
    Restore {
        from: &'a Location,
        target: &'a str,
    },
}

impl<'a> ServiceJob<'a> {
    pub(super) fn of(order: &'a Order) -> Result<Self, Failure> {
        match order {
            Order::Backup {
                resource, path, vault, ..
            } => Ok(Self::Backup {
                vault,
                resource,
                resource_arn: path,
            }),
            Order::Copy { from, to, .. } => Ok(Self::Copy { from, to }),
            Order::Restore { from, target, .. } => Ok(Self::Restore { from, target }),
            other => {
                let message = format!("AWS Backup has no job for a {} order", other.kind().as_str());
                Err(Failure::new(FailureKind::Bug, message))
            }
        }
    }

    /// The vault in whose Region the service keeps the job.
    fn vault(&self) -> &VaultName {
        match self {
            Self::Backup { vault, .. } => vault,
            Self::Copy { from, .. } | Self::Restore { from, .. } => &from.vault,
        }
    }
}

/// What the service says of a job.
pub(super) enum JobView {
    Running(Progress),
    Completed(Outcome),
    Failed(String),
}

/// A job's end that is none of success.
fn ended(what: &str, job: &str, state: &str, message: Option<&str>) -> JobView {
    let why = message.unwrap_or("the service does not say why");
    JobView::Failed(format!("AWS Backup {what} job {job} is {state}: {why}"))
}

fn bytes(count: Option<i64>) -> u64 {
    u64::try_from(count.unwrap_or(0)).unwrap_or(0)
}

impl AwsBackupEngine {
    /// Tells the service to start. The same token starts nothing new and gives the same id.
    pub(super) async fn call_start(&self, task: &Task, job: &ServiceJob<'_>, token: &str) -> Result<String, Failure> {
        let id = match job {
            ServiceJob::Backup {
                vault,
                resource,
                resource_arn,
            } => self.call_backup(task, vault, resource, resource_arn, token).await?,
            ServiceJob::Copy { from, to } => self.call_copy(from, to, token).await?,
            ServiceJob::Restore { from, target } => self.call_restore(from, target, token).await?,
        };
        id.ok_or_else(|| {
            let message = format!("AWS Backup started job {token} and did not tell its id");
            Failure::new(FailureKind::Transient, message)
        })
    }

    async fn call_backup(
        &self,
        task: &Task,
        vault: &VaultName,
        resource: &ResourceId,
        resource_arn: &str,
        token: &str,
    ) -> Result<Option<String>, Failure> {
        let (vault, client) = self.vault(vault)?;
        let tags: HashMap<String, String> = tags(&task.job, task.attempt, resource).into_iter().collect();
        let call = client
            .start_backup_job()
            .backup_vault_name(&vault.backup_vault)
            .resource_arn(resource_arn)
            .iam_role_arn(self.role()?)
            .idempotency_token(token)
            .set_recovery_point_tags(Some(tags));
        let answer = call.send().await;
        let answer = answer.map_err(|error| failure("AWS Backup StartBackupJob", resource_arn, &error))?;
        Ok(answer.backup_job_id)
    }

    async fn call_copy(&self, from: &Location, to: &VaultName, token: &str) -> Result<Option<String>, Failure> {
        let role = self.role()?;
        let destination = self.deployment.vault(to)?;
        // Recovery points of some services have ARNs without an account; the role's always has one.
        let mut parts = role.split(':');
        let (Some(partition), Some(account)) = (parts.nth(1), parts.nth(2)) else {
            return Err(words::invalid(format!(
                "HOLDFAST_BACKUP_ROLE: \"{role}\" is not the ARN of a role"
            )));
        };
        let destination_arn = format!(
            "arn:{partition}:backup:{}:{account}:backup-vault:{}",
            destination.region, destination.backup_vault
        );
        let (vault, client) = self.vault(&from.vault)?;
        let call = client
            .start_copy_job()
            .recovery_point_arn(&from.artefact)
            .source_backup_vault_name(&vault.backup_vault)
            .destination_backup_vault_arn(destination_arn)
            .iam_role_arn(role)
            .idempotency_token(token);
        let answer = call.send().await;
        let answer = answer.map_err(|error| failure("AWS Backup StartCopyJob", &from.artefact, &error))?;
        Ok(answer.copy_job_id)
    }

    async fn call_restore(&self, from: &Location, target: &str, token: &str) -> Result<Option<String>, Failure> {
        let (vault, client) = self.vault(&from.vault)?;
        let metadata = client
            .get_recovery_point_restore_metadata()
            .backup_vault_name(&vault.backup_vault)
            .recovery_point_arn(&from.artefact);
        let told = metadata
            .send()
            .await
            .map_err(|error| failure("AWS Backup GetRecoveryPointRestoreMetadata", &from.artefact, &error))?;
        let kind = told.resource_type.unwrap_or_default();
        let name = match kind.as_str() {
            "RDS" => "DBInstanceIdentifier",
            "DynamoDB" => "targetTableName",
            "Aurora" => {
                return Err(words::invalid(format!(
                    "AWS Backup restores cluster \"{target}\" without an instance, and nobody could use it: restore this \
                     recovery point in the AWS console and add one, and protect the cluster as kind aurora, whose restore makes \
                     an instance too"
                )));
            }
            other => {
                return Err(words::invalid(format!(
                    "recovery points of type \"{other}\" are not restored under a name: Holdfast restores RDS and DynamoDB \
                     through AWS Backup; restore this one in the AWS console"
                )));
            }
        };
        let mut metadata = told.restore_metadata.unwrap_or_default();
        metadata.insert(name.to_owned(), target.to_owned());
        let call = client
            .start_restore_job()
            .recovery_point_arn(&from.artefact)
            .resource_type(kind)
            .set_metadata(Some(metadata))
            .iam_role_arn(self.role()?)
            .idempotency_token(token);
        let answer = call.send().await;
        let answer = answer.map_err(|error| failure("AWS Backup StartRestoreJob", target, &error))?;
        Ok(answer.restore_job_id)
    }

    /// How one of the service's jobs is doing; none when the service does not know it any more.
    pub(super) async fn look(&self, job: &ServiceJob<'_>, id: &str) -> Result<Option<JobView>, Failure> {
        match job {
            ServiceJob::Backup { .. } => self.look_at_backup(job.vault(), id).await,
            ServiceJob::Copy { .. } => self.look_at_copy(job.vault(), id).await,
            ServiceJob::Restore { .. } => self.look_at_restore(job.vault(), id).await,
        }
    }

    async fn look_at_backup(&self, vault: &VaultName, id: &str) -> Result<Option<JobView>, Failure> {
        let (_, client) = self.vault(vault)?;
        let job = match client.describe_backup_job().backup_job_id(id).send().await {
            Ok(job) => job,
            Err(error) if code(&error) == Some("ResourceNotFoundException") => return Ok(None),
            Err(error) => return Err(failure("AWS Backup DescribeBackupJob", id, &error)),
        };
        let message = job.status_message.as_deref();
        Ok(Some(match job.state.as_ref() {
            Some(
                BackupJobState::Created | BackupJobState::Pending | BackupJobState::Running | BackupJobState::Aborting,
            ) => JobView::Running(Progress {
                done_bytes: bytes(job.bytes_transferred),
                expected_bytes: bytes(job.backup_size_in_bytes),
            }),
            Some(BackupJobState::Completed | BackupJobState::Partial) => {
                let arn = job.recovery_point_arn.as_deref().unwrap_or_default();
                let Some(point) = self.find_point(vault, arn).await? else {
                    return Ok(Some(ended(
                        "backup",
                        id,
                        "completed, and its recovery point is gone",
                        message,
                    )));
                };
                // "Completed with issues" is told as COMPLETED with a message.
                let issue = match job.state.as_ref() {
                    Some(BackupJobState::Partial) => Some(message.unwrap_or("the job is PARTIAL")),
                    _ => message.filter(|message| !message.is_empty()),
                };
                JobView::Completed(points::outcome(&point, issue)?)
            }
            Some(state @ (BackupJobState::Aborted | BackupJobState::Failed | BackupJobState::Expired)) => {
                ended("backup", id, state.as_str(), message)
            }
            other => {
                let word = other.map_or("none", BackupJobState::as_str);
                return Err(words::unknown_word(&format!("AWS Backup job {id}"), word));
            }
        }))
    }

    async fn look_at_copy(&self, vault: &VaultName, id: &str) -> Result<Option<JobView>, Failure> {
        let (_, client) = self.vault(vault)?;
        let job = match client.describe_copy_job().copy_job_id(id).send().await {
            Ok(answer) => answer
                .copy_job
                .unwrap_or_else(|| aws_sdk_backup::types::CopyJob::builder().build()),
            Err(error) if code(&error) == Some("ResourceNotFoundException") => return Ok(None),
            Err(error) => return Err(failure("AWS Backup DescribeCopyJob", id, &error)),
        };
        let message = job.status_message.as_deref();
        Ok(Some(match job.state.as_ref() {
            Some(CopyJobState::Created | CopyJobState::Running) => JobView::Running(Progress {
                done_bytes: 0,
                expected_bytes: bytes(job.backup_size_in_bytes),
            }),
            Some(CopyJobState::Completed) => match &job.destination_recovery_point_arn {
                Some(arn) => JobView::Completed(Outcome::Copy {
                    artefact: arn.clone(),
                    bytes: bytes(job.backup_size_in_bytes),
                }),
                None => ended("copy", id, "completed without a recovery point", message),
            },
            // A copy of which a part is missing is none.
            Some(state @ (CopyJobState::Failed | CopyJobState::Partial)) => ended("copy", id, state.as_str(), message),
            other => {
                let word = other.map_or("none", CopyJobState::as_str);
                return Err(words::unknown_word(&format!("AWS Backup copy job {id}"), word));
            }
        }))
    }

    async fn look_at_restore(&self, vault: &VaultName, id: &str) -> Result<Option<JobView>, Failure> {
        let (_, client) = self.vault(vault)?;
        let job = match client.describe_restore_job().restore_job_id(id).send().await {
            Ok(job) => job,
            Err(error) if code(&error) == Some("ResourceNotFoundException") => return Ok(None),
            Err(error) => return Err(failure("AWS Backup DescribeRestoreJob", id, &error)),
        };
        let message = job.status_message.as_deref();
        Ok(Some(match job.status.as_ref() {
            Some(RestoreJobStatus::Pending | RestoreJobStatus::Running) => JobView::Running(Progress {
                done_bytes: 0,
                expected_bytes: bytes(job.backup_size_in_bytes),
            }),
            Some(RestoreJobStatus::Completed) => JobView::Completed(Outcome::Restore {
                files: 0,
                bytes: bytes(job.backup_size_in_bytes),
                differences: Vec::new(),
                heartbeat_at: None,
            }),
            Some(state @ (RestoreJobStatus::Aborted | RestoreJobStatus::Failed)) => {
                ended("restore", id, state.as_str(), message)
            }
            other => {
                let word = other.map_or("none", RestoreJobStatus::as_str);
                return Err(words::unknown_word(&format!("AWS Backup restore job {id}"), word));
            }
        }))
    }
}
