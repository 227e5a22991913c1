//! Events: hints that something may need doing. The truth is in the catalog; a lost event costs only time.

use std::fmt;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Failure, FailureKind, Instruction, JobId, JobKind, JobState, Level, Moment, OccurrenceKey, PlanId, PointId,
    PointRef, ResourceId, RunId, RunKind, RunState, VaultName, WorkloadName,
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
    /// A timer: look at what waits, and at what has its turn.
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
    VerificationRequested {
        request: String,
        resource: ResourceId,
        point: PointId,
        vault: VaultName,
        requested_by: String,
    },
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
        /// The moment that a server is to recover to; none means the recovery point as it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Moment>,
        requested_by: String,
    },
    /// A person or a schedule asks for a run of a recovery plan.
    #[serde(rename = "Recovery Run Requested")]
    RunRequested {
        request: String,
        plan: PlanId,
        kind: RunKind,
        /// The incident level; none means the plan's first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        level: Option<u8>,
        requested_by: String,
    },
    /// A person tells a run of a recovery plan something.
    #[serde(rename = "Recovery Run Instructed")]
    RunInstructed {
        run: RunId,
        instruction: Instruction,
        by: String,
    },
    /// Somebody looked whether a workload answers.
    #[serde(rename = "Workload Observed")]
    WorkloadObserved {
        workload: WorkloadName,
        place: String,
        up: bool,
        note: String,
    },
    /// A run of a recovery plan came further.
    #[serde(rename = "Recovery Run State Change")]
    RunStateChange { run: RunId, state: RunState },
}

impl Detail {
    /// The recovery point that something happened to.
    pub fn point(&self) -> Option<&PointRef> {
        match self {
            Self::PointAvailable { point }
            | Self::PointCopied { point, .. }
            | Self::PointVerified { point, .. }
            | Self::PointRepaired { point, .. }
            | Self::PointExpiring { point, .. }
            | Self::PointDeleted { point } => Some(point),
            Self::WakeUp {}
            | Self::BackupRequested { .. }
            | Self::JobRequested { .. }
            | Self::JobStateChange { .. }
            | Self::OccurrenceMissed { .. }
            | Self::ObjectiveBreached { .. }
            | Self::VerificationRequested { .. }
            | Self::RestoreRequested { .. }
            | Self::RunRequested { .. }
            | Self::RunInstructed { .. }
            | Self::WorkloadObserved { .. }
            | Self::RunStateChange { .. } => None,
        }
    }
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
        Detail::RunRequested { .. }
        | Detail::RunInstructed { .. }
        | Detail::WorkloadObserved { .. }
        | Detail::RunStateChange { .. } => &[DrFailover],
    }
}

/// The source of all events of Holdfast's own.
const SOURCE: &str = "holdfast";

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Envelope {
    id: String,
    source: String,
    time: Timestamp,
    detail_type: String,
    detail: Value,
}

/// Reads JSON; the failure names the place in it that is wrong.
fn read_json<T: DeserializeOwned>(json: &str) -> Result<T, Failure> {
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(json)).map_err(|error| {
        let place = error.path().to_string();
        let message = format!("event refused at `{place}`: {}", error.inner());
        Failure::caused(FailureKind::Invalid, message, error)
    })
}

impl Event {
    /// Reads an event strictly. What EventBridge adds to the envelope is passed over; an unknown detail type, an unknown or
    /// malformed field, an empty id or another source is an error that names it.
    pub fn decode(text: &str) -> Result<Self, Failure> {
        let Envelope {
            id,
            source,
            time,
            detail_type,
            detail,
        } = read_json(text)?;
        if source != SOURCE {
            let message = format!("event refused at `source`: \"{source}\" is not \"{SOURCE}\"");
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        if id.is_empty() {
            return Err(Failure::new(FailureKind::Invalid, "event refused at `id`: it is empty"));
        }
        // The tag stands first, so that the content is read straight into the detail that it names.
        let detail = read_json(&format!(
            "{{\"detail-type\":{},\"detail\":{detail}}}",
            Value::from(detail_type)
        ))?;
        Ok(Self {
            id,
            source,
            time,
            detail,
        })
    }

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
    fn what_is_wrong_with_an_event_is_named() {
        let good = r#"{"id":"1","source":"holdfast","time":"2026-01-01T00:00:00Z","detail-type":"Scheduled Wake-Up","detail":{}}"#;
        assert!(Event::decode(good).is_ok());
        let wrong = [
            ("Scheduled Wake-Up", "Gremlin", "Gremlin"),
            ("2026-01-01T00:00:00Z", "yesterday", "`time`"),
            ("\"holdfast\"", "\"aws.rds\"", "aws.rds"),
            ("\"1\"", "\"\"", "`id`"),
            ("{}", "{\"force\":1}", "force"),
        ];
        for (right, wrong, named) in wrong {
            let failure = Event::decode(&good.replace(right, wrong)).unwrap_err();
            assert!(failure.message.contains(named), "{}", failure.message);
        }
    }
}
