//! [`choose()`]: which base backup a recovery starts from.

use holdfast_repository::Id;

use super::super::log::StoredPiece;
use super::super::log::windows::{Base, windows};
use super::super::recovery::{Recovery, Target, TargetTimeline};
use super::StoredBase;

/// No base backup leads to what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoBase {
    /// Nothing is stored.
    #[error("no base backup of {0} is stored: make one first")]
    None(String),
    /// The named one is not there.
    #[error("{0} is no base backup of this server: `holdfast postgres windows` lists them")]
    Unknown(String),
    /// No log leads from the base backup along the timeline.
    #[error(
        "no stored log leads on from base backup {base} along timeline {timeline}: `holdfast postgres windows` shows where it does"
    )]
    LeadsElsewhere {
        /// The base backup.
        base: String,
        /// The timeline that was asked for.
        timeline: u32,
    },
    /// All are later than the target.
    #[error("the oldest base backup becomes consistent at {earliest}, after the target: nothing leads there")]
    TooEarly {
        /// Position and time.
        earliest: String,
    },
    /// The log that leads on is missing.
    #[error("no base backup that the log leads on from is stored: it lacks {gap}")]
    Gap {
        /// What is missing.
        gap: String,
    },
}

/// The newest base backup that is consistent before the target and from which the stored log leads on; or the one that is asked
/// for. A transaction or a name says nothing about when it was: for those it is the newest one, and older ones are asked for.
pub fn choose<'a>(
    resource: &str,
    bases: &'a [StoredBase],
    pieces: &[StoredPiece],
    recovery: &Recovery,
    wanted: Option<&str>,
) -> Result<&'a StoredBase, NoBase> {
    if let Some(word) = wanted {
        let mut found = bases
            .iter()
            .filter(|stored| !word.is_empty() && stored.base.snapshot.to_string().starts_with(word));
        return match (found.next(), found.next()) {
            (Some(stored), None) => Ok(stored),
            _ => Err(NoBase::Unknown(word.to_owned())),
        };
    }
    let Some(oldest) = bases.first() else {
        return Err(NoBase::None(resource.to_owned()));
    };
    let all: Vec<Base> = bases.iter().map(|stored| stored.base.clone()).collect();
    let known = windows(&all, pieces);
    if let [(_, gap), ..] = known.unusable.as_slice()
        && known.unusable.len() == bases.len()
    {
        let gap = format!("the log from {} to {} on timeline {}", gap.from, gap.to, gap.timeline);
        return Err(NoBase::Gap { gap });
    }
    let is_whole = |id: &Id| known.unusable.iter().all(|(unusable, _)| unusable != id);
    let on_timeline = |base: &Base| match recovery.timeline {
        TargetTimeline::Latest | TargetTimeline::Current => true,
        TargetTimeline::Number(number) => known
            .windows
            .iter()
            .any(|window| window.timeline == number && window.bases.contains(&base.snapshot)),
    };
    let is_before = |base: &Base| match &recovery.target {
        Target::Time(time) => base.ended_at <= *time,
        Target::Lsn(lsn) => base.end <= *lsn,
        Target::Latest | Target::Immediate | Target::Transaction(_) | Target::Name(_) => true,
    };
    let leads_there = |stored: &&StoredBase| {
        let base = &stored.base;
        is_whole(&base.snapshot) && on_timeline(base) && is_before(base)
    };
    bases.iter().rev().find(leads_there).ok_or_else(|| NoBase::TooEarly {
        earliest: format!("{} ({})", oldest.base.end, oldest.base.ended_at),
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::super::lsn::Lsn;
    use super::*;

    fn stored(number: u8, end: u64, second: i64) -> StoredBase {
        StoredBase {
            base: Base {
                snapshot: Id([number; 32]),
                timeline: 1,
                start: Lsn(end - 10),
                end: Lsn(end),
                ended_at: Timestamp::from_second(second).unwrap(),
                has_log: true,
            },
            system: 1,
            major: 15,
            damaged_pages: 0,
            has_checksums: None,
            since_full: 0,
        }
    }

    fn to(target: Target) -> Recovery {
        Recovery {
            target,
            is_inclusive: true,
            timeline: TargetTimeline::Latest,
        }
    }

    #[test]
    fn the_newest_base_before_the_target_is_chosen_and_none_after_it() {
        let bases = [stored(1, 1000, 100), stored(2, 2000, 200)];
        let chosen = |target| choose("orders", &bases, &[], &to(target), None).map(|stored| stored.base.snapshot.0[0]);
        let at = |second| Target::Time(Timestamp::from_second(second).unwrap());
        assert_eq!(chosen(Target::Latest), Ok(2));
        assert_eq!(
            (chosen(at(250)), chosen(at(200)), chosen(at(199))),
            (Ok(2), Ok(2), Ok(1))
        );
        assert_eq!(
            (chosen(Target::Lsn(Lsn(1999))), chosen(Target::Lsn(Lsn(2000)))),
            (Ok(1), Ok(2))
        );
        assert!(matches!(chosen(at(99)), Err(NoBase::TooEarly { .. })));
        assert_eq!(
            choose("orders", &[], &[], &to(Target::Latest), None),
            Err(NoBase::None("orders".to_owned()))
        );
    }

    #[test]
    fn a_base_that_is_asked_for_is_taken_and_must_be_there() {
        let bases = [stored(1, 1000, 100), stored(2, 2000, 200)];
        let recovery = to(Target::Latest);
        let named = |word| choose("orders", &bases, &[], &recovery, Some(word));
        assert_eq!(named("0101").unwrap().base.snapshot, Id([1; 32]));
        for word in ["03", "0", ""] {
            assert_eq!(named(word), Err(NoBase::Unknown(word.to_owned())));
        }
    }
}
