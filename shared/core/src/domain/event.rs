//! Events: hints that something may need doing. The truth is in the catalog; a lost event costs only time.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    JobId, JobKind, JobState, Level, OccurrenceKey, PlanId, PointId, PointRef, ResourceId, RunId, RunKind, RunState,
    VaultName,
};

/// The functions of Holdfast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each is named as its function")]
pub enum FunctionName {
    Scheduler,
    SnapshotTrigger,
    Verifier,
    Replicator,
    Lifecycle,
    RestoreRunner,
    DrFailover,
}

impl FunctionName {
    /// All of them, in the order in which a recovery point meets them.
    pub const ALL: [Self; 7] = [
        Self::Scheduler,
        Self::SnapshotTrigger,
        Self::Verifier,
        Self::Replicator,
        Self::Lifecycle,
        Self::RestoreRunner,
        Self::DrFailover,
    ];

    /// The function's name, which is also its queue's.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduler => "scheduler",
            Self::SnapshotTrigger => "snapshot-trigger",
            Self::Verifier => "verifier",
            Self::Replicator => "replicator",
            Self::Lifecycle => "lifecycle",
            Self::RestoreRunner => "restore-runner",
            Self::DrFailover => "dr-failover",
        }
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An event, shaped as EventBridge shapes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// Unique; the same happening has the same id.
    pub id: String,
    /// Always `holdfast` for our own.
    pub source: String,
    /// When it happened.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub detail: Detail,
}

/// What happened. Every detail carries the ids of what to look at, never the truth about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "detail-type", content = "detail", deny_unknown_fields)]
#[expect(missing_docs, reason = "fields are named as the records they point to")]
pub enum Detail {
    /// A timer: look at everything.
    #[serde(rename = "Scheduled Wake-Up")]
    WakeUp {},
    /// A person asks for a backup now.
    #[serde(rename = "Backup Requested")]
    BackupRequested {
        request: String,
        resource: ResourceId,
        requested_by: String,
    },
    /// A job waits for its turn.
    #[serde(rename = "Job Requested")]
    JobRequested { job: JobId, kind: JobKind },
    /// A job ended.
    #[serde(rename = "Job State Change")]
    JobStateChange { job: JobId, kind: JobKind, state: JobState },
    /// Due times passed while nobody was there to start them.
    #[serde(rename = "Occurrence Missed")]
    OccurrenceMissed { newest: OccurrenceKey, count: u64 },
    /// A recovery point stands in its vault.
    #[serde(rename = "Recovery Point Available")]
    PointAvailable { point: PointRef },
    /// A recovery point stands in another vault.
    #[serde(rename = "Recovery Point Copied")]
    PointCopied { point: PointRef, vault: VaultName },
    /// A verdict on a copy of a recovery point.
    #[serde(rename = "Recovery Point Verified")]
    PointVerified {
        point: PointRef,
        vault: VaultName,
        level: Level,
        passed: bool,
    },
    /// A damaged copy was mended and waits to be proven again.
    #[serde(rename = "Recovery Point Repaired")]
    PointRepaired { point: PointRef, vault: VaultName },
    /// A recovery point was marked for deletion.
    #[serde(rename = "Recovery Point Expiring")]
    PointExpiring { point: PointRef, delete_after: Timestamp },
    /// A recovery point is gone from every vault.
    #[serde(rename = "Recovery Point Deleted")]
    PointDeleted { point: PointRef },
    /// The newest recovery point is older than the objective allows.
    #[serde(rename = "Objective Breached")]
    ObjectiveBreached {
        resource: ResourceId,
        age_seconds: i64,
        rpo_seconds: i64,
    },
    /// A person asks for one copy of a recovery point to be proven now.
    #[serde(rename = "Verification Requested")]
    VerificationRequested { request: String, resource: ResourceId, point: PointId, vault: VaultName, requested_by: String },
    /// A person asks for a restore.
    #[serde(rename = "Restore Requested")]
    RestoreRequested {
        request: String,
        resource: ResourceId,
        /// A point's id; none means the newest.
        #[serde(default)]
        point: Option<PointId>,
        /// The vault to read from; none means the first that is proven.
        #[serde(default)]
        vault: Option<VaultName>,
        target: String,
        #[serde(default)]
        include: Vec<String>,
        #[serde(default)]
        overwrite: bool,
        requested_by: String,
    },
    /// A person or a schedule asks for a run of a recovery plan.
    #[serde(rename = "Recovery Run Requested")]
    RunRequested {
        request: String,
        plan: PlanId,
        kind: RunKind,
        requested_by: String,
    },
    /// A run of a recovery plan came further.
    #[serde(rename = "Recovery Run State Change")]
    RunStateChange { run: RunId, state: RunState },
}

