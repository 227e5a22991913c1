//! What a policy says that cannot work, or that its author should know.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::domain::{
    BackupKind, Objectives, PolicyDraft, PolicyId, Region, Retention, Selection, Span, Vault, VaultName,
};

use super::schedule::{Schedule, longest_interval_of, time_zone};

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// What follows from the policy, for its author to know.
    Explain,
    /// Probably not what was meant.
    Warn,
    /// Cannot work: the policy is not applied.
    Refuse,
}

/// Something that a policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// Its name, for tests and filters.
    pub code: &'static str,
    /// What it is and how to mend it.
    pub message: String,
    /// The policy, or the policy and the rule, such as `photos` or `photos/nightly`.
    pub subject: String,
}

/// A restore that writes this many bytes a second is a good one; whoever promises a recovery time should know what fits.
const GOOD_RESTORE_RATE: i64 = 200_000_000;

/// What is to be said of a policy, the gravest first. `at` is the time from which schedules are looked at.
pub fn lint_policy(id: &PolicyId, draft: &PolicyDraft, vaults: &[Vault], at: Timestamp) -> Vec<Finding> {
    let mut linter = Linter {
        id,
        draft,
        vaults,
        findings: Vec::new(),
    };
    linter.numbers();
    linter.kinds();
    let interval = linter.schedules(at);
    linter.copies();
    if let Some(objectives) = &draft.objectives {
        linter.objectives(objectives, interval);
    }
    linter.verification();
    linter.retention();
    let mut findings = linter.findings;
    findings.sort_by_key(|finding| Reverse(finding.severity));
    findings
}

struct Linter<'a> {
    id: &'a PolicyId,
    draft: &'a PolicyDraft,
    vaults: &'a [Vault],
    findings: Vec<Finding>,
}

