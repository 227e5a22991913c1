//! Whether what policies keep fits into the quotas of services.

use crate::domain::{PolicyDraft, PolicyId, Resource, ResourceKind};

use super::lint::{Finding, Severity};

/// Manual snapshots of DB instances, and of DB clusters by themselves, that RDS takes in an account and Region unless a higher
/// quota was granted (Service Quotas `L-272F1212`). Snapshots that AWS Backup makes do not count.
const SNAPSHOTS: u64 = 100;

/// Policies that keep more snapshots than the default quota of RDS, together with those written before them.
pub fn lint_quotas(policies: &[(&PolicyId, &PolicyDraft)], resources: &[Resource]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (kind, name) in [(ResourceKind::Rds, "DB"), (ResourceKind::Aurora, "DB cluster")] {
        let mut kept = 0;
        for (id, draft) in policies {
            let covers = |resource: &&Resource| resource.kind == kind && draft.selection.covers(resource);
            let count = resources.iter().filter(covers).count() as u64;
            let keep = &draft.retention;
            let slots = [
                keep.keep_last,
                keep.keep_daily,
                keep.keep_weekly,
                keep.keep_monthly,
                keep.keep_yearly,
            ];
            let points: u64 = slots.into_iter().map(u64::from).sum();
            let before = kept;
            kept += count * points;
            if before <= SNAPSHOTS && kept > SNAPSHOTS {
                let others = if before > 0 {
                    format!(" beside {before} of other policies")
                } else {
                    String::new()
                };
                let message = format!(
                    "it keeps up to {points} points of each of {count} resources of kind {}{others}: RDS takes {SNAPSHOTS} manual \
                     {name} snapshots in a Region unless its quota was raised. Keep fewer, protect them as kind aws_backup, \
                     whose snapshots do not count, or rely on the service's own point-in-time recovery for the newest ones",
                    kind.as_str()
                );
                findings.push(Finding {
                    severity: Severity::Warn,
                    code: "over-snapshot-quota",
                    message,
                    subject: id.to_string(),
                });
            }
        }
    }
    findings
}
