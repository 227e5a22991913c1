//! A run of a plan on a model: which steps still run under an outage, and how long they take.

use crate::domain::{Act, Actuator, RecoveryPlan, Region, Resource, Span, Step, StepAction, StepName, Vault};
use crate::planning::critical_path::{Timed, critical_path, ends_by};
use crate::planning::measured::{Estimate, Measured};
use crate::planning::recovery::{PlanError, order_steps, prerequisites};

use super::needs::{need, needs_of_act, stands_unreached};
use super::outage::{Loss, Need, Outage, Service, Sides, loss};

/// What a plan stands on.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The home Region of the installation.
    pub home: &'a Region,
    /// The vaults.
    pub vaults: &'a [Vault],
    /// The protected resources.
    pub resources: &'a [Resource],
}

/// What becomes of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It runs as ever.
    Runs,
    /// It runs late, or not reliably, for want of this.
    Slow(Need),
    /// It cannot run, for want of this.
    Blocked(Need),
    /// It is not reached, because this one, which it waits for, does not end.
    Unreached(StepName),
}

impl Verdict {
    fn ends(&self) -> bool {
        matches!(self, Self::Runs | Self::Slow(_))
    }
}

/// A step under an outage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedStep {
    /// The step.
    pub name: StepName,
    /// What it does, as a word.
    pub action: &'static str,
    /// What becomes of it.
    pub verdict: Verdict,
    /// How long it takes when nothing is wrong.
    pub estimate: Estimate,
}

/// A recovery time, from the shortest to the longest measurements of the steps that decide it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// With each step as short as it ever was.
    pub least: Span,
    /// With each step as long as in the middle one of its measurements.
    pub expected: Span,
    /// With each step as long as it ever was.
    pub most: Span,
    /// The fewest measurements of a step.
    pub runs: usize,
}

/// What a plan comes to under an outage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulated {
    /// The outage; none for a day on which all is well.
    pub outage: Option<Outage>,
    /// The Regions that it is about.
    pub sides: Sides,
    /// The steps, in their order.
    pub steps: Vec<SimulatedStep>,
    /// The chain that decides how long it takes, by medians, and by timeouts where nothing was measured.
    pub path: Vec<StepName>,
    /// How long it takes; none while a step is blocked, slowed, or was never measured.
    pub recovery: Option<Interval>,
    /// No later than this every step has ended or has given up.
    pub gives_up: Span,
}

impl Simulated {
    /// Whether every step ends.
    pub fn comes_to_its_end(&self) -> bool {
        self.steps.iter().all(|step| step.verdict.ends())
    }
}

/// Runs a plan on the model.
pub fn simulate(
    plan: &RecoveryPlan,
    ground: &Ground<'_>,
    measured: &Measured,
    outage: Option<Outage>,
) -> Result<Simulated, PlanError> {
    let order = order_steps(plan)?;
    let sides = sides(plan, ground);
    let mut steps: Vec<SimulatedStep> = Vec::with_capacity(order.len());
    let mut timed: Vec<(Vec<usize>, Estimate, Span)> = Vec::with_capacity(order.len());
    for place in &order {
        let step = &plan.steps[*place];
        // Prerequisites come before, so each is among the steps already.
        let after: Vec<usize> = prerequisites(plan, step)
            .filter_map(|before| steps.iter().position(|simulated| &simulated.name == before))
            .collect();
        let waits_in_vain = after.iter().find(|before| !steps[**before].verdict.ends());
        let verdict = match (waits_in_vain, outage) {
            (Some(before), _) => Verdict::Unreached(steps[*before].name.clone()),
            (None, Some(outage)) => verdict(plan, step, ground, &sides, outage),
            (None, None) => Verdict::Runs,
        };
        let estimate = measured.estimate(step);
        timed.push((after, estimate, step.timeout));
        steps.push(SimulatedStep {
            name: step.name.clone(),
            action: step.action.as_str(),
            verdict,
            estimate,
        });
    }
    let at_once = plan.at_once.map_or(steps.len(), |at_once| at_once as usize);
    let along = |seconds: fn(Estimate) -> i64| critical_path(&timed_by(&timed, seconds), at_once);
    let (path, _) = along(expected);
    let recovery = recovery(&steps).map(|runs| Interval {
        least: Span::seconds(along(least).1),
        expected: Span::seconds(along(expected).1),
        most: Span::seconds(along(most).1),
        runs,
    });
    let gives_up: Vec<Timed> = (timed.iter())
        .map(|(after, _, timeout)| Timed {
            after: after.clone(),
            seconds: timeout.as_seconds(),
        })
        .collect();
    Ok(Simulated {
        outage,
        path: path.into_iter().map(|place| steps[place].name.clone()).collect(),
        recovery,
        gives_up: Span::seconds(ends_by(&gives_up, at_once)),
        sides,
        steps,
    })
}

