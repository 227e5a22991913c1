//! `holdfast.toml`: what a person wrote, read strictly into the words of the domain.

pub mod deployment;
mod drills;
mod incidents;
mod moves;
mod names;
pub mod payload;
mod plan;
mod policy;
mod reader;
mod review;
mod server;
mod trial;

use std::fmt;
use std::path::{Component, Path};

use jiff::Timestamp;
use toml::de::DeTable;

use crate::domain::{
    Objectives, PolicyDraft, PolicyId, RecoveryPlan, Region, Resource, ResourceId, ResourceKind, Vault, VaultName,
};
use crate::planning::{Finding, Severity};

use drills::read_prices;
use incidents::read_contact;
use moves::{read_actuator, read_workload};
use names::Names;
use plan::read_plan;
pub use policy::Rate;
use policy::{read_policy, read_tags};
use reader::{At, Problems, Table};
use review::review;

/// Settings of the installation as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The home Region.
    pub region: Region,
    /// The folder for the program's own records, as written; none means the program's default.
    pub data: Option<String>,
}

/// A checked configuration: every name in it refers to something that is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Settings of the installation as a whole.
    pub settings: Settings,
    /// The vaults.
    pub vaults: Vec<Vault>,
    /// The protected resources; paths are as written.
    pub resources: Vec<Resource>,
    /// The policies.
    pub policies: Vec<(PolicyId, PolicyDraft)>,
    /// The recovery plans.
    pub plans: Vec<RecoveryPlan>,
    /// What the linter has to say that refuses nothing, with the line of the policy or rule it speaks of.
    pub warnings: Vec<(usize, Finding)>,
}

/// Something in the file that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// Reads a configuration. All problems are reported at once, in the order of the file; while the TOML itself does not
/// read, only what is wrong with that, because the rest would be guesswork. Rules and resources begin at `applied_at`.
///
/// A policy that the linter refuses is a problem; its milder findings are warnings.
pub fn parse(text: &str, applied_at: Timestamp) -> Result<Config, Vec<Problem>> {
    let mut problems = Problems::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        problems.add(at, error.message().replace('\n', ", "));
    }
    let config = match errors.is_empty() {
        true => read_document(Table::new("the file", 0, document.get_ref()), applied_at, &mut problems),
        false => None,
    };
    match config {
        Some(config) if problems.count() == 0 => Ok(config),
        Some(_) | None => Err(problems.into_sorted()),
    }
}

fn read_document(mut file: Table<'_>, applied_at: Timestamp, problems: &mut Problems<'_>) -> Option<Config> {
    let mut names = Names::new();
    let region: Option<At<Region>> = file.required("region", problems);
    let data: Option<At<String>> = file.word("data", problems);
    let (mut vaults, mut resources, mut policies, mut plans) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for table in file.tables("vault", "[[vault]]", problems) {
        vaults.extend(read_vault(table, &mut names, problems));
    }
    for table in file.tables("resource", "[[resource]]", problems) {
        resources.extend(read_resource(table, &mut names, applied_at, problems));
    }
    for table in file.tables("tier", "[[tier]]", problems) {
        read_tier(table, &mut names, problems);
    }
    for table in file.tables("policy", "[[policy]]", problems) {
        policies.extend(read_policy(table, &mut names, applied_at, problems));
    }
    names.prices = read_prices(&mut file, problems);
    for table in file.tables("contact", "[[contact]]", problems) {
        read_contact(table, &mut names, problems);
    }
    for table in file.tables("workload", "[[workload]]", problems) {
        read_workload(table, &mut names, problems);
    }
    for table in file.tables("actuator", "[[actuator]]", problems) {
        read_actuator(table, &mut names, problems);
    }
    for table in file.tables("plan", "[[plan]]", problems) {
        plans.extend(read_plan(table, &mut names, applied_at, problems));
    }
    file.finish(problems);
    let findings = review(&policies, &plans, &vaults, &resources, &names, applied_at);
    let mut warnings = Vec::new();
    for (at, finding) in findings {
        match finding.severity {
            Severity::Refuse => problems.add(at, format!("{}: {}", finding.subject, finding.message)),
            Severity::Warn | Severity::Explain => warnings.push((problems.line(at), finding)),
        }
    }
    Some(Config {
        settings: Settings {
            region: region?.value,
            data: data.map(|data| data.value),
        },
        vaults,
        resources,
        policies: policies.into_iter().map(|read| (read.id, read.draft)).collect(),
        plans: plans.into_iter().map(|read| read.plan).collect(),
        warnings,
    })
}

