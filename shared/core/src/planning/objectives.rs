//! Whether the recovery point objective holds.

use jiff::Timestamp;

use super::turns::is_turn;
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

/// How many times within its RPO a resource is looked at, which is how late a broken objective may be noticed.
const LOOKS: i64 = 60;

/// Whether it became this resource's turn, after `last` and by `now`, to have its objective checked.
pub fn is_checked(resource: &ResourceId, rpo: Span, last: Timestamp, now: Timestamp) -> bool {
    is_turn(resource, Span::seconds(rpo.as_seconds() / LOOKS), last, now)
}

/// Compares the age of a resource's newest complete, restorable point with the objective; of a server whose log is pulled, the
/// age of `covered_at`, up to when it can be restored, where that is later. Points of other resources are
/// passed over, and so are partial ones: what they could not read they do not protect.
pub fn check_objectives(
    objectives: &Objectives,
    resource: &Resource,
    points: &[Point],
    covered_at: Option<Timestamp>,
    now: Timestamp,
) -> Option<ObjectiveBreach> {
    let newest = points
        .iter()
        .filter(|point| point.resource == resource.id && point.is_restorable() && !point.is_partial())
        .map(|point| point.taken_at)
        .chain(covered_at)
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
