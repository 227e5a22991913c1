//! DynamoDB tables: on-demand backups, and tables made from them. Such a backup carries no tags and its name need not be
//! unique, so its name says whose it is, and the oldest of one name counts. It stays in its Region: a table that must be
//! copied is protected through AWS Backup.

mod intent;
mod restore;

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{BackupDetails, BackupStatus, BackupSummary, BackupTypeFilter};
use aws_smithy_types::DateTime;
use holdfast_core::config::deployment::Deployment;
use holdfast_core::domain::{Failure, FailureKind, Level, Location, Order, Outcome, Progress, VaultName, Verdict};
use holdfast_core::ports::{Catalog, Engine, Observation, Task};

use super::databases::time;
use super::words::{self, artefact, check_restore};
use crate::clients::Clients;
use crate::failure::{code, failure};

/// The engine of DynamoDB tables.
pub(super) struct DynamoTables {
    pub clients: Arc<Clients>,
    pub deployment: Arc<Deployment>,
    pub catalog: Arc<dyn Catalog>,
}

fn failed(refused: Failure) -> Observation {
    Observation::Failed {
        kind: refused.kind,
        message: refused.message,
    }
}

fn bytes(count: Option<i64>) -> u64 {
    u64::try_from(count.unwrap_or(0)).unwrap_or(0)
}

/// Why an order is never carried out, if so.
fn objection(order: &Order) -> Option<Failure> {
    match order {
        Order::Copy { .. } | Order::Repair { .. } => Some(words::invalid(
            "on-demand backups of DynamoDB stay in their Region: protect the table as a resource of kind aws_backup to have copies",
        )),
        Order::CopyLog { .. } => Some(words::invalid(words::NO_LOG)),
        Order::Verify { level, .. } if *level > Level::L1 => Some(words::invalid(format!(
            "a backup of a table can be proven to level L1 only by looking at it; level {level:?} needs a restore test"
        ))),
        Order::Restore {
            target,
            include,
            overwrite,
            ..
        } => check_restore(target, include, *overwrite).err(),
        Order::Clean { target, .. } => Some(words::invalid(format!(
            "\"{target}\": DynamoDB has no drill folder to clean"
        ))),
        _ => None,
    }
}

impl DynamoTables {
    fn client(&self, vault: &VaultName) -> Result<Client, Failure> {
        Ok(self.clients.of(&self.deployment.vault(vault)?.region).dynamodb())
    }

