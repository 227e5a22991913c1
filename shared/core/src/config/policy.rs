//! The `[[policy]]` tables.

use std::collections::BTreeMap;
use std::str::FromStr;

use jiff::Timestamp;

use crate::domain::{
    BackupKind, CopyRule, Objectives, Patterns, PolicyDraft, PolicyId, ResourceKind, Retention, Rule, RuleName,
    Selection, Span, VerifyRule,
};
use crate::planning::{Schedule, time_zone};

use super::names::{Names, Placed};
use super::reader::{At, Problems, Table, choose};
use super::{RESOURCE_KINDS, is_inside};

/// The kinds of backup, by the word that the file uses.
const BACKUP_KINDS: [(&str, BackupKind); 4] = [
    ("full", BackupKind::Full),
    ("incremental", BackupKind::Incremental),
    ("differential", BackupKind::Differential),
    ("log", BackupKind::Log),
];

/// Values of keys that may be left out.
mod default {
    use crate::domain::Span;

    pub(super) const ZONE: &str = "UTC";
    pub(super) const MAX_PARALLEL: u32 = 2;
    pub(super) const DELETE_AFTER: Span = Span::days(3);
    pub(super) const VERIFY_EVERY: Span = Span::days(30);
    pub(super) const START_WITHIN: Span = Span::hours(1);
}

/// A policy and where it and its rules stand.
pub(super) struct ReadPolicy {
    pub(super) id: PolicyId,
    pub(super) draft: PolicyDraft,
    pub(super) at: usize,
    pub(super) rules_at: BTreeMap<RuleName, usize>,
}

/// Reads one policy; none when something in it is wrong.
pub(super) fn read_policy(
    mut table: Table<'_>,
    names: &mut Names,
    applied_at: Timestamp,
    problems: &mut Problems<'_>,
) -> Option<ReadPolicy> {
    let problems_before = problems.count();
    let at = table.at;
    let id: Option<At<PolicyId>> = table.required("name", problems);
    if let Some(id) = &id {
        names.policies.declare(&id.value, id.at, problems);
    }
    let description: Option<At<String>> = table.word("description", problems);
    let vault = table.required("vault", problems);
    names.vaults.check(vault.as_ref(), problems);
    let zone = read_zone(&mut table, default::ZONE, problems);
    let objectives = read_objectives(&mut table, names, problems);
    let max_parallel = table.number("max-parallel", 1..=1000, problems);
    let bandwidth_limit: Option<At<Rate>> = table.word("bandwidth-limit", problems);
    let delete_after = table.word("delete-after", problems);
    let verify_every = table.word("verify-every", problems);
    let selection = read_selection(&mut table, names, problems);
    let patterns = read_patterns(&mut table, problems);
    let retention = read_retention(&mut table, problems);
    let (rules, rules_at) = read_rules(&mut table, &zone, applied_at, problems);
    let copies = read_copies(&mut table, names, problems);
    table.finish(problems);
    if problems.count() > problems_before {
        return None;
    }
    let draft = PolicyDraft {
        description: description.map_or_else(String::new, |text| text.value),
        selection,
        patterns,
        rules,
        vault: vault?.value,
        copies,
        retention,
        zone,
        delete_after: delete_after.map_or(default::DELETE_AFTER, |span| span.value),
        verify: VerifyRule {
            every: verify_every.map_or(default::VERIFY_EVERY, |span| span.value),
        },
        objectives,
        max_parallel: max_parallel.unwrap_or(default::MAX_PARALLEL),
        bandwidth_limit: bandwidth_limit.map(|rate| rate.value.0),
    };
    Some(ReadPolicy {
        id: id?.value,
        draft,
        at,
        rules_at,
    })
}

/// The zone of a table, or the given one. A bad zone is reported and read as the given one, so that it is reported once.
pub(super) fn read_zone(table: &mut Table<'_>, otherwise: &str, problems: &mut Problems<'_>) -> String {
    let Some(zone) = table.text("zone", problems) else {
        return otherwise.to_owned();
    };
    match time_zone(zone.value) {
        Ok(_) => zone.value.to_owned(),
        Err(error) => {
            problems.add(zone.at, error.to_string());
            otherwise.to_owned()
        }
    }
}

