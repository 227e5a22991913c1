//! [`Windows`]: from when until when a server can be restored, computed from the lists of base backups and log pieces alone.

use std::collections::BTreeMap;

use holdfast_repository::Id;
use jiff::Timestamp;

use super::super::lsn::Lsn;
use super::history::History;
use super::piece::{PieceContent, StoredPiece};

/// A base backup, as its snapshot's tags say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// The snapshot.
    pub snapshot: Id,
    /// The timeline that the server was on.
    pub timeline: u32,
    /// Where recovery from it begins.
    pub start: Lsn,
    /// Where it becomes consistent.
    pub end: Lsn,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Whether it holds the log from its start to its end itself.
    pub has_log: bool,
}

/// A stretch of a timeline to any point of which the server can be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The timeline to recover along.
    pub timeline: u32,
    /// The first consistent position.
    pub earliest: Lsn,
    /// The end of the first base backup.
    pub earliest_at: Timestamp,
    /// The end of the continuous log.
    pub latest: Lsn,
    /// The last commit in it. Recovery to a time needs a commit after that time, so this moment itself, and what is later,
    /// is reached by recovery to the latest position.
    pub latest_at: Timestamp,
    /// The base backups to start from, oldest first.
    pub bases: Vec<Id>,
}

/// Log that is missing between what is stored of one timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// The timeline.
    pub timeline: u32,
    /// The first missing position.
    pub from: Lsn,
    /// The position where it goes on.
    pub to: Lsn,
}

/// What can be restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// By timeline, then by position.
    pub windows: Vec<Window>,
    /// Base backups that lack the log that makes them consistent, with what is missing.
    pub unusable: Vec<(Id, Gap)>,
    /// Missing log, by timeline.
    pub gaps: Vec<Gap>,
}

/// Stretches of log without a gap, in order.
type Ranges = Vec<(Lsn, Lsn)>;

/// Computes what can be restored from these base backups and this log.
pub fn windows(bases: &[Base], pieces: &[StoredPiece]) -> Windows {
    let histories = histories(bases, pieces);
    let mut result = Windows {
        gaps: gaps(pieces),
        ..Windows::default()
    };
    for history in histories.values() {
        on_timeline(history, bases, pieces, &mut result.windows);
    }
    for base in bases {
        let covered = merge(own_log(base).into_iter().chain(ranges(pieces, base.timeline)));
        if !covers(&covered, base) {
            result.unusable.push((base.snapshot, missing(&covered, base)));
        }
    }
    result
}

/// The histories of all timelines that anything is stored of. One whose history file is not stored counts as having no
/// ancestors: what is on it can be restored, what leads to it not.
pub(in super::super) fn histories(bases: &[Base], pieces: &[StoredPiece]) -> BTreeMap<u32, History> {
    let mut histories = BTreeMap::new();
    for stored in pieces {
        if let PieceContent::History(history) = &stored.piece.content {
            histories.insert(history.timeline, history.clone());
        }
    }
    let of_pieces = pieces.iter().map(|stored| stored.piece.timeline);
    for timeline in of_pieces.chain(bases.iter().map(|base| base.timeline)) {
        histories.entry(timeline).or_insert_with(|| History::first(timeline));
    }
    histories
}

fn ranges(pieces: &[StoredPiece], timeline: u32) -> impl Iterator<Item = (Lsn, Lsn)> {
    let on_timeline = pieces.iter().filter(move |stored| stored.piece.timeline == timeline);
    on_timeline.filter_map(|stored| stored.piece.range())
}

fn own_log(base: &Base) -> Option<(Lsn, Lsn)> {
    base.has_log.then_some((base.start, base.end))
}

fn merge(ranges: impl Iterator<Item = (Lsn, Lsn)>) -> Ranges {
    let mut sorted: Ranges = ranges.filter(|(start, end)| start < end).collect();
    sorted.sort_unstable();
    let mut merged: Ranges = Vec::new();
    for (start, end) in sorted {
        match merged.last_mut() {
            Some((_, last)) if start <= *last => *last = end.max(*last),
            _ => merged.push((start, end)),
        }
    }
    merged
}

fn covers(covered: &Ranges, base: &Base) -> bool {
    range_of(covered, base).is_some()
}

fn range_of(covered: &Ranges, base: &Base) -> Option<(Lsn, Lsn)> {
    let holds = |(start, end): &&(Lsn, Lsn)| *start <= base.start && base.end <= *end;
    covered.iter().find(holds).copied()
}

