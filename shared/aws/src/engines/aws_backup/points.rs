//! Recovery points in vaults of AWS Backup: finding, judging and deleting them.

use aws_sdk_backup::operation::describe_recovery_point::DescribeRecoveryPointOutput;
use aws_sdk_backup::types::RecoveryPointStatus;
use aws_smithy_types::DateTime;
use holdfast_core::domain::{
    Failure, FailureKind, JobId, Location, Outcome, Progress, Span, UnreadEntry, VaultName, Verdict,
};
use holdfast_core::ports::Observation;
use jiff::Timestamp;

use super::super::databases::time;
use super::super::words::{self, Tags, is_of_job, is_of_resource};
use super::{AwsBackupEngine, failed};
use crate::failure::{code, failure};

/// A recovery point as the service describes it.
pub(super) type Point = DescribeRecoveryPointOutput;

/// How far back the recovery points of a resource are searched for one of a job that has no receipt. A receipt is written
/// seconds after the start, so a job without one is new, or the catalog was lost; older jobs are nobody's concern then.
const SEARCH_BACK: Span = Span::days(3);

/// Types whose recovery points do not tell their size.
const SIZELESS: [&str; 3] = ["Aurora", "DocumentDB", "Neptune"];

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
    })
}

fn size(point: &Point) -> u64 {
    u64::try_from(point.backup_size_in_bytes.unwrap_or(0)).unwrap_or(0)
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
            found.extend(
                listed
                    .recovery_point_arn
                    .map(|arn| (time(listed.creation_date.as_ref()), arn)),
            );
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

    /// Whether a point is ours: it carries our tags, or it is a copy. Copies are made without tags of their own, and nobody but
    /// Holdfast copies into the vaults of its deployment.
    async fn is_ours(&self, point: &Point, at: &Location) -> Result<bool, Failure> {
        if point.source_backup_vault_arn.is_some() {
            return Ok(true);
        }
        Ok(is_of_resource(&self.tags(&at.vault, &at.artefact).await?, &at.resource))
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
                if size(&point) == 0 && !SIZELESS.contains(&point.resource_type().unwrap_or_default()) {
                    damages.push(format!("recovery point {name} has no size"));
                }
                if !self.is_ours(&point, at).await? {
                    damages.push(format!(
                        "recovery point {name} has lost its tag {}={}",
                        words::RESOURCE,
                        at.resource
                    ));
                }
                // The original of some types is encrypted as its source is; a copy always with the key of its vault.
                let key = point.encryption_key_arn().unwrap_or("no key");
                if point.source_backup_vault_arn.is_some() && key != deployed.key {
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
        })))
    }

    pub(super) async fn observe_delete(&self, at: &Location) -> Result<Observation, Failure> {
        let Some(point) = self.find_point(&at.vault, &at.artefact).await? else {
            return Ok(Observation::Completed(Outcome::Delete));
        };
        if !self.is_ours(&point, at).await? {
            return Ok(failed(FailureKind::Invalid, not_ours(at)));
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
        if !self.is_ours(&point, at).await? {
            return Err(words::invalid(not_ours(at)));
        }
        let (vault, client) = self.vault(&at.vault)?;
        let call = client
            .delete_recovery_point()
            .backup_vault_name(&vault.backup_vault)
            .recovery_point_arn(&at.artefact);
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) if code(&error) == Some("ResourceNotFoundException") => Ok(()),
            Err(error) => Err(failure("AWS Backup DeleteRecoveryPoint", &at.artefact, &error)),
        }
    }
}

fn not_ours(at: &Location) -> String {
    format!(
        "recovery point {} does not carry the tags {} and {}={}: it is not ours, and stays as it is",
        at.artefact,
        words::JOB,
        words::RESOURCE,
        at.resource
    )
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
