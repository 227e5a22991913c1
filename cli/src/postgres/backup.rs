//! `postgres backup`.

use holdfast_repository::backup::BackupOptions;
use holdfast_sources::postgres::cluster::{BaseKind, ClusterBackup, Taken, back_up};
use serde_json::json;

use super::{address, checked, client, failed};
use crate::args::{ServerAddress, ServerPlace};
use crate::error::{CliError, Done};
use crate::output::{self, say};
use crate::repository::interrupt::Interrupt;
use crate::repository::meter::Meter;
use crate::repository::{open, place};

/// Backs up; partial where pages are damaged on the server.
pub fn run(
    kept: &ServerPlace,
    server: &ServerAddress,
    is_full: bool,
    interrupt: &Interrupt,
    json: bool,
) -> Result<Done, CliError> {
    let (name, address) = (checked(&kept.name)?, address(server)?);
    let repository = open::to_write(&kept.place)?;
    let meter = Meter::new("backup");
    let options = BackupOptions::new((repository.ambient().now)(), &meter, interrupt.flag());
    let options = kept.place.memory.of_backup(options, place::is_remote(&kept.place.repo));
    let kind = match is_full {
        true => BaseKind::Full,
        false => BaseKind::Incremental,
    };
    let done = back_up(&repository, &address, name, &client(interrupt), &options, kind).map_err(failed)?;
    drop(meter);
    if json {
        print_json(&done)?;
    } else {
        print(&done);
    }
    Ok(if done.base.damaged.count > 0 {
        Done::Partial
    } else {
        Done::Done
    })
}

fn print(ClusterBackup { report, base, taken }: &ClusterBackup) {
    let summary = &report.summary;
    say!(
        "snapshot {} made: cluster {}, timeline {}, consistent from {}",
        report.snapshot.short(),
        base.system_identifier,
        base.end.timeline,
        base.end.lsn
    );
    say!("  {} files, {}", base.files, output::bytes(base.bytes));
    match taken {
        Taken::Full(reason) => say!("  full: {reason}"),
        Taken::Incremental(parent) => say!(
            "  incremental: {} came, what changed since {}",
            output::bytes(base.received),
            parent.short()
        ),
    }
    say!(
        "  added: {} in {} blobs, {} stored",
        output::bytes(summary.data_added),
        summary.data_blobs + summary.tree_blobs,
        output::bytes(summary.data_added_packed)
    );
    for warning in &base.warnings {
        say!("  the server warns: {}", warning.message);
    }
    if base.damaged.count > 0 {
        say!(
            "  DAMAGED on the server ({} pages): it must be mended there",
            base.damaged.count
        );
    }
    for page in &base.damaged.listed {
        say!("    {}: page {}", page.path.display(), page.page);
    }
}

fn print_json(ClusterBackup { report, base, taken }: &ClusterBackup) -> Result<(), CliError> {
    let (kind, parent, reason) = match taken {
        Taken::Full(reason) => ("full", None, Some(reason.to_string())),
        Taken::Incremental(parent) => ("incremental", Some(parent), None),
    };
    let damaged: Vec<_> = base
        .damaged
        .listed
        .iter()
        .map(|page| json!({ "path": page.path.display().to_string(), "page": page.page }))
        .collect();
    output::json(&json!({
        "snapshot": report.snapshot,
        "system": base.system_identifier.to_string(),
        "timeline": base.end.timeline,
        "start": base.start.lsn.to_string(),
        "end": base.end.lsn.to_string(),
        "files": base.files,
        "bytes": base.bytes,
        "kind": kind,
        "parent": parent,
        "reason": reason,
        "bytes_received": base.received,
        "bytes_added": report.summary.data_added,
        "bytes_stored": report.summary.data_added_packed,
        "damaged_pages": base.damaged.count,
        "damaged": damaged,
    }))
}
