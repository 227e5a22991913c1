//! Everything a function may touch.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::Remembered;
use crate::domain::{Detail, Event, Failure, Region, Span, Vault, VaultName};
use crate::ports::{Actuators, Bus, Catalog, Clock, Engine, EvidenceStore, Ids, Keys, Pager, Probes};

/// What is the same for every invocation.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The Region where backups are made.
    pub home: Region,
    /// All vaults.
    pub vaults: Vec<Vault>,
    /// How long to let an engine work before looking again.
    pub poll: SignedDuration,
    /// How long a lease holds without being renewed.
    pub lease: Span,
    /// How long condemned packs wait before they are deleted; longer than the longest backup job.
    pub reclaim_grace: Span,
    /// The folder that drills restore into.
    pub drill_area: String,
    /// Whether a restore needs somebody who agrees besides the one who asks.
    pub two_people: bool,
}

/// The ports and settings that a function is given.
#[derive(Clone)]
#[expect(missing_docs, reason = "each is named as its port")]
pub struct World {
    pub catalog: Arc<dyn Catalog>,
    pub bus: Arc<dyn Bus>,
    pub engine: Arc<dyn Engine>,
    pub pager: Arc<dyn Pager>,
    pub keys: Arc<dyn Keys>,
    pub evidence: Arc<dyn EvidenceStore>,
    pub actuators: Arc<dyn Actuators>,
    pub probes: Arc<dyn Probes>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub settings: Settings,
    pub remembered: Arc<Remembered>,
}

impl World {
    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Publishes what happened.
    pub async fn publish(&self, detail: Detail) -> Result<(), Failure> {
        self.bus.publish(&Event::new(detail, self.now())).await
    }

    /// The Region of a vault, if the vault is known.
    pub fn region_of(&self, vault: &VaultName) -> Option<&Region> {
        self.settings
            .vaults
            .iter()
            .find(|known| &known.name == vault)
            .map(|known| &known.region)
    }
}
