use std::fmt::Write;

use holdfast_core::domain::{BackupKind, CopyRule, Objectives, PolicyDraft, PolicyId, Retention, Selection, Span};
use holdfast_core::planning::{Finding, Severity, lint_policy};

use crate::golden;
use crate::make::{at, draft, rule, span, vault_name, vaults};

fn lint(draft: &PolicyDraft) -> Vec<Finding> {
    lint_policy(
        &PolicyId::new("photos").unwrap(),
        draft,
        &vaults(),
        at("2026-01-01T00:00:00Z"),
    )
}

fn codes(draft: &PolicyDraft, severity: Severity) -> Vec<&'static str> {
    let findings = lint(draft);
    findings
        .into_iter()
        .filter(|finding| finding.severity == severity)
        .map(|finding| finding.code)
        .collect()
}

fn refusals(draft: &PolicyDraft) -> Vec<&'static str> {
    codes(draft, Severity::Refuse)
}

fn warnings(draft: &PolicyDraft) -> Vec<&'static str> {
    codes(draft, Severity::Warn)
}

fn promising(mut draft: PolicyDraft, rpo: &str, rto: &str) -> PolicyDraft {
    draft.objectives = Some(Objectives {
        rpo: span(rpo),
        rto: span(rto),
    });
    draft
}

fn on(crons: &[&str]) -> PolicyDraft {
    let mut draft = draft();
    let rules = crons.iter().enumerate();
    draft.rules = rules
        .map(|(number, cron)| rule(&format!("rule-{number}"), cron, "UTC", BackupKind::Full))
        .collect();
    draft.copies[0].within = span("10m");
    draft
}

#[test]
fn a_sound_policy_is_only_explained() {
    let findings = lint(&promising(draft(), "2d", "4h"));
    assert!(
        findings.iter().all(|finding| finding.severity == Severity::Explain),
        "{findings:#?}"
    );
    assert_eq!(
        findings[0].message,
        "at most 7 points of a resource stay, 14 with their copies"
    );
}

// The contradictions inside the requirements that a policy can express; each names its lines.

#[test]
fn requirement_000_57_against_000_31_logs_every_four_hours_cannot_lose_less_than_an_hour() {
    assert_eq!(
        refusals(&promising(on(&["0 */4 * * *"]), "1h", "4h")),
        ["interval-exceeds-rpo"]
    );
}

#[test]
fn requirement_002_27_against_002_488_hourly_backups_cannot_lose_less_than_fifteen_minutes() {
    assert_eq!(
        refusals(&promising(on(&["0 * * * *"]), "15m", "4h")),
        ["interval-exceeds-rpo"]
    );
}

#[test]
fn requirement_003_15_five_minutes_by_backups_of_five_minutes_leave_no_time_for_the_backup_itself() {
    let policy = promising(on(&["*/5 * * * *"]), "5m", "4h");
    assert_eq!(refusals(&policy), Vec::<&str>::new());
    assert_eq!(warnings(&policy), ["rpo-without-slack", "copy-lag-exceeds-rpo"]);
}

#[test]
fn requirement_003_56_quarter_hours_kept_for_seven_days_are_672_points() {
    let mut policy = on(&["*/15 * * * *"]);
    policy.retention = Retention {
        keep_last: 672,
        ..Retention::default()
    };
    let explained = lint(&policy)
        .into_iter()
        .find(|finding| finding.code == "points-at-steady-state")
        .unwrap();
    assert_eq!(
        explained.message,
        "at most 672 points of a resource stay, 1344 with their copies"
    );
}

#[test]
fn requirement_003_9_and_004_211_a_recovery_time_of_minutes_is_questioned() {
    assert_eq!(warnings(&promising(on(&["0 * * * *"]), "2h", "15m")), ["short-rto"]);
    assert_eq!(warnings(&promising(on(&["0 * * * *"]), "2h", "1h")), Vec::<&str>::new());
    assert_eq!(refusals(&promising(on(&["0 * * * *"]), "2h", "0s")), ["rto-zero"]);
}

