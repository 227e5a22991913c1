use proptest::prelude::*;

use super::super::super::segment::SegmentSize;
use super::super::history::Ancestor;
use super::super::piece::Piece;
use super::*;

const SEGMENT: u64 = 16 << 20;

fn id(number: u8) -> Id {
    Id([number; 32])
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

fn stored(number: u8, timeline: u32, content: PieceContent, commit: Option<i64>) -> StoredPiece {
    let piece = Piece {
        system: Some(1),
        segment_size: SegmentSize::DEFAULT,
        timeline,
        content,
        last_commit: commit.map(at),
    };
    StoredPiece {
        snapshot: id(number),
        piece,
    }
}

/// Segments from one number up to another.
fn log(number: u8, timeline: u32, segments: std::ops::Range<u64>, commit: i64) -> StoredPiece {
    let content = PieceContent::Segments(Lsn(segments.start * SEGMENT), Lsn(segments.end * SEGMENT));
    stored(number, timeline, content, Some(commit))
}

fn base(number: u8, timeline: u32, start: u64, end: u64, seconds: i64, has_log: bool) -> Base {
    Base {
        snapshot: id(number),
        timeline,
        start: Lsn(start),
        end: Lsn(end),
        ended_at: at(seconds),
        has_log,
    }
}

#[test]
fn a_gap_splits_the_window_and_is_named() {
    let pieces = [log(1, 1, 0..5, 10), log(2, 1, 5..8, 20), log(3, 1, 9..12, 40)];
    let bases = [
        base(101, 1, 2 * SEGMENT + 40, 2 * SEGMENT + 400, 5, false),
        base(102, 1, 6 * SEGMENT, 6 * SEGMENT + 9, 15, false),
        base(103, 1, 7 * SEGMENT, 9 * SEGMENT + 9, 30, false),
    ];
    let found = windows(&bases, &pieces);
    let gap = Gap {
        timeline: 1,
        from: Lsn(8 * SEGMENT),
        to: Lsn(9 * SEGMENT),
    };
    assert_eq!(found.gaps, [gap]);
    assert_eq!(found.unusable, [(id(103), gap)]);
    let expected = Window {
        timeline: 1,
        earliest: Lsn(2 * SEGMENT + 400),
        earliest_at: at(5),
        latest: Lsn(8 * SEGMENT),
        latest_at: at(20),
        bases: vec![id(101), id(102)],
    };
    assert_eq!(found.windows, [expected]);
    let with_log = [base(103, 1, 7 * SEGMENT, 9 * SEGMENT + 9, 30, true)];
    let found = windows(&with_log, &pieces);
    assert_eq!(found.unusable, []);
    assert_eq!(
        (found.windows[0].latest, found.windows[0].latest_at),
        (Lsn(12 * SEGMENT), at(40))
    );
}

#[test]
fn a_promotion_is_followed_and_the_old_timeline_stays_reachable() {
    let switch = Lsn(4 * SEGMENT + 1000);
    let history = History {
        timeline: 2,
        ancestors: vec![Ancestor {
            timeline: 1,
            end: switch,
        }],
    };
    let partial = PieceContent::Partial(Lsn(4 * SEGMENT), Lsn(4 * SEGMENT + 5000));
    let pieces = [
        log(1, 1, 1..4, 10),
        stored(2, 1, partial, Some(12)),
        stored(3, 2, PieceContent::History(history), None),
        log(4, 2, 4..7, 30),
    ];
    let bases = [base(101, 1, SEGMENT + 40, SEGMENT + 100, 1, true)];
    let found = windows(&bases, &pieces);
    let ends: Vec<_> = found
        .windows
        .iter()
        .map(|w| (w.timeline, w.earliest, w.latest, w.latest_at))
        .collect();
    let first = Lsn(SEGMENT + 100);
    assert_eq!(
        ends,
        [
            (1, first, Lsn(4 * SEGMENT + 5000), at(12)),
            (2, first, Lsn(7 * SEGMENT), at(30))
        ]
    );
    assert!(found.gaps.is_empty() && found.unusable.is_empty());
    let unknown: Vec<StoredPiece> = pieces.iter().filter(|piece| piece.snapshot != id(3)).cloned().collect();
    let found = windows(&bases, &unknown);
    assert_eq!(
        found.windows.len(),
        1,
        "without the history file nothing leads to timeline 2"
    );
    let late = [base(102, 1, 4 * SEGMENT + 2000, 4 * SEGMENT + 3000, 13, true)];
    let found = windows(&late, &pieces);
    let timelines: Vec<u32> = found.windows.iter().map(|window| window.timeline).collect();
    assert_eq!(
        timelines,
        [1],
        "a backup after the switch does not lead to the new timeline"
    );
}

#[test]
fn kept_backups_keep_their_log_and_nothing_else() {
    let pieces = [
        log(1, 1, 0..3, 1),
        log(2, 1, 3..5, 2),
        log(3, 1, 5..9, 3),
        log(4, 7, 0..9, 4),
    ];
    let kept = [base(101, 1, 4 * SEGMENT + 8, 4 * SEGMENT + 80, 2, true)];
    let ids: Vec<Id> = needed(&kept, &pieces).iter().map(|stored| stored.snapshot).collect();
    assert_eq!(ids, [id(2), id(3)]);
    assert!(needed(&[], &pieces).is_empty());
}

proptest! {
    /// Against a slow, plain walk over single segments.
    #[test]
    fn windows_never_promise_what_is_not_there(
        present in prop::collection::vec(any::<bool>(), 1..24),
        starts in prop::collection::vec((0usize..24, 1u64..40), 0..5),
    ) {
        let pieces: Vec<StoredPiece> = (0..).zip(&present).filter(|(_, is)| **is)
            .map(|(number, _)| log(number as u8, 1, number..number + 1, number as i64)).collect();
        let bases: Vec<Base> = (100..).zip(&starts).map(|(number, (segment, length))| {
            let start = *segment as u64 * SEGMENT + 40;
            base(number, 1, start, start + length * SEGMENT / 8, 0, false)
        }).collect();
        let found = windows(&bases, &pieces);
        let has = |segment: u64| present.get(segment as usize).copied().unwrap_or(false);
        for base in &bases {
            let consistent = (base.start.0 / SEGMENT..=(base.end.0 - 1) / SEGMENT).all(has);
            let window = found.windows.iter().find(|window| window.bases.contains(&base.snapshot));
            prop_assert_eq!(window.is_some(), consistent);
            prop_assert_eq!(found.unusable.iter().any(|(id, _)| *id == base.snapshot), !consistent);
            if let Some(window) = window {
                prop_assert!((base.start.0 / SEGMENT..window.latest.0 / SEGMENT).all(has));
                prop_assert!(!has(window.latest.0 / SEGMENT));
            }
        }
    }
}