/// The Region that a plan recovers from, and the one that it recovers in: those that it moves a workload between, or else that of the first vault outside the home Region that a
/// step restores from.
pub fn sides(plan: &RecoveryPlan, ground: &Ground<'_>) -> Sides {
    if let Some(moves) = &plan.moves {
        return Sides {
            home: moves.from.clone(),
            recovery: moves.to.clone(),
        };
    }
    let region = |step: &Step| match &step.action {
        StepAction::Restore { vault, .. } => region_of(ground, vault),
        _ => None,
    };
    let elsewhere = plan
        .steps
        .iter()
        .filter_map(region)
        .find(|region| region != ground.home);
    Sides {
        home: ground.home.clone(),
        recovery: elsewhere.unwrap_or_else(|| ground.home.clone()),
    }
}

fn region_of(ground: &Ground<'_>, vault: &crate::domain::VaultName) -> Option<Region> {
    let vault = ground.vaults.iter().find(|known| &known.name == vault);
    vault.map(|vault| vault.region.clone())
}

/// What becomes of a step that is reached: the worst that the outage does to anything that it needs.
fn verdict(plan: &RecoveryPlan, step: &Step, ground: &Ground<'_>, sides: &Sides, outage: Outage) -> Verdict {
    let needs = needs(plan, step, ground, sides);
    let worst = (needs.into_iter())
        .map(|need| (loss(outage, &need, sides), need))
        .reduce(|worst, next| if next.0 > worst.0 { next } else { worst });
    match worst {
        Some((Loss::Gone, need)) => Verdict::Blocked(need),
        Some((Loss::Slow, need)) => Verdict::Slow(need),
        Some((Loss::None, _)) | None => Verdict::Runs,
    }
}

/// Whether the installation is one on AWS: then it works by Lambda and DynamoDB, in the recovery Region.
fn is_on_aws(ground: &Ground<'_>) -> bool {
    let of_aws = |resource: &Resource| resource.kind != crate::domain::ResourceKind::Files;
    ground.resources.iter().any(of_aws)
}

fn needs(plan: &RecoveryPlan, step: &Step, ground: &Ground<'_>, sides: &Sides) -> Vec<Need> {
    let mut needs = Vec::new();
    let is_on_aws = is_on_aws(ground);
    if is_on_aws {
        needs.push(need(Service::Functions, &sides.recovery));
        needs.push(need(Service::Catalog, &sides.recovery));
    }
    match &step.action {
        StepAction::Restore { resource, vault, .. } => {
            let kind = ground.resources.iter().find(|known| &known.id == resource);
            let is_content = kind.is_none_or(|known| known.kind.is_content());
            let service = match (is_on_aws, is_content) {
                (false, _) => Service::Machine,
                (true, true) => Service::Objects,
                (true, false) => Service::Restores,
            };
            needs.extend(region_of(ground, vault).map(|region| need(service, &region)));
        }
        StepAction::Act { actuator, act, .. } if !step.graceful => {
            let found = plan.actuator(actuator).into_iter();
            needs.extend(found.flat_map(|actuator| needs_of(actuator, act, sides)));
        }
        StepAction::Check(_)
        | StepAction::Verify { .. }
        | StepAction::Wait { .. }
        | StepAction::Notify { .. }
        | StepAction::Approve { .. }
        | StepAction::Act { .. } => {}
    }
    needs
}

/// What a change needs; nothing where it comes to stand even though the thing cannot be reached.
fn needs_of(actuator: &Actuator, act: &Act, sides: &Sides) -> Vec<Need> {
    if stands_unreached(actuator.kind, act) {
        return Vec::new();
    }
    let other = if actuator.region == sides.home {
        &sides.recovery
    } else {
        &sides.home
    };
    needs_of_act(actuator.kind, act, &actuator.region, other)
}

fn timed_by(timed: &[(Vec<usize>, Estimate, Span)], seconds: fn(Estimate) -> i64) -> Vec<Timed> {
    let timed = timed.iter().map(|(after, estimate, _)| Timed {
        after: after.clone(),
        seconds: seconds(*estimate),
    });
    timed.collect()
}

fn least(estimate: Estimate) -> i64 {
    match estimate {
        Estimate::Given(span) | Estimate::NotMeasured { timeout: span } => span.as_seconds(),
        Estimate::Measured { least, .. } => least.as_seconds(),
    }
}

fn expected(estimate: Estimate) -> i64 {
    match estimate {
        Estimate::Measured { median, .. } => median.as_seconds(),
        given => least(given),
    }
}

fn most(estimate: Estimate) -> i64 {
    match estimate {
        Estimate::Measured { most, .. } => most.as_seconds(),
        given => least(given),
    }
}

/// The fewest measurements of a step, where all steps run as ever and each was measured.
fn recovery(steps: &[SimulatedStep]) -> Option<usize> {
    let measured = |step: &SimulatedStep| match (&step.verdict, step.estimate) {
        (Verdict::Runs, Estimate::Given(_)) => Some(usize::MAX),
        (Verdict::Runs, Estimate::Measured { count, .. }) => Some(count),
        _ => None,
    };
    let counts: Option<Vec<usize>> = steps.iter().map(measured).collect();
    counts?.into_iter().min().filter(|count| *count < usize::MAX)
}
