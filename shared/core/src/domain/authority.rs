//! Who may write: one record a workload, in the recovery Region, with a generation that only grows.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Failure, FailureKind, Region, Run, RunId, RunKind, WorkloadName};

/// The stored record of who may write a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityRecord {
    /// The workload.
    pub workload: WorkloadName,
    /// Grows by one with each claim, and never shrinks.
    pub generation: u64,
    /// The Region whose side may write; none between the fencing of one side and the promotion of the other.
    pub writer: Option<Region>,
    /// The run that claimed this generation; none for the first, which the configuration makes.
    pub claimed_by: Option<RunId>,
    /// Since when.
    pub since: Timestamp,
}

/// Authority over a workload in the hand of a run that may touch production.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    workload: WorkloadName,
    generation: u64,
    run: RunId,
}

impl Authority {
    /// The authority that `record` gives to `run`: it must be the one that claimed this generation, and no drill.
    pub fn of(record: &AuthorityRecord, run: &Run) -> Result<Self, Failure> {
        if !run.kind.touches_production() {
            let message = format!("run {} is a {}: it is given no authority", run.id, run.kind.as_str());
            return Err(Failure::new(FailureKind::Bug, message));
        }
        if record.claimed_by.as_ref() != Some(&run.id) {
            let message = format!(
                "authority over {} has moved on to generation {}: run {} may change nothing any more",
                record.workload, record.generation, run.id
            );
            return Err(Failure::new(FailureKind::Fenced, message));
        }
        Ok(Self {
            workload: record.workload.clone(),
            generation: record.generation,
            run: run.id.clone(),
        })
    }

    /// The workload.
    pub fn workload(&self) -> &WorkloadName {
        &self.workload
    }

    /// The generation.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The run.
    pub fn run(&self) -> &RunId {
        &self.run
    }
}

impl RunKind {
    /// Whether its steps change production.
    pub fn touches_production(self) -> bool {
        match self {
            Self::Simulate | Self::Drill => false,
            Self::Planned | Self::Disaster => true,
        }
    }
}
