//! [`plan_retention()`]: which base backups stay, and of the log what they need and nothing more; [`plan_log_copy()`]: the same of
//! the log that goes to another vault; [`own_log()`]: the share of the log that is proven with each base backup.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use holdfast_repository::Id;

use super::super::log::windows::{Base, needed, windows};
use super::super::log::{PieceContent, StoredPiece};
use super::StoredBase;

/// Why a snapshot may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Enough newer ones stand.
    #[error("enough newer base backups stand")]
    OldBase,
    /// It lacks log, and newer ones do not.
    #[error("it lacks log that makes it consistent, and newer base backups stand")]
    UnusableBase,
    /// Its log leads on from no base backup that stays.
    #[error("no base backup that stays needs this log")]
    OldLog,
    /// What it holds of a segment is also in another snapshot, with more of it.
    #[error("another snapshot holds more of this segment")]
    Superseded,
}

/// What goes, each with its reason. Everything else stays.
pub type Forgotten = Vec<(Id, Reason)>;

/// Keeps the newest `keep_last` base backups that have their log, and the log that restores from them can need. While none is
/// usable, everything stays.
pub fn plan_retention(bases: &[StoredBase], pieces: &[StoredPiece], keep_last: NonZeroUsize) -> Forgotten {
    let all: Vec<Base> = bases.iter().map(|stored| stored.base.clone()).collect();
    let unusable: BTreeSet<Id> = windows(&all, pieces).unusable.iter().map(|(id, _)| *id).collect();
    let mut newest_first: Vec<&Base> = all.iter().collect();
    newest_first.sort_by_key(|base| std::cmp::Reverse((base.ended_at, base.end)));
    let usable = newest_first.iter().filter(|base| !unusable.contains(&base.snapshot));
    let Some(oldest) = usable.take(keep_last.get()).last() else {
        return Vec::new();
    };
    let place = |base: &Base| (base.ended_at, base.end);
    let (kept, old): (Vec<&Base>, Vec<&Base>) = all.iter().partition(|base| place(base) >= place(oldest));
    let reason = |base: &Base| match unusable.contains(&base.snapshot) {
        true => Reason::UnusableBase,
        false => Reason::OldBase,
    };
    let mut forgotten: Forgotten = old.iter().map(|base| (base.snapshot, reason(base))).collect();
    let kept: Vec<Base> = kept.into_iter().cloned().collect();
    let wanted: BTreeSet<Id> = needed(&kept, pieces).iter().map(|stored| stored.snapshot).collect();
    for (place, stored) in pieces.iter().enumerate() {
        if !wanted.contains(&stored.snapshot) {
            forgotten.push((stored.snapshot, Reason::OldLog));
        } else if is_superseded(stored, place, pieces) {
            forgotten.push((stored.snapshot, Reason::Superseded));
        }
    }
    forgotten
}

/// The log that is to be copied to a vault: what restores from the base backups there can need, without what is `present`
/// there, and of parts of a segment only those that no other holds more of.
pub fn plan_log_copy(bases: &[StoredBase], pieces: &[StoredPiece], present: &BTreeSet<Id>) -> Vec<Id> {
    let bases: Vec<Base> = bases.iter().map(|stored| stored.base.clone()).collect();
    let wanted: BTreeSet<Id> = needed(&bases, pieces).iter().map(|stored| stored.snapshot).collect();
    let lacks = |(place, stored): &(usize, &StoredPiece)| {
        let id = &stored.snapshot;
        wanted.contains(id) && !present.contains(id) && !is_superseded(stored, *place, pieces)
    };
    let lacking = pieces.iter().enumerate().filter(lacks);
    lacking.map(|(_, stored)| stored.snapshot).collect()
}

/// The log that is proven along with a base backup: what leads on from it, up to the next one. Parts of a segment are left out:
/// they go once the whole of it is stored.
pub fn own_log(base: &Id, bases: &[StoredBase], pieces: &[StoredPiece]) -> Vec<Id> {
    let place = |base: &Base| (base.ended_at, base.end);
    let Some(own) = bases.iter().find(|stored| stored.base.snapshot == *base) else {
        return Vec::new();
    };
    let is_later = |stored: &&StoredBase| place(&stored.base) > place(&own.base);
    let later: Vec<Base> = bases.iter().filter(is_later).map(|later| later.base.clone()).collect();
    let of_later: BTreeSet<Id> = match later.is_empty() {
        true => BTreeSet::new(),
        false => needed(&later, pieces).iter().map(|stored| stored.snapshot).collect(),
    };
    let needed = needed(std::slice::from_ref(&own.base), pieces).into_iter();
    let lasts = |stored: &&StoredPiece| !matches!(stored.piece.content, PieceContent::Partial(..));
    needed
        .filter(lasts)
        .map(|stored| stored.snapshot)
        .filter(|id| !of_later.contains(id))
        .collect()
}

