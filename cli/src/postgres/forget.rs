//! `postgres forget`.

use std::num::NonZeroUsize;

use holdfast_repository::Id;
use holdfast_repository::forget::forget;
use holdfast_sources::postgres::cluster::{bases, plan_retention};
use holdfast_sources::postgres::log::LogArchive;
use serde_json::json;

use super::{checked, failed};
use crate::args::ServerPlace;
use crate::error::{CliError, Done};
use crate::output::{self, say};
use crate::repository::open;

/// Forgets old base backups and the log that no other needs.
pub fn run(kept: &ServerPlace, keep_last: NonZeroUsize, dry_run: bool, json: bool) -> Result<Done, CliError> {
    let name = checked(&kept.name)?;
    let repository = open::to_write(&kept.place)?;
    let bases = bases(&repository, name).map_err(failed)?;
    let archive = LogArchive::open(&repository, name).map_err(failed)?;
    let plan = plan_retention(&bases, archive.pieces(), keep_last);
    let ids: Vec<Id> = plan.iter().map(|(id, _)| *id).collect();
    if !dry_run && !ids.is_empty() {
        forget(&repository, &ids)?;
    }
    if json {
        let forgotten = plan
            .iter()
            .map(|(id, reason)| json!({ "snapshot": id, "reason": reason.to_string() }));
        output::json(&json!({ "dry_run": dry_run, "forgotten": forgotten.collect::<Vec<_>>() }))?;
        return Ok(Done::Done);
    }
    let done = if dry_run { "would be forgotten" } else { "forgotten" };
    for (id, reason) in &plan {
        say!("snapshot {} {done}: {reason}", id.short());
    }
    let all = bases.len() + archive.pieces().len();
    say!("{} of {all} snapshots stay", all - plan.len());
    Ok(Done::Done)
}
