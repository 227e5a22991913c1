//! Lists of an outcome are bounded: a record holds what people can read, not a million names.

use serde::Serialize;

use super::{Outcome, UnreadEntry};

/// How many entries a list of an outcome has at most.
const MOST_ENTRIES: usize = 200;

/// How many bytes a list of an outcome has at most as it is stored. A record of a job or point holds two of them beside
/// everything else, and a DynamoDB item no more than 400 KB.
const MOST_BYTES: usize = 48 * 1024;

/// An entry of a list that may be cut off.
pub trait Listed: Serialize + Sized {
    /// The text that tells of more.
    fn text(&self) -> &str;
    /// The last entry of a list that was cut off.
    fn of(text: String) -> Self;

    /// How many entries were cut off, if this entry says so.
    fn more(&self) -> Option<usize> {
        self.text().strip_prefix("and ")?.strip_suffix(" more")?.parse().ok()
    }
}

impl Listed for String {
    fn text(&self) -> &str {
        self
    }
    fn of(text: String) -> Self {
        text
    }
}

impl Listed for UnreadEntry {
    fn text(&self) -> &str {
        &self.path
    }
    fn of(path: String) -> Self {
        let reason = "not listed here".to_owned();
        Self { path, reason }
    }
}

/// How many entries a list stands for, those included that were cut off.
pub fn total<T: Listed>(list: &[T]) -> usize {
    match list.last().and_then(Listed::more) {
        Some(more) => list.len() - 1 + more,
        None => list.len(),
    }
}

fn bounded<T: Listed>(mut list: Vec<T>) -> Vec<T> {
    let size = |entry: &T| serde_json::to_string(entry).map_or(MOST_BYTES, |text| text.len() + 1);
    let is_short = list.len() <= MOST_ENTRIES && list.iter().map(size).sum::<usize>() <= MOST_BYTES;
    if is_short {
        return list;
    }
    let all = total(&list);
    let mut left = MOST_BYTES - size(&T::of(format!("and {all} more")));
    let fits = |entry: &&T| {
        let rest = left.checked_sub(size(entry));
        left = rest.unwrap_or_default();
        rest.is_some()
    };
    let kept = list.iter().take(MOST_ENTRIES - 1).take_while(fits).count();
    list.truncate(kept);
    list.push(T::of(format!("and {} more", all - kept)));
    list
}

impl Outcome {
    /// The same outcome with lists that a record can hold; [`total`] tells how long they were. Bounding it again changes
    /// nothing.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        match &mut self {
            Self::Backup { unread, .. } => *unread = bounded(std::mem::take(unread)),
            Self::Verify(verdict) => {
                verdict.damages = bounded(std::mem::take(&mut verdict.damages));
                verdict.affected = bounded(std::mem::take(&mut verdict.affected));
                if let Some(trial) = &mut verdict.trial {
                    trial.corrupt = bounded(std::mem::take(&mut trial.corrupt));
                    trial.refuted = bounded(std::mem::take(&mut trial.refuted));
                }
            }
            Self::Repair { repaired, unrepairable } => {
                *repaired = bounded(std::mem::take(repaired));
                *unrepairable = bounded(std::mem::take(unrepairable));
            }
            Self::Restore { differences, .. } => *differences = bounded(std::mem::take(differences)),
            Self::Log(state) => state.gaps = bounded(std::mem::take(&mut state.gaps)),
            Self::Copy { .. } | Self::Delete | Self::Reclaim { .. } | Self::Clean => {}
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repair(names: Vec<String>) -> Outcome {
        let repaired = Vec::new();
        Outcome::Repair {
            repaired,
            unrepairable: names,
        }
    }

    fn names(count: usize, length: usize) -> Vec<String> {
        (0..count).map(|place| format!("{place:0length$}")).collect()
    }

    #[test]
    fn a_list_is_cut_off_by_its_length_or_its_bytes_and_says_how_much_is_missing() {
        for (count, length, kept) in [(200, 10, 200), (201, 10, 199), (100, 1000, 48), (1, 60_000, 0)] {
            let bounded = repair(names(count, length)).bounded();
            let Outcome::Repair { unrepairable, .. } = &bounded else {
                panic!("{bounded:?}");
            };
            let cut = usize::from(kept < count);
            assert_eq!((unrepairable.len(), total(unrepairable)), (kept + cut, count));
            assert!(serde_json::to_string(unrepairable).unwrap().len() <= MOST_BYTES + 2);
            assert_eq!(bounded.clone().bounded(), bounded);
        }
    }

    #[test]
    fn what_could_not_be_read_is_counted_beyond_what_is_listed() {
        let entry = |path: String| UnreadEntry {
            path,
            reason: "permission denied".to_owned(),
        };
        let unread: Vec<UnreadEntry> = names(5000, 4).into_iter().map(entry).collect();
        let outcome = Outcome::Backup {
            artefact: "a".to_owned(),
            taken_at: jiff::Timestamp::UNIX_EPOCH,
            size_bytes: 0,
            files: 0,
            added_bytes: 0,
            unread,
            changes: None,
        };
        let Outcome::Backup { unread, .. } = outcome.bounded() else {
            panic!("a backup stays one");
        };
        assert_eq!((unread.len(), total(&unread)), (200, 5000));
        assert_eq!(unread[199].path, "and 4801 more");
    }
}
