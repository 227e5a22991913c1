//! [`follow()`]: keeps a server's log in a repository, second by second, or up to now and no further.
//!
//! What streams in is safe in the spool before the server is told so. From there full segments go into the repository as they
//! fill up, and the one that is not full now and then and whenever the server goes away, so that what a killed server had sent is
//! in both places.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use holdfast_core::domain::FailureKind;
use holdfast_repository::Repository;
use holdfast_repository::backup::BackupOptions;
use holdfast_repository::index::IndexOptions;
use jiff::{SignedDuration, Timestamp};

use super::address::Address;
use super::base_backup::LogPosition;
use super::connection::{ClientOptions, Connection, Purpose};
use super::error::{PostgresError, SinkError};
use super::log::records::Chain;
use super::log::{LogArchive, LogError, LogFileOnDisk, PieceContent};
use super::lsn::Lsn;
use super::receive::{LogSink, LogSource, Received, Until, receive};
use super::replication::{History, SlotName};
use super::segment::{LogFile, SegmentSize};
use super::spool::Spool;

/// How often the spool is looked through while log streams in.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait before a server that went away is asked again, doubling from the first to the second.
const WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Where the segment that is not full stands while it is stored: in the spool it grows.
const HANDING: &str = "handing";

/// What to follow, and where to keep it.
pub struct Following<'a> {
    /// The server.
    pub address: &'a Address,
    /// Its slot.
    pub slot: &'a SlotName,
    /// Whether the slot is made if it is not there.
    pub create_slot: bool,
    /// Where the log is kept.
    pub repository: &'a Repository,
    /// What the server is called there.
    pub resource: &'a str,
    /// The folder that takes the log first.
    pub spool: &'a Path,
    /// How often the segment that is not full is stored.
    pub partial_every: SignedDuration,
    /// When the server is told that it may forget log.
    pub acknowledge: Acknowledge,
    /// Whether to go on at the oldest log that the slot holds, where what is stored leads to log that is gone. What lies
    /// between is a gap then.
    pub from_slot: bool,
    /// For connections.
    pub client: &'a ClientOptions,
    /// Of the snapshots.
    pub options: &'a BackupOptions<'a>,
}

/// When the server is told that it may forget log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    /// Once it is safe in the spool, which outlives this process.
    Spooled,
    /// Once whole segments of it are in the repository, which the next call tells: for a spool that may be gone with this
    /// process.
    Stored,
}

/// A spool whose content the server still has to keep: only what is stored already is called safe.
struct Passing {
    spool: Spool,
    stored: Option<LogPosition>,
    /// Before anything came, the server may not have what leads on: telling it where that is would move its slot back there.
    has_come: bool,
}

impl LogSink for Passing {
    fn history(&mut self, history: &History) -> Result<(), SinkError> {
        self.spool.history(history)
    }

    fn write(&mut self, timeline: u32, start: Lsn, bytes: &[u8]) -> Result<(), SinkError> {
        self.has_come = true;
        self.spool.write(timeline, start, bytes)
    }

    /// Position 0 tells a server nothing.
    fn flush(&mut self) -> Result<Lsn, SinkError> {
        self.spool.flush()?;
        let told = self.stored.filter(|_| self.has_come);
        Ok(told.map_or(Lsn(0), |stored| stored.lsn))
    }
}

/// What went into the repository, told as it happens.
pub trait Follower {
    /// Files were stored.
    fn stored(&mut self, files: &[LogFile], size: SegmentSize);
    /// The server went away, and is asked again after a while.
    fn waiting(&mut self, why: &PostgresError, wait: Duration);
}

