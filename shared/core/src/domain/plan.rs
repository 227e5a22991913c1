//! Recovery plans, their runs and steps.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Act, Actuator, ActuatorName, ContactName, Divergence, DrillCost, Drills, IncidentLevel, JobId, PlanId, Probe,
    Region, ResourceId, RunId, Span, StepName, VaultName, WorkloadName,
};

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
    /// The world outside answers as it should.
    Answers(Probe),
}

/// How a change of production is taken back when a later step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undo {
    /// By its opposite: traffic is led back, what was started is stopped, what was fenced takes writes again.
    Reverse,
    /// Not at all: once it has begun, the run goes forward, or waits for people.
    NoReturn,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum StepAction {
    /// Tests something and stops the run when it does not hold.
    Check(Check),
    /// Restores the newest proven point of a resource from a vault: in a failover to where the workload expects it, and in a
    /// drill into the run's own area.
    Restore {
        /// The resource.
        resource: ResourceId,
        /// The vault to read from.
        vault: VaultName,
        /// Where a failover restores to: a folder, or a prefix of a bucket, in which nothing stands. Only plans that move a
        /// workload have one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<String>,
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
    /// Waits until people agree, none of whom asked for the run.
    Approve {
        /// How many must.
        people: u32,
    },
    /// Changes something outside: production, or in a drill what stands for it.
    Act {
        /// What is changed.
        actuator: ActuatorName,
        /// How.
        #[serde(flatten)]
        act: Act,
        /// How that is taken back.
        undo: Undo,
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
            Self::Approve { .. } => "approve",
            Self::Act { act, .. } => act.as_str(),
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
    /// Whether a failover leaves it out, because what it works on may not answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub graceful: bool,
}

/// How a plan moves a workload from one Region to another. The way back is a plan of its own, with the Regions exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// What moves.
    pub workload: WorkloadName,
    /// The Region that takes its writes before anything ever moved.
    pub home: Region,
    /// The Region that it leaves.
    pub from: Region,
    /// The Region that it goes to.
    pub to: Region,
    /// What the steps change, as the configuration named it.
    pub actuators: Vec<Actuator>,
    /// The steps that end service where it was: all of them come before those that begin it elsewhere.
    pub deactivate: Vec<StepName>,
    /// The steps that come when service is back.
    pub post_recovery: Vec<StepName>,
    /// Who may approve; empty lets anybody but who asked.
    pub approvers: Vec<String>,
    /// When a failover is declared by itself; none leaves that to people.
    pub automatic: Option<Automatic>,
}

/// When observers are believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Automatic {
    /// How many places must see the workload down.
    pub places: u32,
    /// For how long, without a break.
    pub down_for: Span,
    /// How long after a run of the plan no other is declared.
    pub cool_down: Span,
}

/// A recovery plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecoveryPlan {
    /// Its name.
    pub id: PlanId,
    /// For people.
    pub description: String,
    /// What was promised.
    pub objectives: Objectives,
    /// What is done.
    pub steps: Vec<Step>,
    /// How it moves a workload; none where it only restores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves: Option<Move>,
    /// What it says of its drills.
    #[serde(default, skip_serializing_if = "Drills::is_silent")]
    pub drills: Drills,
    /// The incident levels that it answers, the one that is meant unless another is named first; none makes no difference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<IncidentLevel>,
    /// Which of the runs that wait is looked at first: 1 before 2 before 3, and those without one last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// How many of its steps run side by side at most; none sets no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_once: Option<u32>,
}

impl RecoveryPlan {
    /// The actuator of this name.
    pub fn actuator(&self, name: &ActuatorName) -> Option<&Actuator> {
        let moves = self.moves.as_ref()?;
        moves.actuators.iter().find(|actuator| &actuator.name == name)
    }

    /// Whether it restores: then what was written since the recovery point is lost.
    pub fn restores(&self) -> bool {
        let restores = |step: &Step| matches!(step.action, StepAction::Restore { .. });
        self.steps.iter().any(restores)
    }