#[test]
fn requirement_000_138_reading_everything_every_day_is_questioned() {
    let mut policy = draft();
    policy.verify.every = span("1d");
    assert_eq!(warnings(&policy), ["verify-very-often"]);
    policy.verify.every = span("365d");
    assert_eq!(warnings(&policy), ["verify-rarely"]);
    policy.verify.every = span("0s");
    assert_eq!(refusals(&policy), ["verify-without-end"]);
}

#[test]
fn requirement_003_77_against_002_219_a_copy_across_the_border_is_questioned() {
    let mut policy = draft();
    policy.copies[0].vault = vault_name("overseas");
    assert_eq!(warnings(&policy), ["copy-crosses-border"]);
}

#[test]
fn requirement_003_61_to_63_differentials_with_a_weekly_full_are_accepted() {
    let mut policy = draft();
    policy.rules = vec![
        rule("weekly-full", "0 1 * * sun", "UTC", BackupKind::Full),
        rule("daily-differential", "0 2 * * *", "UTC", BackupKind::Differential),
    ];
    policy.retention = Retention {
        keep_daily: 30,
        keep_weekly: 12,
        ..Retention::default()
    };
    assert_eq!((refusals(&policy), warnings(&policy)), (Vec::new(), Vec::new()));
    assert_eq!(
        codes(&policy, Severity::Explain),
        ["full-outlives-its-slots", "points-at-steady-state"]
    );
    policy.rules.remove(0);
    assert_eq!(refusals(&policy), ["differential-without-full"]);
}

#[test]
fn requirement_002_531_against_002_58_seven_yearly_points_take_seven_years_to_reach() {
    let mut policy = draft();
    policy.retention.keep_yearly = 7;
    let message = lint(&policy).pop().unwrap().message;
    assert_eq!(
        message,
        "at most 14 points of a resource stay, 28 with their copies; that many are reached after 7 years"
    );
}

// What else cannot work.

#[test]
fn rules_are_looked_at_together() {
    assert_eq!(
        refusals(&promising(on(&["0 0 * * *"]), "12h", "4h")),
        ["interval-exceeds-rpo"]
    );
    assert_eq!(
        refusals(&promising(on(&["0 0 * * *", "0 12 * * *"]), "12h", "4h")),
        Vec::<&str>::new()
    );
    // A weekend without a run counts.
    assert_eq!(
        refusals(&promising(on(&["0 9-17 * * mon-fri", "0 2 * * sat"]), "30h", "4h")),
        ["interval-exceeds-rpo"]
    );
}

#[test]
fn the_time_until_a_copy_stands_elsewhere_counts_when_its_region_is_lost() {
    let mut policy = promising(on(&["0 * * * *"]), "2h", "4h");
    assert_eq!(warnings(&policy), Vec::<&str>::new());
    policy.copies[0].within = span("61m");
    let finding = &lint(&policy)[0];
    assert_eq!(finding.code, "copy-lag-exceeds-rpo");
    assert!(finding.message.contains("121m"), "{}", finding.message);
    // The soonest copy elsewhere is what counts; one in the same Region does not.
    policy.copies.push(CopyRule {
        vault: vault_name("second"),
        within: span("1m"),
    });
    assert_eq!(warnings(&policy), ["copy-lag-exceeds-rpo"]);
    policy.copies.push(CopyRule {
        vault: vault_name("recovery"),
        within: span("1m"),
    });
    policy.copies.remove(0);
    assert_eq!(warnings(&policy), Vec::<&str>::new());
}

