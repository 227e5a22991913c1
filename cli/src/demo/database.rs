//! The database: a private PostgreSQL server is backed up while it is written to, killed, and restored, to its end and to a
//! moment. Where the machine has no PostgreSQL, that is said and nothing is shown. Servers that run already are not touched.

mod server;
mod writer;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use holdfast_local::system_ambient;
use holdfast_repository::backup::BackupOptions;
use holdfast_repository::progress::NoProgress;
use holdfast_repository::storage::DiskStorage;
use holdfast_repository::{InitOptions, Repository};
use holdfast_sources::postgres::cluster::{BaseKind, ClusterRestore, RestoreLog, back_up, bases, restore, way};
use holdfast_sources::postgres::follow::{Acknowledge, Follower, Following, follow};
use holdfast_sources::postgres::log::LogArchive;
use holdfast_sources::postgres::log::windows::{Base, windows};
use holdfast_sources::postgres::{ClientOptions, LogFile, PostgresError, SegmentSize, SlotName, Until};
use jiff::{SignedDuration, Timestamp};

use super::report::Report;
use crate::error::CliError;
use crate::output;
use server::{Place, Server};
use writer::{Line, Writer};

/// What the server is called in its repository.
const NAME: &str = "orders";
/// How long the server is written to after its base backup.
const WRITTEN: Duration = Duration::from_secs(3);
/// How long the receiver gets to store what came, once the server is dead.
const SETTLED: Duration = Duration::from_secs(3);

fn failed(error: impl std::fmt::Display) -> CliError {
    CliError::failed(format!("the database: {error}"))
}

/// Shows it; the repository is made in `folder`, and opens with `password`.
pub fn show(report: &mut Report, folder: &Path, password: &str) -> Result<(), CliError> {
    report.stage("A database, killed and restored to a moment");
    let place = match Place::find()? {
        Ok(place) => place,
        Err(reason) => {
            report.tell(&format!("skipped: {reason}"));
            return Ok(());
        }
    };
    let repository = repository(folder, password)?;
    let shown = with_server(report, &place, &repository);
    place.remove()?;
    shown?;
    report.tell(&format!(
        "its repository is {}: `restic` reads it, too",
        repository.storage().location()
    ));
    Ok(())
}

fn repository(folder: &Path, password: &str) -> Result<Repository, CliError> {
    let storage = Arc::new(DiskStorage::open_or_create(folder.join("database-repository"))?);
    let options = InitOptions {
        password: Some(password),
        ..InitOptions::default()
    };
    Ok(Repository::init(storage, system_ambient(), &options)?)
}

struct Quiet;

impl Follower for Quiet {
    fn stored(&mut self, _: &[LogFile], _: SegmentSize) {}
    fn waiting(&mut self, _: &PostgresError, _: Duration) {}
}