/// Objectives by tier, or by `rpo` and `rto`; none when neither is given.
pub(super) fn read_objectives(table: &mut Table<'_>, names: &Names, problems: &mut Problems<'_>) -> Option<Objectives> {
    let tier: Option<At<String>> = table.word("tier", problems);
    let rpo: Option<At<Span>> = table.word("rpo", problems);
    let rto: Option<At<Span>> = table.word("rto", problems);
    if let Some(tier) = tier {
        if rpo.is_some() || rto.is_some() {
            problems.add(tier.at, "give either \"tier\" or \"rpo\" and \"rto\", not both");
        }
        names.tiers.check(Some(&tier), problems);
        return names.objectives.get(&tier.value).copied();
    }
    match (rpo, rto) {
        (Some(rpo), Some(rto)) => Some(Objectives {
            rpo: rpo.value,
            rto: rto.value,
        }),
        (Some(at), None) | (None, Some(at)) => {
            if !(table.has("rpo") && table.has("rto")) {
                problems.add(at.at, "\"rpo\" and \"rto\" are given together or not at all");
            }
            None
        }
        (None, None) => None,
    }
}

fn read_selection(policy: &mut Table<'_>, names: &Names, problems: &mut Problems<'_>) -> Selection {
    let Some(mut table) = policy.table("select", "[policy.select]", problems) else {
        if !policy.has("select") {
            problems.add(policy.at, format!("{} lacks [policy.select]", policy.title));
        }
        return Selection::default();
    };
    let resources = table.words("resources", problems);
    let exclude = table.words("exclude", problems);
    for resource in resources.iter().chain(&exclude) {
        names.resources.check(Some(resource), problems);
    }
    let selection = Selection {
        resources: values(resources),
        tags: read_tags(&mut table, problems),
        kinds: read_kinds(&mut table, problems),
        exclude: values(exclude),
    };
    if !(table.has("resources") || table.has("tags") || table.has("kinds")) || selection == Selection::default() {
        problems.add(
            table.at,
            "[policy.select] selects nothing: give \"resources\", \"tags\" or \"kinds\"",
        );
    }
    table.finish(problems);
    selection
}

fn read_kinds(table: &mut Table<'_>, problems: &mut Problems<'_>) -> Vec<ResourceKind> {
    let words: Vec<At<String>> = table.words("kinds", problems);
    let kinds = words
        .iter()
        .map(|word| choose("kinds", word, &RESOURCE_KINDS, problems));
    kinds.collect::<Vec<_>>().into_iter().flatten().collect()
}

pub(super) fn read_tags(table: &mut Table<'_>, problems: &mut Problems<'_>) -> BTreeMap<String, String> {
    let Some(tags) = table.table("tags", "\"tags\"", problems) else {
        return BTreeMap::new();
    };
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    tags.texts(problems).into_iter().map(owned).collect()
}

fn read_patterns(policy: &mut Table<'_>, problems: &mut Problems<'_>) -> Patterns {
    let Some(mut table) = policy.table("files", "[policy.files]", problems) else {
        return Patterns::default();
    };
    let mut patterns = |key| -> Vec<String> {
        let given: Vec<At<String>> = table.words(key, problems);
        for pattern in given.iter().filter(|pattern| pattern.value.is_empty()) {
            problems.add(pattern.at, format!("\"{key}\" holds an empty pattern"));
        }
        values(given)
    };
    let patterns = Patterns {
        include: patterns("include"),
        exclude: patterns("exclude"),
        canaries: read_canaries(&mut table, problems),
    };
    table.finish(problems);
    patterns
}

fn read_canaries(table: &mut Table<'_>, problems: &mut Problems<'_>) -> Vec<String> {
    let given: Vec<At<String>> = table.words("canaries", problems);
    for canary in given.iter().filter(|canary| !is_inside(&canary.value)) {
        problems.add(
            canary.at,
            "\"canaries\" are files below the resource's path, written relative to it and without \"..\"",
        );
    }
    values(given)
}

