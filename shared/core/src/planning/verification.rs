//! What must be proven, what can be repaired, and which copy to restore from.

use jiff::Timestamp;

use crate::domain::{
    Copy, CopyState, Level, Location, Point, PointId, PointRef, PointState, Span, VaultName, VerifyRule,
};

/// A copy that must be proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyDue {
    /// The point.
    pub point: PointRef,
    /// The copy.
    pub at: Location,
    /// How much to test.
    pub level: Level,
    /// Whether the policy's promise is already broken.
    pub overdue: bool,
    /// Why, for people.
    pub reason: String,
}

/// A copy that can be mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairDue {
    /// The point.
    pub point: PointRef,
    /// The damaged copy.
    pub damaged: Location,
    /// The copy to take the right bytes from.
    pub from: Location,
    /// Why, for people.
    pub reason: String,
}

/// A recovery point that cannot be restored as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "fields are named as what the message says of them")]
pub enum RestoreRefusal {
    /// It is still being made.
    #[error("recovery point {point} is still being made")]
    BeingMade { point: PointId },
    /// It is gone.
    #[error("recovery point {point} was deleted")]
    Deleted { point: PointId },
    /// It has no copy there.
    #[error("recovery point {point} has no copy in vault {vault}; it has copies in: {}", join(.elsewhere))]
    NotInVault {
        point: PointId,
        vault: VaultName,
        elsewhere: Vec<VaultName>,
    },
    /// Every copy that may be read is damaged.
    #[error("recovery point {point} is damaged in: {}", join(.vaults))]
    Corrupt { point: PointId, vaults: Vec<VaultName> },
    /// It has no copy anywhere.
    #[error("recovery point {point} has no copy in any vault")]
    NoCopy { point: PointId },
}

fn join(vaults: &[VaultName]) -> String {
    if vaults.is_empty() {
        return "no vault".to_owned();
    }
    let names: Vec<&str> = vaults.iter().map(VaultName::as_str).collect();
    names.join(", ")
}

/// How far a copy can be trusted; a greater value is better.
fn trust(point: &Point, copy: &Copy) -> u8 {
    match copy.state {
        CopyState::Available if point.routine_proof(copy).is_some() => 3,
        CopyState::Available => 2,
        CopyState::Repaired => 1,
        CopyState::Corrupt | CopyState::Deleted => 0,
    }
}

/// The usable copy that can be trusted most, the first of equals, leaving out the copy in one vault.
pub(super) fn best_copy<'a>(point: &'a Point, leaving_out: Option<&VaultName>) -> Option<&'a Copy> {
    let candidates = point
        .copies
        .iter()
        .filter(|copy| copy.is_usable() && Some(&copy.vault) != leaving_out);
    candidates.rev().max_by_key(|copy| trust(point, copy))
}

/// Which copies must be tested, at the level that fits their kind: those that were never proven, those that were repaired and not proven since,
/// and those whose last proof grows older than the rule allows. Never-proven copies come first, then the oldest proof;
/// a damaged copy is not tested again before it is repaired, and a point that goes is not tested at all.
///
/// A test is due in the last tenth of the rule's span, so that the promise ("no byte stays unproven longer") can be kept;
/// it is overdue when the promise is broken. Without a rule, a copy is proven once.
pub fn plan_verification(rule: Option<&VerifyRule>, points: &[Point], now: Timestamp) -> Vec<VerifyDue> {
    let mut due: Vec<(Option<Timestamp>, Timestamp, VerifyDue)> = Vec::new();
    for point in points.iter().filter(|point| is_kept(point)) {
        for copy in point.copies.iter().filter(|copy| copy.is_usable()) {
            let proven_at = point.routine_proof(copy).map(|proof| proof.at);
            let Some((overdue, reason)) = why_verify(rule, copy, proven_at, now) else {
                continue;
            };
            let verify = VerifyDue {
                point: point.reference(),
                at: point.location(copy),
                level: point.resource_kind.routine_level(),
                overdue,
                reason,
            };
            due.push((proven_at, copy.created_at, verify));
        }
    }
    due.sort_by(|(a_proven, a_created, a), (b_proven, b_created, b)| {
        (a_proven, a_created, &a.point, &a.at.vault).cmp(&(b_proven, b_created, &b.point, &b.at.vault))
    });
    due.into_iter().map(|(_, _, verify)| verify).collect()
}

