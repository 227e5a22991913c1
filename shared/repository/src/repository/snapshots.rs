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
        if word == "latest" {
            return self.snapshots()?.pop().ok_or_else(|| nothing(word));
        }
        let files = self.storage().list(FileKind::Snapshot)?;
        let id = find(&files, word)?;
        Ok((id, self.snapshot(&id)?))
    }

    /// The ids of the snapshots that these words mean, each as [`Repository::find_snapshot`] takes it.
    pub fn find_snapshots(&self, words: &[String]) -> Result<Vec<Id>> {
        let files = self.storage().list(FileKind::Snapshot)?;
        let id_of = |word: &String| match word.as_str() {
            "latest" => Ok(self.find_snapshot(word)?.0),
            _ => find(&files, word),
        };
        words.iter().map(id_of).collect()
    }

    /// Stores a snapshot. Everything it needs must be durable before.
    pub fn save_snapshot(&self, snapshot: &Snapshot) -> Result<Id> {
        self.save_unpacked(FileKind::Snapshot, &snapshot.encode())
    }
}

fn nothing(word: &str) -> RepositoryError {
    RepositoryError::NoSuchSnapshot { word: word.to_owned() }
}

/// Which of these files an id, or the unique beginning of one, means.
fn find(files: &[(Id, u64)], word: &str) -> Result<Id> {
    let begins = |id: &&Id| !word.is_empty() && id.to_string().starts_with(word);
    let found: Vec<&Id> = files.iter().map(|(id, _)| id).filter(begins).collect();
    match found.as_slice() {
        [] => Err(nothing(word)),
        [id] => Ok(**id),
        several => Err(RepositoryError::AmbiguousSnapshot {
            word: word.to_owned(),
            candidates: several.iter().map(|id| id.short()).collect::<Vec<_>>().join(", "),
        }),
    }
}
