//! Putting a configuration into force: the text of `holdfast.toml`, checked whole before anything of it is applied.

use holdfast_core::config::payload::Payload;
use holdfast_core::config::{Config, parse};
use holdfast_core::domain::{Failure, FailureKind, ResourceKind};
use holdfast_core::workflow::{World, apply};
use serde_json::{Value, json};

/// Answers `{"configuration": "<text>"}`; with `"dry_run": true` it is only checked.
pub async fn answer(world: &World, payload: &Value) -> Result<Value, Failure> {
    let mut read = Payload::of(payload)?;
    let dry_run = read.flag("dry_run", false);
    let text = read
        .required_text("configuration", "the text of holdfast.toml")
        .unwrap_or_default();
    read.finish()?;
    let config = parse(text, world.now()).map_err(|problems| {
        let listed: Vec<String> = problems.iter().map(ToString::to_string).collect();
        refusal(&listed)
    })?;
    let problems = against_deployment(world, &config);
    if !problems.is_empty() {
        return Err(refusal(&problems));
    }
    let warnings = config.warnings.iter().map(|(line, finding)| {
        json!({ "line": line, "about": finding.subject, "code": finding.code, "message": finding.message })
    });
    let warnings: Vec<Value> = warnings.collect();
    let counts = json!({
        "resources": config.resources.len(),
        "policies": config.policies.len(),
        "plans": config.plans.len(),
    });
    if dry_run {
        return Ok(json!({ "applied": false, "in_force": null, "read": counts, "warnings": warnings }));
    }
    let applied = apply::apply(world, &config.resources, &config.policies, &config.plans).await?;
    let changed = applied
        .changed
        .iter()
        .map(|(policy, version)| json!({ "policy": policy, "version": version }));
    Ok(json!({
        "applied": true,
        "read": counts,
        "changed": changed.collect::<Vec<_>>(),
        "retired": applied.retired,
        "warnings": warnings,
    }))
}

fn refusal(problems: &[String]) -> Failure {
    let count = problems.len();
    let noun = if count == 1 { "problem" } else { "problems" };
    let message = format!(
        "the configuration has {count} {noun}; nothing was applied\n{}",
        problems.join("\n")
    );
    Failure::new(FailureKind::Invalid, message)
}

/// Where the text speaks of another deployment than this one: vaults and Regions are made by the infrastructure, and a
/// function has no files of its own to protect.
fn against_deployment(world: &World, config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    if config.settings.region != world.settings.home {
        problems.push(format!(
            "region is \"{}\", but this deployment lives in {}",
            config.settings.region, world.settings.home
        ));
    }
    if config.settings.data.is_some() {
        problems.push("\"data\" is for a program with a disk; leave it out".to_owned());
    }
    let deployed: Vec<String> = world
        .settings
        .vaults
        .iter()
        .map(|vault| format!("{} in {}", vault.name, vault.region))
        .collect();
    let deployed = deployed.join(", ");
    for vault in &config.vaults {
        match world.region_of(&vault.name) {
            Some(region) if region == &vault.region => {}
            Some(region) => problems.push(format!(
                "vault \"{}\" is in {}, not in {region}; deployed are: {deployed}",
                vault.name, vault.region
            )),
            None => problems.push(format!(
                "vault \"{}\" is not deployed; deployed are: {deployed}",
                vault.name
            )),
        }
    }
    for resource in &config.resources {
        if resource.kind == ResourceKind::Files {
            problems.push(format!(
                "resource \"{}\" is of kind files, which a function cannot read; the server on that machine backs it up",
                resource.id
            ));
        }
        if resource.server.as_ref().is_some_and(|server| server.is_received) {
            problems.push(format!(
                "the log of resource \"{}\" is \"continuous\", and no function runs all the time; leave \"log\" out, pull often, or \
                 run `holdfast postgres receive` on a machine",
                resource.id
            ));
        }
        if resource.trial.is_some() {
            problems.push(format!(
                "resource \"{}\" has [resource.trial], which starts PostgreSQL's own programs, and a function has none; leave it \
                 out, and try its backups with `holdfast postgres prove` on a machine that has them",
                resource.id
            ));
        }
    }
    problems
}
