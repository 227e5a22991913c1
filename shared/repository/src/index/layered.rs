//! [`LayeredIndex`]: what a sidecar covers, and above it in memory what no sidecar covers.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::lock::Lock;
use crate::pack::BlobKind;
use crate::parallel;
use crate::repository::Repository;
use crate::storage::FileKind;

use super::load::load_files;
use super::sidecar::{Sidecar, is_worth_writing, write};
use super::{Index, Location, Lookup};

/// Bytes that a blob takes in a stored index file at least: its id, which does not compress.
const LEAST_STORED: u64 = 32;

/// How an index is opened.
#[derive(Clone, Copy, Debug)]
pub struct IndexOptions {
    /// Blobs that no sidecar of the index covers from which on one is worth writing. Where all index files together are too
    /// small for so many, none is looked for either.
    pub sidecar_from: u64,
    /// Bytes of a sidecar that are kept once they were read, 32 for a data blob and 48 for a tree. When they are used up,
    /// asking for a blob means reading half a megabyte.
    pub memory: usize,
}

impl Default for IndexOptions {
    /// A smaller index is read in less time than it takes to tell, and thirty million blobs are kept.
    fn default() -> Self {
        IndexOptions {
            sidecar_from: 200_000,
            memory: 1 << 30,
        }
    }
}

/// An index of which only as much is in memory as no sidecar covers; all of it where there is none.
///
/// It answers as the whole index does. Where a part of the sidecar cannot be read or is not what was written, the index
/// files it covers are read instead.
pub struct LayeredIndex {
    repo: Repository,
    files: Vec<Id>,
    options: IndexOptions,
    condemned: HashSet<Id>,
    above: Index,
    below: Option<Sidecar>,
    /// What takes the place of `below`.
    instead: OnceLock<Index>,
    problems: Mutex<Vec<String>>,
}

impl LayeredIndex {
    /// Opens the index of a repository. An unreadable index file that no sidecar covers is an error that names it.
    pub(crate) fn open(repo: &Repository, options: IndexOptions) -> Result<LayeredIndex> {
        // Over a network each waits for its answer. A pack that is condemned in between is merely used for a while longer.
        let condemned = || crate::prune::condemned_packs(&**repo.storage());
        let (condemned, listed) = parallel::join(condemned, || repo.storage().list(FileKind::Index));
        let (condemned, listed) = (condemned?, listed?);
        let bytes: u64 = listed.iter().map(|(_, size)| size).sum();
        let files: Vec<Id> = listed.into_iter().map(|(id, _)| id).collect();
        let mut problems = Vec::new();
        let below = if bytes >= options.sidecar_from.saturating_mul(LEAST_STORED) {
            let present = files.iter().copied().collect();
            Sidecar::find(repo, &present, &condemned, options.memory, &mut problems)
        } else {
            None
        };
        let covered: HashSet<&Id> = below.iter().flat_map(Sidecar::files).collect();
        let rest: Vec<Id> = files.iter().filter(|file| !covered.contains(file)).copied().collect();
        let above = load_files(repo, &rest, &condemned)?;
        Ok(LayeredIndex {
            repo: repo.clone(),
            files,
            options,
            condemned,
            above,
            below,
            instead: OnceLock::new(),
            problems: Mutex::new(problems),
        })
    }

    /// Number of places of blobs that are found through a sidecar.
    pub fn covered(&self) -> u64 {
        self.below.as_ref().map_or(0, Sidecar::len)
    }

    /// Why sidecars could not be used.
    pub fn problems(&self) -> Vec<String> {
        self.lock_problems().clone()
    }

    /// Writes a sidecar of all that is known and of the index files `added` since, which hold `added_blobs` blobs, if that
    /// is worth it: many blobs are not covered by the one that is used, and a quarter as many as it covers. Says whether
    /// it was. The lock keeps those away who delete; `go_on` is asked often, and its error stops the work. An error
    /// leaves everything as it was, but for parts that the next sweep removes.
    pub fn write_sidecar(
        &self,
        added: &[Id],
        added_blobs: u64,
        lock: &Lock,
        go_on: &dyn Fn() -> Result<()>,
    ) -> Result<bool> {
        let instead = self.instead.get();
        let below = self.below.as_ref().filter(|_| instead.is_none());
        let in_memory = self.above.len() + instead.map_or(0, Index::len);
        if !is_worth_writing(
            below.map_or(0, Sidecar::len),
            in_memory as u64 + added_blobs,
            self.options.sidecar_from,
        ) {
            return Ok(false);
        }
        let new = load_files(&self.repo, added, &HashSet::new())?;
        let above: Vec<&Index> = instead.into_iter().chain([&self.above, &new]).collect();
        let files = self.files.iter().chain(added).copied().collect();
        let go_on = || go_on().and_then(|()| lock.verify());
        write(&self.repo, below, &above, files, &go_on)?;
        Ok(true)
    }

    /// Asks the sidecar, or what takes its place; nothing when there is neither.
    fn ask_below<T: Default>(
        &self,
        sidecar: impl Fn(&Sidecar) -> Result<T>,
        index: impl Fn(&Index) -> Result<T>,
    ) -> Result<T> {
        let Some(below) = &self.below else {
            return Ok(T::default());
        };
        if let Some(instead) = self.instead.get() {
            return index(instead);
        }
        match sidecar(below) {
            Ok(answer) => Ok(answer),
            Err(error) => index(self.replace(below, &error)?),
        }
    }

    /// Reads the index files that the sidecar covers: whoever holds a lock finds them all.
    fn replace(&self, below: &Sidecar, error: &RepositoryError) -> Result<&Index> {
        let mut problems = self.lock_problems();
        if let Some(instead) = self.instead.get() {
            return Ok(instead);
        }
        problems.push(error.to_string());
        let index = load_files(&self.repo, below.files(), &self.condemned)?;
        Ok(self.instead.get_or_init(|| index))
    }

    pub(super) fn is_condemned(&self, pack: &Id) -> bool {
        self.condemned.contains(pack)
    }

    fn lock_problems(&self) -> MutexGuard<'_, Vec<String>> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lookup for LayeredIndex {
    fn usable(&self, kind: BlobKind, id: &Id) -> Result<Option<u32>> {
        match self.above.usable(kind, id)? {
            Some(length) => Ok(Some(length)),
            None => self.ask_below(|sidecar| sidecar.usable(kind, id), |index| index.usable(kind, id)),
        }
    }

    fn places(&self, kind: BlobKind, id: &Id) -> Result<Vec<Location>> {
        let mut places = self.above.places(kind, id)?;
        let below = self.ask_below(|sidecar| sidecar.places(kind, id), |index| index.places(kind, id))?;
        // A pack may be in index files of both.
        let is_new: Vec<Location> = below.into_iter().filter(|place| !places.contains(place)).collect();
        places.extend(is_new);
        places.sort_by_key(|place| self.is_condemned(&place.pack));
        Ok(places)
    }
}
