//! [`Way`]: what of the stored log leads from a base backup to a moment.

use std::collections::BTreeSet;
use std::slice;

use jiff::Timestamp;

use super::super::log::StoredPiece;
use super::super::log::piece::PieceContent;
use super::super::log::windows::{Base, histories, windows};
use super::super::lsn::Lsn;
use super::super::recovery::{Recovery, Target, TargetTimeline};
use super::super::segment::{LogFile, Segment, SegmentSize};
use super::NoBase;

/// The way from a base backup to a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// What the server is told.
    pub recovery: Recovery,
    /// The files that it will ask for, in order.
    pub files: Vec<LogFile>,
}

/// A piece along the way, and where it begins and ends.
type Along<'a> = (Lsn, Lsn, &'a StoredPiece);

/// The way along a timeline to the last transaction that was committed by `to`, or to the end of the log. A server that is told
/// a time must find a commit after it, so that it is told of the end where none is stored.
pub fn way(base: &Base, timeline: u32, to: Option<Timestamp>, pieces: &[StoredPiece]) -> Result<Way, NoBase> {
    let known = windows(slice::from_ref(base), pieces);
    let window = known.windows.iter().find(|window| window.timeline == timeline);
    let histories = histories(slice::from_ref(base), pieces);
    let (Some(window), Some(history)) = (window, histories.get(&timeline)) else {
        let base = base.snapshot.short();
        return Err(NoBase::LeadsElsewhere { base, timeline });
    };
    let end_of = |piece: &StoredPiece| history.part(piece.piece.timeline).map(|(_, end)| end);
    let ranges = pieces.iter().filter_map(|stored| {
        let (start, end) = stored.piece.range()?;
        Some((start, end, stored))
    });
    let is_along = |(start, end, stored): &Along<'_>| {
        let is_before_branch = |end: Option<Lsn>| end.is_none_or(|end| *start < end);
        end_of(stored).is_some_and(is_before_branch) && base.start < *end && *start < window.latest
    };
    let mut log: Vec<Along<'_>> = ranges.filter(is_along).collect();
    log.sort_by_key(|(start, end, _)| (*start, *end));
    let is_after = |(_, end, stored): &&Along<'_>| {
        let commit = stored.piece.last_commit;
        base.end < *end && to.is_some_and(|to| commit.is_some_and(|commit| commit > to))
    };
    let target = match to {
        Some(to) if log.iter().any(|one| is_after(&one)) => Target::Time(to),
        _ => Target::Latest,
    };
    // What comes after the branch in a segment that its timeline left in the middle is not on the way.
    let is_whole = |(_, end, stored): &&Along<'_>| end_of(stored).flatten().is_none_or(|left| *end <= left);
    let stop = log
        .iter()
        .filter(is_after)
        .filter(is_whole)
        .map(|(_, end, _)| *end)
        .min();
    log.retain(|(start, ..)| stop.is_none_or(|stop| *start < stop));
    let recovery = Recovery {
        target,
        is_inclusive: true,
        timeline: if timeline == base.timeline {
            TargetTimeline::Current
        } else {
            TargetTimeline::Number(timeline)
        },
    };
    let files = branches(pieces).chain(segments(&log, base.start)).collect();
    Ok(Way { recovery, files })
}

/// All history files, so that the timeline on which the server opens is a new one.
fn branches(pieces: &[StoredPiece]) -> impl Iterator<Item = LogFile> {
    let timelines: BTreeSet<u32> = pieces
        .iter()
        .filter_map(|stored| match &stored.piece.content {
            PieceContent::History(history) => Some(history.timeline),
            _ => None,
        })
        .collect();
    timelines.into_iter().map(LogFile::History)
}

