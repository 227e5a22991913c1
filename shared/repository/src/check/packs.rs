//! Packs, read whole: their hashes, their headers against the index, and every blob.

use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::check::Damage;
use crate::error::{ErrorKind, RepositoryError, Result};
use crate::id::Id;
use crate::index::IndexPack;
use crate::pack::{PackBlob, decode_header, decode_sealed_header, open_blob, open_blobs, pack_size, pieces};
use crate::reach::is_damage;
use crate::repository::Repository;
use crate::storage::{FileKind, FileName};

/// Whether a pack of the size that the index says is whole: read piece by piece, each of which is hashed and opened while the
/// next is on its way. What is wrong with one that is not, [`examine`] tells.
pub(super) fn is_whole(repo: &Repository, pack: &IndexPack, buffer: &mut Vec<u8>) -> Result<bool> {
    match stream(repo, pack, buffer) {
        Err(e) if is_damage(&e) || e.kind() == ErrorKind::NotFound => Ok(false),
        outcome => outcome,
    }
}

fn stream(repo: &Repository, IndexPack { id, blobs }: &IndexPack, buffer: &mut Vec<u8>) -> Result<bool> {
    let size = pack_size(blobs);
    let (mut hash, mut next) = (Sha256::new(), 0);
    let follows = |blob: &PackBlob| {
        let follows = u64::from(blob.offset) == next;
        next += u64::from(blob.length);
        follows
    };
    if !blobs.iter().all(follows) {
        return Ok(false);
    }
    let mut range = repo.storage().range(&FileName::Object(FileKind::Data, *id), 0, size)?;
    for piece in pieces(blobs, place) {
        buffer.resize(piece.iter().map(|blob| blob.length as usize).sum(), 0);
        range.fill(buffer)?;
        hash.update(&*buffer);
        let mut rest = buffer.as_slice();
        let sealed = piece.iter().map(|blob| {
            let (sealed, after) = rest.split_at(blob.length as usize);
            rest = after;
            (*blob, sealed)
        });
        open_blobs(repo.key(), &sealed.collect::<Vec<_>>(), |_, opened| opened.map(drop))?;
    }
    buffer.resize(usize::try_from(size - next).unwrap_or(usize::MAX), 0);
    range.fill(buffer)?;
    hash.update(&*buffer);
    let header = buffer.split_last_chunk::<4>();
    let is_right = header.is_some_and(|(sealed, length)| {
        u32::from_le_bytes(*length) as usize == sealed.len()
            && decode_sealed_header(repo.key(), sealed, size).is_ok_and(|listed| listed == *blobs)
            && blobs.iter().all(|blob| blob.kind == blobs[0].kind)
    });
    Ok(is_right && Id(hash.finalize().into()) == *id)
}

fn place(blob: &PackBlob) -> Range<u64> {
    let start = u64::from(blob.offset);
    start..start + u64::from(blob.length)
}

/// Reads packs that should hold what the index says. Bytes read, and what is wrong.
pub(super) fn examine(repo: &Repository, packs: &[IndexPack]) -> Result<(u64, Vec<Damage>)> {
    let (mut damages, mut read) = (Vec::new(), Vec::new());
    for IndexPack { id: pack, blobs } in packs {
        let pack = *pack;
        match repo.storage().read(&FileName::Object(FileKind::Data, pack)) {
            Ok(bytes) => read.push((pack, blobs, bytes)),
            Err(e) if e.kind() == ErrorKind::NotFound => damages.push(Damage::MissingPack { pack }),
            Err(e) if is_damage(&e) => {
                let reason = e.to_string();
                damages.push(Damage::PackUnreadable { pack, reason });
                examine_in_parts(repo, pack, blobs, &mut damages)?;
            }
            Err(e) => return Err(e),
        }
    }
    let ids = Id::of_each(&read.iter().map(|(.., bytes)| bytes.as_slice()).collect::<Vec<_>>());
    let mut count = 0;
    for ((pack, blobs, bytes), found) in read.into_iter().zip(ids) {
        count += bytes.len() as u64;
        if found != pack {
            damages.push(Damage::PackHash { pack, found });
        }
        damages.extend(header_damage(repo, pack, &bytes, blobs));
        examine_blobs(repo, pack, &bytes, blobs, &mut damages)?;
    }
    Ok((count, damages))
}

fn header_damage(repo: &Repository, pack: Id, bytes: &[u8], indexed: &[PackBlob]) -> Option<Damage> {
    let reason = match decode_header(repo.key(), bytes) {
        Err(e) => e.to_string(),
        Ok(header) if header != indexed => "its header lists other blobs than the index does".to_owned(),
        Ok(header) if header.iter().any(|blob| blob.kind != header[0].kind) => {
            "it mixes data and tree blobs".to_owned()
        }
        Ok(_) => return None,
    };
    Some(Damage::PackHeader { pack, reason })
}

fn examine_blobs(
    repo: &Repository,
    pack: Id,
    bytes: &[u8],
    blobs: &[PackBlob],
    damages: &mut Vec<Damage>,
) -> Result<()> {
    let mut sealed = Vec::with_capacity(blobs.len());
    for blob in blobs {
        match sealed_in(bytes, blob) {
            Ok(bytes) => sealed.push((*blob, bytes)),
            Err(e) => note(pack, blob, Err(e), damages)?,
        }
    }
    open_blobs(repo.key(), &sealed, |number, opened| {
        note(pack, &sealed[number].0, opened.map(drop), damages)
    })
}

/// Looks at each blob of a pack that cannot be read as a whole.
fn examine_in_parts(repo: &Repository, pack: Id, blobs: &[PackBlob], damages: &mut Vec<Damage>) -> Result<()> {
    let file = FileName::Object(FileKind::Data, pack);
    for blob in blobs {
        let mut sealed = vec![0; blob.length as usize];
        let read = repo.storage().read_range(&file, blob.offset.into(), &mut sealed);
        let opened = read.and_then(|()| open_blob(repo.key(), blob, &sealed));
        note(pack, blob, opened.map(drop), damages)?;
    }
    Ok(())
}

fn note(pack: Id, blob: &PackBlob, outcome: Result<()>, damages: &mut Vec<Damage>) -> Result<()> {
    match outcome {
        Err(e) if is_damage(&e) => damages.push(Damage::BlobDamaged {
            pack,
            kind: blob.kind,
            blob: blob.id,
            reason: e.to_string(),
        }),
        outcome => outcome?,
    }
    Ok(())
}

/// A blob's sealed bytes in a pack that is in memory.
pub(crate) fn sealed_in<'a>(pack: &'a [u8], blob: &PackBlob) -> Result<&'a [u8]> {
    let part = pack
        .get(blob.offset as usize..)
        .and_then(|rest| rest.get(..blob.length as usize));
    part.ok_or_else(|| {
        RepositoryError::damaged(
            format!("{} blob {}", blob.kind, blob.id),
            "its pack ends before it does",
        )
    })
}
