//! Aurora clusters: their manual snapshots, copies of these in other Regions, and clusters made from them. A restored cluster
//! gets one instance, of the class that the source had: without one nobody could use it.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_rds::Client;
use aws_sdk_rds::types::{DbCluster, DbClusterSnapshot, ServerlessV2ScalingConfiguration};
use holdfast_core::domain::{Failure, Region};

use super::databases::{self, CLASS, Surroundings};
use super::rds::{account_quota, instance};
use super::snapshots::{Made, Restorable, Restored, RestoredState, Snapshot, SnapshotService, SnapshotState};
use super::words::{self, Tags};
use crate::clients::Clients;
use crate::failure::{code, failure};

/// Snapshots of Aurora clusters.
pub(super) struct AuroraSnapshots {
    pub clients: Arc<Clients>,
}

impl AuroraSnapshots {
    fn client(&self, region: &Region) -> Client {
        self.clients.of(region).rds()
    }

    /// The class of the cluster's writer, or of any instance.
    async fn class(&self, region: &Region, cluster: &DbCluster) -> Result<Option<String>, Failure> {
        let members = cluster.db_cluster_members();
        let writer = members.iter().find(|member| member.is_cluster_writer == Some(true));
        let Some(name) = writer
            .or(members.first())
            .and_then(|member| member.db_instance_identifier())
        else {
            return Ok(None);
        };
        let found = instance(&self.client(region), name).await?;
        Ok(found.and_then(|instance| instance.db_instance_class))
    }
}

/// The name of the instance of a restored cluster.
fn first_instance(cluster: &str) -> String {
    format!("{cluster}-1")
}

