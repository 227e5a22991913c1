//! `repository copy`.

use std::path::Path;

use holdfast_repository::copy::{CopyOptions, CopyReport, copy};
use holdfast_repository::{Id, RepositoryError};
use serde_json::json;

use super::interrupt::Interrupt;
use super::meter::Meter;
use super::{open, place, show};
use crate::args::RepositoryPlace;
use crate::error::{CliError, Done};
use crate::output;
use crate::output::say;

/// Copies the named snapshots, or all; partial when the source is too damaged for some.
pub fn run(
    place: &RepositoryPlace,
    to: &Path,
    words: &[String],
    interrupt: &Interrupt,
    json: bool,
) -> Result<Done, CliError> {
    let repository = open::to_read(place)?;
    let lock = open::reader_lock(&repository)?;
    let chosen = repository.find_snapshots(words)?;
    let destination = show::path(to);
    let local = place::processors().clamp(2, 4);
    let wanted = place::requests_at_once(&place.repo, local).max(place::requests_at_once(to, local));
    let workers = place.memory.groups(wanted);
    let storage = place::open_or_create(to)?;
    let meter = Meter::new("copy");
    let options = CopyOptions {
        snapshots: Some(chosen).filter(|chosen| !chosen.is_empty()),
        workers,
        progress: &meter,
        cancel: interrupt.flag(),
    };
    let copied = copy(&repository, storage, &options);
    drop(meter);
    open::release(lock)?;
    match copied {
        Ok(report) => print(&report, &destination, json)?,
        Err(RepositoryError::CopyIncomplete {
            snapshots,
            packs,
            reason,
        }) => {
            print_incomplete(&snapshots, &packs, &reason, &destination, json)?;
            return Ok(Done::Partial);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Done::Done)
}

fn print(report: &CopyReport, destination: &str, json: bool) -> Result<(), CliError> {
    if json {
        return output::json(&json!({
            "to": destination,
            "snapshots_copied": report.snapshots_copied,
            "snapshots_present": report.snapshots_present,
            "packs_copied": report.packs_copied,
            "packs_present": report.packs_present,
            "packs_replaced": report.packs_replaced,
            "bytes_copied": report.bytes_copied,
        }));
    }
    say!(
        "{} snapshots copied to {destination}, {} were there before",
        report.snapshots_copied,
        report.snapshots_present
    );
    say!(
        "  {} packs sent ({}), {} were there before, {} were damaged there and replaced",
        report.packs_copied + report.packs_replaced,
        output::bytes(report.bytes_copied),
        report.packs_present,
        report.packs_replaced
    );
    Ok(())
}

fn print_incomplete(
    snapshots: &[Id],
    packs: &[Id],
    reason: &str,
    destination: &str,
    json: bool,
) -> Result<(), CliError> {
    if json {
        return output::json(&json!({
            "to": destination,
            "snapshots_not_copied": snapshots,
            "damaged_packs": packs,
            "reason": reason,
        }));
    }
    say!("NOT copied, since the source is damaged: {reason}");
    for snapshot in snapshots {
        say!("  snapshot {}", snapshot.short());
    }
    say!("All others were copied. Repair the source, then copy again.");
    Ok(())
}