#[test]
fn copies_that_protect_from_nothing_are_refused_or_explained() {
    let with_copies = |copies: &[(&str, &str)]| {
        let mut policy = draft();
        let rules = copies.iter();
        policy.copies = rules
            .map(|(vault, within)| CopyRule {
                vault: vault_name(vault),
                within: span(within),
            })
            .collect();
        policy
    };
    assert_eq!(
        refusals(&with_copies(&[("primary", "1h"), ("recovery", "1h")])),
        ["copy-into-own-vault"]
    );
    assert_eq!(
        refusals(&with_copies(&[("recovery", "1h"), ("recovery", "2h")])),
        ["copied-twice"]
    );
    assert_eq!(
        refusals(&with_copies(&[("moon", "1h"), ("recovery", "1h")])),
        ["unknown-vault"]
    );
    assert_eq!(warnings(&with_copies(&[("recovery", "0s")])), ["copy-always-late"]);
    assert_eq!(warnings(&with_copies(&[])), ["no-copy-elsewhere"]);
    assert_eq!(warnings(&with_copies(&[("second", "1h")])), ["no-copy-elsewhere"]);
    let explained = codes(&with_copies(&[("second", "1h"), ("recovery", "1h")]), Severity::Explain);
    assert_eq!(explained, ["copy-in-same-region", "points-at-steady-state"]);
    let mut nowhere = draft();
    nowhere.vault = vault_name("moon");
    assert_eq!(refusals(&nowhere), ["unknown-vault"]);
}

#[test]
fn numbers_that_leave_nothing_to_do_are_refused() {
    let mut policy = draft();
    policy.selection = Selection::default();
    policy.max_parallel = 0;
    policy.bandwidth_limit = Some(0);
    policy.retention = Retention::default();
    assert_eq!(
        refusals(&policy),
        ["selects-nothing", "no-parallel", "no-bandwidth", "keeps-nothing"]
    );
}

#[test]
fn schedules_that_do_not_read_never_come_due_or_share_a_name_are_refused_at_their_rule() {
    let mut policy = on(&["0 2 * *", "0 2 30 2 *", "0 2 * * *"]);
    policy.rules.push(rule("rule-2", "0 3 * * *", "Mars", BackupKind::Full));
    policy.zone = "Venus".to_owned();
    assert_eq!(
        refusals(&policy),
        ["schedule", "schedule", "rule-named-twice", "schedule", "zone"]
    );
    let subjects: Vec<_> = lint(&policy)
        .into_iter()
        .take(5)
        .map(|finding| finding.subject)
        .collect();
    assert_eq!(
        subjects,
        [
            "photos/rule-0",
            "photos/rule-1",
            "photos/rule-2",
            "photos/rule-2",
            "photos"
        ]
    );
}

#[test]
fn what_is_probably_not_meant_is_said() {
    let mut policy = draft();
    policy.delete_after = Span::seconds(0);
    policy.rules[0].start_within = Span::seconds(0);
    policy.rules[0].kind = BackupKind::Incremental;
    assert_eq!(warnings(&policy), ["deletes-at-once", "never-full", "never-on-time"]);
    policy.rules.clear();
    assert_eq!(warnings(&policy), ["deletes-at-once", "no-rule"]);
    assert_eq!(refusals(&promising(policy, "1s", "4h")), Vec::<&str>::new());
}

#[test]
fn every_finding_is_a_sentence_for_people() {
    let mut policy = promising(on(&["0 */4 * * *", "bad"]), "1h", "15m");
    policy.rules[0].kind = BackupKind::Differential;
    policy.copies.push(CopyRule {
        vault: vault_name("overseas"),
        within: span("0s"),
    });
    policy.copies.push(CopyRule {
        vault: vault_name("second"),
        within: span("1h"),
    });
    policy.copies.push(CopyRule {
        vault: vault_name("primary"),
        within: span("1h"),
    });
    policy.verify.every = span("1d");
    let mut text = String::new();
    for finding in lint(&policy) {
        writeln!(
            text,
            "{:?} {} {}: {}",
            finding.severity, finding.code, finding.subject, finding.message
        )
        .unwrap();
    }
    golden::check("lint.txt", &text);
}
