//! What a guard answers and is told, in JSON over HTTP.

use holdfast_core::domain::{Region, WorkloadName};
use serde::{Deserialize, Serialize};

use super::intent::{Divergence, Mode, Promotion};

/// What a guard is told: `POST /orders`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardOrder {
    /// Under which generation.
    pub generation: u64,
    /// What the server is to be.
    pub mode: Mode,
}

/// What the server is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// No process.
    Down,
    /// It runs and says nothing yet.
    Starting,
    /// It follows another.
    Standby,
    /// It takes writes.
    Writer,
}

/// The end of the log of a server that was stopped in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalLog {
    /// Its last record.
    pub position: String,
    /// Its timeline.
    pub timeline: u32,
}

/// What a guard answers: `GET /state`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuardState {
    /// The workload.
    pub workload: WorkloadName,
    /// The Region in which the server stands.
    pub region: Region,
    /// The highest generation seen.
    pub generation: u64,
    /// What the server is meant to be.
    pub mode: Mode,
    /// What it is.
    pub role: Role,
    /// Whether it can be written to, now or in a moment: false means that it surely cannot.
    pub may_write: bool,
    /// How long it may still be written to without being given more time, in milliseconds.
    pub lease_left_ms: Option<u64>,
    /// Its timeline.
    pub timeline: Option<u32>,
    /// Where its log ends; of a standby, how far it has replayed.
    pub position: Option<String>,
    /// How far a standby has received.
    pub received: Option<String>,
    /// Whether a standby receives from its leader.
    pub is_streaming: bool,
    /// Age of the last commit that a standby has replayed, in seconds.
    pub lag_seconds: Option<f64>,
    /// The end of its log, where it is down and was stopped in order.
    pub final_log: Option<FinalLog>,
    /// The last promotion.
    pub promotion: Option<Promotion>,
    /// The last divergence.
    pub divergence: Option<Divergence>,
    /// What went wrong last, and stands in the way.
    pub trouble: Option<String>,
}
