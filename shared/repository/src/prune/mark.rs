//! The first phase: which packs nothing needs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::AtomicBool;

use super::{Survey, condemned, cover, require_covered};
use crate::error::Result;
use crate::id::Id;
use crate::index::IndexedPack;
use crate::lock::{Lock, LockKind, locks};
use crate::pack::{BlobKind, PackBlob, open_blobs};
use crate::progress::Progress;
use crate::reach::{BlobSet, PackContents, is_damage};
use crate::repository::Repository;
use crate::rewrite::PackWriter;
use crate::storage::{FileKind, FileName};

/// How to mark.
pub struct MarkOptions<'a> {
    /// Trees that are needed too, as far as they are there: those of unfinished backups. Read where they are named before
    /// this is called.
    pub extra_roots: &'a [Id],
    /// A pack of which more than this part is of no use has its live blobs written anew; 100 never does.
    pub repack_above_percent: u8,
    /// Size of new packs in bytes. Packs below a quarter of it are merged.
    pub pack_size: usize,
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
    /// Too much of it is of no use; the rest is written anew.
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
    /// The list that was written; `None` when nothing was condemned, and after a dry run.
    pub generation: Option<u64>,
    /// Every newly condemned pack, in ascending order.
    pub condemned: Vec<CondemnedPack>,
    /// Bytes of live blobs that are written anew because their packs are condemned.
    pub rewritten_bytes: u64,
    /// Packs that stay.
    pub kept_packs: u64,
}

/// A pack that stays unless it is worth writing anew.
struct Kept {
    number: usize,
    /// The blobs that only this pack gives.
    gives: Vec<PackBlob>,
}

/// Condemns every pack that no snapshot needs. Refuses, and marks nothing, when any snapshot, tree or index file cannot
/// be read. Backups may run meanwhile.
pub fn mark(repo: &Repository, options: &MarkOptions<'_>) -> Result<MarkReport> {
    let lock = Lock::acquire(repo, LockKind::Shared)?;
    let alone = is_alone(repo)?;
    let survey = Survey::take(repo)?;
    // What a writer at work has stored but not indexed yet looks like an orphan.
    let orphans_are_dead = alone && is_alone(repo)?;
    let live = survey.live(repo, options.extra_roots, options.workers, options.cancel)?;
    let contents = PackContents::new(&survey.index);
    let (kept, mut doomed) = sort_out(repo, &survey, &live, &contents)?;
    if orphans_are_dead {
        doomed.extend(orphans(repo, &survey)?);
    }
    let rewrite = worth_rewriting(&survey, &kept, &contents, options);
    doomed.extend(
        rewrite
            .iter()
            .map(|(n, reason)| doom(&survey.index.packs()[kept[*n].number], *reason)),
    );
    doomed.sort_unstable_by_key(|pack| pack.pack);

    let rewritten = rewrite
        .keys()
        .flat_map(|n| &kept[*n].gives)
        .map(|blob| u64::from(blob.length))
        .sum();
    let kept_packs = (kept.len() - rewrite.len()) as u64;
    let mut report = MarkReport {
        generation: None,
        condemned: doomed,
        rewritten_bytes: rewritten,
        kept_packs,
    };
    if options.dry_run || report.condemned.is_empty() {
        lock.release()?;
        return Ok(report);
    }
    options.progress.expect(rewritten, 0);
    let mut writer = PackWriter::new(repo, options.pack_size)?;
    for n in rewrite.keys() {
        crate::parallel::stop_if(options.cancel)?;
        copy_blobs(repo, &survey, &kept[*n], &mut writer, options.progress)?;
    }
    writer.finish()?;
    lock.verify()?;
    let packs = report.condemned.iter().map(|pack| pack.pack).collect();
    report.generation = Some(condemned::add(&**repo.storage(), (repo.ambient().now)(), packs)?);
    lock.release()?;
    Ok(report)
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
    Ok(locks(repo)?.len() <= 1)
}

/// Packs that no index file names and no earlier mark condemned.
fn orphans(repo: &Repository, survey: &Survey) -> Result<Vec<CondemnedPack>> {
    let mut known: HashSet<Id> = survey.index.packs().iter().map(|pack| pack.id).collect();
    known.extend(condemned::condemned_packs(&**repo.storage())?);
    let orphans = survey.stored.iter().filter(|(pack, _)| !known.contains(pack));
    Ok(orphans
        .map(|(pack, size)| CondemnedPack {
            pack: *pack,
            size: *size,
            reason: Reason::Orphan,
        })
        .collect())
}

/// Which of the kept packs are written anew.
fn worth_rewriting(
    survey: &Survey,
    kept: &[Kept],
    contents: &PackContents<'_>,
    options: &MarkOptions<'_>,
) -> BTreeMap<usize, Reason> {
    let mut rewrite = BTreeMap::new();
    let mut small: BTreeMap<BlobKind, Vec<usize>> = BTreeMap::new();
    for (n, pack) in kept.iter().enumerate() {
        let sum = |blobs: &[PackBlob]| blobs.iter().map(|blob| u64::from(blob.length)).sum::<u64>();
        let (all, useful) = (sum(&contents.of(pack.number)), sum(&pack.gives));
        if (all - useful) * 100 > all * u64::from(options.repack_above_percent) {
            rewrite.insert(n, Reason::Sparse);
        } else if survey.index.packs()[pack.number].size < options.pack_size as u64 / 4 {
            small.entry(pack.gives[0].kind).or_default().push(n);
        }
    }
    for packs in small.into_values().filter(|packs| packs.len() > 1) {
        rewrite.extend(packs.into_iter().map(|n| (n, Reason::Small)));
    }
    rewrite
}

/// Writes what a pack gives into new packs, each blob verified.
fn copy_blobs(
    repo: &Repository,
    survey: &Survey,
    pack: &Kept,
    writer: &mut PackWriter<'_>,
    progress: &dyn Progress,
) -> Result<()> {
    let id = survey.index.packs()[pack.number].id;
    let bytes = repo.storage().read(&FileName::Object(FileKind::Data, id))?;
    let sealed = pack
        .gives
        .iter()
        .map(|blob| Ok((*blob, crate::check::sealed_in(&bytes, blob)?)));
    let sealed: Vec<(PackBlob, &[u8])> = sealed.collect::<Result<_>>()?;
    open_blobs(repo.key(), &sealed, |number, opened| {
        let (blob, sealed) = &sealed[number];
        match opened {
            Ok(_) => writer.add_sealed(blob, sealed)?,
            Err(e) if is_damage(&e) => {
                let plaintext = repo.load_blob(&survey.index, blob.kind, &blob.id)?;
                writer.add(blob.kind, blob.id, &plaintext)?;
            }
            Err(e) => return Err(e),
        }
        progress.advance(blob.length.into(), 0);
        Ok(())
    })
}
