//! The lists of condemned packs: `holdfast/condemned/<generation>.json`.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{ErrorKind, RepositoryError, Result};
use crate::id::Id;
use crate::parallel;
use crate::storage::{FileName, Put, Storage};

const PREFIX: &str = "condemned/";
const VERSION: u32 = 1;
/// Lists read or written at one time: enough to hide a store's latency.
const AT_ONCE: usize = 8;

/// Packs that one mark found to be of no use.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condemned {
    /// Version of this file's form.
    pub version: u32,
    /// Counts up with every list written in a repository.
    pub generation: u64,
    /// When the packs were condemned; the grace period counts from here.
    pub marked_at: Timestamp,
    /// The packs, in ascending order.
    pub packs: Vec<Id>,
}

impl Condemned {
    fn file(generation: u64) -> FileName {
        FileName::Sidecar(format!("{PREFIX}{generation}.json"))
    }
}

/// Every list of condemned packs, in ascending order of generation. A damaged list is an error that names it.
pub fn condemned(storage: &dyn Storage) -> Result<Vec<Condemned>> {
    let names = storage.list_sidecar(PREFIX)?;
    let lists = parallel::map(&names, AT_ONCE, |(name, _)| {
        let file = FileName::Sidecar(name.clone());
        match storage.read(&file) {
            Ok(bytes) => decode(&file, &bytes).map(Some),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    })?;
    let mut lists: Vec<Condemned> = lists.into_iter().flatten().collect();
    lists.sort_unstable_by_key(|list| list.generation);
    Ok(lists)
}

/// Whether there is any list.
pub(super) fn is_any(storage: &dyn Storage) -> Result<bool> {
    Ok(!storage.list_sidecar(PREFIX)?.is_empty())
}

fn decode(file: &FileName, bytes: &[u8]) -> Result<Condemned> {
    let list: Condemned = serde_json::from_slice(bytes).map_err(|e| RepositoryError::damaged(file.to_string(), e))?;
    if list.version != VERSION || Condemned::file(list.generation) != *file {
        let reason = format!("it says version {} and generation {}", list.version, list.generation);
        return Err(RepositoryError::damaged(file.to_string(), reason));
    }
    Ok(list)
}

/// The generation of the newest of these lists; 0 of none.
pub(super) fn last_generation(lists: &[Condemned]) -> u64 {
    lists.iter().map(|list| list.generation).max().unwrap_or(0)
}

/// Every condemned pack: a blob that is only in these is as good as absent for whoever writes.
pub fn condemned_packs(storage: &dyn Storage) -> Result<HashSet<Id>> {
    Ok(packs(&condemned(storage)?))
}

/// Every pack of these lists.
pub(super) fn packs(lists: &[Condemned]) -> HashSet<Id> {
    lists.iter().flat_map(|list| list.packs.iter().copied()).collect()
}

/// Writes a new list under the next free generation after `last`, the newest that is known, and makes it durable.
pub(super) fn add(storage: &dyn Storage, last: u64, marked_at: Timestamp, mut packs: Vec<Id>) -> Result<u64> {
    packs.sort_unstable();
    let mut list = Condemned {
        version: VERSION,
        generation: last,
        marked_at,
        packs,
    };
    loop {
        list.generation += 1;
        let json = serde_json::to_vec(&list)
            .map_err(|e| RepositoryError::Bug(format!("cannot encode a list of condemned packs: {e}")))?;
        match storage.put(&Condemned::file(list.generation), &json) {
            Ok(Put::Created) => break,
            // Another mark took this generation, even if it found the same.
            Ok(Put::AlreadyThere) => {}
            Err(e) if e.kind() == ErrorKind::Conflict => {}
            Err(e) => return Err(e),
        }
    }
    storage.barrier()?;
    Ok(list.generation)
}

/// Takes packs off these lists, which are all that there are. A crash leaves them condemned, never half a list.
pub(super) fn shrink(storage: &dyn Storage, lists: &[Condemned], keep: impl Fn(&Id) -> bool + Sync) -> Result<()> {
    let last = last_generation(lists);
    let shrunk = parallel::map(lists, AT_ONCE, |list| {
        let packs: Vec<Id> = list.packs.iter().copied().filter(&keep).collect();
        if packs.len() == list.packs.len() {
            return Ok(false);
        }
        if !packs.is_empty() {
            add(storage, last, list.marked_at, packs)?;
        }
        storage.delete(&Condemned::file(list.generation))?;
        Ok(true)
    })?;
    if shrunk.contains(&true) {
        storage.barrier()?;
    }
    Ok(())
}
