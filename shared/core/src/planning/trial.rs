//! Which backup of a server must be tried.

use jiff::Timestamp;

use super::moment::choose_recovery_start;
use super::verification::choose_restore_source;
use crate::domain::{Level, Location, Moment, Point, PointRef, Proof, Span, TrialRule, Window};

/// A backup of a server that must be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialDue {
    /// How many trials came before this one.
    pub number: usize,
    /// The base backup.
    pub point: PointRef,
    /// The copy of it.
    pub at: Location,
    /// How much to test.
    pub level: Level,
    /// Why, for people.
    pub reason: String,
}

/// Whether a proof of a server's base backup is the verdict of a trial that came to its end: restores that somebody asks for
/// prove no more than that they complete.
fn is_of_trial(proof: &Proof) -> bool {
    !proof.level.is_of_the_store()
}

/// Whether it is the verdict of a trial that found the copy damaged. Another one follows at once, of another copy or of the same
/// when it is repaired.
fn is_broken_off(proof: &Proof) -> bool {
    proof.level == Level::L3 && !proof.passed
}

/// Whether a trial of a server is due, and of what: of the base backup from which a restore to the latest moment would begin, or,
/// while no log is there, of the newest that can be read. It is due where none was made yet, and in the last tenth of the rule's
/// span; one that was missed is caught up with by one. None while there is nothing to try.
pub fn plan_trial(rule: &TrialRule, points: &[Point], windows: &[Window], now: Timestamp) -> Option<TrialDue> {
    let proofs = || {
        points
            .iter()
            .flat_map(|point| &point.copies)
            .flat_map(|copy| &copy.proofs)
    };
    let last = proofs().filter(|proof| is_of_trial(proof)).map(|proof| proof.at).max();
    let why = why_try(rule, last, now)?;
    let (point, at, which) = match choose_recovery_start(windows, points, Moment::Latest, None, None) {
        Ok(start) => (start.point, start.point.location(start.copy), start.reason),
        Err(_) => newest(points)?,
    };
    Some(TrialDue {
        number: proofs()
            .filter(|proof| is_of_trial(proof) || is_broken_off(proof))
            .count(),
        point: point.reference(),
        at,
        level: rule.trial.level(),
        reason: format!("{why}; the base backup is {which}"),
    })
}

fn why_try(rule: &TrialRule, last: Option<Timestamp>, now: Timestamp) -> Option<String> {
    let Some(last) = last else {
        return Some("no backup of it was ever tried".to_owned());
    };
    let every = rule.every;
    let lead = Span::seconds(every.as_seconds() / 10);
    let age = Span::between(last, now);
    let is_due = age.as_seconds().saturating_add(lead.as_seconds()) >= every.as_seconds();
    is_due.then(|| format!("a backup of it was last tried at {last}, and one must be every {every}"))
}

/// The newest base backup of which a copy can be read.
fn newest(points: &[Point]) -> Option<(&Point, Location, String)> {
    let mut newest_first: Vec<&Point> = points.iter().collect();
    newest_first.sort_by_key(|point| std::cmp::Reverse((point.taken_at, &point.id)));
    newest_first.into_iter().find_map(|point| {
        let (copy, why) = choose_restore_source(point, None).ok()?;
        let which = format!("the newest that can be read, without later log: {why}");
        Some((point, point.location(copy), which))
    })
}
