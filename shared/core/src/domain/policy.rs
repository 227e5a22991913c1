//! Backup policies: what is protected, when, for how long, and where copies go.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Objectives, PolicyId, Resource, ResourceId, ResourceKind, RuleName, Span, VaultName};

/// How much a backup job reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupKind {
    /// Everything is read and hashed again.
    Full,
    /// What changed since the newest recovery point.
    Incremental,
    /// What changed since the last full recovery point.
    Differential,
    /// The log of a PostgreSQL server since the last time. It makes no recovery point: it moves on to when the server can be
    /// restored.
    Log,
}

impl BackupKind {
    /// The word for this kind in configuration and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
            Self::Differential => "differential",
            Self::Log => "log",
        }
    }
}

/// One schedule of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name, unique in the policy.
    pub name: RuleName,
    /// Cron expression of five fields (minute, hour, day of month, month, day of week).
    pub cron: String,
    /// IANA time zone that the expression is read in.
    pub zone: String,
    /// How much its jobs read.
    pub kind: BackupKind,
    /// How late an occurrence may start before it counts as missed.
    pub start_within: Span,
    /// Since when the rule stands as it is; no occurrence lies before this.
    pub since: Timestamp,
}

/// Which resources a policy covers. A resource is covered when it is named, or when every given tag and kind matches.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Selection {
    /// Resources by name.
    pub resources: Vec<ResourceId>,
    /// Resources that carry all of these tags.
    pub tags: BTreeMap<String, String>,
    /// Resources of these kinds.
    pub kinds: Vec<ResourceKind>,
    /// Resources that are left out, whatever else matches.
    pub exclude: Vec<ResourceId>,
}

impl Selection {
    /// Whether the selection covers `resource`. What has left the configuration is covered by none.
    pub fn covers(&self, resource: &Resource) -> bool {
        if resource.retired_at.is_some() || self.exclude.contains(&resource.id) {
            return false;
        }
        let has_terms = !self.tags.is_empty() || !self.kinds.is_empty();
        let tags_match = self
            .tags
            .iter()
            .all(|(key, value)| resource.tags.get(key) == Some(value));
        let kind_matches = self.kinds.is_empty() || self.kinds.contains(&resource.kind);
        self.resources.contains(&resource.id) || (has_terms && tags_match && kind_matches)
    }

    /// What the selection covers of `resources`, which stand in the order of their names. Where it only names resources, no
    /// other is looked at.
    pub fn covered<'a>(&self, resources: &'a [Resource]) -> Vec<&'a Resource> {
        let has_terms = !self.tags.is_empty() || !self.kinds.is_empty();
        if has_terms {
            return resources.iter().filter(|resource| self.covers(resource)).collect();
        }
        let names: BTreeSet<&ResourceId> = self.resources.iter().collect();
        let named = names.into_iter().filter_map(|name| {
            let place = resources.binary_search_by(|resource| resource.id.cmp(name)).ok()?;
            resources.get(place)
        });
        named.filter(|resource| self.covers(resource)).collect()
    }
}

/// Which entries inside a file tree are backed up, and which of them nobody changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Patterns {
    /// When given, only what matches one of these.
    pub include: Vec<String>,
    /// Never what matches one of these.
    pub exclude: Vec<String>,
    /// Files that nobody changes, relative to the resource's path. A backup notes what they hold, so that a point from before
    /// somebody changed everything can be found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canaries: Vec<String>,
}

/// How many recovery points to keep ("GFS"): the newest of each of the last n days, weeks, months and years that have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Retention {
    /// The newest points, whatever their age.
    pub keep_last: u32,
    /// One a day.
    pub keep_daily: u32,
    /// One an ISO week.
    pub keep_weekly: u32,
    /// One a month.
    pub keep_monthly: u32,
    /// One a year.
    pub keep_yearly: u32,
}

/// Where copies go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyRule {
    /// The vault that receives the copy.
    pub vault: VaultName,
    /// How soon after the point was made the copy must stand there.
    pub within: Span,
}

/// How often every byte is proven again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyRule {
    /// No byte of a kept point stays unproven longer than this.
    pub every: Span,
}

/// A backup policy. Versions are immutable: a change is a new version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Its name.
    pub id: PolicyId,
    /// Grows by one with every change.
    pub version: u32,
    /// When this version was applied.
    pub applied_at: Timestamp,
    /// Whether this version is the one in force. Retired versions stay as history.
    pub active: bool,
    /// What the policy says.
    #[serde(flatten)]
    pub draft: PolicyDraft,
}

/// What a policy says, before it has a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyDraft {
    /// For people.
    pub description: String,
    /// What it covers.
    pub selection: Selection,
    /// Which entries of a file tree.
    pub patterns: Patterns,
    /// When.
    pub rules: Vec<Rule>,
    /// Where recovery points are made.
    pub vault: VaultName,
    /// Where they are copied to.
    pub copies: Vec<CopyRule>,
    /// How long they stay.
    pub retention: Retention,
    /// Time zone whose days, weeks, months and years retention counts.
    pub zone: String,
    /// How long an expired point waits between being marked and being deleted.
    pub delete_after: Span,
    /// How often they are proven.
    pub verify: VerifyRule,
    /// What the resource owner was promised.
    pub objectives: Option<Objectives>,
    /// How many backup jobs of this policy may run at once.
    pub max_parallel: u32,
    /// Bytes a second that one job may send to its vault; none means no limit.
    pub bandwidth_limit: Option<u64>,
}

impl PolicyDraft {
    /// Whether it pulls the log of `resource`.
    pub fn pulls_log(&self, resource: &Resource) -> bool {
        self.selection.covers(resource) && self.rules.iter().any(|rule| rule.kind == BackupKind::Log)
    }
}
