//! Whether a workload is down: what observers in several places say, and when they are believed.

use jiff::Timestamp;

use crate::domain::{Automatic, Span, Watch};

/// A place that changed its word as often as this within [`FLAPS_WITHIN`] is not listened to.
const FLAPS: usize = 4;
/// See [`FLAPS`].
const FLAPS_WITHIN: Span = Span::minutes(10);
/// A word that is older than this says nothing of now.
const STALE_AFTER: Span = Span::minutes(1);

/// What is to be done about what was seen, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detection {
    /// Nothing: it answers, or nobody knows enough.
    Leave(String),
    /// It is down, and a failover is to be declared.
    Declare(String),
}

/// Decides from what the places said last. `written_since` is when the workload was last given to the Region that it is in:
/// what was seen before says nothing of it there. `last_run_ended_at` is when a run of the plan ended last.
///
/// One place that still reaches the workload is enough to leave it alone: what the others cannot reach may be the network
/// between.
pub fn detect(
    automatic: &Automatic,
    watch: &Watch,
    written_since: Timestamp,
    last_run_ended_at: Option<Timestamp>,
    now: Timestamp,
) -> Detection {
    if let Some(forbidden) = &watch.forbidden
        && forbidden.until > now
    {
        let why = format!(
            "{} forbade it until {}: {}",
            forbidden.by, forbidden.until, forbidden.reason
        );
        return Detection::Leave(why);
    }
    if let Some(ended_at) = last_run_ended_at
        && automatic.cool_down.after(ended_at) > now
    {
        return Detection::Leave(format!(
            "a run of the plan ended at {ended_at}, less than {} ago",
            automatic.cool_down
        ));
    }
    let heard: Vec<_> = watch
        .places
        .iter()
        .filter(|place| STALE_AFTER.after(place.seen_at) > now)
        .filter(|place| {
            let recent = place
                .changes
                .iter()
                .filter(|at| **at > written_since && FLAPS_WITHIN.after(**at) > now);
            recent.count() < FLAPS
        })
        .collect();
    if let Some(place) = heard.iter().find(|place| place.up) {
        return Detection::Leave(format!("{} reaches it", place.place));
    }
    let down = heard
        .iter()
        .filter(|place| automatic.down_for.after(place.since.max(written_since)) <= now);
    let names: Vec<&str> = down.map(|place| place.place.as_str()).collect();
    if names.len() < automatic.places as usize {
        let why = format!(
            "{} of the {} places that must agree have seen it down for {}",
            names.len(),
            automatic.places,
            automatic.down_for
        );
        return Detection::Leave(why);
    }
    Detection::Declare(format!(
        "{} have not reached it for {}",
        names.join(" and "),
        automatic.down_for
    ))
}
