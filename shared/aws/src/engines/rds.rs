//! RDS instances: their manual snapshots, copies of these in other Regions, and instances made from them.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_rds::Client;
use aws_sdk_rds::types::{DbInstance, DbSnapshot, RestoreWindow};
use holdfast_core::domain::{Failure, FailureKind, Region};

use super::databases::{self, Surroundings};
use super::snapshots::{Made, Restorable, Restored, Snapshot, SnapshotService, SnapshotState};
use super::words::Tags;
use crate::clients::Clients;
use crate::failure::{code, failure};

/// Snapshots of RDS instances.
pub(super) struct RdsSnapshots {
    pub clients: Arc<Clients>,
}

impl RdsSnapshots {
    fn client(&self, region: &Region) -> Client {
        self.clients.of(region).rds()
    }
}

#[async_trait]
impl SnapshotService for RdsSnapshots {
    fn noun(&self) -> &'static str {
        "RDS snapshot"
    }

    fn tells_size(&self) -> bool {
        true
    }

    fn encrypts_copies(&self) -> bool {
        true
    }

    fn delete_command(&self, region: &Region, name: &str) -> String {
        format!("aws rds delete-db-snapshot --region {region} --db-snapshot-identifier {name}")
    }

    async fn find(&self, region: &Region, name: &str) -> Result<Option<Snapshot>, Failure> {
        let call = self.client(region).describe_db_snapshots().db_snapshot_identifier(name);
        match call.send().await {
            Ok(answer) => answer.db_snapshots().first().map(|found| read(name, found)).transpose(),
            Err(error) if code(&error) == Some("DBSnapshotNotFound") => Ok(None),
            Err(error) => Err(failure("RDS DescribeDBSnapshots", name, &error)),
        }
    }

    async fn restore_tags(&self, region: &Region, source: &str) -> Result<Tags, Failure> {
        let instance = instance(&self.client(region), source).await?;
        let instance = instance.ok_or_else(|| missing(source, region))?;
        let parameter_group = instance.db_parameter_groups().first();
        let surroundings = Surroundings {
            subnet_group: instance
                .db_subnet_group()
                .and_then(|group| group.db_subnet_group_name.clone()),
            parameter_group: parameter_group.and_then(|group| group.db_parameter_group_name.clone()),
            security_groups: databases::group_ids(instance.vpc_security_groups()),
            class: instance.db_instance_class.clone(),
            capacity: None,
        };
        Ok(surroundings.tags(region))
    }

    async fn restorable(&self, region: &Region, source: &str) -> Result<Restorable, Failure> {
        let call = self
            .client(region)
            .describe_db_instance_automated_backups()
            .db_instance_identifier(source);
        let backups = match call.send().await {
            Ok(answer) => answer.db_instance_automated_backups().to_vec(),
            Err(error) if code(&error) == Some("DBInstanceNotFound") => return Err(missing(source, region)),
            Err(error) if code(&error) == Some("DBInstanceAutomatedBackupNotFound") => Vec::new(),
            Err(error) => return Err(failure("RDS DescribeDBInstanceAutomatedBackups", source, &error)),
        };
        // Those that are retained are of instances of this name that were deleted.
        let Some(backup) = backups.iter().find(|backup| backup.status() != Some("retained")) else {
            return Ok(Restorable::Never);
        };
        let window = backup.restore_window();
        Ok(databases::restorable(
            window.and_then(RestoreWindow::earliest_time),
            window.and_then(RestoreWindow::latest_time),
        ))
    }

    async fn manual_snapshots(&self, region: &Region) -> Result<(u64, u64), Failure> {
        account_quota(&self.client(region), region, "ManualSnapshots").await
    }

    async fn create(&self, region: &Region, name: &str, source: &str, tags: &Tags) -> Result<Made, Failure> {
        let call = self
            .client(region)
            .create_db_snapshot()
            .db_snapshot_identifier(name)
            .db_instance_identifier(source)
            .set_tags(Some(databases::to_sdk(tags)));
        databases::made(
            call.send().await,
            "DBSnapshotAlreadyExists",
            "RDS CreateDBSnapshot",
            source,
        )
    }

    async fn copy(
        &self,
        region: &Region,
        name: &str,
        source: &Snapshot,
        key: &str,
        tags: &Tags,
    ) -> Result<Made, Failure> {
        let call = self
            .client(region)
            .copy_db_snapshot()
            .source_db_snapshot_identifier(&source.arn)
            .target_db_snapshot_identifier(name)
            .kms_key_id(key)
            .set_tags(Some(databases::to_sdk(tags)));
        databases::made(
            call.send().await,
            "DBSnapshotAlreadyExists",
            "RDS CopyDBSnapshot",
            &source.arn,
        )
    }

    async fn delete(&self, region: &Region, name: &str) -> Result<(), Failure> {
        let call = self.client(region).delete_db_snapshot().db_snapshot_identifier(name);
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) if code(&error) == Some("DBSnapshotNotFound") => Ok(()),
            Err(error) => Err(failure("RDS DeleteDBSnapshot", name, &error)),
        }
    }

    async fn restored(&self, region: &Region, target: &str) -> Result<Option<Restored>, Failure> {
        let Some(instance) = instance(&self.client(region), target).await? else {
            return Ok(None);
        };
        let word = instance.db_instance_status.clone().unwrap_or_default();
        Ok(Some(Restored {
            state: databases::state(&format!("RDS instance {target}"), &word)?,
            word,
            tags: databases::from_sdk(instance.tag_list()),
        }))
    }

    async fn restore(&self, region: &Region, target: &str, from: &Snapshot, tags: &Tags) -> Result<Made, Failure> {
        let surroundings = Surroundings::read(&from.tags, region);
        let groups = Some(surroundings.security_groups).filter(|groups| !groups.is_empty());
        let call = self
            .client(region)
            .restore_db_instance_from_db_snapshot()
            .db_instance_identifier(target)
            .db_snapshot_identifier(&from.name)
            .set_db_instance_class(surroundings.class)
            .set_db_subnet_group_name(surroundings.subnet_group)
            .set_db_parameter_group_name(surroundings.parameter_group)
            .set_vpc_security_group_ids(groups)
            .publicly_accessible(false)
            .set_tags(Some(databases::to_sdk(tags)));
        databases::made(
            call.send().await,
            "DBInstanceAlreadyExists",
            "RDS RestoreDBInstanceFromDBSnapshot",
            target,
        )
    }

    async fn finish_restore(&self, _: &Region, _: &str, _: &Snapshot, _: &Tags) -> Result<(), Failure> {
        // One call makes a whole instance.
        Ok(())
    }
}

