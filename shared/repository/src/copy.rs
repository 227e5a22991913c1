//! Copies snapshots to another store, byte for byte, so that either store is a whole repository of its own.
//!
//! Packs come first, then index files that name them, then snapshots: whatever the moment of a crash, every snapshot in
//! the destination is whole, and running the copy again finishes it without sending anything twice.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::index::{Index, IndexPack};
use crate::lock::{Lock, LockKind};
use crate::pack::{PackBlob, groups};
use crate::parallel;
use crate::progress::Progress;
use crate::reach::{PackContents, Reached, is_damage, reach};
use crate::repository::{Repository, Unlock};
use crate::rewrite::publish_index;
use crate::storage::{FileKind, FileName, Storage};

/// What to copy.
pub struct CopyOptions<'a> {
    /// Only these snapshots and what they need. `None`: all.
    pub snapshots: Option<Vec<Id>>,
    /// Groups of packs under way at one time, each in memory: up to 52 MiB, or one larger pack.
    pub workers: usize,
    /// Hears of every byte copied.
    pub progress: &'a dyn Progress,
    /// Stops the work when set.
    pub cancel: &'a AtomicBool,
}

/// What a copy did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyReport {
    /// Snapshots that were written.
    pub snapshots_copied: u64,
    /// Snapshots that were there before.
    pub snapshots_present: u64,
    /// Packs that were written.
    pub packs_copied: u64,
    /// Packs that were there before, of the right size.
    pub packs_present: u64,
    /// Packs that were there with a wrong size and were replaced.
    pub packs_replaced: u64,
    /// Bytes of the packs that were written.
    pub bytes_copied: u64,
}

/// Copies snapshots to `to`. An empty store gets the keys and the config first; one that holds a repository must hold
/// this one.
///
/// A pack that is damaged in the source is never written: the snapshots that need it are not published, the others are,
/// and [`RepositoryError::CopyIncomplete`] names both. A shared lock is held in the destination.
pub fn copy(from: &Repository, to: Arc<dyn Storage>, options: &CopyOptions<'_>) -> Result<CopyReport> {
    let destination = open_destination(from, to)?;
    let lock = Lock::acquire(&destination, LockKind::Shared)?;
    let mut snapshots = chosen_snapshots(from, options)?;
    let index = from.load_index()?;
    let mut broken = Broken::default();
    let walk = |snapshots: &[(Id, Id)]| {
        let roots: Vec<Id> = snapshots.iter().map(|(_, tree)| *tree).collect();
        reach(from, &index, &roots, options.workers, options.cancel)
    };
    let mut reached = walk(&snapshots)?;
    if let Err(e) = reached.require_whole(&from.storage().location()) {
        broken.note(&e);
        set_aside(&mut snapshots, &mut broken, |one| {
            Ok(walk(&[one])?.require_whole("").is_ok())
        })?;
        reached = walk(&snapshots)?;
        reached.require_whole(&from.storage().location())?;
    }
    let mut report = CopyReport::default();
    let used = copy_packs(from, &destination, &index, &reached, options, &mut broken, &mut report)?;
    if !broken.packs.is_empty() {
        let can_be_read = |blob: PackBlob| {
            index
                .lookup_all(blob.kind, &blob.id)
                .any(|location| used.contains(&location.pack))
        };
        set_aside(&mut snapshots, &mut broken, |one| {
            Ok(walk(&[one])?.blobs.iter().all(can_be_read))
        })?;
    }
    publish_index(&destination, &unindexed(&destination, &index, &used)?)?;
    lock.verify()?;
    publish_snapshots(from, &destination, &snapshots, &mut report)?;
    lock.release()?;
    broken.into_result(report)
}

/// What could not be copied.
#[derive(Default)]
struct Broken {
    packs: BTreeSet<Id>,
    snapshots: Vec<Id>,
    first_reason: Option<String>,
}

impl Broken {
    fn note(&mut self, error: &RepositoryError) {
        self.first_reason.get_or_insert_with(|| error.to_string());
    }

    fn into_result(self, report: CopyReport) -> Result<CopyReport> {
        match self.first_reason {
            None => Ok(report),
            Some(reason) => {
                let packs = self.packs.into_iter().collect();
                Err(RepositoryError::CopyIncomplete {
                    snapshots: self.snapshots,
                    packs,
                    reason,
                })
            }
        }
    }
}