fn with_server(report: &mut Report, place: &Place, repository: &Repository) -> Result<(), CliError> {
    let mut server = Server::create(place)?;
    server.sql("CREATE TABLE ledger (id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp())")?;
    report.tell(&format!(
        "a private server of PostgreSQL {} takes orders",
        place.version()
    ));
    let (stop, never) = (Arc::new(AtomicBool::new(false)), AtomicBool::new(false));
    let client = ClientOptions {
        now: (system_ambient()).now,
        stop: Arc::clone(&stop),
    };
    let options = BackupOptions::new((repository.ambient().now)(), &NoProgress, &never);
    let slot: SlotName = "holdfast".parse().map_err(failed)?;
    let address = server.address().clone();
    let writer = Writer::start(&address);
    let following = Following {
        address: &address,
        slot: &slot,
        create_slot: true,
        repository,
        resource: NAME,
        spool: &place.path("spool"),
        partial_every: SignedDuration::from_secs(1),
        acknowledge: Acknowledge::Spooled,
        from_slot: false,
        client: &client,
        options: &options,
    };
    let lines = thread::scope(|scope| {
        let receiver = scope.spawn(|| follow(&following, Until::Stopped, &mut Quiet));
        let outcome = (|| {
            let plain = ClientOptions {
                stop: Arc::new(AtomicBool::new(false)),
                ..client.clone()
            };
            let done = back_up(repository, &address, NAME, &plain, &options, BaseKind::Full).map_err(failed)?;
            report.tell(&format!(
                "a base backup of {} while it is written to, {} stored",
                output::bytes(done.base.bytes),
                output::bytes(done.report.summary.data_added_packed)
            ));
            report.claim(
                "every file of the base backup agrees with the server's manifest, every page with its checksum",
                done.base.damaged.count == 0,
            );
            server::pause(WRITTEN);
            server.kill()?;
            let lines = writer.ended()?;
            server::pause(SETTLED);
            Ok(lines)
        })();
        stop.store(true, Ordering::SeqCst);
        match receiver.join() {
            Ok(Ok(_)) => outcome,
            Ok(Err(error)) => outcome.and(Err(failed(error))),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    drop(server);
    judge(report, place, repository, &lines)
}

/// Restores twice, and compares with what the client was told.
fn judge(report: &mut Report, place: &Place, repository: &Repository, lines: &[Line]) -> Result<(), CliError> {
    let Some(last) = lines.last() else {
        return Err(failed("nothing was written"));
    };
    report.tell(&format!("it is killed after {} acknowledged orders", lines.len()));
    let stored = bases(repository, NAME).map_err(failed)?;
    let archive = LogArchive::open(repository, NAME).map_err(failed)?;
    let plain: Vec<Base> = stored.iter().map(|stored| stored.base.clone()).collect();
    let found = windows(&plain, archive.pieces());
    report.claim(
        "its log is kept without a gap",
        found.gaps.is_empty() && found.unusable.is_empty(),
    );

    let started = now();
    let latest = recovered(place, repository, "latest", None)?;
    let took = started.elapsed();
    let (count, newest) = latest.ledger()?;
    drop(latest);
    let lost = last.at.duration_since(newest);
    report.measure(
        "database recovery",
        took.as_secs_f64(),
        "from the order to the open server",
    );
    report.measure(
        "database loss",
        lost.as_secs_f64().max(0.0),
        "of acknowledged orders, when the server was killed",
    );
    report.claim(
        format!(
            "{} of {} acknowledged orders are back, the loss is below two seconds",
            count.min(lines.len() as u64),
            lines.len()
        ),
        lost < SignedDuration::from_secs(2),
    );

    // The clock of an order is read before it is committed, and the one before is committed by then.
    let ended = plain
        .iter()
        .map(|base| base.ended_at)
        .max()
        .unwrap_or(Timestamp::UNIX_EPOCH);
    let after: Vec<usize> = (1..lines.len()).filter(|number| lines[*number].at > ended).collect();
    let Some(middle) = after
        .get(after.len() / 2)
        .copied()
        .filter(|number| lines[*number].at < newest)
    else {
        return Err(failed("too little was written after the base backup"));
    };
    let moment = lines[middle].at;
    let at_moment = recovered(place, repository, "moment", Some(moment))?;
    let (count, newest) = at_moment.ledger()?;
    report.claim(
        format!("restored to {moment}, it holds the {middle} orders of then and no other"),
        (count, newest) == (middle as u64, lines[middle - 1].at),
    );
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the demo measures real time")]
fn now() -> Instant {
    Instant::now()
}

/// A server over a restored folder, which has recovered.
fn recovered<'a>(
    place: &'a Place,
    repository: &Repository,
    name: &str,
    to: Option<Timestamp>,
) -> Result<Server<'a>, CliError> {
    let stored = bases(repository, NAME).map_err(failed)?;
    let archive = LogArchive::open(repository, NAME).map_err(failed)?;
    let base = stored.first().ok_or_else(|| failed("no base backup stands"))?;
    let way = way(&base.base, base.base.timeline, to, archive.pieces()).map_err(failed)?;
    let data = place.make_folder(name)?;
    restore(
        repository,
        &repository.load_index()?,
        NAME,
        base,
        &ClusterRestore {
            target: &data,
            overwrite: false,
            recovery: &way.recovery,
            // The user who runs the server may be let in neither to this program nor to the repository.
            log: RestoreLog::Beside {
                archive: &archive,
                files: &way.files,
            },
            tablespaces: &BTreeMap::new(),
            workers: 4,
            progress: &NoProgress,
            cancel: &AtomicBool::new(false),
        },
    )
    .map_err(failed)?;
    let mut server = Server::over(place, data);
    server.start()?;
    server.until_recovered()?;
    Ok(server)
}

/// A path that PostgreSQL's connection strings and shells take as it is.
fn is_plain(path: &Path) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    path.to_str().is_some_and(|text| text.chars().all(plain))
}

/// Where the newest server on this machine is installed.
fn programs() -> Option<(PathBuf, u32)> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let found = versions.flatten().filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let folder = entry.path().join("bin");
        let is_whole = ["initdb", "postgres"].iter().all(|name| folder.join(name).is_file());
        is_whole.then_some((folder, version))
    });
    found
        .filter(|(_, version)| (13..=18).contains(version))
        .max_by_key(|(_, version)| *version)
}