    /// The backups of a table under one name, the oldest first.
    async fn named(&self, client: &Client, table: &str, name: &str) -> Result<Vec<BackupSummary>, Failure> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let call = client
                .list_backups()
                .table_name(table)
                .backup_type(BackupTypeFilter::User)
                .set_exclusive_start_backup_arn(after);
            let page = call.send().await;
            let page = page.map_err(|error| failure("DynamoDB ListBackups", table, &error))?;
            let summaries = page.backup_summaries.unwrap_or_default();
            found.extend(summaries.into_iter().filter(|summary| {
                summary.backup_name() == Some(name) && summary.backup_status != Some(BackupStatus::Deleted)
            }));
            after = page.last_evaluated_backup_arn;
            if after.is_none() {
                break;
            }
        }
        let age = |summary: &BackupSummary| {
            let made = summary.backup_creation_date_time;
            (made.map(|made: DateTime| made.as_nanos()), summary.backup_arn.clone())
        };
        found.sort_by_key(age);
        Ok(found)
    }

    async fn observe_backup(&self, task: &Task, table: &str, vault: &VaultName) -> Result<Observation, Failure> {
        let client = self.client(vault)?;
        let name = artefact(&task.job, 0);
        let Some(found) = self.named(&client, table, &name).await?.into_iter().next() else {
            return Ok(Observation::NotStarted);
        };
        match &found.backup_status {
            Some(BackupStatus::Creating) => Ok(Observation::Running(Progress::default())),
            Some(BackupStatus::Available) => {
                let Some(taken_at) = time(found.backup_creation_date_time()) else {
                    let message = format!("backup {name} of table {table} has no time");
                    return Err(Failure::new(FailureKind::Integrity, message));
                };
                Ok(Observation::Completed(Outcome::Backup {
                    artefact: found.backup_arn.clone().unwrap_or_default(),
                    taken_at,
                    size_bytes: bytes(found.backup_size_bytes),
                    files: 0,
                    // Each backup is a whole one.
                    added_bytes: bytes(found.backup_size_bytes),
                    unread: Vec::new(),
                    changes: None,
                }))
            }
            other => {
                let word = other.as_ref().map_or("none", BackupStatus::as_str);
                Err(words::unknown_word(&format!("backup {name} of table {table}"), word))
            }
        }
    }

    async fn start_backup(&self, task: &Task, table: &str, vault: &VaultName) -> Result<(), Failure> {
        let client = self.client(vault)?;
        let name = artefact(&task.job, 0);
        // Two executions at the same moment may both find nothing. Then two backups stand: the older one counts, and the
        // deletion of the point takes both.
        if !self.named(&client, table, &name).await?.is_empty() {
            return Ok(());
        }
        let made = client.create_backup().table_name(table).backup_name(&name).send().await;
        made.map(|_| ()).map_err(|error| match code(&error) {
            Some("TableNotFoundException") => {
                let message = format!(
                    "there is no DynamoDB table \"{table}\" in the Region of vault {vault}: correct the resource's name, or back \
                     it up to a vault of the table's own Region"
                );
                Failure::new(FailureKind::NotFound, message)
            }
            // So many backups are being made at once.
            Some("LimitExceededException") => {
                Failure::new(FailureKind::Deferred, failure("DynamoDB CreateBackup", table, &error).message)
            }
            _ => failure("DynamoDB CreateBackup", table, &error),
        })
    }

    async fn describe(&self, client: &Client, arn: &str) -> Result<Option<(BackupDetails, String)>, Failure> {
        match client.describe_backup().backup_arn(arn).send().await {
            Ok(answer) => {
                let described = answer.backup_description;
                let table = described.as_ref().and_then(|all| all.source_table_details.as_ref());
                let table = table.map(|table| table.table_name.clone()).unwrap_or_default();
                Ok(described
                    .and_then(|all| all.backup_details)
                    .map(|details| (details, table)))
            }
            Err(error) if code(&error) == Some("BackupNotFoundException") => Ok(None),
            Err(error) => Err(failure("DynamoDB DescribeBackup", arn, &error)),
        }
    }

    async fn verify(&self, at: &Location) -> Result<Observation, Failure> {
        let arn = &at.artefact;
        let mut damages = Vec::new();
        // A table may be empty, so no size is too small; DynamoDB encrypts every backup.
        match self.describe(&self.client(&at.vault)?, arn).await? {
            None => damages.push(format!("backup {arn} does not exist any more")),
            Some((details, _)) => match &details.backup_status {
                BackupStatus::Creating => return Ok(Observation::Running(Progress::default())),
                BackupStatus::Available if words::is_artefact(&details.backup_name) => {}
                BackupStatus::Available => {
                    damages.push(format!("backup {arn} is named {}: it is not ours", details.backup_name));
                }
                BackupStatus::Deleted => damages.push(format!("backup {arn} is deleted")),
                other => return Err(words::unknown_word(&format!("backup {arn}"), other.as_str())),
            },
        }
        Ok(Observation::Completed(Outcome::Verify(Verdict {
            damages,
            affected: Vec::new(),
            // Nothing is read: the level says so.
            bytes: 0,
            trial: None,
        })))
    }

    /// The backups that go with a point: all of its name, should there be two.
    async fn doomed(&self, client: &Client, at: &Location) -> Result<Vec<String>, Failure> {
        let Some((details, table)) = self.describe(client, &at.artefact).await? else {
            return Ok(Vec::new());
        };
        if details.backup_status == BackupStatus::Deleted {
            return Ok(Vec::new());
        }
        if !words::is_artefact(&details.backup_name) {
            let message = format!(
                "backup {} is named {}: it is not ours, and stays",
                at.artefact, details.backup_name
            );
            return Err(words::invalid(message));
        }
        let named = self.named(client, &table, &details.backup_name).await?;
        let others = named.into_iter().filter_map(|summary| summary.backup_arn);
        // The point's own goes last, so that a repetition finds its twins.
        let mut all: Vec<String> = others.filter(|arn| arn != &at.artefact).collect();
        all.push(at.artefact.clone());
        Ok(all)
    }

    async fn observe_delete(&self, at: &Location) -> Result<Observation, Failure> {
        match self.doomed(&self.client(&at.vault)?, at).await {
            Ok(doomed) if doomed.is_empty() => Ok(Observation::Completed(Outcome::Delete)),
            Ok(_) => Ok(Observation::NotStarted),
            Err(refused) if refused.kind == FailureKind::Invalid => Ok(failed(refused)),
            Err(unanswered) => Err(unanswered),
        }
    }

    async fn start_delete(&self, at: &Location) -> Result<(), Failure> {
        let client = self.client(&at.vault)?;
        for arn in self.doomed(&client, at).await? {
            match client.delete_backup().backup_arn(&arn).send().await {
                Ok(_) => {}
                Err(error) if code(&error) == Some("BackupNotFoundException") => {}
                Err(error) => return Err(failure("DynamoDB DeleteBackup", arn, &error)),
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Engine for DynamoTables {
    async fn start(&self, task: &Task) -> Result<(), Failure> {
        if let Some(refused) = objection(&task.order) {
            return Err(refused);
        }
        match &task.order {
            Order::Backup { path, vault, .. } => self.start_backup(task, path, vault).await,
            Order::Restore { from, target, .. } => self.start_restore(task, from, target).await,
            Order::Delete { at, .. } => self.start_delete(at).await,
            // A look is all that the others take, or they were refused.
            Order::Verify { .. }
            | Order::Copy { .. }
            | Order::CopyLog { .. }
            | Order::Repair { .. }
            | Order::Reclaim { .. }
            | Order::Clean { .. } => Ok(()),
        }
    }

    async fn observe(&self, task: &Task) -> Result<Observation, Failure> {
        if let Some(refused) = objection(&task.order) {
            return Ok(failed(refused));
        }
        match &task.order {
            Order::Backup { path, vault, .. } => self.observe_backup(task, path, vault).await,
            Order::Verify { at, .. } => self.verify(at).await,
            Order::Restore { from, target, .. } => self.observe_restore(&task.job, from, target).await,
            Order::Delete { at, .. } => self.observe_delete(at).await,
            // The service reclaims what its backups leave behind.
            Order::Reclaim { .. } => Ok(Observation::Completed(Outcome::Reclaim {
                condemned: 0,
                deleted: 0,
                freed_bytes: 0,
            })),
            Order::Copy { .. } | Order::CopyLog { .. } | Order::Repair { .. } | Order::Clean { .. } => {
                Ok(Observation::NotStarted)
            }
        }
    }
}