impl Linter<'_> {
    fn say(&mut self, severity: Severity, code: &'static str, message: impl Into<String>) {
        let subject = self.id.to_string();
        self.say_of(subject, severity, code, message);
    }

    fn say_of(&mut self, subject: String, severity: Severity, code: &'static str, message: impl Into<String>) {
        self.findings.push(Finding {
            severity,
            code,
            message: message.into(),
            subject,
        });
    }

    /// Numbers that leave nothing to do.
    fn numbers(&mut self) {
        let Selection {
            resources, tags, kinds, ..
        } = &self.draft.selection;
        if resources.is_empty() && tags.is_empty() && kinds.is_empty() {
            self.say(
                Severity::Refuse,
                "selects-nothing",
                "its selection names no resource, tag or kind",
            );
        }
        if self.draft.max_parallel == 0 {
            self.say(
                Severity::Refuse,
                "no-parallel",
                "max-parallel is 0, so no job could ever start",
            );
        }
        if self.draft.bandwidth_limit == Some(0) {
            let message = "the bandwidth limit is 0, so no job could ever end; leave it out for no limit";
            self.say(Severity::Refuse, "no-bandwidth", message);
        }
        if self.draft.delete_after == Span::seconds(0) {
            let message =
                "expired points are deleted at once: give delete-after, so that a mistake can be seen in time";
            self.say(Severity::Warn, "deletes-at-once", message);
        }
    }

    /// What the kinds of backup need of each other.
    fn kinds(&mut self) {
        let has = |kind| self.draft.rules.iter().any(|rule| rule.kind == kind);
        let (full, differential) = (has(BackupKind::Full), has(BackupKind::Differential));
        if has(BackupKind::Log) && self.draft.rules.iter().all(|rule| rule.kind == BackupKind::Log) {
            let message =
                "it pulls the log of servers but never makes a base backup for it to lead on from; add a full rule";
            self.say(Severity::Refuse, "log-without-base", message);
        }
        if differential && !full {
            let message = "it makes differential points but never a full one for them to differ from; add a full rule";
            self.say(Severity::Refuse, "differential-without-full", message);
        } else if differential {
            let message = "a full point stays as long as a differential made from it stays, also beyond its own slots";
            self.say(Severity::Explain, "full-outlives-its-slots", message);
        } else if has(BackupKind::Incremental) && !full {
            let message = "it never reads everything again: what changes without a new size or time is never noticed; \
                           a full rule now and then would";
            self.say(Severity::Warn, "never-full", message);
        }
    }

    /// Whether each rule comes due; answers with the longest time between due times of all rules together.
    fn schedules(&mut self, at: Timestamp) -> Option<Span> {
        let draft = self.draft;
        let mut names = BTreeSet::new();
        let mut schedules = Vec::new();
        for rule in &draft.rules {
            let subject = format!("{}/{}", self.id, rule.name);
            if !names.insert(&rule.name) {
                self.say_of(
                    subject.clone(),
                    Severity::Refuse,
                    "rule-named-twice",
                    "two rules have this name",
                );
            }
            if rule.start_within == Span::seconds(0) {
                let message = "start-within is 0, so every occurrence would count as late";
                self.say_of(subject.clone(), Severity::Warn, "never-on-time", message);
            }
            match Schedule::parse(&rule.cron, &rule.zone) {
                Ok(schedule) => schedules.push(schedule),
                Err(error) => self.say_of(subject, Severity::Refuse, "schedule", error.to_string()),
            }
        }
        if draft.rules.is_empty() {
            self.say(
                Severity::Warn,
                "no-rule",
                "it has no rule, so points are made only on request",
            );
        }
        (!schedules.is_empty()).then(|| longest_interval_of(&schedules, at))
    }

    fn region(&self, vault: &VaultName) -> Option<&Region> {
        let vault = self.vaults.iter().find(|known| &known.name == vault)?;
        Some(&vault.region)
    }

    /// Where points stand, and what that protects from.
    fn copies(&mut self) {
        let draft = self.draft;
        let home = self.region(&draft.vault).cloned();
        if home.is_none() {
            let message = format!("there is no vault {}", draft.vault);
            self.say(Severity::Refuse, "unknown-vault", message);
        }
        let mut seen = BTreeSet::new();
        let mut leaves_region = false;
        for copy in &draft.copies {
            let vault = &copy.vault;
            if vault == &draft.vault {
                let message = format!("it copies vault {vault} into itself");
                self.say(Severity::Refuse, "copy-into-own-vault", message);
            } else if !seen.insert(vault) {
                let message = format!("it copies to vault {vault} twice");
                self.say(Severity::Refuse, "copied-twice", message);
            }
            if copy.within == Span::seconds(0) {
                let message = format!("the copy in vault {vault} is late from the start: give it time with \"within\"");
                self.say(Severity::Warn, "copy-always-late", message);
            }
            match (&home, self.region(vault).cloned()) {
                (_, None) => {
                    let message = format!("there is no vault {vault}");
                    self.say(Severity::Refuse, "unknown-vault", message);
                }
                (Some(home), Some(region)) if *home != region => {
                    leaves_region = true;
                    self.border(home, &region, vault);
                }
                (Some(home), Some(_)) if vault != &draft.vault => {
                    let message = format!(
                        "vault {vault} is in Region {home} like vault {}: it protects from a damaged vault, not from \
                         the loss of the Region",
                        draft.vault
                    );
                    self.say(Severity::Explain, "copy-in-same-region", message);
                }
                _ => {}
            }
        }
        if let Some(home) = home.filter(|_| !leaves_region) {
            let message = format!("no copy leaves Region {home}: with that Region, all its points would be lost");
            self.say(Severity::Warn, "no-copy-elsewhere", message);
        }
    }

    /// A Region's name begins with the part of the world that it lies in.
    fn border(&mut self, home: &Region, region: &Region, vault: &VaultName) {
        let area = |region: &Region| region.as_str().split('-').next().unwrap_or_default().to_owned();
        let (from, to) = (area(home), area(region));
        if from != to {
            let message = format!(
                "the copy in vault {vault} leaves \"{from}\" for \"{to}\": make sure that the data may be held there"
            );
            self.say(Severity::Warn, "copy-crosses-border", message);
        }
    }

    /// Whether the promises can be kept.
    fn objectives(&mut self, objectives: &Objectives, interval: Option<Span>) {
        let Objectives { rpo, rto } = *objectives;
        if let Some(interval) = interval {
            if interval > rpo {
                let message = format!(
                    "the longest time between two due times is {interval}, so an RPO of {rpo} cannot be met; run more \
                     often, or promise less"
                );
                self.say(Severity::Refuse, "interval-exceeds-rpo", message);
            } else if interval == rpo {
                let message = format!(
                    "the longest time between two due times is {interval}, just the RPO: the time that a backup takes \
                     comes on top"
                );
                self.say(Severity::Warn, "rpo-without-slack", message);
            }
            self.copy_lag(interval, rpo);
        }
        if rto == Span::seconds(0) {
            self.say(
                Severity::Refuse,
                "rto-zero",
                "an RTO of 0 cannot be met by restoring from a recovery point",
            );
        } else if rto < Span::hours(1) {
            let gigabytes = rto.as_seconds().saturating_mul(GOOD_RESTORE_RATE) / 1_000_000_000;
            let message = format!(
                "an RTO of {rto} leaves time to restore {gigabytes} GB at 200 MB/s and for nothing else; a drill shows \
                 whether it holds"
            );
            self.say(Severity::Warn, "short-rto", message);
        }
    }

    /// What is lost with the home Region is what its copies did not have yet.
    fn copy_lag(&mut self, interval: Span, rpo: Span) {
        let draft = self.draft;
        let home = self.region(&draft.vault);
        let elsewhere = draft.copies.iter().filter(|copy| {
            let region = self.region(&copy.vault);
            region.is_some() && region != home
        });
        let Some(soonest) = elsewhere.min_by_key(|copy| copy.within) else {
            return;
        };
        let loss = Span::seconds(interval.as_seconds().saturating_add(soonest.within.as_seconds()));
        if interval <= rpo && loss > rpo {
            let message = format!(
                "if its Region is lost, up to {loss} of data go with it ({interval} between due times and {} until the \
                 copy stands in vault {}), more than the RPO of {rpo}",
                soonest.within, soonest.vault
            );
            self.say(Severity::Warn, "copy-lag-exceeds-rpo", message);
        }
    }

    /// What the promise to prove costs, or fails to give.
    fn verification(&mut self) {
        let every = self.draft.verify.every;
        if every == Span::seconds(0) {
            let message = "verify-every is 0, so no proof could ever be fresh enough";
            self.say(Severity::Refuse, "verify-without-end", message);
        } else if every < Span::days(7) {
            let message = format!(
                "every byte of every kept point is read again every {every}: that work grows with all that is kept; a \
                 week or more finds damage in time too"
            );
            self.say(Severity::Warn, "verify-very-often", message);
        } else if every > Span::days(180) {
            let message = format!("damage may go unnoticed for {every}");
            self.say(Severity::Warn, "verify-rarely", message);
        }
    }

    /// What the retention comes to.
    fn retention(&mut self) {
        if let Err(error) = time_zone(&self.draft.zone) {
            self.say(Severity::Refuse, "zone", error.to_string());
        }
        let Retention {
            keep_last,
            keep_daily,
            keep_weekly,
            keep_monthly,
            keep_yearly,
        } = self.draft.retention;
        let slots = [keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly];
        let most: u64 = slots.into_iter().map(u64::from).sum();
        if most == 0 {
            let message = "every keep number is 0, so it would keep nothing";
            self.say(Severity::Refuse, "keeps-nothing", message);
            return;
        }
        let vaults = 1 + self.draft.copies.len() as u64;
        let mut message = format!("at most {most} points of a resource stay");
        if vaults > 1 {
            message += &format!(", {} with their copies", most * vaults);
        }
        if keep_yearly > 1 {
            message += &format!("; that many are reached after {keep_yearly} years");
        }
        self.say(Severity::Explain, "points-at-steady-state", message);
    }
}
