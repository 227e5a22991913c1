//! Decisions. Pure functions of records and of the time: each answers with what is to be done and why, and none of them
//! does it. The functions, the program and the simulator all ask the same ones.

mod actuator_check;
mod clean_point;
mod copies;
mod critical_path;
mod detection;
mod drill_cost;
mod drill_times;
mod escalation;
mod lint;
mod measured;
mod moment;
mod objectives;
mod outages;
mod plan_check;
mod quota;
mod receivers;
mod recovery;
mod rehearsal_check;
mod retention;
mod schedule;
mod target;
mod traffic_check;
mod trial;
mod turns;
mod unwinding;
mod verification;

pub use actuator_check::check_actuator;
pub use clean_point::{CleanPoint, Judged, Sign, Standing, find_clean_point};
pub use copies::{CopyDue, LogCopyDue, plan_copies, plan_log_copies};
pub use detection::{Detection, detect};
pub use drill_cost::{
    BudgetDecision, CostError, Rented, check_budget, check_spending, drill_cost, rate, rented, starts_rented,
};
pub use drill_times::{Admission, DrillsDue, admit_drill, carry_over_drills, due_outside, plan_drills};
pub use escalation::contacts_due;
pub use lint::{Finding, Severity, lint_policy};
pub use measured::{Estimate, Measured, counted};
pub use moment::{MomentRefusal, RecoveryStart, choose_recovery_start, told};
pub use objectives::{ObjectiveBreach, check_objectives, is_checked};
pub use outages::{
    Ground, Interval, Need, Outage, Service, Sides, Simulated, SimulatedStep, UnknownOutage, Verdict, needs_of_act,
    sides, simulate, stands_unreached,
};
pub use plan_check::check_plan;
pub use quota::lint_quotas;
pub use receivers::{Receiving, plan_receivers};
pub use recovery::{Phase, PlanError, order_steps, phase, prerequisites, ready_steps};
pub use retention::{Decision, Inventory, KeepReason, RetentionPlan, RetentionRefusal, plan_retention};
pub use schedule::{
    MAX_MISSED, OccurrencePlan, Schedule, ScheduleError, carry_over, plan_occurrences, same_policy, time_zone,
};
pub use target::check_target;
pub use traffic_check::check_traffic;
pub use trial::{TrialDue, plan_trial};
pub use turns::looked_at;
pub use unwinding::{opposite, point_of_no_return, steps_to_undo};
pub use verification::{RepairDue, RestoreRefusal, VerifyDue, choose_restore_source, plan_repairs, plan_verification};
