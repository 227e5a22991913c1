//! Authority over workloads as the catalog records it, for guards and for what moves servers.

use std::sync::Arc;

use async_trait::async_trait;
use holdfast_core::domain::{AuthorityRecord, Failure, WorkloadName};
use holdfast_core::ports::Catalog;
use holdfast_core::workflow::records;
use holdfast_failover::authority::Authorities;

/// The records of a catalog.
pub struct CatalogAuthorities(pub Arc<dyn Catalog>);

#[async_trait]
impl Authorities for CatalogAuthorities {
    async fn read(&self, workload: &WorkloadName) -> Result<Option<AuthorityRecord>, Failure> {
        let stored = records::read(self.0.as_ref(), &records::authority_key(workload)).await?;
        Ok(stored.map(|stored| stored.value))
    }
}
