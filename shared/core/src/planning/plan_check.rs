//! What a recovery plan says that cannot work, or that its author should know.

use std::cmp::Reverse;

use jiff::Timestamp;

use crate::domain::{
    Act, ActuatorKind, BackupKind, PolicyDraft, PolicyId, RecoveryPlan, ResourceId, Rule, Settings, Span, Step,
    StepAction, StepName, Undo, VaultName,
};

use super::lint::{Finding, Severity};
use super::measured::{Estimate, Measured, counted};
use super::outages::{Ground, Outage, Simulated, Verdict, simulate};
use super::rehearsal_check::check_drills;
use super::schedule::{Schedule, longest_interval_of};

/// What is to be said of a plan, the gravest first. `measured` is what its runs so far took; `at` is the time from which
/// schedules are looked at.
pub fn check_plan(
    plan: &RecoveryPlan,
    ground: &Ground<'_>,
    policies: &[(PolicyId, PolicyDraft)],
    measured: &Measured,
    at: Timestamp,
) -> Vec<Finding> {
    let mut checker = Checker {
        plan,
        ground,
        findings: Vec::new(),
    };
    match simulate(plan, ground, measured, None) {
        Ok(simulated) => {
            checker.times(&simulated);
            checker.sources(policies, at);
            checker.outages(measured);
            checker.ways_back();
            checker.findings.extend(check_drills(plan, simulated.gives_up, at));
        }
        Err(error) => checker.say(Severity::Refuse, "no-order", error.to_string()),
    }
    let mut findings = checker.findings;
    findings.sort_by_key(|finding| Reverse(finding.severity));
    findings
}

struct Checker<'a> {
    plan: &'a RecoveryPlan,
    ground: &'a Ground<'a>,
    findings: Vec<Finding>,
}

