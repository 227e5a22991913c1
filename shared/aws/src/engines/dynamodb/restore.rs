//! Tables made from backups: an intent first, then the table, and its tags once it is usable.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{TableDescription, TableStatus, Tag};
use holdfast_core::domain::{Failure, FailureKind, JobId, Location, Outcome, Progress};
use holdfast_core::ports::{Observation, Task};

use super::super::databases;
use super::super::snapshots::Made;
use super::super::words::{self, Tags, is_of_job, tags, target_is_taken};
use super::intent::Intent;
use super::{DynamoTables, bytes, failed};
use crate::failure::{code, failure};

/// A table of ours at the target of a restore.
struct Standing {
    table: TableDescription,
    is_tagged: bool,
}

impl Standing {
    fn is_being_made(&self) -> bool {
        is_being_made(&self.table)
    }
}

fn is_being_made(table: &TableDescription) -> bool {
    table.table_status == Some(TableStatus::Creating)
}

impl DynamoTables {
    pub(super) async fn observe_restore(
        &self,
        job: &JobId,
        from: &Location,
        target: &str,
    ) -> Result<Observation, Failure> {
        let client = self.client(&from.vault)?;
        let standing = match self.standing(&client, &intent(job, from, target)).await {
            Ok(Some(standing)) => standing,
            Ok(None) => return Ok(Observation::NotStarted),
            Err(refused) if refused.kind == FailureKind::Invalid => return Ok(failed(refused)),
            Err(unanswered) => return Err(unanswered),
        };
        match &standing.table.table_status {
            Some(TableStatus::Creating | TableStatus::Updating) => Ok(Observation::Running(Progress::default())),
            // Its tags are missing.
            Some(TableStatus::Active) if !standing.is_tagged => Ok(Observation::NotStarted),
            Some(TableStatus::Active) => Ok(Observation::Completed(Outcome::Restore {
                files: 0,
                bytes: bytes(standing.table.table_size_bytes),
                differences: Vec::new(),
                heartbeat_at: None,
            })),
            Some(
                word @ (TableStatus::Deleting
                | TableStatus::Archiving
                | TableStatus::Archived
                | TableStatus::ReplicationNotAuthorized
                | TableStatus::InaccessibleEncryptionCredentials),
            ) => Ok(failed(words::invalid(format!(
                "restored table {target} is {word}: delete it and restore again"
            )))),
            other => {
                let word = other.as_ref().map_or("none", TableStatus::as_str);
                Err(words::unknown_word(&format!("table {target}"), word))
            }
        }
    }

    pub(super) async fn start_restore(&self, task: &Task, from: &Location, target: &str) -> Result<(), Failure> {
        let client = self.client(&from.vault)?;
        let intent = intent(&task.job, from, target);
        let standing = match self.standing(&client, &intent).await? {
            Some(standing) => Some(standing),
            None => {
                intent.keep(self.catalog.as_ref()).await?;
                let call = client
                    .restore_table_from_backup()
                    .backup_arn(&from.artefact)
                    .target_table_name(target);
                let made = databases::made(
                    call.send().await,
                    "TableAlreadyExistsException",
                    "DynamoDB RestoreTableFromBackup",
                    target,
                )?;
                match made {
                    Made::New => None,
                    Made::NameTaken => self.standing(&client, &intent).await?,
                }
            }
        };
        match standing {
            Some(standing) if !standing.is_tagged && !standing.is_being_made() => {
                self.tag(&client, task, from, &standing.table).await
            }
            _ => Ok(()),
        }
    }

    /// The table at the target of a restore, if there is one; one that is not ours is a failure.
    async fn standing(&self, client: &Client, intent: &Intent) -> Result<Option<Standing>, Failure> {
        let Some(table) = described(client, &intent.target).await? else {
            return Ok(None);
        };
        // A table that is being made tells no tags.
        let is_tagged = !is_being_made(&table) && is_of_job(&table_tags(client, &table).await?, &intent.job);
        let source = table.restore_summary().and_then(|summary| summary.source_backup_arn());
        let is_meant = source == Some(intent.backup_arn.as_str());
        if is_tagged || (is_meant && intent.is_kept(self.catalog.as_ref()).await?) {
            return Ok(Some(Standing { table, is_tagged }));
        }
        Err(target_is_taken(&format!("table {}", intent.target), &intent.job))
    }

    async fn tag(
        &self,
        client: &Client,
        task: &Task,
        from: &Location,
        table: &TableDescription,
    ) -> Result<(), Failure> {
        let arn = table.table_arn().unwrap_or_default();
        let mut call = client.tag_resource().resource_arn(arn);
        for (name, value) in tags(&task.job, task.attempt, &from.resource) {
            let tag = Tag::builder().key(&name).value(value).build();
            call = call
                .tags(tag.map_err(|error| Failure::caused(FailureKind::Bug, format!("tag {name}: {error}"), error))?);
        }
        let tagged = call.send().await;
        tagged
            .map(|_| ())
            .map_err(|error| failure("DynamoDB TagResource", arn, &error))
    }
}

fn intent(job: &JobId, from: &Location, target: &str) -> Intent {
    Intent {
        job: job.clone(),
        target: target.to_owned(),
        backup_arn: from.artefact.clone(),
    }
}

async fn described(client: &Client, name: &str) -> Result<Option<TableDescription>, Failure> {
    match client.describe_table().table_name(name).send().await {
        Ok(answer) => Ok(answer.table),
        Err(error) if code(&error) == Some("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(failure("DynamoDB DescribeTable", name, &error)),
    }
}

async fn table_tags(client: &Client, table: &TableDescription) -> Result<Tags, Failure> {
    let arn = table.table_arn().unwrap_or_default();
    let mut all = Tags::new();
    let mut after = None;
    loop {
        let call = client.list_tags_of_resource().resource_arn(arn).set_next_token(after);
        let page = call.send().await;
        let page = page.map_err(|error| failure("DynamoDB ListTagsOfResource", arn, &error))?;
        let tags = page.tags.unwrap_or_default().into_iter();
        all.extend(tags.map(|tag| (tag.key, tag.value)));
        after = page.next_token;
        if after.is_none() {
            return Ok(all);
        }
    }
}
