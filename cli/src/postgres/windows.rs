//! `postgres windows`.

use holdfast_sources::postgres::cluster::{StoredBase, bases};
use holdfast_sources::postgres::log::LogArchive;
use holdfast_sources::postgres::log::windows::{Base, Gap, Windows, windows};
use serde_json::json;

use super::{checked, failed};
use crate::args::ServerPlace;
use crate::error::{CliError, Done};
use crate::output::{self, say};
use crate::repository::open;

/// Lists what can be restored; failed where a base backup lacks its log.
pub fn run(kept: &ServerPlace, json: bool) -> Result<Done, CliError> {
    let name = checked(&kept.name)?;
    let repository = open::to_read(&kept.place)?;
    let bases = bases(&repository, name).map_err(failed)?;
    let archive = LogArchive::open(&repository, name).map_err(failed)?;
    let plain: Vec<Base> = bases.iter().map(|stored| stored.base.clone()).collect();
    let found = windows(&plain, archive.pieces());
    if json {
        print_json(&bases, &found)?;
    } else {
        print(&bases, &found);
    }
    let whole = found.gaps.is_empty() && found.unusable.is_empty();
    Ok(if whole { Done::Done } else { Done::Failed })
}

fn print(bases: &[StoredBase], found: &Windows) {
    let rows: Vec<Vec<String>> = bases
        .iter()
        .map(|stored| {
            let base = &stored.base;
            vec![
                base.snapshot.short(),
                output::time(base.ended_at),
                base.timeline.to_string(),
                base.end.to_string(),
            ]
        })
        .collect();
    output::table(&["base backup", "ended at", "timeline", "consistent from"], &rows);
    for window in &found.windows {
        say!(
            "timeline {}: restorable from {} ({}) to {} ({})",
            window.timeline,
            window.earliest,
            output::time(window.earliest_at),
            window.latest,
            output::time(window.latest_at)
        );
    }
    for Gap { timeline, from, to } in &found.gaps {
        say!("  MISSING: log from {from} to {to} on timeline {timeline}");
    }
    for (id, _) in &found.unusable {
        say!("  {} lacks the log that makes it consistent", id.short());
    }
}

fn print_json(bases: &[StoredBase], found: &Windows) -> Result<(), CliError> {
    let windows = found.windows.iter().map(|window| {
        json!({
            "timeline": window.timeline,
            "earliest": window.earliest.to_string(),
            "earliest_at": window.earliest_at,
            "latest": window.latest.to_string(),
            "latest_at": window.latest_at,
            "bases": window.bases,
        })
    });
    let bases = bases.iter().map(|stored| {
        json!({
            "snapshot": stored.base.snapshot,
            "timeline": stored.base.timeline,
            "start": stored.base.start.to_string(),
            "end": stored.base.end.to_string(),
            "ended_at": stored.base.ended_at,
            "damaged_pages": stored.damaged_pages,
        })
    });
    let gaps = found
        .gaps
        .iter()
        .map(|gap| json!({ "timeline": gap.timeline, "from": gap.from.to_string(), "to": gap.to.to_string() }));
    output::json(&json!({
        "bases": bases.collect::<Vec<_>>(),
        "windows": windows.collect::<Vec<_>>(),
        "gaps": gaps.collect::<Vec<_>>(),
        "unusable": found.unusable.iter().map(|(id, _)| id).collect::<Vec<_>>(),
    }))
}
