//! Repairs a repository from a copy: the same file where the copy has it, blob by blob where it does not.
//!
//! Nothing damaged is thrown away: it is kept under `holdfast/quarantine/`.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::AtomicBool;

use crate::check::{AffectedFile, CheckOptions, Damage, affected_files, check, index_files};
use crate::copy::read_verified;
use crate::error::{ErrorKind, RepositoryError, Result};
use crate::id::Id;
use crate::index::{Index, IndexPack, decode_index};
use crate::lock::{Lock, LockKind};
use crate::pack::{BlobKind, PackBlob, decode_header, open_blob, read_header};
use crate::parallel::stop_if;
use crate::progress::NoProgress;
use crate::reach::{PackContents, is_damage};
use crate::repository::Repository;
use crate::rewrite::{PackWriter, drop_from_index, publish_index, quarantine};
use crate::storage::{FileKind, FileName, Storage};
use crate::tree::Tree;

/// Threads for what is read again.
const WORKERS: usize = 4;
/// Size of packs of blobs that are written anew, in bytes.
const PACK_SIZE: usize = 16 << 20;

/// What a repair achieved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// Damages that are gone, or that nothing needs any more; those found on the way too.
    pub repaired: Vec<Damage>,
    /// What is still wrong, since neither side has the right bytes.
    pub unrepairable: Vec<Damage>,
    /// The files that suffer from it.
    pub affected: Vec<AffectedFile>,
}

/// Puts the files right without which a repository cannot be opened: its config, and the sidecar `wrapped_key` that its
/// master key is read from. Both are the same in a verbatim copy; one that differs from the copy's is kept under
/// `holdfast/quarantine/` first. Whoever calls this has found that the repository does not open.
pub fn repair_opening_files(damaged: &dyn Storage, copy: &Repository, wrapped_key: &str) -> Result<()> {
    for file in [FileName::Sidecar(wrapped_key.to_owned()), FileName::Config] {
        let right = copy.storage().read(&file)?;
        let stands = match damaged.read(&file) {
            Ok(bytes) => Some(bytes),
            Err(e) if e.kind() == ErrorKind::NotFound || is_damage(&e) => None,
            Err(e) => return Err(e),
        };
        if stands.as_deref() == Some(&right[..]) {
            continue;
        }
        if let Some(bytes) = stands {
            let name = format!("quarantine/opening-{}", Id::of(&bytes));
            damaged.put(&FileName::Sidecar(name), &bytes)?;
            damaged.barrier()?;
        }
        damaged.delete(&file)?;
        damaged.put(&file, &right)?;
        damaged.barrier()?;
    }
    Ok(())
}

/// Repairs what a [`check()`] of `repo` found, from `copy`, which must hold the same repository. Holds an exclusive lock.
/// It can be killed and run again, and ends with [`RepositoryError::Cancelled`] once `cancel` is set.
pub fn repair(repo: &Repository, copy: &Repository, damages: &[Damage], cancel: &AtomicBool) -> Result<RepairReport> {
    if repo.config().id != copy.config().id {
        let what = format!("the copy at {}", copy.storage().location());
        return Err(RepositoryError::invalid(what, "it holds another repository"));
    }
    let lock = Lock::acquire(repo, LockKind::Exclusive)?;
    let mut work = Work {
        repo,
        copy,
        lock,
        copy_index: None,
        lost: BTreeMap::new(),
        cancel,
    };
    let mut seen: BTreeSet<Damage> = BTreeSet::new();
    let mut next: BTreeSet<Damage> = damages.iter().cloned().collect();
    // What was hidden below a damaged tree or a lost index shows when that is repaired: each round finds what is new.
    let left = loop {
        work.round(&next)?;
        seen.append(&mut next);
        let options = CheckOptions {
            read_data: false,
            snapshots: None,
            workers: WORKERS,
            progress: &NoProgress,
            cancel,
            ledger: None,
        };
        let left = check(repo, &options)?.damages;
        next = left.iter().filter(|damage| !seen.contains(damage)).cloned().collect();
        if next.is_empty() {
            break left;
        }
    };
    let affected = if left.is_empty() {
        Vec::new()
    } else {
        affected_files(repo, &repo.load_index()?, &left)?
    };
    let repaired = seen
        .into_iter()
        .filter(|damage| !left.contains(damage) && !work.lost_with(damage, &left))
        .collect();
    work.lock.release()?;
    Ok(RepairReport {
        repaired,
        unrepairable: left,
        affected,
    })
}

struct Work<'a> {
    repo: &'a Repository,
    copy: &'a Repository,
    lock: Lock,
    /// Loaded when the first blob must come from the copy.
    copy_index: Option<Index>,
    /// Blobs that neither side could give, by the pack that held them.
    lost: BTreeMap<Id, Vec<(BlobKind, Id)>>,
    cancel: &'a AtomicBool,
}