/// What a base backup lacks first.
fn missing(covered: &Ranges, base: &Base) -> Gap {
    let holding = covered.iter().find(|(start, end)| (*start..*end).contains(&base.start));
    let from = holding.map_or(base.start, |(_, end)| *end);
    let next = covered.iter().map(|(start, _)| *start).find(|start| *start > from);
    Gap {
        timeline: base.timeline,
        from,
        to: next.map_or(base.end, |start| start.min(base.end)),
    }
}

fn gaps(pieces: &[StoredPiece]) -> Vec<Gap> {
    let mut timelines: Vec<u32> = pieces.iter().map(|stored| stored.piece.timeline).collect();
    timelines.sort_unstable();
    timelines.dedup();
    let of = |timeline: u32| {
        let covered = merge(ranges(pieces, timeline));
        let pairs: Vec<Gap> = covered
            .windows(2)
            .map(|pair| Gap {
                timeline,
                from: pair[0].1,
                to: pair[1].0,
            })
            .collect();
        pairs
    };
    timelines.into_iter().flat_map(of).collect()
}

/// Log along the way to a timeline. The first segment of a timeline repeats the beginning of the one that it left, so only the
/// ends of ancestors matter.
fn along(history: &History, pieces: &[StoredPiece]) -> Ranges {
    let of = |timeline: u32| {
        let end = history.part(timeline).and_then(|(_, end)| end);
        ranges(pieces, timeline).map(move |(from, to)| (from, end.map_or(to, |end| to.min(end))))
    };
    history.timelines().flat_map(of).collect()
}

/// Whether recovery along a history passes through a base backup.
fn leads_to(history: &History, base: &Base) -> bool {
    match history.part(base.timeline) {
        Some((begin, end)) => begin <= base.end && end.is_none_or(|end| base.end <= end),
        None => false,
    }
}

fn on_timeline(history: &History, bases: &[Base], pieces: &[StoredPiece], windows: &mut Vec<Window>) {
    let mut usable: Vec<&Base> = bases.iter().filter(|base| leads_to(history, base)).collect();
    usable.sort_by_key(|base| base.end);
    let own = usable.iter().filter_map(|base| own_log(base));
    let covered = merge(along(history, pieces).into_iter().chain(own));
    let begin = history.part(history.timeline).map_or(Lsn(0), |(begin, _)| begin);
    for (start, latest) in covered.iter().copied() {
        let inside = usable
            .iter()
            .filter(|base| range_of(&covered, base) == Some((start, latest)));
        let inside: Vec<&Base> = inside.copied().collect();
        let reaches = latest > begin || history.ancestors.is_empty();
        let Some(first) = inside.first().filter(|_| reaches) else {
            continue;
        };
        let commits = pieces.iter().filter(|stored| {
            let part = history.part(stored.piece.timeline);
            let holds = |(_, end): (Lsn, Lsn)| first.end < end && end <= latest;
            part.is_some() && stored.piece.range().is_some_and(holds)
        });
        let last_commit = commits.filter_map(|stored| stored.piece.last_commit).max();
        let ends = inside.iter().map(|base| base.ended_at).max().unwrap_or(first.ended_at);
        windows.push(Window {
            timeline: history.timeline,
            earliest: first.end,
            earliest_at: first.ended_at,
            latest,
            latest_at: last_commit.map_or(ends, |commit| commit.max(ends)),
            bases: inside.iter().map(|base| base.snapshot).collect(),
        });
    }
}

/// The pieces that restores from these base backups can need: all log from the start of one on, along every timeline that leads
/// on from it, and all history files. Everything else may go once the base backups are all that are kept.
pub fn needed<'a>(kept: &[Base], pieces: &'a [StoredPiece]) -> Vec<&'a StoredPiece> {
    let histories = histories(kept, pieces);
    let needs = |base: &Base, stored: &StoredPiece| {
        let after = stored.piece.range().is_some_and(|(_, end)| end > base.start);
        let leads_on = |history: &History| leads_to(history, base) && history.part(stored.piece.timeline).is_some();
        after && histories.values().any(leads_on)
    };
    let is_needed = |stored: &&StoredPiece| match stored.piece.content {
        PieceContent::History(_) => true,
        PieceContent::BackupHistory(_) => false,
        _ => kept.iter().any(|base| needs(base, stored)),
    };
    pieces.iter().filter(is_needed).collect()
}

#[cfg(test)]
mod tests;
