//! What snapshots need: a walk over all trees below given roots, each tree once.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use crate::error::{ErrorKind, RepositoryError, Result};
use crate::id::Id;
use crate::index::Index;
use crate::pack::{BlobKind, PackBlob};
use crate::parallel;
use crate::repository::Repository;
use crate::storage::StorageError;
use crate::tree::{Node, NodeKind, Tree};

/// A set of blobs of one index: one bit a blob.
pub(crate) struct BlobSet<'a> {
    index: &'a Index,
    bits: Vec<u64>,
}

impl<'a> BlobSet<'a> {
    pub(crate) fn new(index: &'a Index) -> Self {
        Self {
            index,
            bits: vec![0; index.len().div_ceil(64)],
        }
    }

    /// Adds a blob; whether it is new, or `None` when the index does not know it.
    pub(crate) fn insert(&mut self, kind: BlobKind, id: &Id) -> Option<bool> {
        let number = self.index.position(kind, id)?;
        let (word, bit) = (&mut self.bits[number / 64], 1 << (number % 64));
        let new = *word & bit == 0;
        *word |= bit;
        Some(new)
    }

    pub(crate) fn contains(&self, kind: BlobKind, id: &Id) -> bool {
        self.index
            .position(kind, id)
            .is_some_and(|number| self.bits[number / 64] & (1 << (number % 64)) != 0)
    }

    /// Every blob of the set, once, in ascending order of kind and id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = PackBlob> + '_ {
        let set = |number: &usize| self.bits[number / 64] & (1 << (number % 64)) != 0;
        (0..self.index.len())
            .filter(set)
            .map(|number| self.index.place(number).1)
    }

    pub(crate) fn len(&self) -> u64 {
        self.bits.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

/// What a walk found.
pub(crate) struct Reached<'a> {
    /// Every blob that is needed and indexed.
    pub(crate) blobs: BlobSet<'a>,
    /// Every blob that is needed and in no pack that the index knows.
    pub(crate) missing: BTreeSet<(BlobKind, Id)>,
    /// Trees that cannot be read from any pack, or are malformed, and why. What lies below is unknown.
    pub(crate) bad_trees: Vec<(Id, String)>,
}

impl Reached<'_> {
    /// Fails unless every tree was read and every blob is indexed: then nothing may be decided from this walk.
    pub(crate) fn require_whole(&self, location: &str) -> Result<()> {
        let missing = self
            .missing
            .iter()
            .map(|(kind, id)| format!("{kind} blob {id} is in no pack"));
        let trees = self.bad_trees.iter().map(|(id, reason)| format!("tree {id}: {reason}"));
        let all: Vec<String> = trees.chain(missing).collect();
        match all.first() {
            None => Ok(()),
            Some(first) => {
                let reason = format!(
                    "{} trees or blobs that snapshots need are bad, the first: {first}",
                    all.len()
                );
                Err(RepositoryError::damaged(
                    format!("the repository at {location}"),
                    reason,
                ))
            }
        }
    }
}

/// Whether an error tells of bad stored bytes rather than of a store that cannot be asked.
pub(crate) fn is_damage(error: &RepositoryError) -> bool {
    // A service that takes a request for a wrong one, as of a bucket that is gone, has said nothing about a file.
    let is_refused = matches!(error, RepositoryError::Storage(StorageError::Remote { .. }));
    match error.kind() {
        ErrorKind::Integrity => true,
        ErrorKind::NotFound | ErrorKind::Invalid => !is_refused,
        _ => false,
    }
}