/// Whether the promise is broken, and why a test is due; none when it is not.
fn why_verify(
    rule: Option<&VerifyRule>,
    copy: &Copy,
    proven_at: Option<Timestamp>,
    now: Timestamp,
) -> Option<(bool, String)> {
    let broken = |since: Timestamp| rule.is_some_and(|rule| Span::between(since, now) > rule.every);
    let Some(proven_at) = proven_at else {
        let tested_at = copy.proofs.last().map_or(copy.created_at, |proof| proof.at);
        let reason = match copy.state {
            CopyState::Repaired => format!("it was repaired and not proven since; last tested at {tested_at}"),
            CopyState::Available | CopyState::Corrupt | CopyState::Deleted => "it was never proven".to_owned(),
        };
        return Some((broken(copy.created_at), reason));
    };
    let every = rule?.every;
    let age = Span::between(proven_at, now);
    let lead = Span::seconds(every.as_seconds() / 10);
    if Span::seconds(age.as_seconds().saturating_add(lead.as_seconds())) < every {
        return None;
    }
    Some((
        broken(proven_at),
        format!("it was last proven at {proven_at} and must be proven every {every}"),
    ))
}

fn is_kept(point: &Point) -> bool {
    match point.state {
        PointState::Available | PointState::Corrupt | PointState::Repaired => true,
        PointState::Creating | PointState::Expiring | PointState::Deleted => false,
    }
}

/// Which damaged copies can be mended from another vault, and which cannot because no good copy is left.
pub fn plan_repairs(points: &[Point]) -> (Vec<RepairDue>, Vec<(PointRef, Location)>) {
    let mut due = Vec::new();
    let mut hopeless = Vec::new();
    for point in points.iter().filter(|point| is_kept(point)) {
        for damaged in point.copies.iter().filter(|copy| copy.state == CopyState::Corrupt) {
            let Some(source) = best_copy(point, Some(&damaged.vault)) else {
                hopeless.push((point.reference(), point.location(damaged)));
                continue;
            };
            due.push(RepairDue {
                point: point.reference(),
                damaged: point.location(damaged),
                from: point.location(source),
                reason: format!(
                    "the copy in vault {} is damaged; {}",
                    damaged.vault,
                    describe_source(point, source)
                ),
            });
        }
    }
    (due, hopeless)
}

fn describe_source(point: &Point, copy: &Copy) -> String {
    let vault = &copy.vault;
    match (point.routine_proof(copy), copy.state) {
        (Some(proof), _) => format!("the copy in vault {vault} was proven at {}", proof.at),
        (None, CopyState::Repaired) => format!("the copy in vault {vault} was repaired and is not proven yet"),
        (None, _) => format!("the copy in vault {vault} is not proven yet"),
    }
}

/// Which copy of a point to restore from, and why: a proven one, or else one that nothing speaks against. With a `vault`,
/// the copy there or none.
pub fn choose_restore_source<'a>(
    point: &'a Point,
    vault: Option<&VaultName>,
) -> Result<(&'a Copy, String), RestoreRefusal> {
    let id = || point.id.clone();
    match point.state {
        PointState::Creating => return Err(RestoreRefusal::BeingMade { point: id() }),
        PointState::Deleted => return Err(RestoreRefusal::Deleted { point: id() }),
        PointState::Available | PointState::Corrupt | PointState::Repaired | PointState::Expiring => {}
    }
    let standing = || point.copies.iter().filter(|copy| copy.state != CopyState::Deleted);
    let vaults = || standing().map(|copy| copy.vault.clone()).collect::<Vec<_>>();
    let chosen = match vault {
        Some(vault) => Some(point.copy_in(vault).ok_or_else(|| RestoreRefusal::NotInVault {
            point: id(),
            vault: vault.clone(),
            elsewhere: vaults(),
        })?),
        None => best_copy(point, None),
    };
    match chosen {
        Some(copy) if copy.is_usable() => Ok((copy, describe_source(point, copy))),
        Some(copy) => Err(RestoreRefusal::Corrupt {
            point: id(),
            vaults: vec![copy.vault.clone()],
        }),
        None if standing().next().is_none() => Err(RestoreRefusal::NoCopy { point: id() }),
        None => Err(RestoreRefusal::Corrupt {
            point: id(),
            vaults: vaults(),
        }),
    }
}
