//! The lists of condemned packs: `holdfast/condemned/<generation>.json`.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{ErrorKind, RepositoryError, Result};
use crate::id::Id;
use crate::storage::{FileName, Put, Storage};

const PREFIX: &str = "condemned/";
const VERSION: u32 = 1;

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
    let mut lists = Vec::new();
    for (name, _) in storage.list_sidecar(PREFIX)? {
        let file = FileName::Sidecar(name);
        let bytes = match storage.read(&file) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        let list: Condemned =
            serde_json::from_slice(&bytes).map_err(|e| RepositoryError::damaged(file.to_string(), e))?;
        if list.version != VERSION || Condemned::file(list.generation) != file {
            let reason = format!("it says version {} and generation {}", list.version, list.generation);
            return Err(RepositoryError::damaged(file.to_string(), reason));
        }
        lists.push(list);
    }
    lists.sort_unstable_by_key(|list| list.generation);
    Ok(lists)
}

/// Every condemned pack: a blob that is only in these is as good as absent for whoever writes.
pub fn condemned_packs(storage: &dyn Storage) -> Result<HashSet<Id>> {
    Ok(condemned(storage)?.into_iter().flat_map(|list| list.packs).collect())
}

/// Writes a new list under the next free generation and makes it durable.
pub(super) fn add(storage: &dyn Storage, marked_at: Timestamp, mut packs: Vec<Id>) -> Result<u64> {
    packs.sort_unstable();
    let last = condemned(storage)?.last().map_or(0, |list| list.generation);
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

/// Takes packs off a list. A crash leaves them condemned, never half a list.
pub(super) fn shrink(storage: &dyn Storage, list: &Condemned, keep: impl Fn(&Id) -> bool) -> Result<()> {
    let packs: Vec<Id> = list.packs.iter().copied().filter(keep).collect();
    if packs.len() == list.packs.len() {
        return Ok(());
    }
    if !packs.is_empty() {
        add(storage, list.marked_at, packs)?;
    }
    storage.delete(&Condemned::file(list.generation))?;
    storage.barrier()
}
