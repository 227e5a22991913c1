//! `repository backup`.

use std::num::NonZeroU64;
use std::path::{Component, Path, PathBuf};

use holdfast_core::config::Rate;
use holdfast_repository::backup::{BackupOptions, BackupReport, Source, Throttle, backup_after};
use holdfast_repository::{Id, Repository};
use holdfast_sources::files::{FileTree, Patterns, RootError};
use serde_json::json;

use super::interrupt::Interrupt;
use super::meter::Meter;
use super::workers::{self, Gathered};
use super::{open, place, show};
use crate::args::RepositoryPlace;
use crate::embedded::absolute;
use crate::error::{CliError, Done};
use crate::output;
use crate::output::say;

/// What to back up, and how.
pub struct Request {
    /// Files and folders, also relative; or one address on S3.
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
    /// How much is stored in a second at most.
    pub limit_upload: Option<Rate>,
    /// Who reads.
    pub readers: Readers,
}

/// Who reads the files of a backup.
pub enum Readers {
    /// This process alone.
    Alone,
    /// So many others, which this one coordinates.
    Workers(u32),
    /// This process is one of those.
    Worker,
}

/// Backs up; partial when something could not be read.
pub fn run(place: &RepositoryPlace, request: Request, interrupt: &Interrupt, json: bool) -> Result<Done, CliError> {
    let patterns =
        Patterns::new(&request.include, &request.exclude).map_err(|error| CliError::usage(error.to_string()))?;
    let source = source(&request.paths, patterns)?;
    let repository = match request.readers {
        Readers::Worker => open::with_key(place, workers::key()?)?,
        Readers::Alone | Readers::Workers(_) => open::to_write(place)?,
    };
    let parent = parent(&repository, source.as_ref(), &request)?;
    let throttle = throttle(request.limit_upload)?;
    let meter = Meter::new("backup");
    let options = BackupOptions {
        parent,
        reread: request.full,
        tags: request.tags,
        excludes: request.exclude,
        throttle: throttle.as_ref(),
        ..BackupOptions::new((repository.ambient().now)(), &meter, interrupt.flag())
    };
    let at_once = |path: &PathBuf| place::requests_at_once(path, options.readers);
    let readers = request.paths.iter().map(at_once).max();
    let options = BackupOptions {
        readers: readers.unwrap_or(options.readers),
        ..options
    };
    let options = place.memory.of_backup(options, place::is_remote(&place.repo));
    let gathered = match request.readers {
        Readers::Worker => return workers::work(&repository, source.as_ref(), &options, interrupt),
        Readers::Alone => Gathered::default(),
        Readers::Workers(number) => workers::gather(number, repository.key(), interrupt)?,
    };
    let report = backup_after(&repository, source.as_ref(), &options, &gathered.done)?;
    drop(meter);
    if json {
        print_json(&report, parent, &gathered.lost)?;
    } else {
        print(&report, parent);
        gathered
            .lost
            .iter()
            .for_each(|how| say!("  {how}; others read what it had in hand"));
    }
    let partial = !report.unread.is_empty();
    Ok(if partial { Done::Partial } else { Done::Done })
}

fn throttle(limit: Option<Rate>) -> Result<Option<Throttle>, CliError> {
    let Some(Rate(bytes)) = limit else { return Ok(None) };
    let bytes = NonZeroU64::new(bytes);
    let bytes = bytes.ok_or_else(|| CliError::usage("--limit-upload: with 0 nothing could ever be stored"))?;
    Ok(Some(Throttle::new(bytes)))
}

fn source(paths: &[PathBuf], patterns: Patterns) -> Result<Box<dyn Source>, CliError> {
    if let [path] = paths
        && let Some(objects) = place::objects(path, &patterns)
    {
        return objects;
    }
    if paths.iter().any(|path| place::is_remote(path)) {
        return Err(CliError::usage(
            "an address on S3 is backed up by itself: name one, and no folders beside it",
        ));
    }
    let roots = paths.iter().map(|path| plain(path)).collect::<Result<_, _>>()?;
    let tree = FileTree::new(roots, patterns).map_err(|error| root_error(&error))?;
    Ok(Box::new(tree))
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
fn parent(repository: &Repository, source: &dyn Source, request: &Request) -> Result<Option<Id>, CliError> {
    if let Some(word) = &request.parent {
        return Ok(Some(repository.find_snapshot(word)?.0));
    }
    if request.full {
        return Ok(None);
    }
    let paths: Vec<String> = source
        .paths()
        .iter()
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    let host = source.host().unwrap_or_else(|| repository.ambient().hostname.clone());
    let snapshots = repository.snapshots()?;
    let newest = snapshots
        .iter()
        .rev()
        .find(|(_, snapshot)| snapshot.hostname == host && snapshot.paths == paths);
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

fn print_json(report: &BackupReport, parent: Option<Id>, lost: &[String]) -> Result<(), CliError> {
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
        "workers_lost": lost,
    }))
}
