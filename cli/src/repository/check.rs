//! `repository check`.

use holdfast_repository::check::{AffectedFile, CheckOptions, CheckReport, affected_files, check, readable_index};
use serde_json::{Value, json};

use super::interrupt::Interrupt;
use super::meter::Meter;
use super::{open, place, show};
use crate::args::RepositoryPlace;
use crate::error::{CliError, Done};
use crate::output;
use crate::output::say;

/// Checks everything; failed when anything is damaged.
pub fn run(place: &RepositoryPlace, read_data: bool, interrupt: &Interrupt, json: bool) -> Result<Done, CliError> {
    let repository = open::to_read(place)?;
    let lock = open::reader_lock(&repository)?;
    let meter = Meter::new("check");
    let options = CheckOptions {
        read_data,
        snapshots: None,
        workers: place
            .memory
            .checked(place::streams_at_once(&place.repo, place::processors())),
        progress: &meter,
        cancel: interrupt.flag(),
        ledger: None,
    };
    let report = check(&repository, &options)?;
    let affected = if report.is_clean() {
        Vec::new()
    } else {
        let index = readable_index(&repository, &options)?;
        affected_files(&repository, &index, &report.damages)?
    };
    drop(meter);
    open::release(lock)?;
    if json {
        print_json(&report, &affected)?;
    } else {
        print(&report, &affected, read_data);
    }
    Ok(if report.is_clean() { Done::Done } else { Done::Failed })
}

fn print(report: &CheckReport, affected: &[AffectedFile], read_data: bool) {
    say!(
        "{} snapshots, {} blobs in {} packs",
        report.snapshots,
        report.blobs,
        report.packs
    );
    if read_data {
        say!("{} read, decrypted and hashed", output::bytes(report.bytes_read));
    }
    if !report.orphan_packs.is_empty() {
        let count = report.orphan_packs.len();
        say!("{count} packs of unfinished writers: they do no harm, and prune removes them");
    }
    if report.is_clean() {
        say!("no damage found");
        return;
    }
    say!("DAMAGED ({}):", report.damages.len());
    for damage in &report.damages {
        say!("  {damage}");
    }
    if affected.is_empty() {
        say!("no file of any snapshot suffers from it");
        return;
    }
    say!("files that cannot be restored whole ({}):", affected.len());
    for file in affected {
        say!("  snapshot {}: {}", file.snapshot.short(), show::path(&file.path));
    }
}

fn print_json(report: &CheckReport, affected: &[AffectedFile]) -> Result<(), CliError> {
    let affected: Vec<Value> = affected
        .iter()
        .map(|file| json!({ "snapshot": file.snapshot, "path": show::path(&file.path) }))
        .collect();
    output::json(&json!({
        "clean": report.is_clean(),
        "damages": report.damages,
        "affected": affected,
        "orphan_packs": report.orphan_packs,
        "snapshots": report.snapshots,
        "packs": report.packs,
        "blobs": report.blobs,
        "bytes_read": report.bytes_read,
    }))
}
