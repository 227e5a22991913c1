//! Reads all index files of a repository, several at a time.

use std::collections::HashSet;

use crate::error::Result;
use crate::id::Id;
use crate::parallel;
use crate::repository::Repository;
use crate::storage::FileKind;

use super::{Index, decode_index};

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
    let parts = parallel::map(files, READERS, |id| {
        decode_index(id, &repository.load_unpacked(FileKind::Index, id)?)
    })?;
    Ok(Index::new(parts.into_iter().flatten(), condemned))
}