fn segments(log: &[Along<'_>], from: Lsn) -> impl Iterator<Item = LogFile> {
    let mut segments = BTreeSet::new();
    for (start, end, stored) in log {
        let (timeline, size): (u32, SegmentSize) = (stored.piece.timeline, stored.piece.segment_size);
        let mut segment = Segment::holding(timeline, from.max(*start), size);
        while segment.start(size) < *end {
            segments.insert(segment);
            segment = segment.next();
        }
    }
    segments.into_iter().map(LogFile::Segment)
}

#[cfg(test)]
mod tests {
    use holdfast_repository::Id;

    use super::super::super::log::{Ancestor, History, Piece};
    use super::*;

    const MIB: u64 = 1 << 20;

    fn base() -> Base {
        Base {
            snapshot: Id([1; 32]),
            timeline: 1,
            start: Lsn(3 * MIB + 40),
            end: Lsn(3 * MIB + 400),
            ended_at: at(100),
            has_log: true,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn piece(timeline: u32, content: PieceContent, commit: Option<i64>) -> StoredPiece {
        StoredPiece {
            snapshot: Id([2; 32]),
            piece: Piece {
                system: Some(1),
                segment_size: SegmentSize::new(MIB).unwrap(),
                timeline,
                content,
                last_commit: commit.map(at),
            },
        }
    }

    fn log(timeline: u32, from: u64, to: u64, commit: i64) -> StoredPiece {
        piece(
            timeline,
            PieceContent::Segments(Lsn(from * MIB), Lsn(to * MIB)),
            Some(commit),
        )
    }

    fn names(way: &Way) -> Vec<String> {
        let size = SegmentSize::new(MIB).unwrap();
        way.files.iter().map(|file| file.name(size)).collect()
    }

    #[test]
    fn the_log_goes_from_the_base_backup_to_the_first_later_commit() {
        let pieces = [
            log(1, 1, 4, 110),
            log(1, 4, 5, 200),
            log(1, 5, 6, 300),
            log(1, 6, 7, 400),
        ];
        let to = |second| way(&base(), 1, Some(at(second)), &pieces).unwrap();
        let early = to(150);
        assert_eq!(early.recovery.target, Target::Time(at(150)));
        assert_eq!(early.recovery.timeline, TargetTimeline::Current);
        assert_eq!(names(&early), ["000000010000000000000003", "000000010000000000000004"]);
        // What was committed at the moment itself belongs to it.
        assert_eq!(names(&to(200)).len(), 3);
        for late in [Some(at(400)), Some(at(999)), None] {
            let all = way(&base(), 1, late, &pieces).unwrap();
            assert_eq!((all.recovery.target.clone(), names(&all).len()), (Target::Latest, 4));
        }
    }

    #[test]
    fn log_behind_a_gap_or_on_a_timeline_that_was_left_is_not_on_the_way() {
        let gap = [log(1, 3, 5, 200), log(1, 6, 7, 300)];
        let way_to = |timeline, second, pieces: &[StoredPiece]| way(&base(), timeline, Some(at(second)), pieces);
        let short = way_to(1, 250, &gap).unwrap();
        assert_eq!(
            (short.recovery.target.clone(), names(&short).len()),
            (Target::Latest, 2)
        );

        let history = History {
            timeline: 2,
            ancestors: vec![Ancestor {
                timeline: 1,
                end: Lsn(5 * MIB),
            }],
        };
        let branch = [
            log(1, 3, 5, 200),
            log(1, 5, 7, 900),
            piece(2, PieceContent::History(history), None),
            log(2, 5, 6, 300),
            log(2, 6, 7, 400),
        ];
        let along = way_to(2, 250, &branch).unwrap();
        assert_eq!(along.recovery.timeline, TargetTimeline::Number(2));
        assert_eq!(
            names(&along),
            [
                "00000002.history",
                "000000010000000000000003",
                "000000010000000000000004",
                "000000020000000000000005"
            ]
        );
        let elsewhere = way_to(3, 250, &branch);
        assert!(matches!(elsewhere, Err(NoBase::LeadsElsewhere { timeline: 3, .. })));
    }
}
