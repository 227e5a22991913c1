//! Removes sidecars that nobody will use again.

use std::collections::HashSet;

use crate::error::Result;
use crate::id::Id;
use crate::lock::Lock;
use crate::reach::is_damage;
use crate::repository::Repository;
use crate::storage::{FileKind, FileName};

use super::head::{self, Head, PREFIX};

/// Deletes every sidecar of the index, and what writers that were stopped left of one, but for the fullest that is usable.
/// Needs an exclusive lock: no writer is half-way, and no backup reads one.
pub(crate) fn remove_superseded(repo: &Repository, lock: &Lock) -> Result<()> {
    let storage = repo.storage();
    let names: Vec<String> = storage
        .list_sidecar(PREFIX)?
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    let present: HashSet<Id> = storage.list(FileKind::Index)?.into_iter().map(|(id, _)| id).collect();
    // A store that cannot be asked is no reason to remove anything.
    let mut judge = |error| if is_damage(&error) { Ok(()) } else { Err(error) };
    let heads = head::usable_heads(repo, names.iter().cloned(), &present, &mut judge)?;
    let kept = heads.first().map(|head| (head.file(), head.stem()));
    let useless: Vec<FileName> = names
        .into_iter()
        .filter(|name| kept.as_ref().is_none_or(|(_, stem)| !name.starts_with(stem)))
        .map(FileName::Sidecar)
        .filter(|file| kept.as_ref().is_none_or(|(head, _)| file != head))
        .collect();
    // A head goes before the parts that it vouches for.
    let (heads, parts): (Vec<_>, Vec<_>) = useless.into_iter().partition(Head::is_name_of_one);
    for files in [heads, parts].iter().filter(|files| !files.is_empty()) {
        lock.verify()?;
        for file in files {
            storage.delete(file)?;
        }
        storage.barrier()?;
    }
    Ok(())
}