/// Moves the snapshots that are not whole out of the way.
fn set_aside(
    snapshots: &mut Vec<(Id, Id)>,
    broken: &mut Broken,
    is_whole: impl Fn((Id, Id)) -> Result<bool>,
) -> Result<()> {
    for snapshot in std::mem::take(snapshots) {
        if is_whole(snapshot)? {
            snapshots.push(snapshot);
        } else {
            broken.snapshots.push(snapshot.0);
        }
    }
    Ok(())
}

/// Ids and root trees of the snapshots to copy, oldest first.
fn chosen_snapshots(from: &Repository, options: &CopyOptions<'_>) -> Result<Vec<(Id, Id)>> {
    let snapshots = match &options.snapshots {
        None => from.snapshots()?,
        Some(ids) => ids
            .iter()
            .map(|id| Ok((*id, from.snapshot(id)?)))
            .collect::<Result<_>>()?,
    };
    Ok(snapshots
        .into_iter()
        .map(|(id, snapshot)| (id, snapshot.tree))
        .collect())
}

fn open_destination(from: &Repository, to: Arc<dyn Storage>) -> Result<Repository> {
    let location = to.location();
    let another =
        |reason: &str| RepositoryError::invalid(format!("the destination {location}"), format!("it holds {reason}"));
    if to.size(&FileName::Config)?.is_none() {
        for kind in [FileKind::Snapshot, FileKind::Index, FileKind::Data] {
            if !to.list(kind)?.is_empty() {
                return Err(another("files of a repository, but no config"));
            }
        }
        copy_identity(from, &*to)?;
    }
    let opened = Repository::open(to, from.ambient().clone(), Unlock::MasterKey(from.key().clone()));
    match opened {
        Ok(destination) if destination.config().id == from.config().id => Ok(destination),
        Ok(_) | Err(RepositoryError::WrongMasterKey { .. }) => Err(another("another repository")),
        Err(e) => Err(e),
    }
}

/// Copies the keys, ours and restic's, then the config that makes the destination a repository.
fn copy_identity(from: &Repository, to: &dyn Storage) -> Result<()> {
    let keys = from
        .storage()
        .list(FileKind::Key)?
        .into_iter()
        .map(|(id, _)| FileName::Object(FileKind::Key, id));
    let wrapped = from
        .storage()
        .list_sidecar("key/")?
        .into_iter()
        .map(|(name, _)| FileName::Sidecar(name));
    for file in keys.chain(wrapped) {
        to.put(&file, &from.storage().read(&file)?)?;
    }
    to.barrier()?;
    to.put(&FileName::Config, &from.storage().read(&FileName::Config)?)?;
    to.barrier()
}

/// Brings every pack that is needed to the destination; the packs that are good there.
fn copy_packs(
    from: &Repository,
    destination: &Repository,
    index: &Index,
    reached: &Reached<'_>,
    options: &CopyOptions<'_>,
    broken: &mut Broken,
    report: &mut CopyReport,
) -> Result<HashSet<Id>> {
    let sizes: HashMap<Id, u64> = index.packs().iter().map(|pack| (pack.id, pack.size)).collect();
    let stored: HashMap<Id, u64> = destination.storage().list(FileKind::Data)?.into_iter().collect();
    let is_there = |pack: &Id| sizes.contains_key(pack) && sizes.get(pack) == stored.get(pack);
    let mut used = packs_to_use(index, reached, is_there);
    let transfers: Vec<Id> = used.iter().filter(|pack| !is_there(pack)).copied().collect();
    let bytes = transfers.iter().filter_map(|pack| sizes.get(pack)).sum();
    report.packs_present = (used.len() - transfers.len()) as u64;
    options.progress.expect(bytes, 0);

    let (copied, replaced, sent) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let failed = Mutex::new(Vec::new());
    let transfer = |pack: Id, bytes: Result<Vec<u8>>| {
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(e) if is_damage(&e) => {
                failed.lock().unwrap_or_else(PoisonError::into_inner).push((pack, e));
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        let size = bytes.len() as u64;
        if stored.contains_key(&pack) {
            destination.storage().replace_damaged(FileKind::Data, pack, &bytes)?;
            replaced.fetch_add(1, Ordering::Relaxed);
        } else {
            destination
                .storage()
                .put_buffer(&FileName::Object(FileKind::Data, pack), bytes)?;
            copied.fetch_add(1, Ordering::Relaxed);
        }
        sent.fetch_add(size, Ordering::Relaxed);
        options.progress.advance(size, 0);
        Ok(())
    };
    parallel::for_each(
        &groups(&transfers, |pack| sizes.get(pack).copied().unwrap_or(0)),
        options.workers,
        options.cancel,
        || (),
        |(), group| {
            let read = read_each_verified(from.storage().as_ref(), FileKind::Data, group);
            let mut packs = group.iter().zip(read);
            packs.try_for_each(|(pack, bytes)| transfer(*pack, bytes))
        },
    )?;
    for (pack, error) in failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        used.remove(&pack);
        broken.packs.insert(pack);
        broken.note(&error);
    }
    (report.packs_copied, report.packs_replaced) = (copied.into_inner(), replaced.into_inner());
    report.bytes_copied = sent.into_inner();
    Ok(used)
}

