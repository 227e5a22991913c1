//! Which packs are worth writing anew: the decision alone.

use std::collections::BTreeMap;

use super::Reason;
use crate::pack::BlobKind;

/// What one of the packs that are needed holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PackUse {
    /// What its blobs are.
    pub(super) kind: BlobKind,
    /// Bytes of its file.
    pub(super) size: u64,
    /// Bytes of the blobs that are needed from it.
    pub(super) live: u64,
    /// Bytes of its other blobs.
    pub(super) dead: u64,
}

/// What rewriting is to achieve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Goal {
    /// Of a hundred bytes of all blobs, this many may be dead afterwards; 100 leaves everything as it is.
    pub(super) max_dead_percent: u8,
    /// Packs below this size in bytes are joined, where there are two or more of a kind.
    pub(super) small_below: u64,
}

impl Goal {
    fn is_met(self, live: u64, dead: u64) -> bool {
        dead * 100 <= (live + dead) * u64::from(self.max_dead_percent)
    }
}

/// A pack that is to be written anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rewrite {
    /// Which of the packs.
    pub(super) pack: usize,
    /// [`Reason::Sparse`] or [`Reason::Small`].
    pub(super) reason: Reason,
}

/// The packs to write anew so that the goal is met, in the order in which that gains most: first those with the highest
/// share of dead bytes, and of these none that could be left out; then the small ones.
pub(super) fn plan_rewriting(packs: &[PackUse], goal: Goal) -> Vec<Rewrite> {
    let joined = small_packs(packs, goal.small_below);
    let others: Vec<usize> = (0..packs.len()).filter(|n| joined.binary_search(n).is_err()).collect();
    let rewrite = |reason| move |pack| Rewrite { pack, reason };
    let sparse = sparse_packs(packs, others, goal).into_iter();
    sparse
        .map(rewrite(Reason::Sparse))
        .chain(joined.into_iter().map(rewrite(Reason::Small)))
        .collect()
}

/// The small packs that another of their kind can be joined with, in ascending order.
fn small_packs(packs: &[PackUse], below: u64) -> Vec<usize> {
    let mut small: BTreeMap<BlobKind, Vec<usize>> = BTreeMap::new();
    for (n, pack) in packs.iter().enumerate().filter(|(_, pack)| pack.size < below) {
        small.entry(pack.kind).or_default().push(n);
    }
    let mut joined: Vec<usize> = small.into_values().filter(|packs| packs.len() > 1).flatten().collect();
    joined.sort_unstable();
    joined
}

