//! What stands in a data folder and is not in the base backup that was restored over it: log of another history, files of
//! relations that were made later. A server that finds them may take them for its own.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use holdfast_repository::index::Lookup;
use holdfast_repository::{Id, NodeKind, Repository};

use super::ClusterError;

/// Removes everything below `folder` that is not in `tree`; how many entries that were. Links are removed and not followed.
pub(super) fn remove_strangers(
    repository: &Repository,
    index: &dyn Lookup,
    tree: &Id,
    folder: &Path,
) -> Result<u64, ClusterError> {
    let mut removed = 0;
    let mut folders = vec![(*tree, folder.to_owned())];
    while let Some((tree, folder)) = folders.pop() {
        let tree = repository.load_tree(index, &tree)?;
        let failed = || ClusterError::io("list", &folder);
        for entry in fs::read_dir(&folder).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let path = entry.path();
            let kind = entry.file_type().map_err(ClusterError::io("look at", &path))?;
            let node = tree.find(entry.file_name().as_bytes());
            match node.and_then(|node| node.subtree.filter(|_| node.kind == NodeKind::Dir)) {
                Some(subtree) if kind.is_dir() => folders.push((subtree, path)),
                None if node.is_some() && kind.is_file() => {}
                _ => {
                    let gone = if kind.is_dir() {
                        fs::remove_dir_all(&path)
                    } else {
                        fs::remove_file(&path)
                    };
                    gone.map_err(ClusterError::io("remove", &path))?;
                    removed += 1;
                }
            }
        }
    }
    Ok(removed)
}
