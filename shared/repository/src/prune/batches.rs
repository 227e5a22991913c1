//! Writing live blobs of packs anew, so that the packs can go.

use std::collections::{HashMap, HashSet};

use super::Survey;
use super::mark::{Kept, MarkOptions, condemn};
use crate::error::Result;
use crate::lock::Lock;
use crate::pack::{PackBlob, open_blobs};
use crate::parallel;
use crate::reach::is_damage;
use crate::repository::Repository;
use crate::rewrite::PackWriter;
use crate::storage::{FileKind, FileName};

/// Packs read, packs copied, and packs written at one time at most: all are in memory.
const AT_ONCE: usize = 4;

/// Writes what `packs` give into new packs and condemns them, batch by batch: packs, then their index, then the list, whose
/// generation comes after the `known`. Returns the last list's. What was condemned before an error or a stop stays so.
pub(super) fn rewrite_packs(
    repo: &Repository,
    lock: &Lock,
    (survey, known): (&Survey, u64),
    packs: &[&Kept],
    options: &MarkOptions<'_>,
) -> Result<Option<u64>> {
    let at_once = options.workers.clamp(1, AT_ONCE);
    let mut writer = PackWriter::new(repo, options.pack_size, at_once)?;
    let (mut generation, mut bytes) = (None, 0);
    let after = |generation: Option<u64>| generation.unwrap_or(known);
    let mut waiting: Vec<&Kept> = Vec::new();
    let ids = |packs: &[&Kept]| packs.iter().map(|pack| survey.index.packs()[pack.number].id).collect();
    let mut chunks = packs.chunks(at_once);
    let mut ahead = chunks.next().map(|first| load_all(repo, survey, first)).transpose()?;
    while let Some(loaded) = ahead.take() {
        parallel::stop_if(options.cancel)?;
        // What comes next is read while this is written.
        let next = chunks.next();
        let (read, written) = parallel::join(
            || next.map(|next| load_all(repo, survey, next)).transpose(),
            || {
                for (pack, loaded) in loaded {
                    loaded.copy_to(pack, &mut writer)?;
                    options.progress.advance(live_bytes(pack), 0);
                    bytes += live_bytes(pack);
                    waiting.push(pack);
                }
                Ok(())
            },
        );
        written.and(read.map(|read| ahead = read))?;
        if bytes >= options.batch_bytes {
            writer.publish()?;
            // What is in a pack that is not full yet is stored with the next batch: batches leave no small packs behind.
            let unstored: HashSet<_> = writer.unstored().collect();
            let is_stored = |pack: &&Kept| pack.gives.iter().all(|blob| !unstored.contains(&(blob.kind, blob.id)));
            let (stored, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_stored);
            generation = condemn(repo, lock, after(generation), ids(&stored))?.or(generation);
            (waiting, bytes) = (rest, 0);
        }
    }
    writer.finish()?;
    Ok(condemn(repo, lock, after(generation), ids(&waiting))?.or(generation))
}

fn live_bytes(pack: &Kept) -> u64 {
    pack.gives.iter().map(|blob| u64::from(blob.length)).sum()
}

/// A pack in memory, of which each blob that it gives was verified.
struct Loaded {
    bytes: Vec<u8>,
    /// What another pack gave in place of a damaged blob, by its number.
    healed: HashMap<usize, Vec<u8>>,
}

/// Reads packs side by side.
fn load_all<'a>(repo: &Repository, survey: &Survey, packs: &[&'a Kept]) -> Result<Vec<(&'a Kept, Loaded)>> {
    parallel::map(packs, packs.len(), |pack| Ok((*pack, load(repo, survey, pack)?)))
}

/// Reads a pack and verifies what it gives.
fn load(repo: &Repository, survey: &Survey, pack: &Kept) -> Result<Loaded> {
    let indexed = &survey.index.packs()[pack.number];
    let mut bytes = vec![0; usize::try_from(indexed.size).unwrap_or(usize::MAX)];
    repo.storage()
        .read_range(&FileName::Object(FileKind::Data, indexed.id), 0, &mut bytes)?;
    let sealed = pack
        .gives
        .iter()
        .map(|blob| Ok((*blob, crate::check::sealed_in(&bytes, blob)?)));
    let sealed: Vec<(PackBlob, &[u8])> = sealed.collect::<Result<_>>()?;
    let mut healed = HashMap::new();
    open_blobs(repo.key(), &sealed, |number, opened| {
        match opened {
            Ok(_) => {}
            Err(e) if is_damage(&e) => {
                let blob = &pack.gives[number];
                healed.insert(number, repo.load_blob(&survey.index, blob.kind, &blob.id)?);
            }
            Err(e) => return Err(e),
        }
        Ok(())
    })?;
    Ok(Loaded { bytes, healed })
}

impl Loaded {
    /// Writes what `pack` gives into new packs.
    fn copy_to(&self, pack: &Kept, writer: &mut PackWriter<'_>) -> Result<()> {
        for (number, blob) in pack.gives.iter().enumerate() {
            match self.healed.get(&number) {
                Some(plaintext) => writer.add(blob.kind, blob.id, plaintext)?,
                None => writer.add_sealed(blob, crate::check::sealed_in(&self.bytes, blob)?)?,
            }
        }
        Ok(())
    }
}
