//! `repository forget` and `repository prune`.

use holdfast_core::domain::Span;
use holdfast_repository::Repository;
use holdfast_repository::forget::forget as forget_snapshots;
use holdfast_repository::prune::{
    BATCH_BYTES, MAX_DEAD_PERCENT, MarkOptions, MarkReport, Reason, SweepOptions, SweepReport, mark, sweep,
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::interrupt::Interrupt;
use super::meter::Meter;
use super::{open, place};
use crate::args::RepositoryPlace;
use crate::error::{CliError, Done};
use crate::output;
use crate::output::say;

/// Size of packs that are written anew, as in a backup.
const PACK_SIZE: usize = 32 << 20;

/// Forgets snapshots, all of which must exist, and then prunes with this grace period if one is given.
pub fn forget(
    place: &RepositoryPlace,
    words: &[String],
    prune: Option<&str>,
    interrupt: &Interrupt,
    json: bool,
) -> Result<Done, CliError> {
    let grace = prune.map(grace_of).transpose()?;
    let repository = open::to_write(place)?;
    let report = forget_snapshots(&repository, &repository.find_snapshots(words)?)?;
    let reclaimed = grace
        .map(|grace| reclaim(&repository, place, grace, false, interrupt))
        .transpose()?;
    if json {
        let mut object = json!({ "forgotten": report.forgotten, "absent": report.absent });
        if let Some(reclaimed) = &reclaimed {
            object["prune"] = reclaimed.json();
        }
        output::json(&object)?;
        return Ok(Done::Done);
    }
    for id in &report.forgotten {
        say!("snapshot {} forgotten", id.short());
    }
    for id in &report.absent {
        say!("snapshot {} was gone already", id.short());
    }
    if let Some(reclaimed) = &reclaimed {
        reclaimed.print();
    }
    Ok(Done::Done)
}

/// Condemns what is of no use now, then deletes what was condemned long enough ago: without a grace period all of it.
pub fn prune(
    place: &RepositoryPlace,
    grace: &str,
    dry_run: bool,
    interrupt: &Interrupt,
    json: bool,
) -> Result<Done, CliError> {
    let grace = grace_of(grace)?;
    let repository = open::to_write(place)?;
    let reclaimed = reclaim(&repository, place, grace, dry_run, interrupt)?;
    if json {
        output::json(&reclaimed.json())?;
    } else {
        reclaimed.print();
    }
    Ok(Done::Done)
}

fn grace_of(word: &str) -> Result<Span, CliError> {
    word.parse()
        .map_err(|error| CliError::usage(format!("--grace: {error}")))
}

/// What both phases did.
struct Reclaimed {
    marked: MarkReport,
    swept: SweepReport,
    grace: Span,
    dry_run: bool,
}

fn reclaim(
    repository: &Repository,
    place: &RepositoryPlace,
    grace: Span,
    dry_run: bool,
    interrupt: &Interrupt,
) -> Result<Reclaimed, CliError> {
    let workers = place
        .memory
        .rewritten(place::requests_at_once(&place.repo, place::processors()));
    let cancel = interrupt.flag();
    let meter = Meter::new("prune");
    let mark_options = MarkOptions {
        extra_roots: &[],
        max_dead_percent: MAX_DEAD_PERCENT,
        pack_size: PACK_SIZE,
        batch_bytes: BATCH_BYTES,
        dry_run,
        workers,
        progress: &meter,
        cancel,
    };
    let marked = mark(repository, &mark_options)?;
    let sweep_options = SweepOptions {
        extra_roots: &[],
        dry_run,
        workers,
        cancel,
    };
    let now = (repository.ambient().now)();
    let grace_period = SignedDuration::from_secs(grace.as_seconds());
    let swept = sweep(repository, now, grace_period, &sweep_options)?;
    Ok(Reclaimed {
        marked,
        swept,
        grace,
        dry_run,
    })
}

impl Reclaimed {
    fn print(&self) {
        let Self {
            marked,
            swept,
            grace,
            dry_run,
        } = self;
        let would = if *dry_run { "would be " } else { "" };
        let bytes = marked.condemned.iter().map(|pack| pack.size).sum();
        say!(
            "{} packs {would}condemned, {}; {} packs kept",
            marked.condemned.len(),
            output::bytes(bytes),
            marked.kept_packs
        );
        if marked.rewritten_bytes > 0 {
            say!(
                "{} {would}written anew in fuller packs",
                output::bytes(marked.rewritten_bytes)
            );
        }
        say!(
            "{} packs {would}deleted, {}",
            swept.deleted.len(),
            output::bytes(swept.deleted_bytes)
        );
        if !swept.rescued.is_empty() {
            say!(
                "{} condemned packs are needed after all and {would}kept",
                swept.rescued.len()
            );
        }
        if !swept.waiting.is_empty() {
            say!("{} condemned packs wait until {grace} have passed", swept.waiting.len());
        }
        if *dry_run {
            for pack in &marked.condemned {
                say!(
                    "  {} {:>10}  {}",
                    pack.pack.short(),
                    output::bytes(pack.size),
                    sentence(pack.reason)
                );
            }
        }
    }

    fn json(&self) -> Value {
        let Self {
            marked, swept, dry_run, ..
        } = self;
        let condemned: Vec<Value> = marked
            .condemned
            .iter()
            .map(|pack| json!({ "pack": pack.pack, "size": pack.size, "reason": word(pack.reason) }))
            .collect();
        json!({
            "dry_run": dry_run,
            "deleted": swept.deleted,
            "deleted_bytes": swept.deleted_bytes,
            "rescued": swept.rescued,
            "waiting": swept.waiting,
            "condemned": condemned,
            "rewritten_bytes": marked.rewritten_bytes,
            "kept_packs": marked.kept_packs,
        })
    }
}

fn word(reason: Reason) -> &'static str {
    match reason {
        Reason::Unused => "unused",
        Reason::Duplicate => "duplicate",
        Reason::Sparse => "sparse",
        Reason::Small => "small",
        Reason::Orphan => "orphan",
        Reason::Unsound => "unsound",
    }
}

fn sentence(reason: Reason) -> &'static str {
    match reason {
        Reason::Unused => "no snapshot needs it",
        Reason::Duplicate => "all that is needed of it is in other packs too",
        Reason::Sparse => "much of it is of no use; the rest is written anew",
        Reason::Small => "it is small, and merged with others",
        Reason::Orphan => "no index file names it",
        Reason::Unsound => "it is missing or cut short, and nothing needs it",
    }
}
