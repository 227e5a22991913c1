//! The first phase: which packs nothing needs.

use std::cmp::Reverse;
use std::sync::atomic::AtomicBool;

use super::batches::rewrite_packs;
use super::plan::{Goal, PackUse, plan_rewriting};
use super::{Survey, condemned, cover, require_covered};
use crate::error::Result;
use crate::id::Id;
use crate::index::IndexedPack;
use crate::lock::{Lock, LockKind};
use crate::pack::PackBlob;
use crate::parallel;
use crate::progress::Progress;
use crate::reach::{BlobSet, PackContents};
use crate::repository::Repository;
use crate::storage::FileKind;

/// How to mark.
pub struct MarkOptions<'a> {
    /// Trees that are needed too, as far as they are there: those of unfinished backups. Read where they are named before
    /// this is called.
    pub extra_roots: &'a [Id],
    /// Of a hundred bytes of all blobs, this many may be of no use once what is condemned is gone: packs are written anew until
    /// no more are; 100 leaves all as they are.
    pub max_dead_percent: u8,
    /// Size of new packs in bytes. Packs below a quarter of it are merged.
    pub pack_size: usize,
    /// Live bytes that are written anew before the packs they came from are condemned. Work that is stopped loses no more.
    pub batch_bytes: u64,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Threads.
    pub workers: usize,
    /// Hears of every byte written anew.
    pub progress: &'a dyn Progress,
    /// Stops the work when set.
    pub cancel: &'a AtomicBool,
}

/// Why a pack is condemned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Reason {
    /// No snapshot needs any of its blobs.
    Unused,
    /// All that is needed of it is in other packs too.
    Duplicate,
    /// Of all packs it is among those with the most dead bytes; the rest of it is written anew.
    Sparse,
    /// It is small, and merged with others.
    Small,
    /// No index file names it, and nobody is at work who might still do so.
    Orphan,
    /// The index names it, but it is missing or has a wrong size, and nothing needs it.
    Unsound,
}

/// A pack that a mark condemns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CondemnedPack {
    /// The pack.
    pub pack: Id,
    /// Its bytes.
    pub size: u64,
    /// Why.
    pub reason: Reason,
}

/// What a mark found, and did unless it was a dry run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarkReport {
    /// The last list that was written; `None` when nothing was condemned, and after a dry run.
    pub generation: Option<u64>,
    /// Every newly condemned pack, in ascending order.
    pub condemned: Vec<CondemnedPack>,
    /// Bytes of live blobs that are written anew because their packs are condemned.
    pub rewritten_bytes: u64,
    /// Packs that stay.
    pub kept_packs: u64,
}

/// A pack that stays unless it is worth writing anew.
pub(super) struct Kept {
    /// Which pack of the index it is.
    pub(super) number: usize,
    /// The blobs that only this pack gives.
    pub(super) gives: Vec<PackBlob>,
}

/// Condemns every pack that no snapshot needs, then packs whose live blobs it has written anew, batch by batch. Refuses, and
/// marks nothing, when any snapshot, tree or index file cannot be read. Backups may run meanwhile.
pub fn mark(repo: &Repository, options: &MarkOptions<'_>) -> Result<MarkReport> {
    let lock = Lock::acquire(repo, LockKind::Shared)?;
    let survey = Survey::take(repo)?;
    // What a writer at work has stored but not indexed yet looks like an orphan.
    let (stays_alone, live) = parallel::join(
        || is_alone(repo),
        || survey.live(repo, options.extra_roots, options.workers, options.cancel),
    );
    let (orphans_are_dead, live) = (lock.began_alone() && stays_alone?, live?);
    let contents = PackContents::new(&survey.index);
    let (kept, mut doomed) = sort_out(repo, &survey, &live, &contents)?;
    if orphans_are_dead {
        doomed.extend(orphans(&survey));
    }
    let goal = Goal {
        max_dead_percent: options.max_dead_percent,
        small_below: options.pack_size as u64 / 4,
    };
    let uses: Vec<PackUse> = kept.iter().map(|pack| usage(&survey, &contents, pack)).collect();
    let plan = plan_rewriting(&uses, goal);

    let mut report = MarkReport {
        generation: None,
        rewritten_bytes: plan.iter().map(|rewrite| uses[rewrite.pack].live).sum(),
        kept_packs: (kept.len() - plan.len()) as u64,
        condemned: Vec::new(),
    };
    if !options.dry_run {
        let known = condemned::last_generation(&survey.condemned);
        let useless = doomed.iter().map(|pack| pack.pack).collect();
        report.generation = condemn(repo, &lock, known, useless)?;
        options.progress.expect(report.rewritten_bytes, 0);
        let packs: Vec<&Kept> = plan.iter().map(|rewrite| &kept[rewrite.pack]).collect();
        let known = report.generation.unwrap_or(known);
        let rewriting = rewrite_packs(repo, &lock, (&survey, known), &packs, options)?;
        report.generation = rewriting.or(report.generation);
    }
    lock.release()?;
    let rewritten = plan
        .iter()
        .map(|rewrite| doom(&survey.index.packs()[kept[rewrite.pack].number], rewrite.reason));
    doomed.extend(rewritten);
    doomed.sort_unstable_by_key(|pack| pack.pack);
    report.condemned = doomed;
    Ok(report)
}

