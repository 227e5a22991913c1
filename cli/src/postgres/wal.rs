//! `holdfast wal`: what a server calls for each file of its log.

use std::fs;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use holdfast_repository::backup::BackupOptions;
use holdfast_repository::index::IndexOptions;
use holdfast_repository::progress::NoProgress;
use holdfast_sources::postgres::log::{FetchOptions, Fetched, LogArchive, Receipts, fetch, push, take_ahead};

use super::{checked, failed};
use crate::args::{ServerPlace, WalCommand};
use crate::error::{CliError, Done};
use crate::repository::{open, place};

/// Files that are stored along with the one that was asked for.
const PUSHED_ALONG: usize = 63;
/// Segments that are fetched before they are asked for: half a gibibyte of those that servers usually have.
const AHEAD: usize = 32;
/// The folder beside the log where they wait, and where it is noted what was stored along.
const SPOOL: &str = "holdfast-spool";
/// A name that Linux gives itself each time that it is started.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Runs one command.
pub fn run(command: WalCommand) -> Result<Done, CliError> {
    match command {
        WalCommand::Push { kept, path } => push_file(&kept, &path),
        WalCommand::Fetch { kept, file, path } => {
            // To the server, the exit code of a panic would be the end of the log.
            let fetched = catch_unwind(AssertUnwindSafe(|| fetch_file(&kept, &file, &path)));
            let fetched = fetched.unwrap_or_else(|_| Err(CliError::failed("fetching broke off")));
            fetched.map_err(CliError::ending_recovery)
        }
    }
}

fn push_file(kept: &ServerPlace, path: &Path) -> Result<Done, CliError> {
    let name = checked(&kept.name)?;
    let storage = place::existing(&kept.place.repo)?;
    let receipts = Receipts::open(&spool_beside(path), &*storage, name).map_err(failed)?;
    if receipts.take(path) {
        return Ok(Done::Done);
    }
    let repository = open::to_write(&kept.place)?;
    let mut archive = LogArchive::open(&repository, name).map_err(failed)?;
    let index = repository.open_index(IndexOptions::default())?;
    let never = AtomicBool::new(false);
    let options = BackupOptions::new((repository.ambient().now)(), &NoProgress, &never);
    let options = kept.place.memory.of_backup(options, place::is_remote(&kept.place.repo));
    let stored = push(&mut archive, &index, path, PUSHED_ALONG, &options).map_err(failed)?;
    if let Err(error) = receipts.keep(&stored.receipts, path) {
        eprintln!("holdfast: what was stored along is looked at again when the server asks for it: {error}");
    }
    Ok(Done::Done)
}

fn spool_beside(path: &Path) -> PathBuf {
    path.parent().map_or_else(PathBuf::new, Path::to_owned).join(SPOOL)
}

/// When the machine was started, as a name. What was fetched ahead before that may have lost its bytes.
fn boot() -> Result<String, CliError> {
    let read = fs::read_to_string(BOOT);
    let boot = read.map_err(|error| CliError::failed(format!("cannot read {BOOT}: {error}")))?;
    Ok(boot.trim().to_owned())
}

/// Removes what was fetched ahead before the machine was started.
fn remove_others(spools: &Path, boot: &str) -> Result<(), CliError> {
    let failed = |error: io::Error| CliError::failed(format!("cannot clear {}: {error}", spools.display()));
    let entries = match fs::read_dir(spools) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_name() != boot && entry.file_type().map_err(failed)?.is_dir() {
            fs::remove_dir_all(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

fn fetch_file(kept: &ServerPlace, file: &str, path: &Path) -> Result<Done, CliError> {
    let name = checked(&kept.name)?;
    let (spools, boot) = (spool_beside(path), boot()?);
    let spool = spools.join(&boot);
    if take_ahead(&spool, file, path).map_err(failed)? {
        return Ok(Done::Done);
    }
    remove_others(&spools, &boot)?;
    let repository = open::to_read(&kept.place)?;
    let archive = LogArchive::open(&repository, name).map_err(failed)?;
    let index = repository.open_index(IndexOptions::default())?;
    let options = FetchOptions {
        spool,
        ahead: AHEAD,
        workers: place::requests_at_once(&kept.place.repo, place::processors()),
    };
    match fetch(&archive, &index, file, path, &options).map_err(failed)? {
        Fetched::Restored => Ok(Done::Done),
        Fetched::NotThere => Ok(Done::Failed),
    }
}
