//! Jobs: one attempt each to back up, copy, verify, repair, restore or delete something.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    BackupKind, Changes, Failure, FailureKind, JobId, Level, LogState, OccurrenceKey, Patterns, PointId, PolicyId,
    ResourceId, RuleName, RunId, ServerAccess, ServerRecovery, Trial, TrialReport, VaultName,
};

/// Where a recovery point stands: the vault, the resource whose repository it is in, and the engine's own name for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Location {
    /// The vault.
    pub vault: VaultName,
    /// The resource.
    pub resource: ResourceId,
    /// The engine's name for the artefact (for the content engine, the snapshot's id).
    pub artefact: String,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let artefact: String = self.artefact.chars().take(8).collect();
        write!(f, "{}/{}/{artefact}", self.vault, self.resource)
    }
}

/// The name of a recovery point: enough to find its record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointRef {
    /// The resource.
    pub resource: ResourceId,
    /// The content is as of this time.
    pub taken_at: Timestamp,
    /// Its id.
    pub id: PointId,
}

/// What a job is to do. An order is complete: an engine needs nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// Make a recovery point.
    Backup {
        /// Of this resource.
        resource: ResourceId,
        /// The root folder of the resource, or what else its path is.
        path: String,
        /// In this vault.
        vault: VaultName,
        /// Reading this much.
        kind: BackupKind,
        /// Compared with this artefact of the same vault, chosen when the job starts.
        base: Option<(PointId, String)>,
        /// Only these entries.
        patterns: Patterns,
        /// Bytes a second; none means no limit.
        bandwidth_limit: Option<u64>,
        /// How a PostgreSQL server is asked; none for what is no server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server: Option<ServerAccess>,
    },
    /// Put a recovery point into another vault.
    Copy {
        /// The point.
        point: PointRef,
        /// Where it stands.
        from: Location,
        /// Where it must stand too.
        to: VaultName,
    },
    /// Put the log of a server into another vault: what base backups there can need and lack.
    CopyLog {
        /// The server.
        resource: ResourceId,
        /// The vault that its log is pulled to.
        from: VaultName,
        /// The vault that holds copies of its base backups.
        to: VaultName,
        /// When the newest log that must come along was pulled.
        pulled_at: Timestamp,
    },
    /// Test one copy of a recovery point.
    Verify {
        /// The point.
        point: PointRef,
        /// The copy.
        at: Location,
        /// How much to test.
        level: Level,
        /// How a backup of a server is restored and started; none to read what is stored alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trial: Option<Trial>,
    },
    /// Mend one copy of a recovery point from another.
    Repair {
        /// The point.
        point: PointRef,
        /// The damaged copy.
        damaged: Location,
        /// The copy that has the right bytes.
        from: Location,
    },
    /// Write the content of a recovery point somewhere.
    Restore {
        /// The point.
        point: PointRef,
        /// The copy to read.
        from: Location,
        /// The folder that receives it.
        target: String,
        /// When given, only what matches one of these.
        include: Vec<String>,
        /// Whether files that stand in the target may be overwritten.
        overwrite: bool,
        /// A file below the target whose content is the time of the application's last heartbeat.
        heartbeat: Option<String>,
        /// How far a server recovers that is started over it; none gives the base backup as it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recovery: Option<ServerRecovery>,
    },
    /// Remove one copy of an expired recovery point.
    Delete {
        /// The point.
        point: PointRef,
        /// The copy.
        at: Location,
    },
    /// Reclaim what deleted points leave behind in one repository, in two phases.
    Reclaim {
        /// The resource whose repository it is.
        resource: ResourceId,
        /// The vault.
        vault: VaultName,
        /// How long condemned packs wait before they are deleted, in seconds.
        grace_seconds: i64,
    },
    /// Remove the folder that a drill restored into.
    Clean {
        /// The drill.
        run: RunId,
        /// The folder, which lies in the drill area.
        target: String,
    },
}

/// The kind of an order; each kind is driven by one function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is named as its order")]
pub enum JobKind {
    Backup,
    Copy,
    Verify,
    Repair,
    Restore,
    Delete,
    Reclaim,
    Clean,
}

