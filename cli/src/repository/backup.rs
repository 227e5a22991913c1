//! `repository backup`.

use std::path::{Component, Path, PathBuf};

use holdfast_repository::backup::{BackupOptions, BackupReport, Source, backup};
use holdfast_repository::{Id, Repository};
use holdfast_sources::files::{FileTree, Patterns, RootError};
use serde_json::json;

use super::interrupt::Interrupt;
use super::meter::Meter;
use super::{open, place, show};
use crate::args::RepositoryPlace;
use crate::embedded::absolute;
use crate::error::{CliError, Done};
use crate::output;
use crate::output::say;

/// What to back up, and how.
pub struct Request {
    /// Files and folders, also relative.
    pub paths: Vec<PathBuf>,
    /// Patterns of what to leave out.
    pub exclude: Vec<String>,
    /// Patterns of what to take.
    pub include: Vec<String>,
    /// Tags of the snapshot.
    pub tags: Vec<String>,
    /// Whether every file is read again.
    pub full: bool,
    /// The snapshot to compare with.
    pub parent: Option<String>,
}

/// Backs up; partial when something could not be read.
pub fn run(place: &RepositoryPlace, request: Request, interrupt: &Interrupt, json: bool) -> Result<Done, CliError> {
    let patterns =
        Patterns::new(&request.include, &request.exclude).map_err(|error| CliError::usage(error.to_string()))?;
    let roots = request.paths.iter().map(|path| plain(path)).collect::<Result<_, _>>()?;
    let tree = FileTree::new(roots, patterns).map_err(|error| root_error(&error))?;
    let repository = open::to_write(place)?;
    let parent = parent(&repository, &tree, &request)?;
    let meter = Meter::new("backup");
    let options = BackupOptions {
        parent,
        reread: request.full,
        tags: request.tags,
        excludes: request.exclude,
        ..BackupOptions::new((repository.ambient().now)(), &meter, interrupt.flag())
    };
    let options = place.memory.of_backup(options, place::is_remote(&place.repo));
    let report = backup(&repository, &tree, &options)?;
    drop(meter);
    if json {
        print_json(&report, parent)?;
    } else {
        print(&report, parent);
    }
    let partial = !report.unread.is_empty();
    Ok(if partial { Done::Partial } else { Done::Done })
}

/// An absolute path without `.` and `..`.
fn plain(path: &Path) -> Result<PathBuf, CliError> {
    let absolute = absolute(path)?;
    if !absolute.components().any(|part| part == Component::ParentDir) {
        return Ok(absolute);
    }
    // Only the file system knows where `..` leads.
    absolute
        .canonicalize()
        .map_err(|error| CliError::failed(format!("{} cannot be backed up: {error}", show::path(path))))
}

fn root_error(error: &RootError) -> CliError {
    match error {
        RootError::Io { .. } => CliError::failed(error.to_string()),
        _ => CliError::usage(error.to_string()),
    }
}

/// The snapshot to compare with: the one asked for, or the newest of the same host and paths.
fn parent(repository: &Repository, tree: &FileTree, request: &Request) -> Result<Option<Id>, CliError> {
    if let Some(word) = &request.parent {
        return Ok(Some(repository.find_snapshot(word)?.0));
    }
    if request.full {
        return Ok(None);
    }
    let paths: Vec<String> = tree
        .paths()
        .iter()
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    let host = &repository.ambient().hostname;
    let snapshots = repository.snapshots()?;
    let newest = snapshots
        .iter()
        .rev()
        .find(|(_, snapshot)| snapshot.hostname == *host && snapshot.paths == paths);
    Ok(newest.map(|(id, _)| *id))
}

fn print(report: &BackupReport, parent: Option<Id>) {
    let summary = &report.summary;
    let compared = parent.map_or("without a parent".to_owned(), |id| {
        format!("compared with {}", id.short())
    });
    say!("snapshot {} made, {compared}", report.snapshot.short());
    say!(
        "  files: {} new, {} changed, {} unchanged, {} in all",
        summary.files_new,
        summary.files_changed,
        summary.files_unmodified,
        output::bytes(summary.total_bytes_processed)
    );
    say!(
        "  added: {} in {} blobs, {} stored",
        output::bytes(summary.data_added),
        summary.data_blobs + summary.tree_blobs,
        output::bytes(summary.data_added_packed)
    );
    for reason in &report.unusable_parent_trees {
        say!("  a folder of the parent could not be used, its files were read again: {reason}");
    }
    for reason in &report.sidecar_problems {
        say!("  a sidecar of the index could not be used or written, index files are read instead: {reason}");
    }
    if !report.unread.is_empty() {
        say!("  not read, so that the snapshot is partial ({}):", report.unread.len());
    }
    for unread in &report.unread {
        say!("    {}: {}", show::path(&unread.path), unread.reason);
    }
}

fn print_json(report: &BackupReport, parent: Option<Id>) -> Result<(), CliError> {
    let summary = &report.summary;
    let unread: Vec<_> = report
        .unread
        .iter()
        .map(|unread| json!({ "path": show::path(&unread.path), "reason": unread.reason.to_string() }))
        .collect();
    output::json(&json!({
        "snapshot": report.snapshot,
        "parent": parent,
        "tree": report.tree,
        "files_new": summary.files_new,
        "files_changed": summary.files_changed,
        "files_unmodified": summary.files_unmodified,
        "bytes": summary.total_bytes_processed,
        "blobs_added": summary.data_blobs + summary.tree_blobs,
        "bytes_added": summary.data_added,
        "bytes_stored": summary.data_added_packed,
        "unread": unread,
        "unusable_parent_folders": report.unusable_parent_trees,
        "sidecar_problems": report.sidecar_problems,
    }))
}
