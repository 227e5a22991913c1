//! Whether the recovery point objective holds.

use jiff::Timestamp;

use crate::domain::{Objectives, Point, Resource, ResourceId, Span};

/// A resource whose newest recovery point is older than the objective allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectiveBreach {
    /// The resource.
    pub resource: ResourceId,
    /// When its newest complete, restorable point was taken.
    pub newest: Option<Timestamp>,
    /// How old that point is; how long the resource has been known, where that is shorter or there is no point.
    pub age: Span,
    /// What was promised.
    pub rpo: Span,
}

/// How many times within its RPO a resource is looked at.
const LOOKS: i64 = 60;

/// Whether it became this resource's turn to be looked at after `last` and by `now`.
///
/// Turns are a sixtieth of the RPO apart, which is how late a broken objective may be noticed, and fall at another moment
/// for each resource: many resources are looked at a few at a time.
pub fn is_turn(resource: &ResourceId, rpo: Span, last: Timestamp, now: Timestamp) -> bool {
    let apart = (rpo.as_seconds() / LOOKS).max(1);
    // FNV-1a: near names lie far apart, and every build gives the same turns.
    let hash = resource.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let spread = i64::try_from(hash % apart.unsigned_abs()).unwrap_or_default();
    let turns_by = |at: Timestamp| (at.as_second() - spread).div_euclid(apart);
    turns_by(now) > turns_by(last)
}

/// Compares the age of a resource's newest complete, restorable point with the objective. Points of other resources are
/// passed over, and so are partial ones: what they could not read they do not protect.
pub fn check_objectives(
    objectives: &Objectives,
    resource: &Resource,
    points: &[Point],
    now: Timestamp,
) -> Option<ObjectiveBreach> {
    let newest = points
        .iter()
        .filter(|point| point.resource == resource.id && point.is_restorable() && !point.is_partial())
        .map(|point| point.taken_at)
        .max();
    // One that left the configuration and came back begins anew.
    let since = newest.map_or(resource.registered_at, |newest| newest.max(resource.registered_at));
    let age = Span::between(since, now);
    (age > objectives.rpo).then(|| ObjectiveBreach {
        resource: resource.id.clone(),
        newest,
        age,
        rpo: objectives.rpo,
    })
}