/// Why following ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The server refused.
    #[error(transparent)]
    Server(#[from] PostgresError),
    /// The repository refused, or what came is not in order.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The spool cannot be used.
    #[error(transparent)]
    Spool(#[from] SinkError),
}

/// Receives until all is here that the server had at the start, or until the caller's stop flag is set: then a server that goes
/// away is waited for. Everything that came is in the repository when this returns, also when it fails.
pub fn follow(
    following: &Following<'_>,
    until: Until,
    follower: &mut dyn Follower,
) -> Result<Option<LogPosition>, FollowError> {
    let mut keeper = Keeper::open(following)?;
    let mut wait = WAIT.0;
    let mut end = None;
    loop {
        let before = end;
        let outcome = attempt(following, until, &mut keeper, follower, &mut end);
        keeper.hand_over(follower, true)?;
        match outcome {
            Ok(received) => return Ok(Some(received.end)),
            Err(FollowError::Server(error)) if until == Until::Stopped && may_come_back(&error) => {
                if following.client.stop.load(Ordering::SeqCst) {
                    return Ok(end);
                }
                wait = if end == before { (wait * 2).min(WAIT.1) } else { WAIT.0 };
                follower.waiting(&error, wait);
                pause(&following.client.stop, wait);
                if following.client.stop.load(Ordering::SeqCst) {
                    return Ok(end);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

fn may_come_back(error: &PostgresError) -> bool {
    !matches!(error, PostgresError::Sink(_))
        && matches!(
            error.kind(),
            FailureKind::Transient | FailureKind::Throttled | FailureKind::Conflict
        )
}

/// Waits, or until somebody asks to stop.
pub(super) fn pause(stop: &AtomicBool, time: Duration) {
    let (keep, nothing) = channel::<()>();
    let mut left = time;
    while !left.is_zero() && !stop.load(Ordering::SeqCst) {
        let slice = left.min(Duration::from_millis(200));
        // Nobody ever sends: this is a wait.
        let _ = nothing.recv_timeout(slice);
        left -= slice;
    }
    drop(keep);
}

/// Receives over one connection, while what came is handed over.
fn attempt(
    following: &Following<'_>,
    until: Until,
    keeper: &mut Keeper<'_>,
    follower: &mut dyn Follower,
    end: &mut Option<LogPosition>,
) -> Result<Received, FollowError> {
    let segment_bytes = ready_slot(following)?;
    let spool = Spool::open(following.spool, segment_bytes)?;
    let from = spool.position()?.max_position(keeper.position());
    let source = LogSource {
        address: following.address.clone(),
        slot: following.slot.clone(),
        system_identifier: keeper.archive.system(),
        from: from.filter(|_| !following.from_slot),
    };
    let mut sink: Box<dyn LogSink + Send> = match following.acknowledge {
        Acknowledge::Spooled => Box::new(spool),
        Acknowledge::Stored => Box::new(Passing {
            spool,
            // Behind a gap, what was stored before it says nothing about what is safe.
            stored: keeper.position().filter(|_| !following.from_slot),
            has_come: false,
        }),
    };
    let (ended, wait) = channel();
    // The repository's trouble ends the receiving, too.
    let stop = Arc::new(AtomicBool::new(false));
    let client = ClientOptions {
        stop: Arc::clone(&stop),
        ..following.client.clone()
    };
    thread::scope(|scope| {
        let receiver = scope.spawn(move || {
            let received = receive(&source, until, &client, sink.as_mut());
            let _ = ended.send(());
            received
        });
        let mut trouble = None;
        while let Err(RecvTimeoutError::Timeout) = wait.recv_timeout(LOOK) {
            if trouble.is_none() {
                trouble = keeper.hand_over(follower, false).err();
            }
            if trouble.is_some() || following.client.stop.load(Ordering::SeqCst) {
                stop.store(true, Ordering::SeqCst);
            }
        }
        let received = match receiver.join() {
            Ok(received) => received,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        *end = keeper.spooled()?.max_position(*end);
        match trouble {
            Some(trouble) => Err(trouble),
            None => Ok(received?),
        }
    })
}

/// Sees to it that the slot is there; the length of the server's segments.
fn ready_slot(following: &Following<'_>) -> Result<u64, PostgresError> {
    let mut connection = Connection::open(following.address, Purpose::Replication, following.client)?;
    let segment_bytes = connection.show_size("wal_segment_size")?;
    if following.create_slot {
        connection.ensure_slot(following.slot)?;
    }
    Ok(segment_bytes)
}

/// The later of two places.
trait MaxPosition {
    fn max_position(self, other: Option<LogPosition>) -> Option<LogPosition>;
}

impl MaxPosition for Option<LogPosition> {
    fn max_position(self, other: Option<LogPosition>) -> Option<LogPosition> {
        let key = |position: &LogPosition| (position.timeline, position.lsn);
        self.into_iter().chain(other).max_by_key(key)
    }
}

/// Brings files from the spool into the repository.
struct Keeper<'a> {
    following: &'a Following<'a>,
    archive: LogArchive,
    chain: Chain,
    /// The partial segment that was stored last, with its length, and when.
    partial: Option<(LogFile, u64)>,
    partial_at: Option<Timestamp>,
}

impl<'a> Keeper<'a> {
    fn open(following: &'a Following<'a>) -> Result<Keeper<'a>, FollowError> {
        fs::create_dir_all(following.spool).map_err(LogError::io("make folder", following.spool))?;
        Ok(Keeper {
            following,
            archive: LogArchive::open(following.repository, following.resource)?,
            chain: Chain::default(),
            partial: None,
            partial_at: None,
        })
    }

    /// Where the log in the repository goes on: for a spool that was lost.
    fn position(&self) -> Option<LogPosition> {
        let ends = self
            .archive
            .pieces()
            .iter()
            .filter_map(|stored| match stored.piece.content {
                PieceContent::Segments(_, end) => Some(LogPosition {
                    lsn: end,
                    timeline: stored.piece.timeline,
                }),
                _ => None,
            });
        ends.fold(None, |newest, end| newest.max_position(Some(end)))
    }

    /// How far the spool has come, to the byte.
    fn spooled(&self) -> Result<Option<LogPosition>, FollowError> {
        let Some(size) = self.archive.segment_size() else {
            return Ok(None);
        };
        let spool = Spool::open(self.following.spool, size.bytes())?;
        Ok(spool.position()?)
    }

    /// Stores what is in the spool and not in the repository. Full segments leave the spool then, but for the newest, which tells
    /// where the log goes on. The partial one is stored when it is time, or `all` is wanted.
    fn hand_over(&mut self, follower: &mut dyn Follower, all: bool) -> Result<(), FollowError> {
        let Some(size) = self.size()? else { return Ok(()) };
        let (full, partial) = self.waiting(size)?;
        let mut files = Vec::new();
        for file in &full {
            let path = self.following.spool.join(file.name(size));
            files.push(LogFileOnDisk::inspect(&path, size, &mut self.chain)?);
        }
        if let Some(partial) = partial
            && (all || self.is_time())
        {
            files.extend(self.partial(partial, size)?);
            self.partial_at = Some((self.following.client.now)());
        }
        if files.is_empty() {
            return Ok(());
        }
        let index = self
            .following
            .repository
            .open_index(IndexOptions::default())
            .map_err(LogError::from)?;
        let options = BackupOptions {
            time: (self.following.client.now)(),
            ..self.following.options.clone()
        };
        let stored = self.archive.store(&index, files, &options)?;
        if !stored.new.is_empty() {
            follower.stored(&stored.new, size);
        }
        self.tidy(size)
    }

    /// Removes full segments that are stored from the spool, but for the newest.
    fn tidy(&self, size: SegmentSize) -> Result<(), FollowError> {
        let names = self.entries()?;
        let files = names
            .iter()
            .filter_map(|path| LogFile::parse(path.file_name()?.to_str()?, size).ok());
        let mut segments: Vec<LogFile> = files.filter(|file| matches!(file, LogFile::Segment(_))).collect();
        segments.sort_unstable();
        segments.pop();
        segments.retain(|file| self.archive.pieces().iter().any(|stored| stored.piece.holds(*file)));
        for file in segments {
            let path = self.following.spool.join(file.name(size));
            fs::remove_file(&path).map_err(LogError::io("remove", &path))?;
        }
        Ok(())
    }

    fn is_time(&self) -> bool {
        let now = (self.following.client.now)();
        self.partial_at
            .is_none_or(|at| now.duration_since(at) >= self.following.partial_every)
    }

    /// The length of segments: as stored, or as the first segment in the spool says.
    fn size(&self) -> Result<Option<SegmentSize>, FollowError> {
        if let Some(size) = self.archive.segment_size() {
            return Ok(Some(size));
        }
        let mut names: Vec<PathBuf> = self.entries()?;
        names.sort();
        let is_segment = |path: &&PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.len() >= 24 && !name.contains("history")
        };
        match names.iter().find(is_segment) {
            // Its first page may be on its way still.
            Some(path) => Ok(super::log::segment_size(path).ok()),
            None => Ok(None),
        }
    }

    fn entries(&self) -> Result<Vec<PathBuf>, FollowError> {
        let failed = || LogError::io("list", self.following.spool);
        let entries = fs::read_dir(self.following.spool).map_err(failed())?;
        let paths = entries.map(|entry| Ok(entry.map_err(failed())?.path()));
        paths.collect()
    }

    /// Full segments and histories that are not stored, in order, and the newest segment that is not full.
    fn waiting(&self, size: SegmentSize) -> Result<(Vec<LogFile>, Option<LogFile>), FollowError> {
        let names = self.entries()?;
        let files = names
            .iter()
            .filter_map(|path| LogFile::parse(path.file_name()?.to_str()?, size).ok());
        let is_partial = |file: &LogFile| matches!(file, LogFile::Partial(_));
        let (partial, mut full): (Vec<LogFile>, Vec<LogFile>) = files.partition(is_partial);
        full.retain(|file| !self.archive.pieces().iter().any(|stored| stored.piece.holds(*file)));
        full.sort_unstable();
        Ok((full, partial.into_iter().max()))
    }

    /// A copy of the segment that is not full, if it has grown since it was stored.
    fn partial(&mut self, file: LogFile, size: SegmentSize) -> Result<Option<LogFileOnDisk>, FollowError> {
        let from = self.following.spool.join(file.name(size));
        let folder = self.following.spool.join(HANDING);
        let to = folder.join(file.name(size));
        fs::create_dir_all(&folder).map_err(LogError::io("make folder", &folder))?;
        match fs::copy(&from, &to) {
            Ok(_) => {}
            // It has become full meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LogError::io("copy", &from)(error).into()),
        }
        // It goes on in the segment of another chain than the full ones: their chain must not lose its place.
        let mut chain = self.chain.clone();
        let Ok(partial) = LogFileOnDisk::inspect(&to, size, &mut chain) else {
            // Not even its first page is there.
            return Ok(None);
        };
        let state = (file, partial.length);
        if self.partial == Some(state) && partial.length < size.bytes() {
            return Ok(None);
        }
        self.partial = Some(state);
        Ok(Some(partial))
    }
}
