//! `repository restore`.

use std::path::PathBuf;

use holdfast_sources::files::{Overwrite, RestoreError, RestoreOptions, RestoreReport, restore};
use serde_json::{Value, json};

use super::interrupt::Interrupt;
use super::meter::Meter;
use super::{open, place, show};
use crate::args::RepositoryPlace;
use crate::embedded::absolute;
use crate::error::{CliError, Done};
use crate::output;
use crate::output::say;

/// Notes shown to people; a restore without the right to set owners has one for every file.
const NOTES_SHOWN: usize = 20;

/// What to restore, and where to.
pub struct Request {
    /// Id, prefix or `latest`.
    pub snapshot: String,
    /// The folder that receives it.
    pub target: PathBuf,
    /// Patterns of what to restore.
    pub include: Vec<String>,
    /// Which files are overwritten.
    pub overwrite: Overwrite,
}

/// Restores; partial when something could not be restored.
pub fn run(place: &RepositoryPlace, request: Request, interrupt: &Interrupt, json: bool) -> Result<Done, CliError> {
    let repository = open::to_read(place)?;
    let lock = open::reader_lock(&repository)?;
    let (id, _) = repository.find_snapshot(&request.snapshot)?;
    let index = repository.load_index()?;
    let target = absolute(&request.target)?;
    let meter = Meter::new("restore");
    let options = RestoreOptions {
        include: request.include,
        overwrite: request.overwrite,
        progress: &meter,
        ..RestoreOptions::new(interrupt.flag())
    };
    let options = RestoreOptions {
        workers: place
            .memory
            .requests(place::streams_at_once(&place.repo, options.workers)),
        ..options
    };
    let report = restore(&repository, &index, &id, &target, &options).map_err(restore_error)?;
    drop(meter);
    open::release(lock)?;
    if json {
        print_json(&report, &target)?;
    } else {
        print(&report, &target);
    }
    Ok(if report.is_complete() {
        Done::Done
    } else {
        Done::Partial
    })
}

/// How a restore that did not begin, or broke off, ends the program.
pub fn restore_error(error: RestoreError) -> CliError {
    match error {
        RestoreError::Repository(error) => error.into(),
        RestoreError::Pattern(_)
        | RestoreError::NothingSelected { .. }
        | RestoreError::NotEmpty { .. }
        | RestoreError::NotFolder { .. }
        | RestoreError::Unfinished { .. } => CliError::usage(error.to_string()),
        _ => CliError::failed(error.to_string()),
    }
}

fn print(report: &RestoreReport, target: &std::path::Path) {
    say!(
        "snapshot {} restored into {}",
        report.snapshot.short(),
        show::path(target)
    );
    say!(
        "  {} files, {} folders, {} others; {} written, {} stood there already",
        report.files,
        report.folders,
        report.others,
        output::bytes(report.bytes_written),
        output::bytes(report.bytes_right)
    );
    if report.notes_total > 0 {
        say!("  restored, but not in every respect ({}):", report.notes_total);
    }
    for note in report.notes.iter().take(NOTES_SHOWN) {
        say!("    {}: {}", show::path(&note.path), note.what);
    }
    let more = report.notes_total.saturating_sub(NOTES_SHOWN as u64);
    if more > 0 {
        say!("    and {more} more, which --json lists");
    }
    if !report.failures.is_empty() {
        say!("  NOT restored ({}):", report.failures.len());
    }
    for failure in &report.failures {
        say!("    {}: {}", show::path(&failure.path), failure.cause);
    }
}

fn print_json(report: &RestoreReport, target: &std::path::Path) -> Result<(), CliError> {
    let notes: Vec<Value> = report
        .notes
        .iter()
        .map(|note| json!({ "path": show::path(&note.path), "what": note.what }))
        .collect();
    let failures: Vec<Value> = report
        .failures
        .iter()
        .map(|failure| json!({ "path": show::path(&failure.path), "cause": failure.cause.to_string() }))
        .collect();
    output::json(&json!({
        "snapshot": report.snapshot,
        "target": show::path(target),
        "files": report.files,
        "folders": report.folders,
        "others": report.others,
        "bytes_written": report.bytes_written,
        "bytes_right": report.bytes_right,
        "notes_total": report.notes_total,
        "notes": notes,
        "failures": failures,
    }))
}
