//! Packs that are hashed together.

use crate::id::Id;

use super::SealedPack;

/// Packs of one group at most. More would be hashed faster still, but all are held in memory.
const PACKS: usize = 4;
/// Bytes of one group at most, unless one pack alone is larger: three packs as restic makes them.
const BYTES: usize = 52 << 20;

/// Cuts a list of packs into groups that are read and hashed together; on a processor where that gains nothing, each pack
/// is a group.
pub(crate) fn groups<T>(packs: &[T], size: impl Fn(&T) -> u64) -> Vec<&[T]> {
    let most = PACKS.min(Id::worth_gathering());
    let mut groups = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, pack) in packs.iter().enumerate() {
        bytes += size(pack);
        if at > start && (at - start == most || bytes > BYTES as u64) {
            groups.push(&packs[start..at]);
            (start, bytes) = (at, size(pack));
        }
    }
    if start < packs.len() {
        groups.push(&packs[start..]);
    }
    groups
}

/// Packs that wait for their names.
#[derive(Default)]
pub(crate) struct PackGroup {
    packs: Vec<SealedPack>,
    bytes: usize,
}

impl PackGroup {
    /// Adds a pack; true when the group holds as many as are worth waiting for.
    pub(crate) fn add(&mut self, pack: SealedPack) -> bool {
        let length = pack.bytes.len();
        self.bytes += length;
        self.packs.push(pack);
        self.packs.len() >= PACKS.min(Id::worth_gathering()) || self.bytes + length > BYTES
    }

    /// Gives every pack its name.
    pub(crate) fn name(self) -> impl Iterator<Item = (Id, SealedPack)> {
        let ids = Id::of_each(&self.packs.iter().map(|pack| pack.bytes.as_slice()).collect::<Vec<_>>());
        ids.into_iter().zip(self.packs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pack_is_in_one_group_and_groups_are_bounded() {
        for sizes in [
            vec![],
            vec![1; 9],
            vec![17 << 20; 9],
            vec![40 << 20; 3],
            vec![100 << 20; 2],
        ] {
            let groups = groups(&sizes, |size| *size);
            assert_eq!(groups.concat(), sizes);
            for group in groups {
                assert!(
                    group.len() == 1 || group.iter().sum::<u64>() <= BYTES as u64,
                    "{group:?}"
                );
                assert!((1..=PACKS).contains(&group.len()), "{group:?}");
            }
        }
    }
}