/// Walks everything below `roots`. Damage is part of the result; only a store that cannot be asked is an error.
pub(crate) fn reach<'a>(
    repo: &Repository,
    index: &'a Index,
    roots: &[Id],
    workers: usize,
    cancel: &AtomicBool,
) -> Result<Reached<'a>> {
    let reached = Reached {
        blobs: BlobSet::new(index),
        missing: BTreeSet::new(),
        bad_trees: Vec::new(),
    };
    let walk = Mutex::new((reached, Vec::new()));
    let lock = || walk.lock().unwrap_or_else(PoisonError::into_inner);
    {
        let (reached, next) = &mut *lock();
        for root in roots {
            enter(reached, next, root);
        }
    }
    loop {
        let level = std::mem::take(&mut lock().1);
        if level.is_empty() {
            break;
        }
        parallel::for_each(
            &level,
            workers,
            cancel,
            || (),
            |(), id| {
                let tree = repo.load_tree(index, id).and_then(|tree| well_formed(id, tree));
                let (reached, next) = &mut *lock();
                match tree {
                    Ok(tree) => tree.nodes.iter().for_each(|node| note(reached, next, node)),
                    Err(e) if is_damage(&e) => reached.bad_trees.push((*id, e.to_string())),
                    Err(e) => return Err(e),
                }
                Ok(())
            },
        )?;
    }
    let (mut reached, _) = walk.into_inner().unwrap_or_else(PoisonError::into_inner);
    reached.bad_trees.sort_unstable();
    Ok(reached)
}

fn enter(reached: &mut Reached<'_>, next: &mut Vec<Id>, tree: &Id) {
    match reached.blobs.insert(BlobKind::Tree, tree) {
        Some(true) => next.push(*tree),
        Some(false) => {}
        None => drop(reached.missing.insert((BlobKind::Tree, *tree))),
    }
}

fn note(reached: &mut Reached<'_>, next: &mut Vec<Id>, node: &Node) {
    for blob in node.content.iter().flatten() {
        if reached.blobs.insert(BlobKind::Data, blob).is_none() {
            reached.missing.insert((BlobKind::Data, *blob));
        }
    }
    if let Some(subtree) = &node.subtree {
        enter(reached, next, subtree);
    }
}

/// Every file must list its blobs and every folder its tree, or data would be missing without a trace.
fn well_formed(id: &Id, tree: Tree) -> Result<Tree> {
    for node in &tree.nodes {
        let lacks = match node.kind {
            NodeKind::File if node.content.is_none() => "list of blobs",
            NodeKind::Dir if node.subtree.is_none() => "tree",
            _ => continue,
        };
        let reason = format!("its entry `{}` has no {lacks}", node.display_name());
        return Err(RepositoryError::damaged(format!("tree {id}"), reason));
    }
    Ok(tree)
}

/// Which blobs each pack holds, from the index alone.
pub(crate) struct PackContents<'a> {
    index: &'a Index,
    /// Numbers of places, grouped by pack.
    places: Vec<u32>,
    /// Where each pack's group starts, and the end of the last.
    starts: Vec<usize>,
}

impl<'a> PackContents<'a> {
    pub(crate) fn new(index: &'a Index) -> Self {
        let mut starts = vec![0; index.packs().len() + 1];
        for number in 0..index.len() {
            starts[index.place(number).0 + 1] += 1;
        }
        for pack in 1..starts.len() {
            starts[pack] += starts[pack - 1];
        }
        let mut free = starts.clone();
        let mut places = vec![0; index.len()];
        for number in 0..index.len() {
            let slot = &mut free[index.place(number).0];
            places[*slot] = u32::try_from(number).unwrap_or(u32::MAX);
            *slot += 1;
        }
        Self { index, places, starts }
    }

    /// The blobs of the `pack`-th of [`Index::packs`], in the order of the file.
    pub(crate) fn of(&self, pack: usize) -> Vec<PackBlob> {
        let places = &self.places[self.starts[pack]..self.starts[pack + 1]];
        let mut blobs: Vec<PackBlob> = places
            .iter()
            .map(|number| self.index.place(*number as usize).1)
            .collect();
        blobs.sort_unstable_by_key(|blob| blob.offset);
        blobs
    }
}
