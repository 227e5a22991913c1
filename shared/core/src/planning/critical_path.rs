//! The chain of steps that decides how long a plan takes.

/// Something that takes time and waits for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed {
    /// The places of those that it waits for; each comes before it.
    pub after: Vec<usize>,
    /// How long it takes by itself, in seconds.
    pub seconds: i64,
}

/// The chain that ends last, as places from its first to its last, and how many seconds it takes. Of chains that take
/// equally long, the one whose steps are written first.
pub fn critical_path(steps: &[Timed]) -> (Vec<usize>, i64) {
    let mut ends: Vec<(i64, Option<usize>)> = Vec::with_capacity(steps.len());
    for step in steps {
        let known = step.after.iter().filter(|place| **place < ends.len());
        let last = known
            .max_by_key(|place| (ends[**place].0, std::cmp::Reverse(**place)))
            .copied();
        let begin = last.map_or(0, |place| ends[place].0);
        ends.push((begin + step.seconds, last));
    }
    let last = (0..ends.len()).max_by_key(|place| (ends[*place].0, std::cmp::Reverse(*place)));
    let seconds = last.map_or(0, |place| ends[place].0);
    let mut path: Vec<usize> = std::iter::successors(last, |place| ends[*place].1).collect();
    path.reverse();
    (path, seconds)
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
        assert_eq!(critical_path(&steps), (vec![1, 4], 67));
        assert_eq!(critical_path(&steps[..4]), (vec![1], 60));
    }

    #[test]
    fn of_nothing_there_is_no_chain_and_of_equals_the_first() {
        assert_eq!(critical_path(&[]), (vec![], 0));
        assert_eq!(critical_path(&[timed(&[], 3), timed(&[], 3)]), (vec![0], 3));
    }
}
