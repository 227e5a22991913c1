//! The words of Holdfast: identifiers, closed states and the records made of them.

mod actuator;
mod authority;
mod bounds;
mod changes;
mod drill;
mod event;
mod failure;
mod id;
mod incident;
mod job;
mod left_out;
mod moment;
mod occurrence;
mod plan;
mod point;
mod policy;
mod probe;
mod proof;
mod resource;
mod span;
mod trial;
mod watch;
mod window;

pub use actuator::{Act, ActOrder, Actuator, ActuatorKind, Bound, Divergence, KnownSettings, Seen, Settings};
pub use authority::{Authority, AuthorityRecord};
pub use bounds::total;
pub use changes::{Changes, FileChanges};
pub use drill::{Budget, DrillCost, DrillSchedule, DrillWindow, Drills, Prices, Rent};
pub use event::{Detail, Event, FunctionName, routes};
pub use failure::{Failure, FailureKind};
pub use id::{
    ActuatorName, ContactName, InvalidName, JobId, PlanId, PointId, PolicyId, Region, ResourceId, RuleName, RunId,
    StepName, VaultName, WorkloadName,
};
pub use incident::{Contact, Escalation, IncidentLevel};
pub use job::{
    Job, JobFailure, JobKind, JobState, Location, Order, Origin, Outcome, PointRef, Progress, UnreadEntry, Verdict,
};
pub use left_out::LeftOut;
pub use moment::{InvalidMoment, Moment, ServerRecovery, ZONED_TIME, zoned_time};
pub use occurrence::{Occurrence, OccurrenceKey, OccurrenceState};
pub use plan::{
    Acknowledgement, Approval, Automatic, Check, Conduct, Instruction, Move, NoAutomaticLevel, Objectives,
    RecoveryPlan, Run, RunKind, RunState, Step, StepAction, StepRecord, StepState, Undo,
};
pub use point::{Copy, CopyState, Expiry, Point, PointState};
pub use policy::{BackupKind, CopyRule, Patterns, Policy, PolicyDraft, Retention, Rule, Selection, VerifyRule};
pub use probe::{Answer, Probe};
pub use proof::{Level, Proof, Statement, Subject};
pub use resource::{Resource, ResourceKind, ServerAccess, Vault};
pub use span::Span;
pub use trial::{Assertion, Checks, Column, Heartbeat, InvalidColumn, Trial, TrialReport, TrialRule};
pub use watch::{Forbidden, Seeing, Watch};
pub use window::{LogState, SlotState, Stretch, Window};
