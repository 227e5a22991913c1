//! Authority over workloads as the catalog records it, for guards and for what moves servers; and what observers see of them.

use std::sync::Arc;

use async_trait::async_trait;
use holdfast_core::domain::{AuthorityRecord, Detail, Failure, WorkloadName};
use holdfast_core::ports::Catalog;
use holdfast_core::workflow::{World, records};
use holdfast_failover::authority::{Authorities, Hearer, Observation};

/// The records of a catalog.
pub struct CatalogAuthorities(pub Arc<dyn Catalog>);

#[async_trait]
impl Authorities for CatalogAuthorities {
    async fn read(&self, workload: &WorkloadName) -> Result<Option<AuthorityRecord>, Failure> {
        let stored = records::read(self.0.as_ref(), &records::authority_key(workload)).await?;
        Ok(stored.map(|stored| stored.value))
    }
}

/// The function that moves workloads hears by an event what observers see.
pub struct TellsFunctions(pub World);

#[async_trait]
impl Hearer for TellsFunctions {
    async fn hear(&self, workload: WorkloadName, seen: Observation) -> Result<(), Failure> {
        let Observation { place, up, note } = seen;
        let detail = Detail::WorkloadObserved {
            workload,
            place,
            up,
            note,
        };
        self.0.publish(detail).await
    }
}
