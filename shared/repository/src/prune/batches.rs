//! Writing live blobs of packs anew, so that the packs can go.

use std::collections::HashSet;

use super::Survey;
use super::mark::{Kept, MarkOptions, condemn};
use crate::error::Result;
use crate::lock::Lock;
use crate::pack::{PackBlob, open_blobs};
use crate::parallel;
use crate::progress::Progress;
use crate::reach::is_damage;
use crate::repository::Repository;
use crate::rewrite::PackWriter;
use crate::storage::{FileKind, FileName};

/// Writes what `packs` give into new packs and condemns them, batch by batch: packs, then their index, then the list.
/// Returns the last list's generation. What was condemned before an error or a stop stays so.
pub(super) fn rewrite_packs(
    repo: &Repository,
    lock: &Lock,
    survey: &Survey,
    packs: &[&Kept],
    options: &MarkOptions<'_>,
) -> Result<Option<u64>> {
    let mut writer = PackWriter::new(repo, options.pack_size)?;
    let (mut generation, mut bytes) = (None, 0);
    let mut waiting: Vec<&Kept> = Vec::new();
    let ids = |packs: &[&Kept]| packs.iter().map(|pack| survey.index.packs()[pack.number].id).collect();
    for pack in packs {
        parallel::stop_if(options.cancel)?;
        copy_blobs(repo, survey, pack, &mut writer, options.progress)?;
        bytes += pack.gives.iter().map(|blob| u64::from(blob.length)).sum::<u64>();
        waiting.push(pack);
        if bytes >= options.batch_bytes {
            writer.publish()?;
            // What is in a pack that is not full yet is stored with the next batch: batches leave no small packs behind.
            let unstored: HashSet<_> = writer.unstored().collect();
            let is_stored = |pack: &&Kept| pack.gives.iter().all(|blob| !unstored.contains(&(blob.kind, blob.id)));
            let (stored, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_stored);
            generation = condemn(repo, lock, ids(&stored))?.or(generation);
            (waiting, bytes) = (rest, 0);
        }
    }
    writer.finish()?;
    Ok(condemn(repo, lock, ids(&waiting))?.or(generation))
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
