//! Damage done on purpose: one byte of one pack flipped, another pack deleted, both needed by a recovery point.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_local::system_ambient;
use holdfast_repository::index::Index;
use holdfast_repository::pack::BlobKind;
use holdfast_repository::storage::DiskStorage;
use holdfast_repository::{Id, Repository, Unlock};

use crate::error::CliError;

/// What was damaged.
pub struct Damaged {
    /// The pack that has a flipped byte.
    pub flipped: Id,
    /// The pack that is gone.
    pub deleted: Id,
}

/// Damages the repository in `folder` so that the snapshot cannot be restored from it whole.
pub fn damage(folder: &Path, password: &str, snapshot: &str) -> Result<Damaged, CliError> {
    let packs = packs_of(folder, password, snapshot).map_err(|error| CliError::failed(error.to_string()))?;
    let mut by_size: Vec<(u64, Id)> = packs.into_iter().map(|(id, size)| (size, id)).collect();
    by_size.sort_unstable();
    let (Some((_, flipped)), Some((_, deleted))) = (by_size.pop(), by_size.pop()) else {
        return Err(CliError::failed(
            "the snapshot needs fewer than two packs; there is nothing to damage",
        ));
    };
    let io = |error: std::io::Error| CliError::failed(format!("{} cannot be damaged: {error}", folder.display()));
    flip(&pack_path(folder, flipped)).map_err(io)?;
    fs::remove_file(pack_path(folder, deleted)).map_err(io)?;
    Ok(Damaged { flipped, deleted })
}

fn pack_path(folder: &Path, pack: Id) -> PathBuf {
    let name = pack.to_string();
    folder.join("data").join(&name[..2]).join(name)
}

fn flip(path: &Path) -> std::io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let place = file.metadata()?.len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, place)?;
    file.write_all_at(&[byte[0] ^ 1], place)
}

/// The packs that a snapshot needs, with their sizes.
fn packs_of(folder: &Path, password: &str, snapshot: &str) -> holdfast_repository::Result<BTreeMap<Id, u64>> {
    let storage = Arc::new(DiskStorage::open(folder)?);
    let repository = Repository::open(storage, system_ambient(), Unlock::Password(password))?;
    let index = repository.load_index()?;
    let (_, snapshot) = repository.find_snapshot(snapshot)?;
    let mut packs = BTreeMap::new();
    collect(&repository, &index, &snapshot.tree, &mut packs)?;
    let sizes: BTreeMap<Id, u64> = index.packs().iter().map(|pack| (pack.id, pack.size)).collect();
    Ok(packs
        .into_keys()
        .filter_map(|id| sizes.get(&id).map(|size| (id, *size)))
        .collect())
}

fn collect(
    repository: &Repository,
    index: &Index,
    tree: &Id,
    packs: &mut BTreeMap<Id, ()>,
) -> holdfast_repository::Result<()> {
    packs.extend(index.lookup(BlobKind::Tree, tree).map(|location| (location.pack, ())));
    for node in repository.load_tree(index, tree)?.nodes {
        for blob in node.content.iter().flatten() {
            packs.extend(index.lookup(BlobKind::Data, blob).map(|location| (location.pack, ())));
        }
        if let Some(subtree) = &node.subtree {
            collect(repository, index, subtree, packs)?;
        }
    }
    Ok(())
}
