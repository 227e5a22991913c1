//! Last stage: read back what the snapshot needs first, then make the snapshot visible.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use crate::error::{ErrorKind, RepositoryError, Result};
use crate::id::Id;
use crate::index::{Index, Lookup, decode_index};
use crate::lock::Lock;
use crate::pack::BlobKind;
use crate::snapshot::{Snapshot, Summary};
use crate::storage::FileKind;
use crate::tree::NodeTime;

use super::assemble::{Assembled, Counts};
use super::indexer::Indexer;
use super::run::Run;
use super::{BackupReport, PortionReport};

/// Writes the snapshot. All packs and index files are durable when this is called.
pub(super) fn publish(
    run: &Run<'_>,
    indexer: &Indexer<'_>,
    assembled: Assembled,
    more_tags: &[String],
    lock: &Lock,
) -> Result<BackupReport> {
    let Assembled {
        tree,
        unread,
        unusable,
        counts,
        complete: _,
    } = assembled;
    read_back(run, indexer, &tree)?;
    run.check()?;
    let summary = summarise(run, &counts);
    let snapshot = describe(run, tree, more_tags, summary.clone());
    if let Some(before_publish) = run.options.before_publish {
        before_publish(&snapshot, &unread)?;
    }
    run.check()?;
    let id = run.repository.save_snapshot(&snapshot)?;
    run.repository.storage().barrier()?;
    Ok(BackupReport {
        snapshot: id,
        tree,
        unread,
        unusable_parent_trees: unusable,
        sidecar_problems: extend_sidecar(run, indexer, lock),
        summary,
    })
}

/// Writes a sidecar of the index when much of it is in none. The snapshot stands: whatever goes wrong, with this or with
/// the sidecar that was used, is only told.
fn extend_sidecar(run: &Run<'_>, indexer: &Indexer<'_>, lock: &Lock) -> Vec<String> {
    let go_on = || match run.is_paused() {
        true => Err(RepositoryError::Cancelled),
        false => run.check(),
    };
    let added = &run.added;
    let added_blobs = added.data_blobs.load(Ordering::Relaxed) + added.tree_blobs.load(Ordering::Relaxed);
    let index = run.known.index();
    let written = index.write_sidecar(&indexer.written(), added_blobs, lock, &go_on);
    let mut problems = index.problems();
    problems.extend(
        written
            .err()
            .filter(|e| e.kind() != ErrorKind::Cancelled)
            .map(|e| e.to_string()),
    );
    problems
}

/// Loads the root tree the way a restore will: through stored index files.
fn read_back(run: &Run<'_>, indexer: &Indexer<'_>, tree: &Id) -> Result<()> {
    if run.known.index().usable(BlobKind::Tree, tree)?.is_some() {
        run.repository.load_tree(run.known.index(), tree)?;
        return Ok(());
    }
    for file in indexer.written().iter().rev() {
        let packs = decode_index(file, &run.repository.load_unpacked(FileKind::Index, file)?)?;
        let index = Index::new(packs, &HashSet::new());
        if index.lookup(BlobKind::Tree, tree).is_some() {
            run.repository.load_tree(&index, tree)?;
            return Ok(());
        }
    }
    Err(RepositoryError::BlobNotIndexed {
        kind: BlobKind::Tree,
        id: *tree,
    })
}

fn summarise(run: &Run<'_>, counts: &Counts) -> Summary {
    let earlier = |of: fn(&PortionReport) -> u64| run.portion.done.iter().map(of).sum::<u64>();
    Summary {
        backup_start: NodeTime::from(run.options.time),
        backup_end: NodeTime::from((run.repository.ambient().now)()),
        files_new: counts.files_new,
        files_changed: counts.files_changed,
        files_unmodified: counts.files_unmodified,
        dirs_new: counts.dirs_new,
        dirs_changed: counts.dirs_changed,
        dirs_unmodified: counts.dirs_unmodified,
        data_blobs: run.added.data_blobs.load(Ordering::Relaxed) + earlier(|done| done.data_blobs),
        tree_blobs: run.added.tree_blobs.load(Ordering::Relaxed) + earlier(|done| done.tree_blobs),
        data_added: run.added.bytes.load(Ordering::Relaxed) + earlier(|done| done.added_bytes),
        data_added_packed: run.added.packed_bytes.load(Ordering::Relaxed) + earlier(|done| done.added_packed_bytes),
        total_files_processed: counts.files_new + counts.files_changed + counts.files_unmodified,
        total_bytes_processed: counts.bytes,
    }
}

fn describe(run: &Run<'_>, tree: Id, more_tags: &[String], summary: Summary) -> Snapshot {
    let (options, ambient) = (run.options, run.repository.ambient());
    Snapshot {
        time: NodeTime::from(options.time),
        parent: options.parent,
        tree,
        paths: run
            .origin
            .paths
            .iter()
            .map(|path| path.to_string_lossy().into_owned())
            .collect(),
        hostname: (options.hostname.clone())
            .or_else(|| run.origin.host.clone())
            .unwrap_or_else(|| ambient.hostname.clone()),
        username: ambient.username.clone(),
        uid: ambient.uid,
        gid: ambient.gid,
        excludes: options.excludes.clone(),
        tags: [options.tags.as_slice(), more_tags].concat(),
        original: None,
        program_version: concat!("holdfast ", env!("CARGO_PKG_VERSION")).to_owned(),
        summary: Some(summary),
    }
}