fn read_retention(policy: &mut Table<'_>, problems: &mut Problems<'_>) -> Retention {
    let Some(mut table) = policy.table("keep", "[policy.keep]", problems) else {
        if !policy.has("keep") {
            problems.add(
                policy.at,
                format!("{} lacks [policy.keep]: say how many points to keep", policy.title),
            );
        }
        return Retention::default();
    };
    let mut keep = |key| table.number(key, 0..=100_000, problems).unwrap_or(0);
    let retention = Retention {
        keep_last: keep("last"),
        keep_daily: keep("daily"),
        keep_weekly: keep("weekly"),
        keep_monthly: keep("monthly"),
        keep_yearly: keep("yearly"),
    };
    table.finish(problems);
    retention
}

fn read_rules(
    policy: &mut Table<'_>,
    zone: &str,
    applied_at: Timestamp,
    problems: &mut Problems<'_>,
) -> (Vec<Rule>, BTreeMap<RuleName, usize>) {
    let mut rules = Vec::new();
    let mut placed = Placed::new("rule");
    for mut table in policy.tables("rule", "[[policy.rule]]", problems) {
        let name: Option<At<RuleName>> = table.required("name", problems);
        if let Some(name) = &name {
            placed.declare(&name.value, name.at, problems);
        }
        let zone = read_zone(&mut table, zone, problems);
        let cron: Option<At<String>> = table.required("cron", problems);
        let kind = table.required_choice("kind", &BACKUP_KINDS, problems);
        let start_within = table.word("start-within", problems);
        table.finish(problems);
        if let Some(cron) = &cron
            && let Err(error) = Schedule::parse(&cron.value, &zone)
        {
            problems.add(cron.at, error.to_string());
        }
        if let (Some(name), Some(cron), Some(kind)) = (name, cron, kind) {
            rules.push(Rule {
                name: name.value,
                cron: cron.value,
                zone,
                kind,
                start_within: start_within.map_or(default::START_WITHIN, |span| span.value),
                since: applied_at,
            });
        }
    }
    (rules, placed.into_places())
}

fn read_copies(policy: &mut Table<'_>, names: &Names, problems: &mut Problems<'_>) -> Vec<CopyRule> {
    let mut copies = Vec::new();
    let mut placed = Placed::new("copy to vault");
    for mut table in policy.tables("copy", "[[policy.copy]]", problems) {
        let vault = table.required("vault", problems);
        let within = table.required("within", problems);
        table.finish(problems);
        names.vaults.check(vault.as_ref(), problems);
        if let Some(vault) = &vault {
            placed.declare(&vault.value, vault.at, problems);
        }
        if let (Some(vault), Some(within)) = (vault, within) {
            copies.push(CopyRule {
                vault: vault.value,
                within: within.value,
            });
        }
    }
    copies
}

pub(super) fn values<T>(words: Vec<At<T>>) -> Vec<T> {
    words.into_iter().map(|word| word.value).collect()
}

/// Bytes a second, written `50MB/s` or `16MiB/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub u64);

impl FromStr for Rate {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let invalid = || {
            let shown: String = word.chars().take(40).collect();
            format!("\"{shown}\" is not a rate: write a whole number and a unit, such as 500kB/s, 50MB/s or 16MiB/s")
        };
        let digits = word.chars().take_while(char::is_ascii_digit).count();
        let (number, unit) = word.split_at(digits);
        let unit: u64 = match unit {
            "B/s" => 1,
            "kB/s" => 1000,
            "MB/s" => 1_000_000,
            "GB/s" => 1_000_000_000,
            "KiB/s" => 1 << 10,
            "MiB/s" => 1 << 20,
            "GiB/s" => 1 << 30,
            _ => return Err(invalid()),
        };
        let number: u64 = number.parse().map_err(|_| invalid())?;
        number.checked_mul(unit).map(Self).ok_or_else(invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_whole_numbers_with_a_unit_of_bytes_a_second() {
        for (word, bytes) in [
            ("1B/s", 1),
            ("500kB/s", 500_000),
            ("50MB/s", 50_000_000),
            ("16MiB/s", 16 << 20),
        ] {
            assert_eq!(word.parse::<Rate>().map(|rate| rate.0), Ok(bytes), "{word}");
        }
        for word in [
            "",
            "50",
            "50MB",
            "MB/s",
            "50 MB/s",
            "50mb/s",
            "-1B/s",
            "1.5MB/s",
            "99999999999999999999B/s",
            "20000000000GB/s",
        ] {
            assert!(word.parse::<Rate>().is_err(), "{word:?}");
        }
    }
}