/// For every blob a pack to have it from, as few packs anew as possible.
fn packs_to_use(index: &Index, reached: &Reached<'_>, is_there: impl Fn(&Id) -> bool) -> HashSet<Id> {
    let mut used = HashSet::new();
    for blob in reached.blobs.iter() {
        let packs = || index.lookup_all(blob.kind, &blob.id).map(|location| location.pack);
        if !packs().any(|pack| used.contains(&pack)) {
            used.extend(packs().find(&is_there).or_else(|| packs().next()));
        }
    }
    used
}

/// Files' bytes, which hash to their names.
fn read_each_verified(storage: &dyn Storage, kind: FileKind, ids: &[Id]) -> Vec<Result<Vec<u8>>> {
    let read: Vec<_> = ids
        .iter()
        .map(|id| storage.read(&FileName::Object(kind, *id)))
        .collect();
    let found = Id::of_each(&read.iter().flatten().map(Vec::as_slice).collect::<Vec<_>>());
    let mut found = found.into_iter();
    let verify = |(id, bytes): (&Id, Result<Vec<u8>>)| {
        let bytes = bytes?;
        let found = found.next().unwrap_or_else(|| Id::of(&bytes));
        verified(storage, kind, *id, found, bytes)
    };
    ids.iter().zip(read).map(verify).collect()
}

/// A file's bytes, which hash to its name.
pub(crate) fn read_verified(storage: &dyn Storage, kind: FileKind, id: Id) -> Result<Vec<u8>> {
    let bytes = storage.read(&FileName::Object(kind, id))?;
    let found = Id::of(&bytes);
    verified(storage, kind, id, found, bytes)
}

fn verified(storage: &dyn Storage, kind: FileKind, id: Id, found: Id, bytes: Vec<u8>) -> Result<Vec<u8>> {
    if found != id {
        let file = FileName::Object(kind, id);
        let what = format!("{file} at {}", storage.location());
        return Err(RepositoryError::damaged(what, format!("its bytes hash to {found}")));
    }
    Ok(bytes)
}

/// The entries of those packs that the destination's index does not name yet.
fn unindexed(destination: &Repository, index: &Index, used: &HashSet<Id>) -> Result<Vec<IndexPack>> {
    let known: HashSet<Id> = destination.load_index()?.packs().iter().map(|pack| pack.id).collect();
    let contents = PackContents::new(index);
    let numbered = index.packs().iter().enumerate();
    let new = numbered.filter(|(_, pack)| used.contains(&pack.id) && !known.contains(&pack.id));
    Ok(new
        .map(|(number, pack)| IndexPack {
            id: pack.id,
            blobs: contents.of(number),
        })
        .collect())
}

fn publish_snapshots(
    from: &Repository,
    destination: &Repository,
    snapshots: &[(Id, Id)],
    report: &mut CopyReport,
) -> Result<()> {
    let present: HashMap<Id, u64> = destination.storage().list(FileKind::Snapshot)?.into_iter().collect();
    for (id, _) in snapshots {
        let bytes = read_verified(from.storage().as_ref(), FileKind::Snapshot, *id)?;
        match present.get(id) {
            Some(size) if *size == bytes.len() as u64 => report.snapshots_present += 1,
            Some(_) => {
                destination.storage().replace_damaged(FileKind::Snapshot, *id, &bytes)?;
                report.snapshots_copied += 1;
            }
            None => {
                destination
                    .storage()
                    .put(&FileName::Object(FileKind::Snapshot, *id), &bytes)?;
                report.snapshots_copied += 1;
            }
        }
    }
    destination.storage().barrier()
}

#[cfg(test)]
mod tests;
