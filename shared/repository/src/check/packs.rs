//! One pack, read whole: its hash, its header against the index, and every blob.

use std::borrow::Cow;

use crate::check::Damage;
use crate::error::{ErrorKind, RepositoryError, Result};
use crate::id::Id;
use crate::pack::{PackBlob, decode_header, open_blob};
use crate::reach::is_damage;
use crate::repository::Repository;
use crate::storage::{FileKind, FileName};

/// Reads a pack of which the index says that it holds `indexed`. Bytes read, and what is wrong.
pub(super) fn examine(repo: &Repository, pack: Id, indexed: &[PackBlob]) -> Result<(u64, Vec<Damage>)> {
    let mut damages = Vec::new();
    let bytes = match repo.storage().read(&FileName::Object(FileKind::Data, pack)) {
        Ok(bytes) => Some(bytes),
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok((0, vec![Damage::MissingPack { pack }])),
        Err(e) if is_damage(&e) => {
            damages.push(Damage::PackUnreadable {
                pack,
                reason: e.to_string(),
            });
            None
        }
        Err(e) => return Err(e),
    };
    if let Some(bytes) = &bytes {
        let found = Id::of(bytes);
        if found != pack {
            damages.push(Damage::PackHash { pack, found });
        }
        damages.extend(header_damage(repo, pack, bytes, indexed));
    }
    for blob in indexed {
        match sealed(repo, pack, bytes.as_deref(), blob).and_then(|sealed| open_blob(repo.key(), blob, &sealed)) {
            Ok(_) => {}
            Err(e) if is_damage(&e) => {
                let reason = e.to_string();
                damages.push(Damage::BlobDamaged {
                    pack,
                    kind: blob.kind,
                    blob: blob.id,
                    reason,
                });
            }
            Err(e) => return Err(e),
        }
    }
    Ok((bytes.map_or(0, |bytes| bytes.len() as u64), damages))
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

/// A blob's sealed bytes: from the pack in memory, or from the store when only parts of the pack can be read.
pub(crate) fn sealed<'a>(
    repo: &Repository,
    pack: Id,
    bytes: Option<&'a [u8]>,
    blob: &PackBlob,
) -> Result<Cow<'a, [u8]>> {
    let (from, length) = (blob.offset as usize, blob.length as usize);
    if let Some(bytes) = bytes {
        let part = bytes.get(from..).and_then(|rest| rest.get(..length));
        let cut_short = || {
            RepositoryError::damaged(
                format!("{} blob {}", blob.kind, blob.id),
                "its pack ends before it does",
            )
        };
        return part.map(Cow::Borrowed).ok_or_else(cut_short);
    }
    let mut sealed = vec![0; length];
    repo.storage()
        .read_range(&FileName::Object(FileKind::Data, pack), blob.offset.into(), &mut sealed)?;
    Ok(Cow::Owned(sealed))
}
