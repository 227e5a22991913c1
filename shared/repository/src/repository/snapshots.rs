//! Snapshots of a repository: list, find, load, save.

use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::parallel;
use crate::snapshot::Snapshot;
use crate::storage::FileKind;

use super::Repository;

/// Snapshots being read at one time: enough to hide a store's latency.
const READERS: usize = 8;

impl Repository {
    /// Every snapshot, oldest first. One unreadable snapshot is an error that names it.
    pub fn snapshots(&self) -> Result<Vec<(Id, Snapshot)>> {
        let files = self.storage().list(FileKind::Snapshot)?;
        let mut snapshots = parallel::map(&files, READERS, |(id, _)| Ok((*id, self.snapshot(id)?)))?;
        snapshots.sort_by_key(|(id, snapshot)| (snapshot.time.timestamp(), *id));
        Ok(snapshots)
    }

    /// One snapshot.
    pub fn snapshot(&self, id: &Id) -> Result<Snapshot> {
        Snapshot::decode(id, &self.load_unpacked(FileKind::Snapshot, id)?)
    }

    /// The snapshot that `latest`, an id or the unique beginning of an id means.
    pub fn find_snapshot(&self, word: &str) -> Result<(Id, Snapshot)> {
        let nothing = || RepositoryError::NoSuchSnapshot { word: word.to_owned() };
        if word == "latest" {
            return self.snapshots()?.pop().ok_or_else(nothing);
        }
        if word.is_empty() {
            return Err(nothing());
        }
        let mut ids: Vec<Id> = self
            .storage()
            .list(FileKind::Snapshot)?
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        ids.retain(|id| id.to_string().starts_with(word));
        match ids.as_slice() {
            [] => Err(nothing()),
            [id] => Ok((*id, self.snapshot(id)?)),
            several => Err(RepositoryError::AmbiguousSnapshot {
                word: word.to_owned(),
                candidates: several.iter().map(Id::short).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// Stores a snapshot. Everything it needs must be durable before.
    pub fn save_snapshot(&self, snapshot: &Snapshot) -> Result<Id> {
        self.save_unpacked(FileKind::Snapshot, &snapshot.encode())
    }
}
