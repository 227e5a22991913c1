//! [`restore()`]: turns a snapshot, or parts of it, into files again.
//!
//! Everything happens relative to a handle of the target folder and no symbolic link in it is followed, so neither a
//! malicious snapshot nor a prepared target can make a restore write elsewhere. Work is done in batches, which bound
//! the memory: files are made and filled, then hard links, then links, pipes and devices, then their metadata; that of
//! folders comes last. A marker in the target makes a restore that was killed resumable.

mod data;
mod entries;
mod error;
mod flush;
mod metadata;
mod parallel;
mod report;
mod store;
mod target;
mod walk;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::AtomicBool;

use holdfast_repository::index::Index;
use holdfast_repository::tree::{Node, NodeKind};
use holdfast_repository::{Id, NoProgress, Progress, Repository, Tree};

use super::patterns::Patterns;
use flush::{Flusher, flusher};
use report::Tally;
use store::{RepositoryStore, Store};
use target::{Marker, Target};
use walk::Walk;

pub use error::RestoreError;
pub use report::{Cause, Failure, Note, RestoreReport};

/// Whether what stands in the target is written over. The words are those of restic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// Nothing may stand there.
    Never,
    /// Every byte that stands there is compared, and what differs is written.
    Always,
    /// As [`Overwrite::Always`], but a file with the size and the time of last change that it has in the snapshot is believed
    /// to be right, and not read.
    IfChanged,
}

/// What to restore, and how.
#[derive(Clone)]
pub struct RestoreOptions<'a> {
    /// Patterns of what to restore, anchored at the root of the snapshot (`/srv/data/*.conf`); none means everything.
    pub include: Vec<String>,
    /// Patterns of what to leave out.
    pub exclude: Vec<String>,
    /// A folder in the snapshot, absolute, that becomes the target itself. Without it, `/srv/data` is restored as
    /// `srv/data` below the target.
    pub subfolder: Option<PathBuf>,
    /// Whether it restores over what is there. Files that are not in the snapshot are left alone.
    pub overwrite: Overwrite,
    /// Who owns what is restored: user and group, in place of those in the snapshot.
    pub owner: Option<(u32, u32)>,
    /// Threads that compare, create and finish files; as many requests to the repository are under way at one time.
    pub workers: usize,
    /// Blobs and entries held in memory at one time; bounds the memory at about 1 kB for each.
    pub batch: usize,
    /// Hears how far it is.
    pub progress: &'a dyn Progress,
    /// Stops the work when set; what was restored so far is found again by the next attempt.
    pub cancel: &'a AtomicBool,
}

impl<'a> RestoreOptions<'a> {
    /// Everything, into an empty target.
    pub fn new(cancel: &'a AtomicBool) -> RestoreOptions<'a> {
        RestoreOptions {
            include: Vec::new(),
            exclude: Vec::new(),
            subfolder: None,
            overwrite: Overwrite::Never,
            owner: None,
            workers: 4,
            batch: 200_000,
            progress: &NoProgress,
            cancel,
        }
    }
}

/// Restores `snapshot` below `target`, which must be absent, empty, or hold an unfinished restore of the same; or
/// overwriting is asked for.
///
/// Files that cannot be read from the repository, or not be made, are listed in [`RestoreReport::failures`]; the others
/// are restored all the same, and the marker stays so that the next attempt completes the rest. What could not be set
/// on a file that is otherwise whole (an owner, an attribute) is in [`RestoreReport::notes`].
pub fn restore(
    repo: &Repository,
    index: &Index,
    snapshot: &Id,
    target: &Path,
    options: &RestoreOptions<'_>,
) -> Result<RestoreReport, RestoreError> {
    let root = repo.snapshot(snapshot)?.tree;
    let store = RepositoryStore { repo, index, options };
    restore_tree(&store, &repo.config().id.to_string(), snapshot, &root, target, options)
}

/// The parts of a restore that work from many threads.
struct Work<'a> {
    store: &'a dyn Store,
    target: Target,
    tally: Tally,
    flusher: Flusher,
    options: &'a RestoreOptions<'a>,
}

fn restore_tree(
    store: &dyn Store,
    repository: &str,
    snapshot: &Id,
    root: &Id,
    target: &Path,
    options: &RestoreOptions<'_>,
) -> Result<RestoreReport, RestoreError> {
    let patterns = Patterns::new(&options.include, &options.exclude)?;
    let start = Start::find(store, snapshot, root, options.subfolder.as_deref())?;
    let (flusher, due) = flusher();
    let marker = Marker::new(repository, snapshot, options);
    let work = Work {
        store,
        target: Target::prepare(target, marker, options.overwrite != Overwrite::Never)?,
        tally: Tally::default(),
        flusher,
        options,
    };
    let walk = || Walk::new(&work, &patterns).run(start.tree, start.path);
    let selected = work.flusher.during(due, || work.target.sync(), walk)?;
    if selected == 0 && !options.include.is_empty() {
        work.target.finish()?;
        return Err(RestoreError::NothingSelected {
            snapshot: *snapshot,
            include: options.include.clone(),
        });
    }
    if work.tally.has_failures() {
        work.target.sync()?;
    } else {
        work.target.finish()?;
        if let Some(node) = &start.node {
            metadata::apply_to_folder(&work, Path::new(""), node);
        }
    }
    Ok(work.tally.into_report(*snapshot))
}

/// Where in the snapshot a restore begins.
struct Start {
    tree: Tree,
    /// The folder's path from the root of the snapshot.
    path: PathBuf,
    /// The folder's own node; the root of a snapshot has none.
    node: Option<Node>,
}

impl Start {
    fn find(store: &dyn Store, snapshot: &Id, root: &Id, subfolder: Option<&Path>) -> Result<Start, RestoreError> {
        let mut start = Start {
            tree: store.tree(root)?,
            path: PathBuf::new(),
            node: None,
        };
        for part in subfolder.map(Path::components).into_iter().flatten() {
            let name = match part {
                Component::Normal(name) => name.as_bytes(),
                Component::RootDir => continue,
                _ => b"",
            };
            start.path.push(OsStr::from_bytes(name));
            let missing = || RestoreError::NoSuchFolder {
                snapshot: *snapshot,
                path: subfolder.map(Path::to_owned).unwrap_or_default(),
                missing: Path::new("/").join(&start.path),
            };
            let node = start
                .tree
                .find(name)
                .filter(|node| node.kind == NodeKind::Dir)
                .ok_or_else(missing)?
                .clone();
            start.tree = store.tree(&node.subtree.ok_or_else(missing)?)?;
            start.node = Some(node);
        }
        Ok(start)
    }
}

#[cfg(test)]
mod tests;
