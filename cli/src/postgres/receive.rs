//! `postgres receive`.

use std::path::PathBuf;
use std::time::Duration;

use holdfast_core::domain::Span;
use holdfast_repository::backup::BackupOptions;
use holdfast_repository::progress::NoProgress;
use holdfast_sources::postgres::follow::{Acknowledge, Follower, Following, follow};
use holdfast_sources::postgres::{LogFile, PostgresError, SegmentSize, SlotName, Until};
use jiff::SignedDuration;
use std::sync::atomic::AtomicBool;

use super::{address, checked, client, failed};
use crate::args::{ServerAddress, ServerPlace};
use crate::embedded::absolute;
use crate::error::{CliError, Done};
use crate::output::say;
use crate::repository::interrupt::Interrupt;
use crate::repository::{open, place};

/// What to receive, and how.
pub struct Request {
    /// The replication slot.
    pub slot: String,
    /// Whether it is made.
    pub create_slot: bool,
    /// The folder that takes the log first.
    pub spool: PathBuf,
    /// How often the segment that is not full is stored.
    pub partial_every: String,
    /// Whether to end when all is kept that the server has now.
    pub once: bool,
}

struct Told;

impl Follower for Told {
    fn stored(&mut self, files: &[LogFile], size: SegmentSize) {
        for file in files {
            say!("stored {}", file.name(size));
        }
    }

    fn waiting(&mut self, why: &PostgresError, wait: Duration) {
        eprintln!("holdfast: {why}; trying again in {} s", wait.as_secs());
    }
}

/// Receives until all is here or somebody asks to stop.
pub fn run(
    kept: &ServerPlace,
    server: &ServerAddress,
    request: &Request,
    interrupt: &Interrupt,
) -> Result<Done, CliError> {
    let (name, address) = (checked(&kept.name)?, address(server)?);
    let slot: SlotName = request
        .slot
        .parse()
        .map_err(|error| CliError::usage(format!("{error}")))?;
    let every: Span = request
        .partial_every
        .parse()
        .map_err(|error| CliError::usage(format!("--partial-every: {error}")))?;
    let repository = open::to_write(&kept.place)?;
    // What came is stored to the end even when somebody asks to stop.
    let never = AtomicBool::new(false);
    let options = BackupOptions::new((repository.ambient().now)(), &NoProgress, &never);
    let options = kept.place.memory.of_backup(options, place::is_remote(&kept.place.repo));
    let following = Following {
        address: &address,
        slot: &slot,
        create_slot: request.create_slot,
        repository: &repository,
        resource: name,
        spool: &absolute(&request.spool)?,
        partial_every: SignedDuration::from_secs(every.as_seconds()),
        acknowledge: Acknowledge::Spooled,
        from_slot: false,
        client: &client(interrupt),
        options: &options,
    };
    let until = if request.once { Until::CaughtUp } else { Until::Stopped };
    match follow(&following, until, &mut Told).map_err(failed)? {
        Some(end) => say!("kept up to {} on timeline {}", end.lsn, end.timeline),
        None => say!("nothing came"),
    }
    Ok(Done::Done)
}
