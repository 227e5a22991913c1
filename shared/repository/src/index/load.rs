//! Reads all index files of a repository, several at a time.

use std::collections::HashSet;

use crate::error::Result;
use crate::id::Id;
use crate::parallel;
use crate::repository::Repository;
use crate::storage::FileKind;

use super::{Index, IndexPack, decode_index};

/// Index files being read at one time: enough to hide a store's latency.
const READERS: usize = 8;

/// The packs of all index files. One unreadable index file is an error that names it.
pub(crate) fn indexed_packs(repository: &Repository) -> Result<Vec<IndexPack>> {
    let files = repository.storage().list(FileKind::Index)?;
    let files: Vec<Id> = files.into_iter().map(|(id, _)| id).collect();
    packs_of(repository, &files)
}

/// What these index files hold.
pub(super) fn load_files(repository: &Repository, files: &[Id], condemned: &HashSet<Id>) -> Result<Index> {
    Ok(Index::new(packs_of(repository, files)?, condemned))
}

fn packs_of(repository: &Repository, files: &[Id]) -> Result<Vec<IndexPack>> {
    let parts = parallel::map(files, READERS, |id| {
        decode_index(id, &repository.load_unpacked(FileKind::Index, id)?)
    })?;
    Ok(parts.into_iter().flatten().collect())
}