/// Which functions listen to an event. A function that is not told finds the work at its next wake-up.
pub fn routes(detail: &Detail) -> &'static [FunctionName] {
    use FunctionName::{DrFailover, Lifecycle, Replicator, RestoreRunner, Scheduler, SnapshotTrigger, Verifier};
    match detail {
        Detail::WakeUp {} => &FunctionName::ALL,
        Detail::BackupRequested { .. } => &[SnapshotTrigger],
        Detail::JobRequested { kind, .. } => match kind {
            JobKind::Backup => &[SnapshotTrigger],
            JobKind::Verify | JobKind::Repair => &[Verifier],
            JobKind::Copy => &[Replicator],
            JobKind::Delete | JobKind::Reclaim => &[Lifecycle],
            JobKind::Restore => &[RestoreRunner],
            JobKind::Clean => &[DrFailover],
        },
        Detail::JobStateChange { kind, .. } => match kind {
            JobKind::Backup => &[Scheduler, SnapshotTrigger],
            JobKind::Restore | JobKind::Clean => &[DrFailover],
            JobKind::Copy => &[Replicator],
            JobKind::Verify | JobKind::Repair => &[Verifier],
            JobKind::Delete | JobKind::Reclaim => &[Lifecycle],
        },
        Detail::PointAvailable { .. } | Detail::PointCopied { .. } => &[Verifier, Replicator],
        Detail::PointVerified { .. } => &[Verifier, Replicator, Lifecycle],
        Detail::PointRepaired { .. } | Detail::VerificationRequested { .. } => &[Verifier],
        Detail::PointExpiring { .. } | Detail::PointDeleted { .. } => &[Lifecycle],
        Detail::OccurrenceMissed { .. } | Detail::ObjectiveBreached { .. } => &[],
        Detail::RestoreRequested { .. } => &[RestoreRunner],
        Detail::RunRequested { .. } | Detail::RunStateChange { .. } => &[DrFailover],
    }
}

impl Event {
    /// An event of Holdfast's own. The id is derived from the happening, so that publishing twice is seen as one.
    pub fn new(detail: Detail, time: Timestamp) -> Self {
        let text = serde_json::to_string(&detail).unwrap_or_default();
        let id = JobId::derive(&["event", &text, &time.to_string()]).as_str().to_owned();
        Self {
            id,
            source: "holdfast".to_owned(),
            time,
            detail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_shaped_as_eventbridge_shapes_it_and_reads_back() {
        let event = Event::new(Detail::WakeUp {}, Timestamp::UNIX_EPOCH);
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["detail-type"], "Scheduled Wake-Up");
        assert_eq!(json["source"], "holdfast");
        assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
    }

    #[test]
    fn an_unknown_detail_type_is_an_error_that_names_it() {
        let text =
            r#"{"id":"1","source":"holdfast","time":"2026-01-01T00:00:00Z","detail-type":"Gremlin","detail":{}}"#;
        let error = serde_json::from_str::<Event>(text).unwrap_err().to_string();
        assert!(error.contains("Gremlin"), "{error}");
    }
}
