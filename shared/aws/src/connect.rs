//! Everything a function may touch, on AWS.

use std::sync::Arc;

use holdfast_core::config::deployment::Deployment;
use holdfast_core::domain::{Failure, ResourceKind, Span};
use holdfast_core::ports::{Catalog, Clock, Ids, Keys, Workers};
use holdfast_core::workflow::engines::EnginesByKind;
use holdfast_core::workflow::{Settings, World};
use holdfast_failover::probes::NetworkProbes;
use jiff::SignedDuration;

use crate::actuators::AwsActuators;
use crate::bus::EventBridgeBus;
use crate::catalog::DynamoCatalog;
use crate::clients::Clients;
use crate::content;
use crate::engines::managed;
use crate::evidence::{EvidenceRegion, S3Evidence};
use crate::keys::KmsKeys;
use crate::pager::SnsPager;
use crate::system::{SystemClock, SystemIds, now};

/// How long to let an engine work before looking again: shorter than what an invocation waits idle to record what ended.
const POLL: SignedDuration = SignedDuration::from_secs(5);
/// How long a lease holds without being renewed: longer than the pause between two invocations that renew it.
const LEASE: Span = Span::minutes(30);
/// How long condemned packs wait: longer than the longest backup job.
const RECLAIM_GRACE: Span = Span::hours(48);

/// A deployment, connected.
pub struct Aws {
    /// What functions are given.
    pub world: World,
    /// What goes on in this process after a function has returned.
    pub workers: Arc<dyn Workers>,
}

/// Connects the adapters of a deployment to AWS as the environment of the process describes it.
pub async fn connect(deployment: &Deployment) -> Result<Aws, Failure> {
    let clients = Clients::from_environment(deployment.region.clone()).await?;
    connect_by(Arc::new(clients), deployment).await
}

/// Connects the adapters of a deployment by these clients. Each is made when it is first used, so that a function pays only
/// for the services that it calls; nothing is called yet.
pub async fn connect_by(clients: Arc<Clients>, deployment: &Deployment) -> Result<Aws, Failure> {
    let home = clients.home();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let catalog: Arc<dyn Catalog> = Arc::new(DynamoCatalog::new(home.dynamodb(), &deployment.table));
    let evidence = deployment.evidence.iter().map(|store| EvidenceRegion {
        client: clients.of(&store.region).s3(),
        region: store.region.clone(),
        bucket: store.bucket.clone(),
        lock_days: store.lock_days,
    });
    let kms = |key: &str| (clients.of_arn(key).kms(), key.to_owned());
    let topic = &deployment.alert_topic;
    let ids: Arc<dyn Ids> = Arc::new(SystemIds);
    let keys: Arc<dyn Keys> = Arc::new(KmsKeys::new(
        kms(&deployment.wrapping_key),
        kms(&deployment.signing_key),
    ));
    let content = content::engine(&clients, deployment, keys.clone(), &catalog, &clock, ids.as_ref())?;
    let content = Arc::new(content);
    let mut engines = managed(&clients, deployment, &catalog, &clock);
    // What a drill restored is content of no resource, and goes by the first of its kinds.
    engines.insert(ResourceKind::Files, content.clone());
    engines.insert(ResourceKind::S3, content.clone());
    engines.insert(ResourceKind::Postgres, content.clone());
    let world = World {
        bus: Arc::new(EventBridgeBus::new(home.eventbridge(), &deployment.bus)),
        engine: Arc::new(EnginesByKind {
            catalog: catalog.clone(),
            engines,
        }),
        pager: Arc::new(SnsPager::new(clients.of_arn(topic).sns(), topic)),
        keys,
        evidence: Arc::new(S3Evidence::new(evidence.collect(), clock.clone())),
        actuators: Arc::new(AwsActuators::new(&clients, catalog.clone())),
        probes: Arc::new(NetworkProbes::new(now)),
        catalog,
        clock,
        ids,
        settings: Settings {
            home: deployment.region.clone(),
            vaults: deployment.vaults(),
            poll: POLL,
            lease: LEASE,
            reclaim_grace: RECLAIM_GRACE,
            drill_area: deployment.drill_area.clone(),
            two_people: true,
        },
        remembered: Arc::default(),
    };
    Ok(Aws {
        world,
        workers: content,
    })
}
