//! Proves that a repository is whole: everything snapshots need is there, and, when its data is read, every byte of it.
//!
//! Damage is the result of a check, not its failure: each kind is a word of [`Damage`] with the ids that
//! [`crate::repair`] needs. Only a store that cannot be asked is an error.

mod affected;
mod packs;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::id::Id;
use crate::index::{Index, IndexPack, IndexedPack, decode_index};
use crate::pack::{BlobKind, groups};
use crate::parallel;
use crate::progress::Progress;
use crate::prune::condemned_packs;
use crate::reach::{PackContents, Reached, is_damage, reach};
use crate::repository::Repository;
use crate::storage::{FileKind, FileName};

pub use affected::{AffectedFile, affected_files};
pub(crate) use packs::sealed_in;

/// What to check.
pub struct CheckOptions<'a> {
    /// Read every pack, hash it, and decrypt, decompress and hash every blob in it.
    pub read_data: bool,
    /// Only these snapshots and the packs that they need: how one recovery point is proven. `None`: everything.
    pub snapshots: Option<Vec<Id>>,
    /// Threads. With `read_data` each reads a pack piece by piece, a few MiB at a time; where hashing is gathered, it holds a few
    /// packs in memory, up to 52 MiB, or one larger pack. So it does with one that is damaged.
    pub workers: usize,
    /// Hears of every byte read with `read_data`.
    pub progress: &'a dyn Progress,
    /// Stops the work when set.
    pub cancel: &'a AtomicBool,
    /// Remembers the packs that were read, for a check that is done in several calls.
    pub ledger: Option<&'a dyn PackLedger>,
}

/// Which packs a check has read, so that the next call for the same check does not read them again.
pub trait PackLedger: Sync {
    /// Bytes read of a pack, and what was wrong with it; none when it was not read yet.
    fn examined(&self, pack: &Id) -> Option<(u64, Vec<Damage>)>;

    /// A pack was read.
    fn note(&self, pack: Id, bytes: u64, damages: &[Damage]);
}

/// One thing that is wrong in a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "damage", rename_all = "snake_case", deny_unknown_fields)]
pub enum Damage {
    /// A snapshot file is missing, damaged or malformed.
    BadSnapshot {
        /// The snapshot.
        snapshot: Id,
        /// What is wrong.
        reason: String,
    },
    /// An index file is damaged or malformed: no program can open the repository.
    BadIndex {
        /// The index file.
        index: Id,
        /// What is wrong.
        reason: String,
    },
    /// A tree cannot be read from any pack, or is malformed.
    BadTree {
        /// The tree blob.
        tree: Id,
        /// What is wrong.
        reason: String,
    },
    /// A snapshot needs a blob that is in no indexed pack.
    MissingBlob {
        /// Data or tree.
        kind: BlobKind,
        /// The blob.
        blob: Id,
    },
    /// A pack that the index names is not there.
    MissingPack {
        /// The pack.
        pack: Id,
    },
    /// A pack has another size than its blobs make.
    PackSize {
        /// The pack.
        pack: Id,
        /// Bytes that are there.
        found: u64,
        /// Bytes that belong there.
        expected: u64,
    },
    /// The store cannot give a pack's bytes back.
    PackUnreadable {
        /// The pack.
        pack: Id,
        /// What the store said.
        reason: String,
    },
    /// A pack's bytes do not hash to its name.
    PackHash {
        /// The pack.
        pack: Id,
        /// What they hash to.
        found: Id,
    },
    /// A pack's header does not open, or disagrees with the index.
    PackHeader {
        /// The pack.
        pack: Id,
        /// What is wrong.
        reason: String,
    },
    /// A blob does not decrypt, decompress or hash as it should.
    BlobDamaged {
        /// The pack it is in.
        pack: Id,
        /// Data or tree.
        kind: BlobKind,
        /// The blob.
        blob: Id,
        /// What is wrong.
        reason: String,
    },
}

