//! The chain of steps that decides how long a plan takes.

use std::cmp::Reverse;

/// Something that takes time and waits for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed {
    /// The places of those that it waits for; each comes before it.
    pub after: Vec<usize>,
    /// How long it takes by itself, in seconds.
    pub seconds: i64,
}

/// The chain that ends last, as places from its first to its last, and how many seconds it takes. Of chains that take
/// equally long, the one whose steps are written first. No more than `at_once` steps run side by side; of those that could
/// begin, the one that is written first does.
pub fn critical_path(steps: &[Timed], at_once: usize) -> (Vec<usize>, i64) {
    let mut ends: Vec<Option<(i64, Option<usize>)>> = vec![None; steps.len()];
    // When each slot is free, and which step it was taken by.
    let mut slots: Vec<(i64, Option<usize>)> = vec![(0, None); at_once.clamp(1, steps.len().max(1))];
    loop {
        slots.sort_by_key(|(free, _)| *free);
        let (free, taken_by) = slots[0];
        let next = (0..steps.len())
            .filter(|place| ends[*place].is_none())
            .filter_map(|place| begins(&steps[place], &ends).map(|(ready, last)| (ready.max(free), place, ready, last)))
            .min_by_key(|(begin, place, ..)| (*begin, *place));
        let Some((begin, place, ready, last)) = next else { break };
        let before = if free > ready { taken_by } else { last };
        let end = begin + steps[place].seconds;
        ends[place] = Some((end, before));
        slots[0] = (end, Some(place));
    }
    let end = |place: usize| ends[place].map_or(0, |(end, _)| end);
    let last = (0..steps.len()).max_by_key(|place| (end(*place), Reverse(*place)));
    let mut path: Vec<usize> =
        std::iter::successors(last, |place| ends[*place].and_then(|(_, before)| before)).collect();
    path.reverse();
    (path, last.map_or(0, end))
}

/// When a step could begin, and which of those that it waits for ends last; none while one of them has no end yet.
fn begins(step: &Timed, ends: &[Option<(i64, Option<usize>)>]) -> Option<(i64, Option<usize>)> {
    let before: Option<Vec<(i64, usize)>> = (step.after.iter())
        .map(|place| ends.get(*place).copied().flatten().map(|(end, _)| (end, *place)))
        .collect();
    let last = before?.into_iter().max_by_key(|(end, place)| (*end, Reverse(*place)));
    Some(last.map_or((0, None), |(end, place)| (end, Some(place))))
}

/// A time by which all steps have ended, however much shorter than this some of them are: with a limit on how many run side
/// by side, steps that end sooner can let others begin in a worse order (Graham's bound).
pub fn ends_by(steps: &[Timed], at_once: usize) -> i64 {
    let (_, longest) = critical_path(steps, steps.len());
    if at_once >= steps.len() {
        return longest;
    }
    let all: i64 = steps.iter().map(|step| step.seconds).sum();
    let slots = i64::try_from(at_once.max(1)).unwrap_or(1);
    longest + ((all - longest).max(0) + slots - 1) / slots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(after: &[usize], seconds: i64) -> Timed {
        Timed {
            after: after.to_vec(),
            seconds,
        }
    }

    #[test]
    fn the_longest_chain_counts_and_not_the_one_with_most_steps() {
        let steps = [
            timed(&[], 5),
            timed(&[], 60),
            timed(&[0], 10),
            timed(&[2], 10),
            timed(&[1, 3], 7),
        ];
        assert_eq!(critical_path(&steps, 9), (vec![1, 4], 67));
        assert_eq!(critical_path(&steps[..4], 9), (vec![1], 60));
    }

    #[test]
    fn of_nothing_there_is_no_chain_and_of_equals_the_first() {
        assert_eq!(critical_path(&[], 9), (vec![], 0));
        assert_eq!(critical_path(&[timed(&[], 3), timed(&[], 3)], 9), (vec![0], 3));
    }
    #[test]
    fn with_a_limit_what_held_the_slot_is_part_of_the_chain() {
        let steps = [timed(&[], 5), timed(&[], 60), timed(&[], 10), timed(&[0], 1)];
        assert_eq!(critical_path(&steps, 1), (vec![0, 1, 2, 3], 76));
        assert_eq!(critical_path(&steps, 2), (vec![1], 60));
        assert_eq!(critical_path(&steps[1..3], 1), (vec![0, 1], 70));
        assert_eq!(
            (ends_by(&steps, 4), ends_by(&steps, 2), ends_by(&steps, 1)),
            (60, 68, 76)
        );
    }
}
