//! `postgres export`.

use holdfast_repository::backup::BackupOptions;
use holdfast_sources::postgres::logical::{ExportRequest, export};
use serde_json::json;

use super::{address, checked, client, of_kind};
use crate::args::PostgresExportOptions;
use crate::error::{CliError, Done};
use crate::output::{self, say};
use crate::repository::interrupt::Interrupt;
use crate::repository::meter::Meter;
use crate::repository::{open, place};

/// Exports; partial where something of the database is left out.
pub fn run(options: &PostgresExportOptions, interrupt: &Interrupt, json: bool) -> Result<Done, CliError> {
    let kept = &options.kept;
    let (name, address) = (checked(&kept.name)?, address(&options.address)?);
    let repository = open::to_write(&kept.place)?;
    let meter = Meter::new("export");
    let stored = BackupOptions::new((repository.ambient().now)(), &meter, interrupt.flag());
    let stored = kept.place.memory.of_backup(stored, place::is_remote(&kept.place.repo));
    let request = ExportRequest {
        repository: &repository,
        resource: name,
        address: &address,
        programs: options.programs.as_deref(),
        workers: options.jobs.get(),
        client: &client(interrupt),
        options: &stored,
    };
    let done = export(&request).map_err(|error| of_kind(error.kind(), &error))?;
    drop(meter);
    let (report, manifest) = (&done.report, &done.manifest);
    let rows: u64 = manifest.tables.iter().map(|table| table.rows).sum();
    let bytes: u64 = manifest.tables.iter().map(|table| table.bytes).sum();
    if json {
        output::json(&json!({
            "snapshot": report.snapshot,
            "database": manifest.database,
            "tables": manifest.tables.len(),
            "rows": rows,
            "bytes": bytes,
            "bytes_added": report.summary.data_added,
            "bytes_stored": report.summary.data_added_packed,
            "left_out": manifest.left_out,
        }))?;
    } else {
        say!(
            "snapshot {} made: database {}",
            report.snapshot.short(),
            manifest.database
        );
        say!(
            "  {} tables, {rows} rows, {}",
            manifest.tables.len(),
            output::bytes(bytes)
        );
        say!(
            "  added: {}, {} stored",
            output::bytes(report.summary.data_added),
            output::bytes(report.summary.data_added_packed)
        );
        for what in &manifest.left_out {
            say!("  LEFT OUT: {what}");
        }
    }
    Ok(if manifest.left_out.is_empty() {
        Done::Done
    } else {
        Done::Partial
    })
}