impl JobKind {
    /// The word for this kind in records and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Copy => "copy",
            Self::Verify => "verify",
            Self::Repair => "repair",
            Self::Restore => "restore",
            Self::Delete => "delete",
            Self::Reclaim => "reclaim",
            Self::Clean => "clean",
        }
    }

    /// Whether a job of this kind that gave up is looked at again: nothing else would find what it left after all, or that
    /// something is gone.
    pub fn is_looked_back_at(self) -> bool {
        matches!(self, Self::Backup | Self::Copy | Self::Restore | Self::Delete)
    }
}

impl Order {
    /// The kind of this order.
    pub fn kind(&self) -> JobKind {
        match self {
            Self::Backup { .. } => JobKind::Backup,
            Self::Copy { .. } | Self::CopyLog { .. } => JobKind::Copy,
            Self::Verify { .. } => JobKind::Verify,
            Self::Repair { .. } => JobKind::Repair,
            Self::Restore { .. } => JobKind::Restore,
            Self::Delete { .. } => JobKind::Delete,
            Self::Reclaim { .. } => JobKind::Reclaim,
            Self::Clean { .. } => JobKind::Clean,
        }
    }

    /// The resource it concerns; none for a drill's clean-up.
    pub fn resource(&self) -> Option<&ResourceId> {
        match self {
            Self::Backup { resource, .. } | Self::CopyLog { resource, .. } | Self::Reclaim { resource, .. } => {
                Some(resource)
            }
            Self::Copy { point, .. }
            | Self::Verify { point, .. }
            | Self::Repair { point, .. }
            | Self::Restore { point, .. }
            | Self::Delete { point, .. } => Some(&point.resource),
            Self::Clean { .. } => None,
        }
    }

    /// The point it concerns, if it concerns one that exists.
    pub fn point(&self) -> Option<&PointRef> {
        match self {
            Self::Copy { point, .. }
            | Self::Verify { point, .. }
            | Self::Repair { point, .. }
            | Self::Restore { point, .. }
            | Self::Delete { point, .. } => Some(point),
            Self::Backup { .. } | Self::CopyLog { .. } | Self::Reclaim { .. } | Self::Clean { .. } => None,
        }
    }
}

/// Something that could not be read during a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadEntry {
    /// Its path, with bytes that are no UTF-8 written as `\xNN`.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// What a test found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Each damage of what is stored, named; none means that every byte that was read is as it was written.
    pub damages: Vec<String>,
    /// Files of the point that the damages touch.
    pub affected: Vec<String>,
    /// Bytes that were read and proven.
    pub bytes: u64,
    /// What a trial found out besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialReport>,
}

/// What an order came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// A recovery point stands.
    Backup {
        /// The engine's name for it.
        artefact: String,
        /// The content is as of this time.
        taken_at: Timestamp,
        /// Bytes that a whole restore writes.
        size_bytes: u64,
        /// Files in it.
        files: u64,
        /// Bytes added to the vault.
        added_bytes: u64,
        /// What could not be read.
        unread: Vec<UnreadEntry>,
        /// What had changed; none where the service does not tell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        changes: Option<Changes>,
    },
    /// The log was pulled, or copied.
    Log(LogState),
    /// The copy stands.
    Copy {
        /// The engine's name for it there.
        artefact: String,
        /// Bytes moved.
        bytes: u64,
    },
    /// The test ended.
    Verify(Verdict),
    /// The repair ended.
    Repair {
        /// What stands again.
        repaired: Vec<String>,
        /// What no copy could give back, named to the file.
        unrepairable: Vec<String>,
    },
    /// The restore ended.
    Restore {
        /// Files written or found right.
        files: u64,
        /// Bytes written.
        bytes: u64,
        /// Entries that do not compare with the point, and what could not be set; none means that all was proven.
        differences: Vec<String>,
        /// The application's last heartbeat in the restored content.
        heartbeat_at: Option<Timestamp>,
    },
    /// The artefact is gone.
    Delete,
    /// Space was reclaimed.
    Reclaim {
        /// Packs condemned in this pass.
        condemned: u64,
        /// Packs deleted in this pass.
        deleted: u64,
        /// Bytes freed.
        freed_bytes: u64,
    },
    /// The folder is gone.
    Clean,
}

