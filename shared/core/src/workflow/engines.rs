//! One engine for each kind of resource, behind the one engine that the workflows know.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::records::{self, Stored};
use crate::domain::{Failure, FailureKind, Order, Resource, ResourceKind};
use crate::ports::{Catalog, Engine, Observation, Task};

/// Hands each task to the engine of its resource's kind.
pub struct EnginesByKind {
    /// Tells the kind of a resource.
    pub catalog: Arc<dyn Catalog>,
    /// The engines.
    pub engines: BTreeMap<ResourceKind, Arc<dyn Engine>>,
}

impl EnginesByKind {
    async fn engine_of(&self, order: &Order) -> Result<&Arc<dyn Engine>, Failure> {
        let kind = match order.resource() {
            Some(id) => {
                let resource: Stored<Resource> =
                    records::require(self.catalog.as_ref(), &records::resource_key(id)).await?;
                resource.value.kind
            }
            // What a drill restored below its area is content.
            None => ResourceKind::Files,
        };
        self.engines.get(&kind).ok_or_else(|| {
            let message = format!("resources of kind {} cannot be worked on here", kind.as_str());
            Failure::new(FailureKind::Invalid, message)
        })
    }
}

#[async_trait]
impl Engine for EnginesByKind {
    async fn start(&self, task: &Task) -> Result<(), Failure> {
        self.engine_of(&task.order).await?.start(task).await
    }

    async fn observe(&self, task: &Task) -> Result<Observation, Failure> {
        self.engine_of(&task.order).await?.observe(task).await
    }
}