fn missing(source: &str, region: &Region) -> Failure {
    databases::missing("RDS", "instance", source, region)
}

/// The instance of this name, if there is one.
pub(crate) async fn instance(client: &Client, name: &str) -> Result<Option<DbInstance>, Failure> {
    match client.describe_db_instances().db_instance_identifier(name).send().await {
        Ok(answer) => Ok(answer.db_instances().first().cloned()),
        Err(error) if code(&error) == Some("DBInstanceNotFound") => Ok(None),
        Err(error) => Err(failure("RDS DescribeDBInstances", name, &error)),
    }
}

/// How much of a quota of the account is used, and how much there is.
pub(super) async fn account_quota(client: &Client, region: &Region, name: &str) -> Result<(u64, u64), Failure> {
    let answer = client.describe_account_attributes().send().await;
    let answer = answer.map_err(|error| failure("RDS DescribeAccountAttributes", region, &error))?;
    let quotas = answer.account_quotas();
    let quota = quotas
        .iter()
        .find(|quota| quota.account_quota_name.as_deref() == Some(name));
    let figures = quota.and_then(|quota| {
        let (used, most) = (quota.used?, quota.max?);
        Some((u64::try_from(used).ok()?, u64::try_from(most).ok()?))
    });
    figures.ok_or_else(|| {
        let message = format!("RDS DescribeAccountAttributes in {region} does not tell the quota {name}");
        Failure::new(FailureKind::Invalid, message)
    })
}

fn read(name: &str, found: &DbSnapshot) -> Result<Snapshot, Failure> {
    Ok(Snapshot {
        name: name.to_owned(),
        arn: found.db_snapshot_arn.clone().unwrap_or_default(),
        state: SnapshotState::read(&format!("RDS snapshot {name}"), found.status().unwrap_or_default())?,
        percent: databases::percent(found.percent_progress),
        size_bytes: databases::gibibytes(found.allocated_storage),
        taken_at: databases::time(found.snapshot_create_time()),
        key: found.kms_key_id.clone(),
        engine: found.engine.clone().unwrap_or_default(),
        engine_version: found.engine_version.clone(),
        tags: databases::from_sdk(found.tag_list()),
    })
}
