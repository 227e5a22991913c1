//! `postgres extract`.

use holdfast_sources::postgres::extract::{Destination, ExtractRequest, extract};
use serde_json::json;

use super::isolated::with_cluster;
use super::{address_of, of_kind};
use crate::args::PostgresExtractOptions;
use crate::embedded::absolute;
use crate::error::{CliError, Done};
use crate::output::{self, say};
use crate::repository::interrupt::Interrupt;

/// Extracts to a file or into a server.
pub fn run(options: &PostgresExtractOptions, interrupt: &Interrupt, json: bool) -> Result<Done, CliError> {
    let file = options.file.as_deref().map(absolute).transpose()?;
    let into = options.into.as_deref();
    let address = into
        .map(|words| address_of(words, options.into_password_file.as_deref()))
        .transpose()?;
    let to = match (&file, &address) {
        (Some(file), _) => Destination::File(file),
        (None, Some(address)) => Destination::Server(address),
        (None, None) => return Err(CliError::usage("say where to: --file FILE or --into CONNECTION")),
    };
    let extracted = with_cluster(
        &options.kept,
        &options.recovery,
        &options.server,
        interrupt,
        |cluster| {
            let request = ExtractRequest {
                cluster,
                database: &options.database,
                tables: &options.table,
                to,
                without_owners: options.no_owner,
            };
            extract(&request).map_err(|error| of_kind(error.kind(), &error))
        },
    )?;
    if json {
        output::json(&json!({
            "base": extracted.base,
            "recovered": extracted.recovered,
            "database": options.database,
            "tables": extracted.tables,
        }))?;
        return Ok(Done::Done);
    }
    let what = match extracted.tables.as_slice() {
        [] => format!("database {}", options.database),
        tables => format!("{} of database {}", tables.join(", "), options.database),
    };
    say!("{what} extracted from base backup {}", extracted.base.short());
    let at = extracted.recovered.last_commit_at.map(output::time);
    let at = at.map_or_else(String::new, |at| format!(", last commit at {at}"));
    say!("  as it was at {}{at}", extracted.recovered.lsn);
    Ok(Done::Done)
}
