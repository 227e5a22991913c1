//! `holdfast plan`: recovery plans looked at, before anybody needs them.

use holdfast_core::domain::{PlanId, RecoveryPlan};
use holdfast_core::planning::{Finding, Ground, Measured, Outage, Severity, Simulated, check_plan, simulate};
use holdfast_core::ports::Clock;
use holdfast_core::report::{draw_plan, runbook, simulation_text};
use holdfast_core::workflow::runs;
use holdfast_local::{DataFolder, Database, SqliteCatalog, SystemClock};
use serde_json::json;

use crate::args::{Place, PlanCommand, PlanOptions};
use crate::embedded::{Installation, read};
use crate::error::{CliError, Done};
use crate::output;
use crate::output::say;

/// Carries out a command.
pub async fn run(command: PlanCommand, as_json: bool) -> Result<Done, CliError> {
    match command {
        PlanCommand::Check { plan, place } => {
            let plans = Plans::read(&place)?;
            check(&plans, plan.as_deref(), as_json).await
        }
        PlanCommand::Show(options) => {
            let plans = Plans::read(&options.place)?;
            print(&draw_plan(plans.named(&options.plan)?), as_json)
        }
        PlanCommand::Runbook(options) => write_runbook(&options, as_json).await,
        PlanCommand::Simulate { of, outage } => simulate_under(&of, &outage, as_json).await,
    }
}

/// The plans of a configuration.
struct Plans {
    place: Place,
    installation: Installation,
}

impl Plans {
    fn read(place: &Place) -> Result<Self, CliError> {
        let installation = read(place, SystemClock.now())?;
        let place = place.clone();
        Ok(Self { place, installation })
    }

    fn all(&self) -> &[RecoveryPlan] {
        &self.installation.config.plans
    }

    fn named(&self, word: &str) -> Result<&RecoveryPlan, CliError> {
        let id = PlanId::new(word).map_err(|error| CliError::usage(error.to_string()))?;
        let found = self.all().iter().find(|plan| plan.id == id);
        found.ok_or_else(|| {
            let file = self.place.config.display();
            CliError::usage(format!("no recovery plan is named \"{id}\" in {file}"))
        })
    }

    fn ground(&self) -> Ground<'_> {
        let config = &self.installation.config;
        Ground {
            home: &config.settings.region,
            vaults: &config.vaults,
            resources: &config.resources,
        }
    }

    /// What the runs of a plan measured, where this machine has had any.
    async fn measured(&self, plan: &RecoveryPlan) -> Result<Measured, CliError> {
        if !self.installation.data.exists() {
            return Ok(Measured::default());
        }
        let data = DataFolder::beside(&self.installation.data)?;
        let catalog = SqliteCatalog::new(Database::open(data.database())?);
        let runs = runs::ended(&catalog, SystemClock.now()).await?;
        Ok(Measured::of(plan, &runs))
    }
}

fn print(text: &str, as_json: bool) -> Result<Done, CliError> {
    if as_json {
        output::json(&text)?;
    } else {
        say!("{}", text.trim_end());
    }
    Ok(Done::Done)
}

fn ordered(plan: &RecoveryPlan, simulated: Result<Simulated, impl std::fmt::Display>) -> Result<Simulated, CliError> {
    simulated.map_err(|error| CliError::usage(format!("recovery plan {}: {error}", plan.id)))
}

async fn check(plans: &Plans, only: Option<&str>, as_json: bool) -> Result<Done, CliError> {
    let chosen: Vec<&RecoveryPlan> = match only {
        Some(word) => vec![plans.named(word)?],
        None => plans.all().iter().collect(),
    };
    let policies = &plans.installation.config.policies;
    let mut findings: Vec<Finding> = Vec::new();
    for plan in &chosen {
        let measured = plans.measured(plan).await?;
        findings.extend(check_plan(
            plan,
            &plans.ground(),
            policies,
            &measured,
            SystemClock.now(),
        ));
    }
    let refused = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Refuse)
        .count();
    if as_json {
        let told = |finding: &Finding| {
            json!({
                "severity": severity(finding),
                "code": finding.code,
                "subject": finding.subject,
                "message": finding.message,
            })
        };
        output::json(&findings.iter().map(told).collect::<Vec<_>>())?;
    } else {
        for finding in &findings {
            say!("{}: {}: {}", severity(finding), finding.subject, finding.message);
        }
        say!("plans checked: {}, refused for: {refused}", chosen.len());
    }
    Ok(if refused == 0 { Done::Done } else { Done::Failed })
}

fn severity(finding: &Finding) -> &'static str {
    match finding.severity {
        Severity::Explain => "note",
        Severity::Warn => "warning",
        Severity::Refuse => "refused",
    }
}

async fn write_runbook(options: &PlanOptions, as_json: bool) -> Result<Done, CliError> {
    let plans = Plans::read(&options.place)?;
    let plan = plans.named(&options.plan)?;
    let measured = plans.measured(plan).await?;
    let simulated = ordered(plan, simulate(plan, &plans.ground(), &measured, None))?;
    print(&runbook(plan, &simulated, &measured), as_json)
}

async fn simulate_under(options: &PlanOptions, outages: &[Outage], as_json: bool) -> Result<Done, CliError> {
    let plans = Plans::read(&options.place)?;
    let plan = plans.named(&options.plan)?;
    let measured = plans.measured(plan).await?;
    let each: Vec<Option<Outage>> = match outages {
        [] => std::iter::once(None).chain(Outage::ALL.map(Some)).collect(),
        given => given.iter().copied().map(Some).collect(),
    };
    let mut texts = Vec::new();
    let mut all_end = true;
    for outage in each {
        let simulated = ordered(plan, simulate(plan, &plans.ground(), &measured, outage))?;
        all_end &= simulated.comes_to_its_end();
        texts.push(simulation_text(plan, &simulated));
    }
    print(&texts.join("\n"), as_json)?;
    Ok(if all_end { Done::Done } else { Done::Failed })
}