fn read_vault(mut table: Table<'_>, names: &mut Names, problems: &mut Problems<'_>) -> Option<Vault> {
    let name: Option<At<VaultName>> = table.required("name", problems);
    if let Some(name) = &name {
        names.vaults.declare(&name.value, name.at, problems);
    }
    let region: Option<At<Region>> = table.required("region", problems);
    table.finish(problems);
    Some(Vault {
        name: name?.value,
        region: region?.value,
    })
}

/// The kinds of resources, by the word that the file uses.
const RESOURCE_KINDS: [(&str, ResourceKind); 7] = [
    ("files", ResourceKind::Files),
    ("s3", ResourceKind::S3),
    ("rds", ResourceKind::Rds),
    ("aurora", ResourceKind::Aurora),
    ("dynamodb", ResourceKind::Dynamodb),
    ("aws_backup", ResourceKind::AwsBackup),
    ("postgres", ResourceKind::Postgres),
];

fn read_resource(
    mut table: Table<'_>,
    names: &mut Names,
    registered_at: Timestamp,
    problems: &mut Problems<'_>,
) -> Option<Resource> {
    let name: Option<At<ResourceId>> = table.required("name", problems);
    if let Some(name) = &name {
        names.resources.declare(&name.value, name.at, problems);
    }
    let kind = table.required_choice("kind", &RESOURCE_KINDS, problems);
    let path: Option<At<String>> = table.required("path", problems);
    if let Some((path, kind)) = path.as_ref().zip(kind)
        && let Some(why) = wrong_path(kind, &path.value)
    {
        problems.add(path.at, why);
    }
    let heartbeat: Option<At<String>> = table.word("heartbeat", problems);
    if let Some(heartbeat) = &heartbeat
        && !is_inside(&heartbeat.value)
    {
        problems.add(
            heartbeat.at,
            "\"heartbeat\" must be a file below the resource's path, written relative to it and without \"..\"",
        );
    }
    let tags = read_tags(&mut table, problems);
    let server = server::read(&mut table, kind, problems);
    let trial = trial::read(&mut table, kind, problems);
    table.finish(problems);
    Some(Resource {
        id: name?.value,
        kind: kind?,
        path: path?.value,
        server,
        trial,
        tags,
        heartbeat: heartbeat.map(|heartbeat| heartbeat.value),
        registered_at,
        retired_at: None,
    })
}

/// Whether a path leads to something below the folder that it is relative to.
fn is_inside(path: &str) -> bool {
    let inside = |part: Component<'_>| matches!(part, Component::Normal(_));
    !path.is_empty() && Path::new(path).components().all(inside)
}

/// Why a path does not lead to a resource of this kind.
fn wrong_path(kind: ResourceKind, path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("\"path\" is empty");
    }
    match kind {
        ResourceKind::S3 => {
            let bucket = path.strip_prefix("s3://").and_then(|rest| rest.split('/').next());
            let names_bucket = bucket.is_some_and(|bucket| !bucket.is_empty());
            (!names_bucket).then_some("\"path\" of an s3 resource is written s3://bucket/prefix")
        }
        ResourceKind::AwsBackup => {
            (!path.starts_with("arn:")).then_some("\"path\" of an aws_backup resource is the ARN of what is protected")
        }
        ResourceKind::Postgres => server::wrong_connection(path),
        ResourceKind::Files | ResourceKind::Rds | ResourceKind::Aurora | ResourceKind::Dynamodb => None,
    }
}

fn read_tier(mut table: Table<'_>, names: &mut Names, problems: &mut Problems<'_>) {
    let name: Option<At<String>> = table.required("name", problems);
    if let Some(name) = &name {
        names.tiers.declare(&name.value, name.at, problems);
    }
    let rpo = table.required("rpo", problems);
    let rto = table.required("rto", problems);
    table.finish(problems);
    if let (Some(name), Some(rpo), Some(rto)) = (name, rpo, rto) {
        let objectives = Objectives {
            rpo: rpo.value,
            rto: rto.value,
        };
        names.objectives.insert(name.value, objectives);
    }
}
