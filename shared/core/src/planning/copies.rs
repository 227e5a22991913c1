//! Which recovery points must still be copied.

use jiff::Timestamp;

use crate::domain::{Location, Point, PointRef, PointState, PolicyDraft, Span, VaultName};

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
