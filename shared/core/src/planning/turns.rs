//! Whose turn it is to be looked at: of many resources a few at each wake-up, so that what a wake-up costs does not grow
//! with what is protected.

use jiff::Timestamp;

use crate::domain::{Detail, Event, Resource, ResourceId, Span};

/// As many resources are all looked at at each wake-up.
const FEW: usize = 60;
/// However many there are, each is looked at as often.
const SELDOM: Span = Span::minutes(30);
/// How far apart wake-ups are.
const WAKE_UPS: Span = Span::minutes(1);

/// Whether it became this resource's turn after `last` and by `now`.
///
/// Turns of a resource are `apart`, at another moment for each, so that many resources are looked at a few at a time.
pub(super) fn is_turn(resource: &ResourceId, apart: Span, last: Timestamp, now: Timestamp) -> bool {
    let apart = apart.as_seconds().max(1);
    // FNV-1a: near names lie far apart, and every build gives the same turns.
    let hash = resource.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let spread = i64::try_from(hash % apart.unsigned_abs()).unwrap_or_default();
    let turns_by = |at: Timestamp| (at.as_second() - spread).div_euclid(apart);
    turns_by(now) > turns_by(last)
}

/// The resources that are looked at because of an event: the one that it is about; at a wake-up all of them where they are
/// few, and otherwise those whose turn came since the wake-up a minute before. Each has its turn at least every half an
/// hour, whatever became of the events about it. An event about a job is no reason to look at any.
pub fn looked_at<'a>(resources: &'a [Resource], event: &Event) -> Vec<&'a Resource> {
    let apart = i64::try_from(resources.len() / FEW).unwrap_or(i64::MAX);
    let apart = Span::minutes(apart).min(SELDOM);
    let last = WAKE_UPS.before(event.time);
    let is_looked_at = |resource: &&Resource| match (&event.detail, event.detail.point()) {
        (_, Some(point)) => point.resource == resource.id,
        (Detail::WakeUp {}, None) => resources.len() <= FEW || is_turn(&resource.id, apart, last, event.time),
        (_, None) => false,
    };
    resources.iter().filter(is_looked_at).collect()
}
