//! What an actuator says that no plan should rely on.

use std::path::Path;

use crate::domain::{Actuator, ActuatorKind, Settings};

use super::lint::{Finding, Severity};

/// Words among the arguments of the AWS command line that change what all Regions share.
const GLOBAL: [(&str, &str); 4] = [
    ("route53", "records or health checks of Route 53"),
    ("iam", "IAM"),
    ("cloudfront", "CloudFront"),
    (
        "route53-recovery-control-config",
        "the configuration of routing controls",
    ),
];

/// What is to be said of an actuator.
pub fn check_actuator(actuator: &Actuator) -> Vec<Finding> {
    let refuse = |code, message: String| Finding {
        severity: Severity::Refuse,
        code,
        message,
        subject: actuator.name.to_string(),
    };
    let mut findings = Vec::new();
    if let Some(drill) = &actuator.drill
        && is_same(actuator.kind, &actuator.production, drill)
    {
        let message = format!(
            "[actuator.drill] leads to what [actuator.production] leads to ({}): a drill would change production. Name something \
             that a drill may change, or leave [actuator.drill] out, and drills leave its steps out",
            naming(actuator.kind).join(", ")
        );
        findings.push(refuse("production-in-drill", message));
    }
    for (table, settings) in tables(actuator) {
        findings.extend(check_settings(actuator.kind, table, settings).map(|(code, message)| refuse(code, message)));
    }
    let changed = |settings| changes_globally(actuator.kind, settings);
    if let Some(what) = tables(actuator).find_map(|(_, settings)| changed(settings)) {
        let message = format!(
            "its program changes {what}: one control plane for all Regions, which may be lost with any of them. Use an actuator of \
             kind route53-marker or arc-routing-control, and make beforehand what does not have to wait"
        );
        findings.push(refuse("global-control-plane", message));
    }
    findings
}

/// What an actuator is told, each with the name of its table.
fn tables(actuator: &Actuator) -> impl Iterator<Item = (&'static str, &Settings)> {
    let drill = actuator.drill.iter().map(|drill| ("drill", drill));
    std::iter::once(("production", &actuator.production)).chain(drill)
}

/// Settings that are missing, and those that nobody reads: a misspelt one would be missing where it counts, in a disaster.
fn check_settings(
    kind: ActuatorKind,
    table: &str,
    settings: &Settings,
) -> impl Iterator<Item = (&'static str, String)> {
    let known = kind.settings();
    let list = known.all().collect::<Vec<_>>().join(", ");
    let missing = known.required.iter().filter(|name| !settings.contains_key(**name));
    let missing = missing.map(|name| {
        let message = format!(
            "[actuator.{table}] lacks \"{name}\", without which kind {} finds nothing",
            kind.as_str()
        );
        ("setting-missing", message)
    });
    let unknown = settings
        .keys()
        .filter(|name| known.all().all(|known| known != name.as_str()));
    let unknown = unknown.map(|name| {
        let message = format!(
            "[actuator.{table}] has \"{name}\", which kind {} does not know; it knows: {list}",
            kind.as_str()
        );
        ("setting-unknown", message)
    });
    missing.chain(unknown).collect::<Vec<_>>().into_iter()
}

/// The settings that say which thing an actuator works on, and not how.
fn naming(kind: ActuatorKind) -> &'static [&'static str] {
    match kind {
        ActuatorKind::Postgres => &["guard"],
        ActuatorKind::Dns => &["server", "zone", "name"],
        ActuatorKind::Command => &["program", "arguments"],
        ActuatorKind::Route53Marker => &["bucket", "key"],
        ActuatorKind::ArcRoutingControl => &["routing-control"],
        ActuatorKind::AuroraGlobal => &["cluster-arn"],
        ActuatorKind::RdsReplica => &["instance"],
        ActuatorKind::EcsService => &["cluster", "service"],
        ActuatorKind::LambdaFunction => &["function"],
        ActuatorKind::AutoScalingGroup => &["group"],
    }
}

/// Whether two settings lead to the same thing, however differently they would treat it.
fn is_same(kind: ActuatorKind, production: &Settings, drill: &Settings) -> bool {
    naming(kind).iter().all(|key| production.get(*key) == drill.get(*key))
}

fn changes_globally(kind: ActuatorKind, settings: &Settings) -> Option<&'static str> {
    let program = settings.get("program").filter(|_| kind == ActuatorKind::Command)?;
    let is_aws = Path::new(program).file_name().is_some_and(|name| name == "aws");
    let arguments: Vec<String> = serde_json::from_str(settings.get("arguments").filter(|_| is_aws)?).ok()?;
    let named = GLOBAL
        .into_iter()
        .find(|(word, _)| arguments.iter().any(|argument| argument == word));
    named.map(|(_, what)| what)
}