impl Damage {
    /// The pack that is damaged, if it is one.
    pub fn pack(&self) -> Option<Id> {
        match self {
            Damage::MissingPack { pack }
            | Damage::PackSize { pack, .. }
            | Damage::PackUnreadable { pack, .. }
            | Damage::PackHash { pack, .. }
            | Damage::PackHeader { pack, .. }
            | Damage::BlobDamaged { pack, .. } => Some(*pack),
            Damage::BadSnapshot { .. }
            | Damage::BadIndex { .. }
            | Damage::BadTree { .. }
            | Damage::MissingBlob { .. } => None,
        }
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Damage::BadSnapshot { snapshot, reason } => write!(f, "snapshot {snapshot}: {reason}"),
            Damage::BadIndex { index, reason } => write!(f, "index file {index}: {reason}"),
            Damage::BadTree { tree, reason } => write!(f, "tree {tree}: {reason}"),
            Damage::MissingBlob { kind, blob } => write!(f, "{kind} blob {blob} is in no pack"),
            Damage::MissingPack { pack } => write!(f, "pack {pack} is missing"),
            Damage::PackSize { pack, found, expected } => {
                write!(f, "pack {pack} has {found} bytes where {expected} belong")
            }
            Damage::PackUnreadable { pack, reason } => write!(f, "pack {pack} cannot be read: {reason}"),
            Damage::PackHash { pack, found } => write!(f, "pack {pack} hashes to {found}"),
            Damage::PackHeader { pack, reason } => write!(f, "pack {pack}: {reason}"),
            Damage::BlobDamaged {
                pack,
                kind,
                blob,
                reason,
            } => {
                write!(f, "{kind} blob {blob} in pack {pack}: {reason}")
            }
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckReport {
    /// Everything that is wrong, sorted, each once.
    pub damages: Vec<Damage>,
    /// Packs that no index file names: left by a writer that is at work or died. They do no harm.
    pub orphan_packs: Vec<Id>,
    /// Snapshots that were checked.
    pub snapshots: u64,
    /// Packs whose presence and size were checked.
    pub packs: u64,
    /// Blobs that those snapshots need.
    pub blobs: u64,
    /// Bytes that were read, hashed and decrypted.
    pub bytes_read: u64,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.damages.is_empty()
    }
}

/// Checks a repository. It takes no lock, so that the right to read is enough; hold a shared one to keep a concurrent
/// sweep from looking like damage.
pub fn check(repo: &Repository, options: &CheckOptions<'_>) -> Result<CheckReport> {
    let mut damages = BTreeSet::new();
    // Snapshots before the index: whatever they need was indexed before they appeared.
    let roots = load_roots(repo, options, &mut damages)?;
    let index = load_good_index(repo, options, &mut damages)?;
    let stored: HashMap<Id, u64> = repo.storage().list(FileKind::Data)?.into_iter().collect();
    let trees: Vec<Id> = roots.iter().map(|(_, tree)| *tree).collect();
    let reached = reach(repo, &index, &trees, options.workers, options.cancel)?;
    damages.extend(reached.missing.iter().map(|(kind, blob)| Damage::MissingBlob {
        kind: *kind,
        blob: *blob,
    }));
    damages.extend(reached.bad_trees.iter().map(|(tree, reason)| Damage::BadTree {
        tree: *tree,
        reason: reason.clone(),
    }));

    let chosen = choose_packs(&index, &reached, options);
    let mut readable = Vec::new();
    for number in &chosen {
        let pack = &index.packs()[*number];
        let expected = pack.size;
        match stored.get(&pack.id) {
            None => drop(damages.insert(Damage::MissingPack { pack: pack.id })),
            Some(found) => {
                readable.push(*number);
                if *found != expected {
                    damages.insert(Damage::PackSize {
                        pack: pack.id,
                        found: *found,
                        expected,
                    });
                }
            }
        }
    }
    let bytes_read = if options.read_data {
        read_packs(repo, &index, &readable, &stored, options, &mut damages)?
    } else {
        0
    };
    Ok(CheckReport {
        damages: damages.into_iter().collect(),
        orphan_packs: if options.snapshots.is_none() {
            orphans(&index, &stored)
        } else {
            Vec::new()
        },
        snapshots: roots.len() as u64,
        packs: chosen.len() as u64,
        blobs: reached.blobs.len(),
        bytes_read,
    })
}

fn orphans(index: &Index, stored: &HashMap<Id, u64>) -> Vec<Id> {
    let indexed: BTreeSet<Id> = index.packs().iter().map(|pack| pack.id).collect();
    let orphans: BTreeSet<Id> = stored.keys().filter(|pack| !indexed.contains(pack)).copied().collect();
    orphans.into_iter().collect()
}

/// The root trees of the snapshots to check.
fn load_roots(repo: &Repository, options: &CheckOptions<'_>, damages: &mut BTreeSet<Damage>) -> Result<Vec<(Id, Id)>> {
    let ids: Vec<Id> = match &options.snapshots {
        Some(ids) => ids.clone(),
        None => repo
            .storage()
            .list(FileKind::Snapshot)?
            .into_iter()
            .map(|(id, _)| id)
            .collect(),
    };
    let found = Mutex::new((Vec::new(), damages));
    parallel::for_each(
        &ids,
        options.workers,
        options.cancel,
        || (),
        |(), id| {
            let snapshot = repo.snapshot(id);
            let (roots, damages) = &mut *found.lock().unwrap_or_else(PoisonError::into_inner);
            match snapshot {
                Ok(snapshot) => roots.push((*id, snapshot.tree)),
                Err(e) if is_damage(&e) => {
                    damages.insert(Damage::BadSnapshot {
                        snapshot: *id,
                        reason: e.to_string(),
                    });
                }
                Err(e) => return Err(e),
            }
            Ok(())
        },
    )?;
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner).0)
}

/// The index that the readable index files make: all there is to find the [`affected_files`] with when some are damaged.
pub fn readable_index(repo: &Repository, options: &CheckOptions<'_>) -> Result<Index> {
    load_good_index(repo, options, &mut BTreeSet::new())
}

