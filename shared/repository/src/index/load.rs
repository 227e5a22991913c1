//! Reads all index files of a repository, several at a time.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::repository::Repository;
use crate::storage::FileKind;

use super::{Index, IndexPack, decode_index};

/// Index files being read at one time: enough to hide a store's latency.
const READERS: usize = 8;

/// The whole index. One unreadable index file is an error that names it.
pub(crate) fn load_index(repository: &Repository, condemned: &HashSet<Id>) -> Result<Index> {
    let files = repository.storage().list(FileKind::Index)?;
    let files: Vec<Id> = files.into_iter().map(|(id, _)| id).collect();
    load_files(repository, &files, condemned)
}

/// What these index files hold.
pub(super) fn load_files(repository: &Repository, files: &[Id], condemned: &HashSet<Id>) -> Result<Index> {
    let next = AtomicUsize::new(0);
    let read = || -> Result<Vec<(usize, Vec<IndexPack>)>> {
        let mut packs = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(id) = files.get(at) else { return Ok(packs) };
            packs.push((at, decode_index(id, &repository.load_unpacked(FileKind::Index, id)?)?));
        }
    };
    let mut parts = thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS.min(files.len())).map(|_| scope.spawn(read)).collect();
        let mut parts = Vec::new();
        for reader in readers {
            let part = reader
                .join()
                .map_err(|_| RepositoryError::Bug("a reader of index files panicked".into()))?;
            parts.extend(part?);
        }
        Ok::<_, RepositoryError>(parts)
    })?;
    parts.sort_unstable_by_key(|(at, _)| *at);
    Ok(Index::new(parts.into_iter().flat_map(|(_, packs)| packs), condemned))
}
