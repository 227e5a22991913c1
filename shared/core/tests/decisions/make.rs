//! Records for tests.

use holdfast_core::domain::{
    BackupKind, Copy, CopyRule, CopyState, JobId, Level, Patterns, Point, PointId, PointState, Policy, PolicyDraft,
    PolicyId, Proof, Region, Resource, ResourceId, ResourceKind, Retention, Rule, RuleName, Selection, Span,
    UnreadEntry, Vault, VaultName, VerifyRule,
};
use jiff::Timestamp;

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn span(text: &str) -> Span {
    text.parse().unwrap()
}

pub fn vault_name(name: &str) -> VaultName {
    VaultName::new(name).unwrap()
}

pub fn vaults() -> Vec<Vault> {
    [
        ("primary", "eu-central-1"),
        ("second", "eu-central-1"),
        ("recovery", "eu-west-1"),
        ("overseas", "us-east-1"),
    ]
    .into_iter()
    .map(|(name, region)| Vault {
        name: vault_name(name),
        region: Region::new(region).unwrap(),
    })
    .collect()
}

pub fn resource() -> Resource {
    Resource {
        id: ResourceId::new("photos").unwrap(),
        kind: ResourceKind::Files,
        path: "/srv/photos".to_owned(),
        tags: [("tier".to_owned(), "critical".to_owned())].into(),
        heartbeat: None,
        registered_at: at("2026-01-01T00:00:00Z"),
        retired_at: None,
        trial: None,
        server: None,
    }
}

pub fn rule(name: &str, cron: &str, zone: &str, kind: BackupKind) -> Rule {
    Rule {
        name: RuleName::new(name).unwrap(),
        cron: cron.to_owned(),
        zone: zone.to_owned(),
        kind,
        start_within: span("1h"),
        since: at("2026-01-01T00:00:00Z"),
    }
}

/// A policy with which nothing is wrong.
pub fn draft() -> PolicyDraft {
    PolicyDraft {
        description: String::new(),
        selection: Selection {
            resources: vec![resource().id],
            ..Selection::default()
        },
        patterns: Patterns::default(),
        rules: vec![rule("nightly", "0 2 * * *", "Europe/Berlin", BackupKind::Full)],
        vault: vault_name("primary"),
        copies: vec![CopyRule {
            vault: vault_name("recovery"),
            within: span("1h"),
        }],
        retention: Retention {
            keep_daily: 7,
            ..Retention::default()
        },
        zone: "Europe/Berlin".to_owned(),
        delete_after: span("3d"),
        verify: VerifyRule { every: span("30d") },
        objectives: None,
        max_parallel: 2,
        bandwidth_limit: None,
    }
}

pub fn policy(draft: PolicyDraft) -> Policy {
    Policy {
        id: PolicyId::new("photos").unwrap(),
        version: 1,
        applied_at: at("2026-01-01T00:00:00Z"),
        active: true,
        draft,
    }
}

/// A complete full point with one copy in `primary`, never proven.
pub fn point(taken_at: Timestamp) -> Point {
    let text = taken_at.to_string();
    Point {
        resource_kind: ResourceKind::Files,
        id: PointId::derive(&[&text]),
        resource: resource().id,
        policy: None,
        job: JobId::derive(&[&text]),
        kind: BackupKind::Full,
        base: None,
        taken_at,
        created_at: taken_at,
        state: PointState::Available,
        size_bytes: 1,
        files: 1,
        added_bytes: 1,
        unread: Vec::new(),
        changes: None,
        copies: vec![copy("primary", CopyState::Available, taken_at)],
        legal_hold: None,
        expiry: None,
    }
}

pub fn copy(vault: &str, state: CopyState, created_at: Timestamp) -> Copy {
    Copy {
        vault: vault_name(vault),
        artefact: format!("{vault}-artefact"),
        state,
        created_at,
        proofs: Vec::new(),
    }
}

pub fn proof(level: Level, passed: bool, at: Timestamp) -> Proof {
    Proof {
        level,
        passed,
        at,
        job: JobId::derive(&[&at.to_string()]),
        statement: 1,
    }
}

/// The same copy, proven to the byte at that time.
pub fn proven(mut copy: Copy, at: Timestamp) -> Copy {
    copy.proofs.push(proof(Level::L2, true, at));
    copy
}

pub fn unread() -> Vec<UnreadEntry> {
    vec![UnreadEntry {
        path: "secret".to_owned(),
        reason: "permission denied".to_owned(),
    }]
}
