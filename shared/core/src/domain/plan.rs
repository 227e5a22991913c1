//! Recovery plans, their runs and steps.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{JobId, PlanId, ResourceId, RunId, Span, StepName, VaultName};

/// What was promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objectives {
    /// Recovery point objective: data loss allowed.
    pub rpo: Span,
    /// Recovery time objective: downtime allowed.
    pub rto: Span,
}

/// Something that must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "that", rename_all = "kebab-case")]
pub enum Check {
    /// The resource has a recovery point in the vault, proven at level L2 or above.
    ProvenPoint {
        /// The resource.
        resource: ResourceId,
        /// The vault.
        vault: VaultName,
    },
    /// The newest recovery point of the resource is no older than this.
    PointAge {
        /// The resource.
        resource: ResourceId,
        /// The oldest allowed.
        at_most: Span,
    },
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum StepAction {
    /// Tests something and stops the run when it does not hold.
    Check(Check),
    /// Restores the newest proven point of a resource from a vault into the run's own area.
    Restore {
        /// The resource.
        resource: ResourceId,
        /// The vault to read from.
        vault: VaultName,
    },
    /// Compares what a restore step wrote with the recovery point, entry by entry.
    Verify {
        /// The restore step.
        restored_by: StepName,
    },
    /// Lets time pass.
    Wait {
        /// How long.
        span: Span,
    },
    /// Tells people.
    Notify {
        /// What.
        message: String,
    },
}

impl StepAction {
    /// The word for this action in configuration and reports.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Check(_) => "check",
            Self::Restore { .. } => "restore",
            Self::Verify { .. } => "verify",
            Self::Wait { .. } => "wait",
            Self::Notify { .. } => "notify",
        }
    }
}

/// A step of a recovery plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name, unique in the plan.
    pub name: StepName,
    /// Steps that must have succeeded before.
    pub after: Vec<StepName>,
    /// What it does.
    #[serde(flatten)]
    pub action: StepAction,
    /// How long it may take.
    pub timeout: Span,
}

/// A recovery plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryPlan {
    /// Its name.
    pub id: PlanId,
    /// For people.
    pub description: String,
    /// What was promised.
    pub objectives: Objectives,
    /// What is done.
    pub steps: Vec<Step>,
}

/// How a plan is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// Nothing is changed: which steps would run, in which order, and what their checks say.
    Simulate,
    /// The real steps, in an area of the run's own, cleaned afterwards.
    Drill,
    /// A switchover: production moves while both sides work, and nothing may be lost.
    Planned,
    /// A failover: production moves away from a side that does not work.
    Disaster,
}

impl RunKind {
    /// The word for this kind in records and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Simulate => "simulate",
            Self::Drill => "drill",
            Self::Planned => "planned",
            Self::Disaster => "disaster",
        }
    }
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Steps are being done.
    Running,
    /// All steps have ended; what the run made is being removed.
    Cleaning,
    /// Every step held.
    Succeeded,
    /// A step did not hold.
    Failed,
}

/// How far a step has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not begun.
    Pending,
    /// Begun.
    Running,
    /// Held.
    Succeeded,
    /// Did not hold.
    Failed,
    /// Not begun, because the run had failed or only simulates.
    Skipped,
}

/// What happened to a step in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The step.
    pub step: Step,
    /// How far it has come.
    pub state: StepState,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The job that it waits for.
    pub job: Option<JobId>,
    /// What came of it, for people.
    pub note: String,
}

/// One run of a recovery plan: one record, so that every change of it is one conditional write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its id, derived from the request.
    pub id: RunId,
    /// The plan as it was when the run was asked for.
    pub plan: RecoveryPlan,
    /// How it is run.
    pub kind: RunKind,
    /// Who asked.
    pub requested_by: String,
    /// How far it has come.
    pub state: RunState,
    /// When it was asked for; recovery time counts from here.
    pub declared_at: Timestamp,
    /// When the first step began.
    pub started_at: Option<Timestamp>,
    /// When the last step that gives service ended; clean-up does not count.
    pub recovered_at: Option<Timestamp>,
    /// When all was over.
    pub finished_at: Option<Timestamp>,
    /// What happened, step by step.
    pub steps: Vec<StepRecord>,
    /// Age of the newest restored recovery point when the run was declared, in seconds; the oldest where there are several.
    pub point_age_seconds: Option<i64>,
    /// Age of the application's last heartbeat in the restored content when the run was declared, in seconds.
    pub data_loss_seconds: Option<i64>,
    /// The place in the evidence chain that it has claimed.
    pub statement: Option<u64>,
    /// When somebody must look at it again.
    pub next_action_at: Timestamp,
}
