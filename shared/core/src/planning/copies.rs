//! Which recovery points must still be copied, and which log.

use jiff::Timestamp;

use crate::domain::{Location, Point, PointRef, PointState, PolicyDraft, Span, VaultName, Window};

use super::verification::best_copy;

/// A recovery point that a vault lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyDue {
    /// The point.
    pub point: PointRef,
    /// Where to copy it from.
    pub from: Location,
    /// The vault that lacks it.
    pub to: VaultName,
    /// Whether it should have stood there already.
    pub late: bool,
    /// Why, for people.
    pub reason: String,
}

/// Which copies the policy asks for and that do not stand, newest point first. A point is copied from a proven copy, or
/// else from one that nothing speaks against; one that is being made, goes, or has only damaged copies waits.
pub fn plan_copies(policy: &PolicyDraft, points: &[Point], now: Timestamp) -> Vec<CopyDue> {
    let mut newest_first: Vec<&Point> = points.iter().filter(|point| is_to_be_copied(point)).collect();
    newest_first.sort_by(|a, b| (b.taken_at, &b.id).cmp(&(a.taken_at, &a.id)));
    let mut due = Vec::new();
    for point in newest_first {
        let Some(source) = best_copy(point, None) else { continue };
        for rule in &policy.copies {
            if point.copy_in(&rule.vault).is_some() {
                continue;
            }
            let by = rule.within.after(point.created_at);
            let late = by < now;
            let reason = if late {
                let behind = Span::between(by, now);
                format!("vault {} should have had it by {by}, {behind} ago", rule.vault)
            } else {
                format!("vault {} must have it by {by}", rule.vault)
            };
            due.push(CopyDue {
                point: point.reference(),
                from: point.location(source),
                to: rule.vault.clone(),
                late,
                reason,
            });
        }
    }
    due
}

fn is_to_be_copied(point: &Point) -> bool {
    match point.state {
        PointState::Available | PointState::Corrupt | PointState::Repaired => true,
        PointState::Creating | PointState::Expiring | PointState::Deleted => false,
    }
}

/// Log of a server that a vault with copies of its base backups lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCopyDue {
    /// The vault that it is pulled to.
    pub from: VaultName,
    /// The vault that lacks it.
    pub to: VaultName,
    /// When the newest log that stands there was pulled; none while no log was copied there by itself.
    pub copied_until: Option<Timestamp>,
    /// When the newest log that must come along was pulled.
    pub pulled_at: Timestamp,
    /// Why, for people.
    pub reason: String,
}

/// Which log the policy asks to be copied: all that was pulled since the last copy, to every vault in which a base backup
/// stands that it can lead on from. The first base backup in a vault takes along what there is.
pub fn plan_log_copies(policy: &PolicyDraft, points: &[Point], windows: &[Window]) -> Vec<LogCopyDue> {
    let window_in = |vault: &VaultName| windows.iter().find(|window| &window.vault == vault);
    let Some(home) = window_in(&policy.vault) else {
        return Vec::new();
    };
    let others = policy.copies.iter().filter(|rule| rule.vault != policy.vault);
    let due = others.filter_map(|rule| {
        let has_base = points.iter().any(|point| point.copy_in(&rule.vault).is_some());
        let copied_until = window_in(&rule.vault).map(|window| window.observed_at);
        let is_due = has_base && copied_until.is_none_or(|at| at < home.observed_at);
        let known = copied_until.map_or_else(
            || "what came with a base backup".to_owned(),
            |at| format!("what was pulled by {at}"),
        );
        is_due.then(|| LogCopyDue {
            from: policy.vault.clone(),
            to: rule.vault.clone(),
            copied_until,
            pulled_at: home.observed_at,
            reason: format!(
                "vault {} has log that was pulled at {}, vault {} only {known}",
                policy.vault, home.observed_at, rule.vault
            ),
        })
    });
    due.collect()
}