/// How a damaged pack is dealt with.
enum Cure {
    /// It is good now.
    Done,
    /// Its bytes are right, and the index must say what its header says.
    Reindex(Vec<PackBlob>),
    /// Its blobs must be saved one by one.
    BlobByBlob,
}

impl Work<'_> {
    /// Deals with every damage once, index files before what is looked up in them.
    fn round(&mut self, damages: &BTreeSet<Damage>) -> Result<()> {
        let (mut packs, mut blobs, mut indexes) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        for damage in damages {
            packs.extend(damage.pack());
            match damage {
                Damage::BadSnapshot { snapshot, .. } => drop(self.replace_from_copy(FileKind::Snapshot, *snapshot)?),
                Damage::BadIndex { index, .. } => indexes.push(*index),
                Damage::BadTree { tree, .. } => drop(blobs.insert((BlobKind::Tree, *tree))),
                Damage::MissingBlob { kind, blob } => drop(blobs.insert((*kind, *blob))),
                Damage::MissingPack { .. }
                | Damage::PackSize { .. }
                | Damage::PackUnreadable { .. }
                | Damage::PackHash { .. }
                | Damage::PackHeader { .. }
                | Damage::BlobDamaged { .. } => {}
            }
        }
        packs.extend(self.repair_indexes(indexes)?);
        self.repair_packs(&packs)?;
        self.repair_blobs(&blobs)
    }

    /// Whether the copy had the same file.
    fn replace_from_copy(&self, kind: FileKind, id: Id) -> Result<bool> {
        match read_verified(self.copy.storage().as_ref(), kind, id) {
            Ok(bytes) => {
                self.repo.storage().replace_damaged(kind, id, &bytes)?;
                Ok(true)
            }
            Err(e) if is_damage(&e) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Brings back what damaged index files said. Returns the packs that they named: no check could read those.
    fn repair_indexes(&mut self, indexes: Vec<Id>) -> Result<Vec<Id>> {
        let (mut lost, mut unread) = (Vec::new(), Vec::new());
        for index in indexes {
            if self.replace_from_copy(FileKind::Index, index)? {
                let packs = decode_index(&index, &self.repo.load_unpacked(FileKind::Index, &index)?)?;
                unread.extend(packs.into_iter().map(|pack| pack.id));
            } else {
                lost.push(index);
            }
        }
        if lost.is_empty() {
            return Ok(unread);
        }
        let files = index_files(self.repo, WORKERS, self.cancel)?;
        let named: HashSet<Id> = files
            .into_iter()
            .filter_map(|(_, file)| file.ok())
            .flatten()
            .map(|p| p.id)
            .collect();
        let mut packs = Vec::new();
        for (pack, size) in self.repo.storage().list(FileKind::Data)? {
            if !named.contains(&pack)
                && let Some(blobs) = self.entries_of(pack, size)?
            {
                packs.push(IndexPack { id: pack, blobs });
            }
        }
        publish_index(self.repo, &packs)?;
        self.lock.verify()?;
        for index in lost {
            quarantine(&**self.repo.storage(), FileKind::Index, index)?;
        }
        unread.extend(packs.into_iter().map(|pack| pack.id));
        Ok(unread)
    }

    /// What a pack holds: from its own header, or else from the copy's index.
    fn entries_of(&mut self, pack: Id, size: u64) -> Result<Option<Vec<PackBlob>>> {
        match read_header(self.repo, pack, size) {
            Ok(blobs) => return Ok(Some(blobs)),
            Err(e) if is_damage(&e) => {}
            Err(e) => return Err(e),
        }
        let index = self.copy_index()?;
        let number = index.packs().iter().position(|known| known.id == pack);
        Ok(number.map(|number| PackContents::new(index).of(number)))
    }

    fn copy_index(&mut self) -> Result<&Index> {
        match &mut self.copy_index {
            Some(index) => Ok(index),
            empty => Ok(empty.insert(self.copy.load_index()?)),
        }
    }

    fn repair_packs(&mut self, packs: &BTreeSet<Id>) -> Result<()> {
        let (mut reindex, mut by_blob) = (Vec::new(), Vec::new());
        for pack in packs {
            stop_if(self.cancel)?;
            match self.cure(*pack)? {
                Cure::Done => {}
                Cure::Reindex(blobs) => reindex.push(IndexPack { id: *pack, blobs }),
                Cure::BlobByBlob => by_blob.push(*pack),
            }
        }
        if !reindex.is_empty() {
            let packs = reindex.iter().map(|pack| pack.id).collect();
            drop_from_index(self.repo, &self.lock, &packs, reindex, WORKERS, self.cancel)?;
        }
        if by_blob.is_empty() {
            return Ok(());
        }
        let index = self.repo.load_index()?;
        let contents = PackContents::new(&index);
        let mut writer = PackWriter::new(self.repo, PACK_SIZE, 1)?;
        for pack in &by_blob {
            stop_if(self.cancel)?;
            let Some(number) = index.packs().iter().position(|known| known.id == *pack) else {
                continue;
            };
            for blob in contents.of(number) {
                match self.find_blob(&index, blob.kind, &blob.id)? {
                    Some(plaintext) => writer.add(blob.kind, blob.id, &plaintext)?,
                    None => self.lost.entry(*pack).or_default().push((blob.kind, blob.id)),
                }
            }
        }
        writer.finish()?;
        // A backup stores again what no index names: so blobs that are lost must not stay there.
        let gone = by_blob.iter().copied().collect();
        drop_from_index(self.repo, &self.lock, &gone, Vec::new(), WORKERS, self.cancel)?;
        by_blob
            .into_iter()
            .try_for_each(|pack| quarantine(&**self.repo.storage(), FileKind::Data, pack))
    }

    /// Puts a pack's right bytes in place, or says what else must be done.
    fn cure(&self, pack: Id) -> Result<Cure> {
        let bytes = match read_verified(self.repo.storage().as_ref(), FileKind::Data, pack) {
            Ok(bytes) => bytes,
            Err(e) if is_damage(&e) && self.replace_from_copy(FileKind::Data, pack)? => {
                self.repo.storage().read(&FileName::Object(FileKind::Data, pack))?
            }
            Err(e) if is_damage(&e) => return Ok(Cure::BlobByBlob),
            Err(e) => return Err(e),
        };
        let Ok(header) = decode_header(self.repo.key(), &bytes) else {
            return Ok(Cure::BlobByBlob);
        };
        let opens = |blob: &PackBlob| {
            let sealed = crate::check::sealed_in(&bytes, blob);
            sealed
                .and_then(|sealed| open_blob(self.repo.key(), blob, sealed))
                .is_ok()
        };
        let pure = header.iter().all(|blob| blob.kind == header[0].kind);
        if !pure || !header.iter().all(opens) {
            return Ok(Cure::BlobByBlob);
        }
        let index = self.repo.load_index()?;
        let number = index.packs().iter().position(|known| known.id == pack);
        let agrees = number.is_some_and(|number| PackContents::new(&index).of(number) == header);
        Ok(if agrees { Cure::Done } else { Cure::Reindex(header) })
    }

    /// A blob's plaintext from any pack of either side.
    fn find_blob(&mut self, index: &Index, kind: BlobKind, id: &Id) -> Result<Option<Vec<u8>>> {
        match self.repo.load_blob(index, kind, id) {
            Ok(plaintext) => return Ok(Some(plaintext)),
            Err(e) if is_damage(&e) => {}
            Err(e) => return Err(e),
        }
        let copy = self.copy;
        match copy.load_blob(self.copy_index()?, kind, id) {
            Ok(plaintext) => Ok(Some(plaintext)),
            Err(e) if is_damage(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Brings blobs back that no pack of the repository gives.
    fn repair_blobs(&mut self, blobs: &BTreeSet<(BlobKind, Id)>) -> Result<()> {
        if blobs.is_empty() {
            return Ok(());
        }
        let index = self.repo.load_index()?;
        let mut writer = PackWriter::new(self.repo, PACK_SIZE, 1)?;
        for (kind, id) in blobs {
            stop_if(self.cancel)?;
            match self.repo.load_blob(&index, *kind, id) {
                Ok(_) => continue,
                Err(e) if is_damage(&e) => {}
                Err(e) => return Err(e),
            }
            match self.find_blob(&index, *kind, id)? {
                Some(plaintext) if *kind == BlobKind::Data || Tree::decode(&plaintext).is_ok() => {
                    writer.add(*kind, *id, &plaintext)?;
                }
                Some(_) | None => {}
            }
        }
        writer.finish()?;
        Ok(())
    }

    /// Whether a damaged pack took a blob along that is still missed.
    fn lost_with(&self, damage: &Damage, left: &[Damage]) -> bool {
        let lost = damage.pack().and_then(|pack| self.lost.get(&pack));
        let is_missed = |(kind, blob): &(BlobKind, Id)| {
            left.contains(&Damage::MissingBlob {
                kind: *kind,
                blob: *blob,
            })
        };
        lost.is_some_and(|blobs| blobs.iter().any(is_missed))
    }
}

#[cfg(test)]
mod tests;