/// How much of a pack is needed.
fn usage(survey: &Survey, contents: &PackContents<'_>, pack: &Kept) -> PackUse {
    let sum = |blobs: &[PackBlob]| blobs.iter().map(|blob| u64::from(blob.length)).sum::<u64>();
    let live = sum(&pack.gives);
    PackUse {
        kind: pack.gives[0].kind,
        size: survey.index.packs()[pack.number].size,
        live,
        dead: sum(&contents.of(pack.number)) - live,
    }
}

/// Writes a list of condemned packs and returns its generation, which comes after the `known`; none for no packs.
pub(super) fn condemn(repo: &Repository, lock: &Lock, known: u64, packs: Vec<Id>) -> Result<Option<u64>> {
    if packs.is_empty() {
        return Ok(None);
    }
    lock.verify()?;
    condemned::add(&**repo.storage(), known, (repo.ambient().now)(), packs).map(Some)
}

fn doom(pack: &IndexedPack, reason: Reason) -> CondemnedPack {
    CondemnedPack {
        pack: pack.id,
        size: pack.size,
        reason,
    }
}

/// Which packs are needed, and which are not and were not condemned before.
fn sort_out(
    repo: &Repository,
    survey: &Survey,
    live: &BlobSet<'_>,
    contents: &PackContents<'_>,
) -> Result<(Vec<Kept>, Vec<CondemnedPack>)> {
    let packs = survey.index.packs();
    let mut order: Vec<(u64, Reverse<u64>, usize)> = Vec::new();
    let (mut kept, mut doomed) = (Vec::new(), Vec::new());
    for (number, pack) in packs.iter().enumerate() {
        if pack.condemned {
            continue;
        }
        if survey.is_sound(number) {
            let dead = contents
                .of(number)
                .iter()
                .filter(|blob| !live.contains(blob.kind, &blob.id))
                .count() as u64;
            order.push((dead * 1000 / u64::from(pack.blobs).max(1), Reverse(pack.size), number));
        } else {
            doomed.push(doom(pack, Reason::Unsound));
        }
    }
    // The fullest and largest packs first: what they give is not needed from the others.
    order.sort_unstable();
    let mut covered = BlobSet::new(&survey.index);
    for (_, _, number) in order {
        let blobs = contents.of(number);
        let gives = cover(live, &mut covered, &blobs);
        if gives.is_empty() {
            let lives = blobs.iter().any(|blob| live.contains(blob.kind, &blob.id));
            doomed.push(doom(
                &packs[number],
                if lives { Reason::Duplicate } else { Reason::Unused },
            ));
        } else {
            kept.push(Kept { number, gives });
        }
    }
    // What only a condemned pack gives keeps that pack alive: the sweep takes it off its list.
    for number in (0..packs.len()).filter(|number| packs[*number].condemned && survey.is_sound(*number)) {
        cover(live, &mut covered, &contents.of(number));
    }
    require_covered(repo, live, &covered)?;

    Ok((kept, doomed))
}

/// Whether nobody but this mark holds a lock.
fn is_alone(repo: &Repository) -> Result<bool> {
    Ok(repo.storage().list(FileKind::Lock)?.len() <= 1)
}

/// Packs that no index file names and no earlier mark condemned.
fn orphans(survey: &Survey) -> Vec<CondemnedPack> {
    let mut known = condemned::packs(&survey.condemned);
    known.extend(survey.index.packs().iter().map(|pack| pack.id));
    let orphans = survey.stored.iter().filter(|(pack, _)| !known.contains(pack));
    orphans
        .map(|(pack, size)| CondemnedPack {
            pack: *pack,
            size: *size,
            reason: Reason::Orphan,
        })
        .collect()
}