#[async_trait]
impl SnapshotService for AuroraSnapshots {
    fn noun(&self) -> &'static str {
        "Aurora cluster snapshot"
    }

    fn tells_size(&self) -> bool {
        false
    }

    fn encrypts_copies(&self) -> bool {
        false
    }

    fn delete_command(&self, region: &Region, name: &str) -> String {
        format!("aws rds delete-db-cluster-snapshot --region {region} --db-cluster-snapshot-identifier {name}")
    }

    async fn find(&self, region: &Region, name: &str) -> Result<Option<Snapshot>, Failure> {
        let call = self
            .client(region)
            .describe_db_cluster_snapshots()
            .db_cluster_snapshot_identifier(name);
        match call.send().await {
            Ok(answer) => answer
                .db_cluster_snapshots()
                .first()
                .map(|found| read(name, found))
                .transpose(),
            Err(error) if code(&error) == Some("DBClusterSnapshotNotFoundFault") => Ok(None),
            Err(error) => Err(failure("RDS DescribeDBClusterSnapshots", name, &error)),
        }
    }

    async fn restore_tags(&self, region: &Region, source: &str) -> Result<Tags, Failure> {
        let cluster = cluster(&self.client(region), source).await?;
        let cluster = cluster.ok_or_else(|| missing(source, region))?;
        let scaling = cluster.serverless_v2_scaling_configuration();
        let surroundings = Surroundings {
            subnet_group: cluster.db_subnet_group.clone(),
            parameter_group: cluster.db_cluster_parameter_group.clone(),
            security_groups: databases::group_ids(cluster.vpc_security_groups()),
            class: self.class(region, &cluster).await?,
            capacity: scaling.and_then(|scaling| Some((scaling.min_capacity?, scaling.max_capacity?))),
        };
        Ok(surroundings.tags(region))
    }

    async fn restorable(&self, region: &Region, source: &str) -> Result<Restorable, Failure> {
        let cluster = cluster(&self.client(region), source).await?;
        let cluster = cluster.ok_or_else(|| missing(source, region))?;
        // A cluster always keeps automated backups.
        Ok(databases::restorable(
            cluster.earliest_restorable_time(),
            cluster.latest_restorable_time(),
        ))
    }

    async fn manual_snapshots(&self, region: &Region) -> Result<(u64, u64), Failure> {
        account_quota(&self.client(region), region, "ManualClusterSnapshots").await
    }

    async fn create(&self, region: &Region, name: &str, source: &str, tags: &Tags) -> Result<Made, Failure> {
        let call = self
            .client(region)
            .create_db_cluster_snapshot()
            .db_cluster_snapshot_identifier(name)
            .db_cluster_identifier(source)
            .set_tags(Some(databases::to_sdk(tags)));
        databases::made(
            call.send().await,
            "DBClusterSnapshotAlreadyExistsFault",
            "RDS CreateDBClusterSnapshot",
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
            .copy_db_cluster_snapshot()
            .source_db_cluster_snapshot_identifier(&source.arn)
            .target_db_cluster_snapshot_identifier(name)
            .set_kms_key_id(source.key.as_ref().map(|_| key.to_owned()))
            .set_tags(Some(databases::to_sdk(tags)));
        databases::made(
            call.send().await,
            "DBClusterSnapshotAlreadyExistsFault",
            "RDS CopyDBClusterSnapshot",
            &source.arn,
        )
    }

    async fn delete(&self, region: &Region, name: &str) -> Result<(), Failure> {
        let call = self
            .client(region)
            .delete_db_cluster_snapshot()
            .db_cluster_snapshot_identifier(name);
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) if code(&error) == Some("DBClusterSnapshotNotFoundFault") => Ok(()),
            Err(error) => Err(failure("RDS DeleteDBClusterSnapshot", name, &error)),
        }
    }

    async fn restored(&self, region: &Region, target: &str) -> Result<Option<Restored>, Failure> {
        let client = self.client(region);
        let Some(cluster) = cluster(&client, target).await? else {
            return Ok(None);
        };
        let tags = databases::from_sdk(cluster.tag_list());
        let mut word = cluster.status.clone().unwrap_or_default();
        let mut state = databases::state(&format!("Aurora cluster {target}"), &word)?;
        // A source without instances gives a cluster without instances.
        if state == RestoredState::Available && tags.contains_key(CLASS) {
            let first = first_instance(target);
            match instance(&client, &first).await? {
                Some(instance) => {
                    word = instance.db_instance_status.unwrap_or_default();
                    state = databases::state(&format!("Aurora instance {first}"), &word)?;
                }
                None => state = RestoredState::Unfinished,
            }
        }
        Ok(Some(Restored { state, word, tags }))
    }

    async fn restore(&self, region: &Region, target: &str, from: &Snapshot, tags: &Tags) -> Result<Made, Failure> {
        let surroundings = Surroundings::read(&from.tags, region);
        let groups = Some(surroundings.security_groups).filter(|groups| !groups.is_empty());
        let scaling = surroundings.capacity.map(|(least, most)| {
            ServerlessV2ScalingConfiguration::builder()
                .min_capacity(least)
                .max_capacity(most)
                .build()
        });
        let mut tags = tags.clone();
        tags.extend(surroundings.class.map(|class| (CLASS.to_owned(), class)));
        let call = self
            .client(region)
            .restore_db_cluster_from_snapshot()
            .db_cluster_identifier(target)
            .snapshot_identifier(&from.name)
            .engine(&from.engine)
            .set_engine_version(from.engine_version.clone())
            .set_db_subnet_group_name(surroundings.subnet_group)
            .set_db_cluster_parameter_group_name(surroundings.parameter_group)
            .set_vpc_security_group_ids(groups)
            .set_serverless_v2_scaling_configuration(scaling)
            .set_tags(Some(databases::to_sdk(&tags)));
        databases::made(
            call.send().await,
            "DBClusterAlreadyExistsFault",
            "RDS RestoreDBClusterFromSnapshot",
            target,
        )
    }

    async fn finish_restore(&self, region: &Region, target: &str, from: &Snapshot, tags: &Tags) -> Result<(), Failure> {
        let name = first_instance(target);
        let call = self
            .client(region)
            .create_db_instance()
            .db_instance_identifier(&name)
            .db_cluster_identifier(target)
            .set_db_instance_class(from.tags.get(CLASS).cloned())
            .engine(&from.engine)
            .publicly_accessible(false)
            .set_tags(Some(databases::to_sdk(tags)));
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) if code(&error) == Some("DBInstanceAlreadyExists") => {
                let standing = instance(&self.client(region), &name).await?;
                let is_ours = standing.is_some_and(|standing| standing.db_cluster_identifier() == Some(target));
                match is_ours {
                    true => Ok(()),
                    false => Err(words::invalid(format!(
                        "the restored cluster {target} needs an instance {name}, and another one has that name in {region}"
                    ))),
                }
            }
            Err(error) => Err(failure("RDS CreateDBInstance", name, &error)),
        }
    }
}

fn missing(source: &str, region: &Region) -> Failure {
    databases::missing("Aurora", "cluster", source, region)
}

async fn cluster(client: &Client, name: &str) -> Result<Option<DbCluster>, Failure> {
    match client.describe_db_clusters().db_cluster_identifier(name).send().await {
        Ok(answer) => Ok(answer.db_clusters().first().cloned()),
        Err(error) if code(&error) == Some("DBClusterNotFoundFault") => Ok(None),
        Err(error) => Err(failure("RDS DescribeDBClusters", name, &error)),
    }
}

fn read(name: &str, found: &DbClusterSnapshot) -> Result<Snapshot, Failure> {
    let on = format!("Aurora cluster snapshot {name}");
    Ok(Snapshot {
        name: name.to_owned(),
        arn: found.db_cluster_snapshot_arn.clone().unwrap_or_default(),
        state: SnapshotState::read(&on, found.status().unwrap_or_default())?,
        percent: databases::percent(found.percent_progress),
        size_bytes: databases::gibibytes(found.allocated_storage),
        taken_at: databases::time(found.snapshot_create_time()),
        key: found.kms_key_id.clone(),
        engine: found.engine.clone().unwrap_or_default(),
        engine_version: found.engine_version.clone(),
        tags: databases::from_sdk(found.tag_list()),
    })
}