/// Which of `candidates` have to go so that what stays meets the goal, the one with the highest share of dead bytes first.
fn sparse_packs(packs: &[PackUse], mut candidates: Vec<usize>, goal: Goal) -> Vec<usize> {
    // What is live stays, wherever it is written.
    let live = packs.iter().map(|pack| pack.live).sum();
    let mut dead: u64 = candidates.iter().map(|n| packs[*n].dead).sum();
    candidates.sort_by(|a, b| {
        let (a, b) = (&packs[*a], &packs[*b]);
        let scaled = |pack: &PackUse, other: &PackUse| u128::from(pack.dead) * u128::from(other.live + other.dead);
        scaled(b, a).cmp(&scaled(a, b))
    });
    let mut chosen = Vec::new();
    for n in candidates {
        if goal.is_met(live, dead) {
            break;
        }
        dead -= packs[n].dead;
        chosen.push(n);
    }
    // One that frees much may have made it unnecessary to write others.
    let mut needed = Vec::new();
    for n in chosen.into_iter().rev() {
        if goal.is_met(live, dead + packs[n].dead) {
            dead += packs[n].dead;
        } else {
            needed.push(n);
        }
    }
    needed.reverse();
    needed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn data(live: u64, dead: u64) -> PackUse {
        PackUse {
            kind: BlobKind::Data,
            size: live + dead + 100,
            live,
            dead,
        }
    }

    fn plan(packs: &[PackUse], max_dead_percent: u8, small_below: u64) -> Vec<(usize, Reason)> {
        let goal = Goal {
            max_dead_percent,
            small_below,
        };
        let plan = plan_rewriting(packs, goal);
        plan.into_iter().map(|rewrite| (rewrite.pack, rewrite.reason)).collect()
    }

    #[test]
    fn the_packs_with_the_highest_share_of_dead_bytes_go_first_and_no_more_than_needed() {
        let packs = [
            data(900, 100),
            data(300, 700),
            data(1000, 0),
            data(600, 400),
            data(950, 50),
        ];
        assert_eq!(plan(&packs, 100, 0), []);
        assert_eq!(plan(&packs, 30, 0), []);
        assert_eq!(plan(&packs, 20, 0), [(1, Reason::Sparse)]);
        assert_eq!(plan(&packs, 5, 0), [(1, Reason::Sparse), (3, Reason::Sparse)]);
        assert_eq!(
            plan(&packs, 0, 0),
            [1, 3, 0, 4].map(|n| (n, Reason::Sparse)),
            "none that is wholly live"
        );
    }

    #[test]
    fn a_pack_that_a_later_one_made_unnecessary_is_left() {
        // The first has the highest share, but the second alone is enough.
        let packs = [data(1, 9), data(500, 1000), data(10_000, 0)];
        assert_eq!(plan(&packs, 1, 0), [(1, Reason::Sparse)]);
        assert_eq!(plan(&packs, 0, 0), [(0, Reason::Sparse), (1, Reason::Sparse)]);
    }

    #[test]
    fn small_packs_are_joined_with_others_of_their_kind_and_their_dead_bytes_count_as_gone() {
        let mut tree = data(10, 0);
        tree.kind = BlobKind::Tree;
        let packs = [data(30, 20), data(980, 40), data(50, 0), tree];
        assert_eq!(plan(&packs, 5, 500), [(0, Reason::Small), (2, Reason::Small)]);
        assert_eq!(plan(&packs, 5, 0), [(0, Reason::Sparse)]);
        assert_eq!(plan(&packs[1..], 100, 500), [], "alone of its kind each");
    }

    fn packs() -> impl Strategy<Value = Vec<PackUse>> {
        let pack = (any::<bool>(), 1..1000u64, prop_oneof![Just(0), 0..1000u64]);
        let pack = pack.prop_map(|(is_tree, live, dead)| PackUse {
            kind: if is_tree { BlobKind::Tree } else { BlobKind::Data },
            ..data(live, dead)
        });
        prop::collection::vec(pack, 0..40)
    }

    proptest! {
        #[test]
        fn the_goal_is_met_and_nothing_is_rewritten_in_vain(
            packs in packs(),
            max_dead_percent in 0..=100u8,
            small_below in 0..800u64,
        ) {
            let goal = Goal { max_dead_percent, small_below };
            let plan = plan_rewriting(&packs, goal);
            let live: u64 = packs.iter().map(|pack| pack.live).sum();
            let left = |plan: &[Rewrite]| -> u64 {
                let stays = |n: &usize| plan.iter().all(|rewrite| rewrite.pack != *n);
                (0..packs.len()).filter(stays).map(|n| packs[n].dead).sum()
            };
            let is_met = |dead: u64| dead * 100 <= (live + dead) * u64::from(max_dead_percent);
            prop_assert!(is_met(left(&plan)));
            for (at, rewrite) in plan.iter().enumerate() {
                let pack = &packs[rewrite.pack];
                let mut others = plan.clone();
                others.remove(at);
                prop_assert!(others.iter().all(|other| other.pack != rewrite.pack), "twice");
                match rewrite.reason {
                    Reason::Small => {
                        let like_it = |other: &&Rewrite| {
                            other.reason == Reason::Small && packs[other.pack].kind == pack.kind
                        };
                        prop_assert!(pack.size < small_below);
                        prop_assert!(others.iter().any(|other| like_it(&other)), "joined with nothing");
                    }
                    _ => {
                        prop_assert!(pack.dead > 0);
                        prop_assert!(!is_met(left(&others)), "pack {} need not be written", rewrite.pack);
                    }
                }
            }
            // Once done, there is nothing more to do, apart from what is left over of the last new packs.
            let stays = |n: &usize| plan.iter().all(|rewrite| rewrite.pack != *n);
            let mut after: Vec<PackUse> = (0..packs.len()).filter(stays).map(|n| packs[n]).collect();
            after.push(data(live - after.iter().map(|pack| pack.live).sum::<u64>(), 0));
            let again = plan_rewriting(&after, Goal { small_below: 0, ..goal });
            prop_assert_eq!(again, vec![]);
        }
    }
}
