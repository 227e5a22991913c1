//! Removing what no snapshot needs, in two phases that never stop a writer for long.
//!
//! [`mark`] condemns packs: it writes down, under a shared lock, which packs nothing needs. Whoever writes afterwards
//! does not rely on them. [`sweep`] deletes, under an exclusive lock and after a grace period longer than the longest
//! job, what was condemned and is still not needed: it works that out again from all snapshots, so that a job that
//! was running during the mark loses nothing.

mod batches;
mod condemned;
mod mark;
mod plan;
mod sweep;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicBool;

use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::index::{Index, indexed_packs};
use crate::pack::PackBlob;
use crate::parallel;
use crate::reach::{BlobSet, reach};
use crate::repository::Repository;
use crate::storage::FileKind;

pub use condemned::{Condemned, condemned, condemned_packs};
pub use mark::{CondemnedPack, MarkOptions, MarkReport, Reason, mark};
pub use sweep::{SweepOptions, SweepReport, sweep};

/// Of a hundred bytes, this many of no use are cheaper to keep than to write their neighbours anew; restic's default.
pub const MAX_DEAD_PERCENT: u8 = 5;
/// Enough live bytes for packs to be filled and lists to be few, and few enough to be written within minutes.
pub const BATCH_BYTES: u64 = 1 << 30;

/// What is stored, and what all snapshots together need. Nothing unreadable is passed over.
struct Survey {
    index: Index,
    stored: HashMap<Id, u64>,
    roots: Vec<Id>,
    condemned: Vec<Condemned>,
}

impl Survey {
    /// Looks at everything under a lock, which keeps lists of condemned packs from going away meanwhile.
    fn take(repo: &Repository) -> Result<Self> {
        let storage = &**repo.storage();
        // Snapshots before the index: whatever they need was indexed before they appeared.
        let roots = repo
            .snapshots()?
            .into_iter()
            .map(|(_, snapshot)| snapshot.tree)
            .collect();
        let (condemned, (stored, packs)) = parallel::join(
            || condemned(storage),
            || parallel::join(|| storage.list(FileKind::Data), || indexed_packs(repo)),
        );
        let condemned = condemned?;
        Ok(Self {
            index: Index::new(packs?, &condemned::packs(&condemned)),
            stored: stored?.into_iter().collect(),
            roots,
            condemned,
        })
    }

    /// Every blob that a snapshot needs, and those below `extra_roots` that there are. Fails when one that a snapshot needs
    /// is in no pack, or a tree cannot be read.
    fn live(&self, repo: &Repository, extra_roots: &[Id], workers: usize, cancel: &AtomicBool) -> Result<BlobSet<'_>> {
        let reached = reach(repo, &self.index, &self.roots, workers, cancel)?;
        reached.require_whole(&repo.storage().location())?;
        let mut live = reached.blobs;
        let packs = self.index.packs().iter().enumerate();
        let sound: HashSet<Id> = packs
            .filter(|(n, _)| self.is_sound(*n))
            .map(|(_, pack)| pack.id)
            .collect();
        for blob in reach(repo, &self.index, extra_roots, workers, cancel)?.blobs.iter() {
            let mut places = self.index.lookup_all(blob.kind, &blob.id);
            if places.any(|place| sound.contains(&place.pack)) {
                live.insert(blob.kind, &blob.id);
            }
        }
        Ok(live)
    }

    /// Whether the `pack`-th of the index is stored with the right size.
    fn is_sound(&self, pack: usize) -> bool {
        let pack = &self.index.packs()[pack];
        self.stored.get(&pack.id) == Some(&pack.size)
    }
}

/// Takes note of what a pack gives: those of its blobs that are live and that no earlier pack gave.
fn cover(live: &BlobSet<'_>, covered: &mut BlobSet<'_>, blobs: &[PackBlob]) -> Vec<PackBlob> {
    let mut gives =
        |blob: &&PackBlob| live.contains(blob.kind, &blob.id) && covered.insert(blob.kind, &blob.id) == Some(true);
    blobs.iter().filter(&mut gives).copied().collect()
}

/// Fails when a blob is live but no sound pack gives it: then nothing may be removed.
fn require_covered(repo: &Repository, live: &BlobSet<'_>, covered: &BlobSet<'_>) -> Result<()> {
    match live.iter().find(|blob| !covered.contains(blob.kind, &blob.id)) {
        None => Ok(()),
        Some(blob) => {
            let what = format!("the repository at {}", repo.storage().location());
            let reason = format!(
                "{} blob {} is needed, but the packs that hold it are missing or cut short; repair it first",
                blob.kind, blob.id
            );
            Err(RepositoryError::damaged(what, reason))
        }
    }
}

#[cfg(test)]
mod tests;
