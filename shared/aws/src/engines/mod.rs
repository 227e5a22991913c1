//! Engines of resources that a service of AWS keeps: RDS instances, Aurora clusters, DynamoDB tables, and whatever AWS Backup
//! protects. The service does the work; an engine starts it under a name or token that follows from the job, and looks.

mod admission;
mod aurora;
mod aws_backup;
mod databases;
mod dynamodb;
mod rds;
mod snapshots;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_core::config::deployment::Deployment;
use holdfast_core::domain::ResourceKind;
use holdfast_core::ports::{Catalog, Clock, Engine};

use self::admission::{Admitted, BACKUP_COPIES, RDS_COPIES};
use self::aurora::AuroraSnapshots;
use self::aws_backup::AwsBackupEngine;
use self::dynamodb::DynamoTables;
use self::rds::RdsSnapshots;
use self::snapshots::SnapshotEngine;
use crate::clients::Clients;

pub(crate) use self::databases::state as database_state;
pub(crate) use self::rds::instance as rds_instance;
pub(crate) use self::snapshots::RestoredState as DatabaseState;

/// The engines of managed resources, by kind. The catalog holds the places of copies, the ids that AWS Backup gave to jobs,
/// and the tables that restores are about to make; the clock says when such a place is free again.
pub fn managed(
    clients: &Arc<Clients>,
    deployment: &Deployment,
    catalog: &Arc<dyn Catalog>,
    clock: &Arc<dyn Clock>,
) -> BTreeMap<ResourceKind, Arc<dyn Engine>> {
    let deployment = Arc::new(deployment.clone());
    let admitted = |engine: Arc<dyn Engine>, copies| -> Arc<dyn Engine> {
        Arc::new(Admitted {
            engine,
            copies,
            deployment: Arc::clone(&deployment),
            catalog: Arc::clone(catalog),
            clock: Arc::clone(clock),
        })
    };
    let rds = SnapshotEngine {
        service: RdsSnapshots {
            clients: Arc::clone(clients),
        },
        deployment: Arc::clone(&deployment),
    };
    let aurora = SnapshotEngine {
        service: AuroraSnapshots {
            clients: Arc::clone(clients),
        },
        deployment: Arc::clone(&deployment),
    };
    let aws_backup = AwsBackupEngine {
        clients: Arc::clone(clients),
        deployment: Arc::clone(&deployment),
        catalog: Arc::clone(catalog),
        clock: Arc::clone(clock),
    };
    let dynamodb = DynamoTables {
        clients: Arc::clone(clients),
        deployment: Arc::clone(&deployment),
        catalog: Arc::clone(catalog),
    };
    // Whether copies of cluster snapshots have places of their own, AWS does not say; counted together, none is refused.
    BTreeMap::from([
        (ResourceKind::Rds, admitted(Arc::new(rds), Some(("rds", RDS_COPIES)))),
        (
            ResourceKind::Aurora,
            admitted(Arc::new(aurora), Some(("rds", RDS_COPIES))),
        ),
        (
            ResourceKind::AwsBackup,
            admitted(Arc::new(aws_backup), Some(("aws-backup", BACKUP_COPIES))),
        ),
        (ResourceKind::Dynamodb, admitted(Arc::new(dynamodb), None)),
    ])
}