impl Checker<'_> {
    fn say(&mut self, severity: Severity, code: &'static str, message: impl Into<String>) {
        let subject = self.plan.id.to_string();
        self.findings.push(Finding {
            severity,
            code,
            message: message.into(),
            subject,
        });
    }

    fn say_of(&mut self, step: &Step, severity: Severity, code: &'static str, message: impl Into<String>) {
        let subject = format!("{}/{}", self.plan.id, step.name);
        self.findings.push(Finding {
            severity,
            code,
            message: message.into(),
            subject,
        });
    }

    /// Whether what is to be taken back can be: a name leads to one address, and must be told another one to leave it for.
    fn ways_back(&mut self) {
        for step in &self.plan.steps {
            let StepAction::Act {
                actuator,
                act: Act::Direct { .. },
                undo: Undo::Reverse,
                ..
            } = &step.action
            else {
                continue;
            };
            let found = self.plan.actuator(actuator);
            let Some(found) = found.filter(|found| found.kind == ActuatorKind::Dns) else {
                continue;
            };
            let lacks = |settings: &Settings| !settings.contains_key("other_address");
            if lacks(&found.production) || found.drill.as_ref().is_some_and(lacks) {
                let message = format!(
                    "undo = \"reverse\" leads the name of {actuator} back, and nothing says where to: add other_address, the address in \
                     the other Region, to its settings"
                );
                self.say_of(step, Severity::Refuse, "no-way-back", message);
            }
        }
    }

    /// Whether measured times support the RTO, and timeouts leave room for them.
    fn times(&mut self, simulated: &Simulated) {
        let plan = self.plan;
        let rto = plan.strictest_rto();
        let path: Vec<&str> = simulated.path.iter().map(StepName::as_str).collect();
        let path = path.join(" -> ");
        match simulated.recovery {
            Some(time) if time.least > rto => {
                let message = format!(
                    "{path} never took less than {} in {}, so an RTO of {rto} cannot be met: promise more, or make \
                     one of them shorter",
                    time.least,
                    counted(time.runs)
                );
                self.say(Severity::Refuse, "rto-below-measured", message);
            }
            Some(time) if time.most > rto => {
                let message = format!(
                    "{path} took up to {} in {}, longer than the RTO of {rto}",
                    time.most,
                    counted(time.runs)
                );
                self.say(Severity::Warn, "rto-not-always-met", message);
            }
            Some(_) => {}
            None => {
                let unmeasured = |estimate| matches!(estimate, Estimate::NotMeasured { .. });
                let steps = simulated.steps.iter().filter(|step| unmeasured(step.estimate));
                let steps: Vec<&str> = steps.map(|step| step.name.as_str()).collect();
                let message = format!(
                    "nothing measured supports the RTO of {rto}: a drill has yet to measure {}",
                    steps.join(", ")
                );
                self.say(Severity::Explain, "rto-not-measured", message);
            }
        }
        if simulated.gives_up > rto {
            let message = format!(
                "its steps may work for {} before the last of them gives up, longer than the RTO of {rto}: timeouts that \
                 add up to less would show sooner that it is missed",
                simulated.gives_up
            );
            self.say(Severity::Explain, "timeouts-exceed-rto", message);
        }
        for (step, simulated) in plan.steps.iter().filter_map(|step| {
            let found = simulated.steps.iter().find(|simulated| simulated.name == step.name);
            found.map(|found| (step, found))
        }) {
            if let Estimate::Measured { most, .. } = simulated.estimate
                && most.as_seconds() * 2 > step.timeout.as_seconds()
            {
                let message = format!(
                    "it took up to {most} and gives up after {}: give it at least twice what it took",
                    step.timeout
                );
                self.say_of(step, Severity::Warn, "timeout-tight", message);
            }
        }
    }

    /// Whether what it restores is there, in time and in the right place.
    fn sources(&mut self, policies: &[(PolicyId, PolicyDraft)], at: Timestamp) {
        let plan = self.plan;
        for step in &plan.steps {
            let StepAction::Restore { resource, vault, .. } = &step.action else {
                continue;
            };
            if let Some((policy, loss)) = self.worst_loss(policies, resource, vault, at)
                && loss > plan.objectives.rpo
            {
                let message = format!(
                    "what stands of {resource} in vault {vault} may be {loss} old, by the due times of policy {policy} and the \
                     time that it gives the copy: more than the RPO of {}. Back up more often, copy sooner, or promise less",
                    plan.objectives.rpo
                );
                self.say_of(step, Severity::Refuse, "rpo-below-point-age", message);
            }
            let verifies = |other: &&Step| matches!(&other.action, StepAction::Verify { restored_by } if *restored_by == step.name);
            if !plan.steps.iter().any(|other| verifies(&other)) {
                let message = "no step verifies what it restores: add one with verify = { restored-by = … }";
                self.say_of(step, Severity::Warn, "restore-not-verified", message);
            }
        }
    }

    /// How old what stands of a resource in a vault may be, with the log of a server that is copied between its points: the
    /// longest time between due times, and what a copy may take.
    fn worst_loss(
        &self,
        policies: &[(PolicyId, PolicyDraft)],
        resource: &ResourceId,
        vault: &VaultName,
        at: Timestamp,
    ) -> Option<(PolicyId, Span)> {
        let resource = self.ground.resources.iter().find(|known| &known.id == resource)?;
        let losses = policies.iter().filter_map(|(id, draft)| {
            let lag = match draft.copies.iter().find(|copy| &copy.vault == vault) {
                Some(copy) => copy.within,
                None if &draft.vault == vault => Span::seconds(0),
                None => return None,
            };
            let has_log = resource.kind.has_log();
            let counts = |rule: &&Rule| draft.selection.covers(resource) && (has_log || rule.kind != BackupKind::Log);
            let rules = draft.rules.iter().filter(counts);
            let schedules: Vec<Schedule> = rules
                .filter_map(|rule| Schedule::parse(&rule.cron, &rule.zone).ok())
                .collect();
            (!schedules.is_empty()).then(|| {
                let interval = longest_interval_of(&schedules, at);
                (id.clone(), Span::seconds(interval.as_seconds() + lag.as_seconds()))
            })
        });
        losses.min_by_key(|(_, loss)| *loss)
    }

    /// Whether the loss of the Region that it recovers from would stop it.
    fn outages(&mut self, measured: &Measured) {
        let Ok(lost) = simulate(self.plan, self.ground, measured, Some(Outage::Region)) else {
            return;
        };
        for simulated in &lost.steps {
            let Verdict::Blocked(need) = &simulated.verdict else {
                continue;
            };
            let Some(step) = self.plan.steps.iter().find(|step| step.name == simulated.name) else {
                continue;
            };
            let (severity, meaning) = if lost.sides.home == lost.sides.recovery {
                let meaning = "it protects from damage, not from the loss of the Region";
                (Severity::Warn, meaning)
            } else {
                (Severity::Refuse, "use what stands in the recovery Region")
            };
            let message = format!(
                "it needs {need}, which is lost with Region {}: {meaning}",
                lost.sides.home
            );
            self.say_of(step, severity, "needs-lost-region", message);
        }
    }
}
