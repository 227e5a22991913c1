//! What the file says as a whole: every policy by itself, and what policies, resources and plans mean to each other.

use jiff::Timestamp;

use crate::domain::{Check, Resource, ResourceId, ResourceKind, Step, StepAction, Vault, VaultName};
use crate::planning::{
    Finding, Severity, check_actuator, check_target, check_traffic, lint_policy, lint_quotas, plan_receivers,
};

use super::names::Names;
use super::plan::ReadPlan;
use super::policy::ReadPolicy;

/// All findings and where in the file they belong.
pub(super) fn review(
    policies: &[ReadPolicy],
    plans: &[ReadPlan],
    vaults: &[Vault],
    resources: &[Resource],
    names: &Names,
    at: Timestamp,
) -> Vec<(usize, Finding)> {
    let mut findings = Vec::new();
    for policy in policies {
        for finding in lint_policy(&policy.id, &policy.draft, vaults, at) {
            findings.push((place(policy, &finding), finding));
        }
        if !resources.iter().any(|resource| policy.draft.selection.covers(resource)) {
            let message = "its selection covers none of the resources in this file".to_owned();
            findings.push((policy.at, warn("covers-nothing", message, policy.id.as_str())));
        }
    }
    let drafts: Vec<_> = policies.iter().map(|policy| (&policy.id, &policy.draft)).collect();
    for finding in lint_quotas(&drafts, resources) {
        let policy = policies.iter().find(|policy| policy.id.as_str() == finding.subject);
        findings.push((policy.map_or(0, |policy| policy.at), finding));
    }
    for resource in resources {
        let covering = policies.iter().filter(|policy| policy.draft.selection.covers(resource));
        if covering.count() == 0 {
            let message = "no policy covers it, so it is not backed up".to_owned();
            let place = names.resources.place(&resource.id);
            findings.push((place, warn("unprotected", message, resource.id.as_str())));
        }
    }
    findings.extend(not_looked_after(policies, resources, names));
    for actuator in &names.of_actuators {
        let place = names.actuators.place(&actuator.name);
        findings.extend(check_actuator(actuator).into_iter().map(|finding| (place, finding)));
    }
    for read in plans {
        findings.extend(traffic(read));
        findings.extend(
            read.plan
                .steps
                .iter()
                .flat_map(|step| sources(read, step, policies, resources)),
        );
    }
    findings
}

/// What is said of a step that expects or restores recovery points.
fn sources(read: &ReadPlan, step: &Step, policies: &[ReadPolicy], resources: &[Resource]) -> Vec<(usize, Finding)> {
    let Some((resource, vault)) = source(&step.action) else {
        return Vec::new();
    };
    let subject = format!("{}/{}", read.plan.id, step.name);
    let place = read.steps_at.get(&step.name).copied().unwrap_or_default();
    let refuse = |code, message| Finding {
        severity: Severity::Refuse,
        ..warn(code, message, &subject)
    };
    let mut findings = Vec::new();
    if !receives(policies, resources, resource, vault) {
        let message = format!("no policy puts recovery points of {resource} into vault {vault}");
        findings.push(warn("source-never-filled", message, &subject));
    }
    findings.extend(wrong_target(&step.action, resources).map(|message| refuse("wrong-target", message)));
    if let Some(kind) = restored_by_service(&step.action, resources) {
        let message = format!(
            "it restores a resource of kind {}: its service makes a new one, which fetches its data as it is read, and a \
             drill restores content only so far. Nothing measured can support an RTO of {}: keep a replica in the \
             recovery Region instead",
            kind.as_str(),
            read.plan.objectives.rto
        );
        findings.push(refuse("drill-restores-content-only", message));
    }
    findings.into_iter().map(|finding| (place, finding)).collect()
}

/// What is said of where a plan leads traffic, each at its step.
fn traffic(read: &ReadPlan) -> impl Iterator<Item = (usize, Finding)> {
    check_traffic(&read.plan).into_iter().map(|finding| {
        let step = finding.subject.split_once('/').map(|(_, step)| step);
        let place = read.steps_at.iter().find(|(name, _)| Some(name.as_str()) == step);
        (place.map_or(0, |(_, place)| *place), finding)
    })
}

/// Servers whose log is received as it is written while nothing looks after it.
fn not_looked_after(policies: &[ReadPolicy], resources: &[Resource], names: &Names) -> Vec<(usize, Finding)> {
    let drafts: Vec<_> = policies.iter().map(|policy| &policy.draft).collect();
    let received = plan_receivers(resources, &drafts);
    let is_missing = |resource: &&Resource| {
        let asks = resource.server.as_ref().is_some_and(|server| server.is_received);
        asks && received.iter().all(|receiving| receiving.resource.id != resource.id)
    };
    let finding = |resource: &Resource| {
        let message = "its log is \"continuous\", and no policy that covers it has a rule of kind \"log\", which looks after what \
                       is received: add one"
            .to_owned();
        let finding = Finding {
            severity: Severity::Refuse,
            ..warn("received-and-not-looked-after", message, resource.id.as_str())
        };
        (names.resources.place(&resource.id), finding)
    };
    resources.iter().filter(is_missing).map(finding).collect()
}

fn warn(code: &'static str, message: String, subject: &str) -> Finding {
    Finding {
        severity: Severity::Warn,
        code,
        message,
        subject: subject.to_owned(),
    }
}

/// The line of the rule that a finding speaks of, or else of its policy.
fn place(policy: &ReadPolicy, finding: &Finding) -> usize {
    let rule = finding.subject.split_once('/').map(|(_, rule)| rule);
    let places = &policy.rules_at;
    let found = places.iter().find(|(name, _)| Some(name.as_str()) == rule);
    found.map_or(policy.at, |(_, place)| *place)
}

/// The resource and the vault that a step expects recovery points in.
fn source(action: &StepAction) -> Option<(&ResourceId, &VaultName)> {
    match action {
        StepAction::Restore { resource, vault, .. } | StepAction::Check(Check::ProvenPoint { resource, vault }) => {
            Some((resource, vault))
        }
        StepAction::Check(Check::PointAge { .. } | Check::Answers(_))
        | StepAction::Verify { .. }
        | StepAction::Wait { .. }
        | StepAction::Notify { .. }
        | StepAction::Approve { .. }
        | StepAction::Act { .. } => None,
    }
}

/// Why a step cannot restore to where it is told to.
fn wrong_target(action: &StepAction, resources: &[Resource]) -> Option<String> {
    let StepAction::Restore {
        resource,
        target: Some(target),
        ..
    } = action
    else {
        return None;
    };
    let known = resources.iter().find(|known| &known.id == resource)?;
    let refused = check_target(known.kind, target).err()?;
    Some(refused.message)
}

/// The kind of the resource that a step restores, where a service does it.
fn restored_by_service(action: &StepAction, resources: &[Resource]) -> Option<ResourceKind> {
    let StepAction::Restore { resource, .. } = action else {
        return None;
    };
    let known = resources.iter().find(|known| &known.id == resource)?;
    (!known.kind.is_content()).then_some(known.kind)
}

fn receives(policies: &[ReadPolicy], resources: &[Resource], resource: &ResourceId, vault: &VaultName) -> bool {
    let Some(resource) = resources.iter().find(|known| &known.id == resource) else {
        return false;
    };
    policies.iter().any(|policy| {
        let draft = &policy.draft;
        let fills = &draft.vault == vault || draft.copies.iter().any(|copy| &copy.vault == vault);
        fills && draft.selection.covers(resource)
    })
}