/// The index that the good index files make.
fn load_good_index(repo: &Repository, options: &CheckOptions<'_>, damages: &mut BTreeSet<Damage>) -> Result<Index> {
    let condemned = condemned_packs(&**repo.storage())?;
    let files = index_files(repo, options.workers, options.cancel)?;
    let mut packs = Vec::new();
    for (index, file) in files {
        match file {
            Ok(file) => packs.extend(file),
            Err(reason) => drop(damages.insert(Damage::BadIndex { index, reason })),
        }
    }
    Ok(Index::new(packs, &condemned))
}

/// An index file's packs, or why it cannot be used.
pub(crate) type IndexFile = (Id, Result<Vec<IndexPack>, String>);

/// Every index file, the damaged ones with what is wrong with them.
pub(crate) fn index_files(repo: &Repository, workers: usize, cancel: &AtomicBool) -> Result<Vec<IndexFile>> {
    let ids = repo.storage().list(FileKind::Index)?;
    let files = Mutex::new(Vec::new());
    parallel::for_each(
        &ids,
        workers,
        cancel,
        || (),
        |(), (id, _)| {
            let file = match repo
                .load_unpacked(FileKind::Index, id)
                .and_then(|json| decode_index(id, &json))
            {
                Ok(packs) => Ok(packs),
                Err(e) if is_damage(&e) => Err(e.to_string()),
                Err(e) => return Err(e),
            };
            // A file that was replaced by a newer one meanwhile is no damage.
            if file.is_ok() || repo.storage().size(&FileName::Object(FileKind::Index, *id))?.is_some() {
                files.lock().unwrap_or_else(PoisonError::into_inner).push((*id, file));
            }
            Ok(())
        },
    )?;
    let mut files = files.into_inner().unwrap_or_else(PoisonError::into_inner);
    files.sort_unstable_by_key(|(id, _)| *id);
    Ok(files)
}

/// Numbers of the packs to check: all, or those from which the chosen snapshots are read.
fn choose_packs(index: &Index, reached: &Reached<'_>, options: &CheckOptions<'_>) -> Vec<usize> {
    if options.snapshots.is_none() {
        return (0..index.packs().len()).collect();
    }
    let numbers: HashMap<Id, usize> = index.packs().iter().enumerate().map(|(n, pack)| (pack.id, n)).collect();
    let needed = reached
        .blobs
        .iter()
        .filter_map(|blob| index.lookup(blob.kind, &blob.id));
    let chosen: BTreeSet<usize> = needed
        .filter_map(|location| numbers.get(&location.pack).copied())
        .collect();
    chosen.into_iter().collect()
}

/// Reads all of some packs; the number of bytes read.
fn read_packs(
    repo: &Repository,
    index: &Index,
    numbers: &[usize],
    stored: &HashMap<Id, u64>,
    options: &CheckOptions<'_>,
    damages: &mut BTreeSet<Damage>,
) -> Result<u64> {
    let contents = PackContents::new(index);
    let total = numbers.iter().map(|number| index.packs()[*number].size).sum();
    options.progress.expect(total, 0);
    let size = |number: &usize| index.packs()[*number].size;
    let mut left = numbers.to_vec();
    let mut earlier = 0;
    left.retain(|number| {
        let examined = options
            .ledger
            .and_then(|ledger| ledger.examined(&index.packs()[*number].id));
        let Some((bytes, bad)) = examined else { return true };
        options.progress.advance(size(number), 0);
        earlier += bytes;
        damages.extend(bad);
        false
    });
    let found = Mutex::new((earlier, damages));
    parallel::for_each(
        &groups(&left, size),
        options.workers,
        options.cancel,
        Vec::new,
        |buffer, group| {
            let packs = group.iter().map(|number| IndexPack {
                id: index.packs()[*number].id,
                blobs: contents.of(*number),
            });
            let packs: Vec<IndexPack> = packs.collect();
            let (read, bad) = match (packs.as_slice(), group) {
                ([pack], [number])
                    if stored.get(&pack.id) == Some(&size(number)) && packs::is_whole(repo, pack, buffer)? =>
                {
                    (size(number), Vec::new())
                }
                _ => packs::examine(repo, &packs)?,
            };
            options.progress.advance(group.iter().map(size).sum(), 0);
            if let Some(ledger) = options.ledger {
                note(ledger, group.iter().map(|number| &index.packs()[*number]), &bad);
            }
            let (bytes, damages) = &mut *found.lock().unwrap_or_else(PoisonError::into_inner);
            *bytes += read;
            damages.extend(bad);
            Ok(())
        },
    )?;
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner).0)
}

/// Tells a ledger of packs that were read, each with what is wrong with it. One that is not there has no bytes.
fn note<'p>(ledger: &dyn PackLedger, packs: impl Iterator<Item = &'p IndexedPack>, damages: &[Damage]) {
    for pack in packs {
        let of_pack: Vec<Damage> = damages
            .iter()
            .filter(|damage| damage.pack() == Some(pack.id))
            .cloned()
            .collect();
        let unread = |damage: &Damage| matches!(damage, Damage::MissingPack { .. } | Damage::PackUnreadable { .. });
        let read = if of_pack.iter().any(unread) { 0 } else { pack.size };
        ledger.note(pack.id, read, &of_pack);
    }
}

#[cfg(test)]
mod tests;