/// Whether others hold all that a part of a segment holds. Of equal ones the newest stays.
fn is_superseded(stored: &StoredPiece, place: usize, pieces: &[StoredPiece]) -> bool {
    let PieceContent::Partial(start, end) = stored.piece.content else {
        return false;
    };
    pieces.iter().enumerate().any(|(other_place, other)| {
        other.piece.timeline == stored.piece.timeline
            && match other.piece.content {
                PieceContent::Segments(from, to) => from <= start && end <= to,
                PieceContent::Partial(from, to) => from == start && (to > end || to == end && other_place > place),
                PieceContent::History(_) | PieceContent::BackupHistory(_) => false,
            }
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::super::log::Piece;
    use super::super::super::lsn::Lsn;
    use super::super::super::segment::SegmentSize;
    use super::*;

    const MIB: u64 = 1 << 20;

    fn base(number: u8, start: u64, has_log: bool) -> StoredBase {
        StoredBase {
            base: Base {
                snapshot: Id([number; 32]),
                timeline: 1,
                start: Lsn(start * MIB),
                end: Lsn(start * MIB + 100),
                ended_at: Timestamp::from_second(i64::from(number) * 100).unwrap(),
                has_log,
            },
            system: 1,
            major: 15,
            damaged_pages: 0,
            has_checksums: None,
            since_full: 0,
        }
    }

    fn piece(number: u8, content: PieceContent) -> StoredPiece {
        StoredPiece {
            snapshot: Id([number; 32]),
            piece: Piece {
                system: Some(1),
                segment_size: SegmentSize::new(MIB).unwrap(),
                timeline: 1,
                content,
                last_commit: None,
            },
        }
    }

    fn full(number: u8, from: u64, to: u64) -> StoredPiece {
        piece(number, PieceContent::Segments(Lsn(from * MIB), Lsn(to * MIB)))
    }

    fn part(number: u8, from: u64, bytes: u64) -> StoredPiece {
        piece(number, PieceContent::Partial(Lsn(from * MIB), Lsn(from * MIB + bytes)))
    }

    fn plan(bases: &[StoredBase], pieces: &[StoredPiece], keep_last: usize) -> Vec<(u8, Reason)> {
        let plan = plan_retention(bases, pieces, NonZeroUsize::new(keep_last).unwrap());
        plan.into_iter().map(|(id, reason)| (id.0[0], reason)).collect()
    }

    #[test]
    fn log_goes_with_the_last_base_that_needs_it() {
        let bases = [base(1, 2, true), base(2, 5, true)];
        let pieces = [full(11, 0, 2), full(12, 2, 4), full(13, 4, 6), full(14, 6, 8)];
        assert_eq!(plan(&bases, &pieces, 2), [(11, Reason::OldLog)]);
        let expected = [(1, Reason::OldBase), (11, Reason::OldLog), (12, Reason::OldLog)];
        assert_eq!(plan(&bases, &pieces, 1), expected);
    }

    #[test]
    fn a_base_without_its_log_counts_for_nothing_and_alone_keeps_everything() {
        let bases = [base(1, 2, true), base(2, 5, false)];
        let pieces = [full(11, 0, 2), full(12, 2, 4)];
        assert_eq!(plan(&bases, &pieces, 1), [(11, Reason::OldLog)], "the whole one stays");
        assert_eq!(plan(&bases[1..], &pieces, 1), []);
        let later = [base(1, 1, false), base(2, 5, true)];
        let expected = [(1, Reason::UnusableBase), (11, Reason::OldLog), (12, Reason::OldLog)];
        assert_eq!(plan(&later, &[full(11, 2, 3), full(12, 3, 4)], 1), expected);
    }

    #[test]
    fn log_is_copied_that_base_backups_there_need_and_of_parts_of_a_segment_the_longest() {
        let pieces = [
            full(11, 0, 2),
            full(12, 2, 4),
            part(13, 4, 10),
            full(14, 4, 5),
            part(15, 5, 10),
            part(16, 5, 20),
        ];
        let copied = |bases: &[StoredBase], present: &[u8]| -> Vec<u8> {
            let present = present.iter().map(|number| Id([*number; 32])).collect();
            let plan = plan_log_copy(bases, &pieces, &present);
            plan.into_iter().map(|id| id.0[0]).collect()
        };
        assert_eq!(copied(&[base(1, 2, true)], &[]), [12, 14, 16]);
        assert_eq!(copied(&[base(1, 2, true), base(2, 4, true)], &[12, 13, 15]), [14, 16]);
        assert_eq!(copied(&[base(2, 4, true)], &[14, 16]), [0; 0]);
        assert_eq!(copied(&[], &[]), [0; 0]);
    }

    #[test]
    fn log_is_proven_with_the_newest_base_backup_that_it_leads_on_from() {
        let bases = [base(1, 2, true), base(2, 5, true)];
        let pieces = [
            full(11, 0, 2),
            full(12, 2, 4),
            full(13, 4, 6),
            full(14, 6, 8),
            part(15, 8, 5),
        ];
        let of = |number: u8| -> Vec<u8> {
            let log = own_log(&Id([number; 32]), &bases, &pieces);
            log.into_iter().map(|id| id.0[0]).collect()
        };
        assert_eq!((of(1), of(2), of(3)), (vec![12], vec![13, 14], vec![]));
    }

    #[test]
    fn a_part_of_a_segment_goes_once_more_of_it_is_stored() {
        let bases = [base(1, 2, true)];
        let pieces = [part(11, 2, 10), part(12, 2, 20), part(13, 2, 20), part(14, 3, 5)];
        assert_eq!(
            plan(&bases, &pieces, 1),
            [(11, Reason::Superseded), (12, Reason::Superseded)]
        );
        let pieces = [part(11, 2, 10), full(12, 2, 3), part(13, 3, 5)];
        assert_eq!(plan(&bases, &pieces, 1), [(11, Reason::Superseded)]);
    }
}
