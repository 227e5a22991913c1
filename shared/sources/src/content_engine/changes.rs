//! What a backup found changed, as its snapshot tells.

use std::collections::BTreeMap;
use std::path::Path;

use holdfast_core::domain::{Changes, Failure, FileChanges};
use holdfast_repository::index::Lookup;
use holdfast_repository::tree::NodeKind;
use holdfast_repository::{Id, Repository, Snapshot, Summary};

use super::failure;
use super::restore::root_folder;

/// What the backup that made `snapshot` found changed, and what the canaries held.
pub(super) fn of(
    repository: &Repository,
    snapshot: &Snapshot,
    summary: &Summary,
    canaries: &[String],
) -> Result<Changes, Failure> {
    let files = FileChanges {
        new: summary.files_new,
        changed: summary.files_changed,
    };
    Ok(Changes {
        new_bytes: summary.data_added,
        files: snapshot.parent.map(|_| files),
        canaries: held(repository, snapshot, canaries)?,
    })
}

fn held(
    repository: &Repository,
    snapshot: &Snapshot,
    canaries: &[String],
) -> Result<BTreeMap<String, Option<String>>, Failure> {
    if canaries.is_empty() {
        return Ok(BTreeMap::new());
    }
    let index = repository.load_index().map_err(failure)?;
    let root = root_folder(snapshot)?;
    let digest = |canary: &String| {
        let digest = digest(repository, &index, &snapshot.tree, &root.join(canary))?;
        Ok((canary.clone(), digest))
    };
    canaries.iter().map(digest).collect()
}

/// The SHA-256 over the ids of a file's chunks; none where there is no such file.
fn digest(repository: &Repository, index: &dyn Lookup, top: &Id, file: &Path) -> Result<Option<String>, Failure> {
    let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else {
        return Ok(None);
    };
    let Some(folder) = repository.find_folder(index, top, folder).map_err(failure)? else {
        return Ok(None);
    };
    let tree = repository.load_tree(index, &folder).map_err(failure)?;
    let node = tree
        .find(name.as_encoded_bytes())
        .filter(|node| node.kind == NodeKind::File);
    let content = node.and_then(|node| node.content.as_ref());
    let ids = content.map(|ids| ids.iter().flat_map(|id| id.0).collect::<Vec<u8>>());
    Ok(ids.map(|ids| Id::of(&ids).to_string()))
}
