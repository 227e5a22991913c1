//! The second phase: deleting what was condemned long enough ago and is still not needed.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::AtomicBool;

use jiff::{SignedDuration, Timestamp};

use super::{Survey, condemned, cover, require_covered};
use crate::error::Result;
use crate::id::Id;
use crate::index::sidecar::remove_superseded;
use crate::lock::{Lock, LockKind};
use crate::parallel;
use crate::reach::{BlobSet, PackContents};
use crate::repository::Repository;
use crate::rewrite::drop_from_index;
use crate::storage::{FileKind, FileName};

/// How to sweep.
pub struct SweepOptions<'a> {
    /// Trees that are needed too, as far as they are there: those of unfinished backups. Read where they are named before
    /// this is called.
    pub extra_roots: &'a [Id],
    /// Only say what would be done.
    pub dry_run: bool,
    /// Threads.
    pub workers: usize,
    /// Stops the work when set.
    pub cancel: &'a AtomicBool,
}

/// What a sweep found, and did unless it was a dry run. All lists are in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Packs that are gone.
    pub deleted: Vec<Id>,
    /// Bytes they took.
    pub deleted_bytes: u64,
    /// Condemned packs that a snapshot needs after all: they stay and may be relied on again.
    pub rescued: Vec<Id>,
    /// Condemned packs whose grace period has not passed.
    pub waiting: Vec<Id>,
}

/// Deletes packs that were condemned at least `grace` before `now` and that no snapshot needs. The grace period must be
/// longer than the longest job that may rely on a pack. Refuses, and deletes nothing, when any snapshot, tree or index
/// file cannot be read. A sweep that was killed is finished by the next.
pub fn sweep(
    repo: &Repository,
    now: Timestamp,
    grace: SignedDuration,
    options: &SweepOptions<'_>,
) -> Result<SweepReport> {
    let lock = Lock::acquire(repo, LockKind::Exclusive)?;
    if !condemned::is_any(&**repo.storage())? {
        if !options.dry_run {
            remove_superseded(repo, &lock)?;
        }
        lock.release()?;
        return Ok(SweepReport::default());
    }
    let survey = Survey::take(repo)?;
    let live = survey.live(repo, options.extra_roots, options.workers, options.cancel)?;
    let report = judge(repo, &survey, &live, |marked_at| now.duration_since(marked_at) >= grace)?;
    if !options.dry_run {
        let storage = &**repo.storage();
        let (rescued, deleted): (HashSet<Id>, HashSet<Id>) = (
            report.rescued.iter().copied().collect(),
            report.deleted.iter().copied().collect(),
        );
        if !deleted.is_empty() {
            // No index file may name a pack that is gone, so index files go first, and durably.
            drop_from_index(repo, &lock, &deleted, Vec::new(), options.workers, options.cancel)?;
            lock.verify()?;
            parallel::for_each(
                &report.deleted,
                options.workers,
                options.cancel,
                || (),
                |(), pack| storage.delete(&FileName::Object(FileKind::Data, *pack)),
            )?;
            storage.barrier()?;
        }
        // Last: a pack stays condemned until it is gone, and index files are now those that stay.
        let stays = |pack: &Id| !rescued.contains(pack) && !deleted.contains(pack);
        let (shrunk, removed) = parallel::join(
            || condemned::shrink(storage, &survey.condemned, stays),
            || remove_superseded(repo, &lock),
        );
        shrunk.and(removed)?;
    }
    lock.release()?;
    Ok(report)
}

/// Which condemned packs are needed after all, which may go, and which must wait.
fn judge(
    repo: &Repository,
    survey: &Survey,
    live: &BlobSet<'_>,
    has_waited: impl Fn(Timestamp) -> bool,
) -> Result<SweepReport> {
    let contents = PackContents::new(&survey.index);
    let mut covered = BlobSet::new(&survey.index);
    let packs = survey.index.packs();
    for number in (0..packs.len()).filter(|number| !packs[*number].condemned && survey.is_sound(*number)) {
        cover(live, &mut covered, &contents.of(number));
    }
    let mut rescued = HashSet::new();
    for number in (0..packs.len()).filter(|number| packs[*number].condemned && survey.is_sound(*number)) {
        if !cover(live, &mut covered, &contents.of(number)).is_empty() {
            rescued.insert(packs[number].id);
        }
    }
    require_covered(repo, live, &covered)?;

    // A pack on two lists waits for the later one.
    let mut marked = BTreeMap::new();
    for list in &survey.condemned {
        for pack in &list.packs {
            let at = marked.entry(*pack).or_insert(list.marked_at);
            *at = list.marked_at.max(*at);
        }
    }
    let mut report = SweepReport::default();
    for (pack, marked_at) in marked {
        if rescued.contains(&pack) {
            report.rescued.push(pack);
        } else if has_waited(marked_at) {
            report.deleted.push(pack);
            report.deleted_bytes += survey.stored.get(&pack).copied().unwrap_or(0);
        } else {
            report.waiting.push(pack);
        }
    }
    Ok(report)
}
