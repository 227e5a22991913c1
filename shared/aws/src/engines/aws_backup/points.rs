//! Recovery points in vaults of AWS Backup: finding, judging and deleting them.

use aws_sdk_backup::operation::describe_recovery_point::DescribeRecoveryPointOutput;
use aws_sdk_backup::types::RecoveryPointStatus;
use aws_smithy_types::DateTime;
use holdfast_core::domain::{
    Failure, FailureKind, JobId, Location, Outcome, Progress, Region, Span, UnreadEntry, VaultName, Verdict,
};
use holdfast_core::ports::Observation;
use jiff::Timestamp;

use super::super::databases::time;
use super::super::words::{self, Tags, is_of_job};
use super::{AwsBackupEngine, failed};
use crate::failure::{code, failure};

/// A recovery point as the service describes it.
pub(super) type Point = DescribeRecoveryPointOutput;

/// How far back the recovery points of a resource are searched for one of a job that has no receipt. A receipt is written
/// seconds after the start, so a job without one is new, or the catalog was lost; older jobs are nobody's concern then.
const SEARCH_BACK: Span = Span::days(3);

/// Types whose recovery points always tell their size.
const SIZED: [&str; 2] = ["EBS", "EC2"];

/// Whether it is still being made.
pub(super) fn is_busy(point: &Point) -> bool {
    point.status == Some(RecoveryPointStatus::Creating)
}

/// Whether a part of the resource is missing in it.
pub(super) fn is_partial(point: &Point) -> bool {
    point.status == Some(RecoveryPointStatus::Partial)
}

/// What a backup that made this point came to. `issue` is what the service had to say about it.
pub(super) fn outcome(point: &Point, issue: Option<&str>) -> Result<Outcome, Failure> {
    let artefact = point.recovery_point_arn.clone().unwrap_or_default();
    let Some(taken_at) = time(point.creation_date()) else {
        let message = format!("recovery point {artefact} has no time");
        return Err(Failure::new(FailureKind::Integrity, message));
    };
    let issue =
        issue.or_else(|| is_partial(point).then(|| point.status_message().unwrap_or("the recovery point is PARTIAL")));
    let unread = issue.map(|issue| UnreadEntry {
        path: point.resource_arn.clone().unwrap_or_default(),
        reason: issue.to_owned(),
    });
    Ok(Outcome::Backup {
        artefact,
        taken_at,
        size_bytes: size(point),
        files: 0,
        // The service does not tell what a point adds to those before it.
        added_bytes: 0,
        unread: unread.into_iter().collect(),
        changes: None,
    })
}

fn size(point: &Point) -> u64 {
    u64::try_from(point.backup_size_in_bytes.unwrap_or(0)).unwrap_or(0)
}

/// A part of an ARN, `arn:partition:service:region:account:…`, counted from 0.
fn part(arn: &str, at: usize) -> &str {
    arn.split(':').nth(at).unwrap_or_default()
}

/// Whether a point is known to be a copy: of a resource in another Region, or from a vault that is told. That vault is told
/// only of another account.
fn is_copy(point: &Point, region: &Region) -> bool {
    let home = part(point.resource_arn().unwrap_or_default(), 3);
    point.source_backup_vault_arn.is_some() || (!home.is_empty() && home != region.as_str())
}

impl AwsBackupEngine {
    /// The recovery point of this ARN in a vault, if it is there.
    pub(super) async fn find_point(&self, vault: &VaultName, arn: &str) -> Result<Option<Point>, Failure> {
        let (deployed, client) = self.vault(vault)?;
        let call = client
            .describe_recovery_point()
            .backup_vault_name(&deployed.backup_vault)
            .recovery_point_arn(arn);
        match call.send().await {
            Ok(point) => Ok(Some(point)),
            Err(error) if code(&error) == Some("ResourceNotFoundException") => {
                // Nothing is found in a vault that does not exist either, and that must not look like a deletion.
                let vault = client.describe_backup_vault().backup_vault_name(&deployed.backup_vault);
                let vault = vault.send().await;
                vault.map_err(|error| failure("AWS Backup DescribeBackupVault", &deployed.backup_vault, &error))?;
                Ok(None)
            }
            Err(error) => Err(failure("AWS Backup DescribeRecoveryPoint", arn, &error)),
        }
    }

    /// The recovery point that carries the tag of a job, newest first. Listings do not show tags, so each is asked for its own.
    /// Only those that AWS Backup keeps itself can be asked; the others have the ARNs of their services. A job whose point is
    /// not found so is started again, with its token, which starts nothing new.
    pub(super) async fn find_by_tag(
        &self,
        vault: &VaultName,
        resource_arn: &str,
        job: &JobId,
    ) -> Result<Option<Point>, Failure> {
        let (deployed, client) = self.vault(vault)?;
        let since = SEARCH_BACK.before(self.clock.now());
        let mut pages = client
            .list_recovery_points_by_backup_vault()
            .backup_vault_name(&deployed.backup_vault)
            .by_resource_arn(resource_arn)
            .by_created_after(DateTime::from_secs(since.as_second()))
            .into_paginator()
            .items()
            .send();
        let mut found: Vec<(Option<Timestamp>, String)> = Vec::new();
        while let Some(listed) = pages.next().await {
            let listed = listed.map_err(|error| {
                failure(
                    "AWS Backup ListRecoveryPointsByBackupVault",
                    &deployed.backup_vault,
                    &error,
                )
            })?;
            let arn = listed.recovery_point_arn.filter(|arn| part(arn, 2) == "backup");
            found.extend(arn.map(|arn| (time(listed.creation_date.as_ref()), arn)));
        }
        found.sort();
        for (_, arn) in found.into_iter().rev() {
            if is_of_job(&self.tags(vault, &arn).await?, job) {
                return self.find_point(vault, &arn).await;
            }
        }
        Ok(None)
    }