/// How far a running order has come, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Bytes done.
    pub done_bytes: u64,
    /// Bytes expected; 0 while unknown.
    pub expected_bytes: u64,
}

/// How far a job has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for its turn.
    Pending,
    /// The engine was told, or is about to be.
    Running,
    /// Did all of it.
    Completed,
    /// Did some of it, and says what is missing.
    Partial,
    /// Gave up.
    Failed,
    /// Was called off by a person.
    Cancelled,
    /// Waited too long to start.
    Expired,
}

impl JobState {
    /// Whether nothing more will happen to it.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}

/// Why a job did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFailure {
    /// What the caller should do.
    pub kind: FailureKind,
    /// What failed, where, and how to mend it.
    pub message: String,
}

impl JobFailure {
    /// What a record keeps of a failure.
    pub fn of(failure: &Failure) -> Self {
        Self {
            kind: failure.kind,
            message: failure.message.clone(),
        }
    }
}

/// Why a job exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "origin", rename_all = "snake_case")]
pub enum Origin {
    /// A due time.
    Occurrence {
        /// Which.
        occurrence: OccurrenceKey,
        /// Under this version of the policy.
        policy_version: u32,
    },
    /// A person's request.
    Request {
        /// The request's id.
        request: String,
        /// Who asked.
        requested_by: String,
        /// Who agreed, where somebody else must.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approved_by: Option<String>,
    },
    /// A planner's decision, with its reason.
    Plan {
        /// Why.
        reason: String,
    },
    /// A step of a run.
    Run {
        /// Which.
        run: RunId,
    },
}

impl Origin {
    /// The policy and rule behind the job, if a schedule is.
    pub fn policy(&self) -> Option<(PolicyId, RuleName)> {
        match self {
            Self::Occurrence { occurrence, .. } => Some((occurrence.policy.clone(), occurrence.rule.clone())),
            Self::Request { .. } | Self::Plan { .. } | Self::Run { .. } => None,
        }
    }
}

/// One attempt to do something that takes long. The record is the intent before the engine is told, and the effect after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id, derived from the work.
    pub id: JobId,
    /// What it is to do.
    #[serde(flatten)]
    pub order: Order,
    /// Why it exists.
    #[serde(flatten)]
    pub origin: Origin,
    /// How far it has come.
    pub state: JobState,
    /// The number of the attempt that the engine was told to start, or is about to be.
    pub attempt: u32,
    /// How many attempts failed. An attempt that only waits for others does not count.
    #[serde(default)]
    pub failed_attempts: u32,
    /// How many looks at it in a row were not answered.
    #[serde(default)]
    pub unanswered: u32,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// When it first ran.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When somebody must look at it again.
    pub next_action_at: Timestamp,
    /// How many backup jobs of its policy may run at once; 0 means no limit.
    pub max_parallel: u32,
    /// Why it waits or gave up.
    pub failure: Option<JobFailure>,
    /// What came of it.
    pub result: Option<Outcome>,
    /// The place in the evidence chain that it has claimed for its verdict.
    pub statement: Option<u64>,
    /// How many jobs for the same planned work failed before it.
    #[serde(default)]
    pub round: u32,
    /// On the job of round 0: the latest round of the same work.
    #[serde(default)]
    pub latest_round: u32,
    /// It gave up, and is looked at once more then: its effect may stand after all.
    pub look_back_at: Option<Timestamp>,
}

impl Job {
    /// Whether what it ordered may still be under way: it has not ended, or it gave up because nobody could look at it.
    pub fn may_be_at_work(&self) -> bool {
        !self.state.is_final() || (self.unanswered > 0 && self.look_back_at.is_some())
    }

    /// A job that waits for its turn.
    pub fn pending(id: JobId, order: Order, origin: Origin, now: Timestamp) -> Self {
        Self {
            id,
            order,
            origin,
            state: JobState::Pending,
            attempt: 0,
            failed_attempts: 0,
            unanswered: 0,
            created_at: now,
            started_at: None,
            finished_at: None,
            next_action_at: now,
            max_parallel: 0,
            failure: None,
            result: None,
            statement: None,
            round: 0,
            latest_round: 0,
            look_back_at: None,
        }
    }
}
