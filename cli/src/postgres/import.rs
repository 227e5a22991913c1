//! `postgres import`.

use holdfast_repository::index::IndexOptions;
use holdfast_sources::postgres::logical::{ImportRequest, import};
use serde_json::json;

use super::{address_of, checked, client, of_kind};
use crate::args::PostgresImportOptions;
use crate::error::{CliError, Done};
use crate::output::{self, say};
use crate::repository::interrupt::Interrupt;
use crate::repository::open;

/// Imports into a database of a server.
pub fn run(options: &PostgresImportOptions, interrupt: &Interrupt, json: bool) -> Result<Done, CliError> {
    let kept = &options.kept;
    let name = checked(&kept.name)?;
    let address = address_of(&options.into, options.into_password_file.as_deref())?;
    let repository = open::to_read(&kept.place)?;
    let lock = open::reader_lock(&repository)?;
    let index = repository.open_index(IndexOptions::default())?;
    let request = ImportRequest {
        repository: &repository,
        index: &index,
        resource: name,
        database: &options.database,
        export: options.export.as_deref(),
        tables: &options.table,
        address: &address,
        without_owners: options.no_owner,
        programs: options.programs.as_deref(),
        workers: options.jobs.get(),
        client: &client(interrupt),
    };
    let done = import(&request).map_err(|error| of_kind(error.kind(), &error))?;
    open::release(lock)?;
    if json {
        output::json(&json!({
            "snapshot": done.snapshot,
            "tables": done.tables,
            "rows": done.rows,
            "left_out": done.left_out,
        }))?;
        return Ok(Done::Done);
    }
    say!(
        "export {} of database {} imported",
        done.snapshot.short(),
        options.database
    );
    say!("  {} tables, {} rows", done.tables, done.rows);
    for what in &done.left_out {
        say!("  not in it: {what}");
    }
    Ok(Done::Done)
}