    async fn tags(&self, vault: &VaultName, arn: &str) -> Result<Tags, Failure> {
        let (_, client) = self.vault(vault)?;
        let answer = client.list_tags().resource_arn(arn).send().await;
        let answer = answer.map_err(|error| failure("AWS Backup ListTags", arn, &error))?;
        Ok(answer.tags.unwrap_or_default().into_iter().collect())
    }

    /// Whether a point is ours: Holdfast's role made it, as an original or as a copy. Most types of points tell no tags.
    fn is_ours(&self, point: &Point) -> bool {
        point.iam_role_arn() == Some(self.deployment.backup_role.as_str())
    }

    fn not_ours(&self, at: &Location) -> String {
        format!(
            "recovery point {} was not made by role {}: it is not ours, and stays as it is",
            at.artefact, self.deployment.backup_role
        )
    }

    /// What level L1 finds.
    pub(super) async fn verify(&self, at: &Location) -> Result<Observation, Failure> {
        let (deployed, _) = self.vault(&at.vault)?;
        let (name, vault) = (&at.artefact, &deployed.backup_vault);
        let mut damages = Vec::new();
        match self.find_point(&at.vault, name).await? {
            None => damages.push(format!(
                "recovery point {name} does not exist any more in vault {vault}"
            )),
            Some(point) if is_busy(&point) => return Ok(Observation::Running(Progress::default())),
            Some(point) => {
                if let Some(problem) = status_problem(&point, name)? {
                    damages.push(problem);
                }
                if size(&point) == 0 && SIZED.contains(&point.resource_type().unwrap_or_default()) {
                    damages.push(format!("recovery point {name} has no size"));
                }
                if !self.is_ours(&point) {
                    damages.push(self.not_ours(at));
                }
                // The original of some types is encrypted as its source is, or not; a copy that is, with the key of its vault.
                let key = point.encryption_key_arn().unwrap_or("no key");
                if point.is_encrypted && is_copy(&point, &deployed.region) && key != deployed.key {
                    damages.push(format!(
                        "recovery point {name} is encrypted with {key}, not with {}",
                        deployed.key
                    ));
                }
            }
        }
        Ok(Observation::Completed(Outcome::Verify(Verdict {
            damages,
            affected: Vec::new(),
            // Nothing is read: the level says so.
            bytes: 0,
            trial: None,
        })))
    }

    pub(super) async fn observe_delete(&self, at: &Location) -> Result<Observation, Failure> {
        let Some(point) = self.find_point(&at.vault, &at.artefact).await? else {
            return Ok(Observation::Completed(Outcome::Delete));
        };
        if !self.is_ours(&point) {
            return Ok(failed(FailureKind::Invalid, self.not_ours(at)));
        }
        Ok(match point.status {
            Some(RecoveryPointStatus::Deleting) => Observation::Running(Progress::default()),
            _ => Observation::NotStarted,
        })
    }

    pub(super) async fn start_delete(&self, at: &Location) -> Result<(), Failure> {
        let Some(point) = self.find_point(&at.vault, &at.artefact).await? else {
            return Ok(());
        };
        if !self.is_ours(&point) {
            return Err(words::invalid(self.not_ours(at)));
        }
        let (vault, client) = self.vault(&at.vault)?;
        let call = client
            .delete_recovery_point()
            .backup_vault_name(&vault.backup_vault)
            .recovery_point_arn(&at.artefact);
        match call.send().await {
            // An earlier deletion was accepted and did not happen. This one may, when the right was given meanwhile.
            Ok(_) if point.status == Some(RecoveryPointStatus::Expired) => Err(self.undeleted(&point, at)),
            Ok(_) => Ok(()),
            Err(error) if code(&error) == Some("ResourceNotFoundException") => Ok(()),
            Err(error) => Err(failure("AWS Backup DeleteRecoveryPoint", &at.artefact, &error)),
        }
    }

    /// A point that was to be deleted and is EXPIRED instead: AWS Backup accepts a deletion and lets it be where a right is
    /// missing.
    fn undeleted(&self, point: &Point, at: &Location) -> Failure {
        let message = format!(
            "recovery point {} is EXPIRED, not deleted ({}): role {} must exist with the right to delete such backups, and \
             whoever deletes needs iam:CreateServiceLinkedRole for backup.amazonaws.com",
            at.artefact,
            point.status_message().unwrap_or("AWS Backup does not say why"),
            self.deployment.backup_role
        );
        Failure::new(FailureKind::Transient, message)
    }
}

/// What is wrong with the status of a point that is not being made. The list is closed.
pub(super) fn status_problem(point: &Point, name: &str) -> Result<Option<String>, Failure> {
    use RecoveryPointStatus::{Available, Completed, Deleting, Expired, Partial, Stopped};
    match &point.status {
        Some(Available | Completed) => Ok(None),
        Some(status @ (Deleting | Expired | Partial | Stopped)) => {
            Ok(Some(format!("recovery point {name} is {status}, not completed")))
        }
        other => {
            let word = other.as_ref().map_or("none", RecoveryPointStatus::as_str);
            Err(words::unknown_word(&format!("recovery point {name}"), word))
        }
    }
}