    /// The shortest recovery time that it promises at any level.
    pub fn strictest_rto(&self) -> Span {
        let levels = self.levels.iter().map(|level| level.rto);
        levels.min().unwrap_or(self.objectives.rto)
    }

    /// The level at which observers may declare a failover: the first that allows it. `Err` where no level does.
    pub fn automatic_level(&self) -> Result<Option<u8>, NoAutomaticLevel> {
        match self.levels.iter().find(|level| level.automatic) {
            Some(level) => Ok(Some(level.number)),
            None if self.levels.is_empty() => Ok(None),
            None => Err(NoAutomaticLevel),
        }
    }
}

/// A plan none of whose levels lets observers declare a failover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoAutomaticLevel;

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
    /// A person has stopped it for a while.
    Paused,
    /// What it changed is being taken back.
    Undoing,
    /// It can go neither forward nor back by itself: a person must.
    Stuck,
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
    /// Not begun, because the run had failed or only simulates, or because it was left out.
    Skipped,
    /// Is being taken back.
    Undoing,
    /// Was taken back.
    Undone,
}

impl RunState {
    /// Whether nothing will happen any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

impl StepState {
    /// Whether nothing will happen any more unless the run is unwound.
    pub fn is_over(self) -> bool {
        match self {
            Self::Pending | Self::Running | Self::Undoing => false,
            Self::Succeeded | Self::Failed | Self::Skipped | Self::Undone => true,
        }
    }
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

/// Somebody agreed to a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The step.
    pub step: StepName,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Somebody knows of a run and takes care of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What a person tells a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Instruction {
    /// Begin nothing more until told to go on.
    Pause,
    /// Go on; one that is stuck tries again what failed.
    Resume,
    /// Take back what was changed, and end.
    Abort {
        /// Why.
        reason: String,
    },
    /// Go on without a step.
    Skip {
        /// The step.
        step: StepName,
        /// Why.
        reason: String,
    },
    /// Know of it, so that nobody else is told.
    Acknowledge,
    /// Agree to a step that waits for people.
    Approve {
        /// The step.
        step: StepName,
    },
}

/// How a run is conducted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Conduct {
    /// The generation of authority that it claimed last.
    pub generation: Option<u64>,
    /// The generation under which it goes back, once it has claimed one for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_generation: Option<u64>,
    /// Who agreed to what.
    pub approvals: Vec<Approval>,
    /// Why it goes back instead of forward.
    pub goes_back: Option<String>,
    /// Why it waits for a person.
    pub stuck: Option<String>,
    /// Replication lag that a promotion accepted, in milliseconds: data that was left behind, as the service tells.
    pub lag_milliseconds: Option<i64>,
    /// What servers gave up of their own histories, as those tell that follow another now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub divergences: Vec<Divergence>,
    /// The incident level; none where its plan has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// The contacts who were told of it, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<ContactName>,
    /// Who takes care of it; none while the next contact is told in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
    /// What the drill had cost when it was looked at last; none where its plan has no budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<DrillCost>,
    /// What people did to it, in order.
    pub log: Vec<String>,
}

impl Conduct {
    /// The lag that promotions accepted, in whole seconds, rounded up.
    pub fn lag(&self) -> Option<Span> {
        let lag = self.lag_milliseconds?;
        Some(Span::seconds(
            lag.div_euclid(1000) + i64::from(lag.rem_euclid(1000) > 0),
        ))
    }
}

/// One run of a recovery plan: one record, so that every change of it is one conditional write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// How it is conducted.
    #[serde(default)]
    pub conduct: Conduct,
    /// When somebody must look at it again.
    pub next_action_at: Timestamp,
}

impl Run {
    /// What its plan says of its incident level.
    pub fn incident_level(&self) -> Option<&IncidentLevel> {
        let number = self.conduct.level?;
        self.plan.levels.iter().find(|level| level.number == number)
    }

    /// The recovery time objective: that of its level, or else of its plan.
    pub fn rto(&self) -> Span {
        self.incident_level()
            .map_or(self.plan.objectives.rto, |level| level.rto)
    }
}
