//! [`receive`]: the log of a server over a slot, across timelines, into a [`LogSink`].

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::address::Address;
use super::base_backup::LogPosition;
use super::connection::{ClientOptions, Connection, PATIENCE, Purpose, SLICE};
use super::error::{PostgresError, Result, SinkError};
use super::log_stream::{LogEvent, LogStream, NextTimeline, Progress, finish, report};
use super::lsn::Lsn;
use super::replication::{History, Identity, SlotName};

/// How long received log may wait to be made safe while more keeps coming.
const FLUSH_AFTER: SignedDuration = SignedDuration::from_secs(1);
/// Without anything to tell, the server hears from this side at least this often: it gives up after a minute.
const REPORT_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// What takes the log. Positions follow each other without gaps on a timeline; a new one starts at the start of a segment.
pub trait LogSink {
    /// How a timeline came to be, before its first bytes. It may come again.
    fn history(&mut self, history: &History) -> Result<(), SinkError>;
    /// The next bytes.
    fn write(&mut self, timeline: u32, start: Lsn, bytes: &[u8]) -> Result<(), SinkError>;
    /// Makes everything that was written safe, and says up to where it is. The server may forget what lies before.
    fn flush(&mut self) -> Result<Lsn, SinkError>;
}

/// Where the log comes from.
#[derive(Clone, Debug)]
pub struct LogSource {
    /// The server.
    pub address: Address,
    /// The slot, which must be there: the server keeps the log for it.
    pub slot: SlotName,
    /// The cluster that the log must be of; `None` where none is known yet.
    pub system_identifier: Option<u64>,
    /// Where to go on, at the start of a segment. `None` starts with the oldest log that the slot holds.
    pub from: Option<LogPosition>,
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When the caller's stop flag is set.
    Stopped,
    /// When all is here that the server's disk held at the start.
    CaughtUp,
}

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The server, as it was at the start.
    pub identity: Identity,
    /// From here.
    pub start: LogPosition,
    /// Up to here; all of it is safe.
    pub end: LogPosition,
    /// Whether the stop flag ended it.
    pub was_stopped: bool,
}

/// Receives until it is time to stop, or something fails; what came before a failure is made safe first.
pub fn receive(source: &LogSource, until: Until, options: &ClientOptions, sink: &mut dyn LogSink) -> Result<Received> {
    let mut connection = Connection::open(&source.address, Purpose::Replication, options)?;
    let identity = connection.identify_system()?;
    check_system(&connection, source, identity)?;
    let segment_bytes = connection.show_size("wal_segment_size")?;
    let start = match source.from {
        Some(from) => from,
        None => oldest(&mut connection, source, options, identity, segment_bytes)?,
    };
    let start = on_servers_branch(&mut connection, identity, start, segment_bytes)?;
    let now = connection.now();
    let target = (until == Until::CaughtUp).then_some((identity.timeline, identity.flushed));
    let mut receiver = Receiver {
        connection,
        slot: &source.slot,
        sink,
        segment_bytes,
        target,
        at: start,
        // Position 0 tells the server nothing: its slot must not move back to where it may have no log any more.
        flushed: Lsn(0),
        flushed_at: now,
        reported_at: now,
        silent: Duration::ZERO,
    };
    let outcome = receiver.run();
    let flushed = receiver.flush();
    let was_stopped = match outcome {
        Err(PostgresError::Stopped { .. }) => true,
        outcome => outcome.map(|()| false)?,
    };
    flushed?;
    if was_stopped {
        // A courtesy: whoever receives next tells the server the same.
        let _ = receiver.report();
    }
    Ok(Received {
        identity,
        start,
        end: receiver.at,
        was_stopped,
    })
}

fn check_system(connection: &Connection, source: &LogSource, identity: Identity) -> Result<()> {
    match source.system_identifier {
        Some(expected) if expected != identity.system_identifier => Err(PostgresError::OtherSystem {
            place: connection.place().to_owned(),
            expected,
            found: identity.system_identifier,
        }),
        _ => Ok(()),
    }
}

fn floor(lsn: Lsn, segment_bytes: u64) -> Lsn {
    Lsn(lsn.0 - lsn.0 % segment_bytes)
}

/// The start of the oldest segment that the slot holds.
fn oldest(
    connection: &mut Connection,
    source: &LogSource,
    options: &ClientOptions,
    identity: Identity,
    segment_bytes: u64,
) -> Result<LogPosition> {
    let slot = match connection.major() {
        // Their replication protocol has no command for it, but SQL has.
        ..15 => Connection::open(&source.address, Purpose::Sql, options)?.find_slot(&source.slot)?,
        _ => connection.read_slot(&source.slot)?,
    };
    let slot = slot.ok_or_else(|| PostgresError::NoSlot {
        place: connection.place().to_owned(),
        slot: source.slot.to_string(),
    })?;
    Ok(LogPosition {
        lsn: floor(slot.restart.unwrap_or(identity.flushed), segment_bytes),
        timeline: slot.timeline.unwrap_or(identity.timeline),
    })
}

/// The place to go on that the server knows. Where a replica was promoted before it had all that is kept here, that is
/// where its timeline branched off.
fn on_servers_branch(
    connection: &mut Connection,
    identity: Identity,
    start: LogPosition,
    segment_bytes: u64,
) -> Result<LogPosition> {
    let (kept, current) = (start.timeline, identity.timeline);
    if kept > current || kept == current && start.lsn > identity.flushed {
        return Err(PostgresError::Ahead {
            place: connection.place().to_owned(),
            timeline: kept,
            start: start.lsn,
            flushed: identity.flushed,
        });
    }
    if kept == current {
        return Ok(start);
    }
    let history = connection.timeline_history(current)?;
    let line = super::log::History::parse(current, &history.content)
        .map_err(|what| connection.protocol(what.to_string()))?
        .ancestors;
    let place = line.iter().position(|ancestor| ancestor.timeline == kept);
    let place = place.ok_or_else(|| PostgresError::OtherHistory {
        place: connection.place().to_owned(),
        kept,
        current,
    })?;
    let left_at = line[place].end;
    if start.lsn <= left_at {
        return Ok(start);
    }
    Ok(LogPosition {
        lsn: floor(left_at, segment_bytes),
        timeline: line.get(place + 1).map_or(current, |next| next.timeline),
    })
}

struct Receiver<'a> {
    connection: Connection,
    slot: &'a SlotName,
    sink: &'a mut dyn LogSink,
    segment_bytes: u64,
    /// The timeline and position that are far enough.
    target: Option<(u32, Lsn)>,
    /// Everything before has been written.
    at: LogPosition,
    /// Everything before is safe.
    flushed: Lsn,
    flushed_at: Timestamp,
    reported_at: Timestamp,
    /// How long the server has said nothing.
    silent: Duration,
}

impl Receiver<'_> {
    /// Follows one timeline after the other.
    fn run(&mut self) -> Result<()> {
        while !self.is_enough() {
            if self.at.timeline > 1 {
                let history = self.connection.timeline_history(self.at.timeline)?;
                self.sink.history(&history)?;
            }
            let Some(next) = self.follow()? else { return Ok(()) };
            self.flush()?;
            if next.timeline <= self.at.timeline {
                return Err(self
                    .connection
                    .protocol(format!("timeline {} as the next", next.timeline)));
            }
            // The new timeline has the whole segment in which it left the old one.
            self.at = LogPosition {
                lsn: floor(next.start, self.segment_bytes),
                timeline: next.timeline,
            };
            self.flushed = self.at.lsn;
        }
        Ok(())
    }

    fn is_enough(&self) -> bool {
        let is_far = |(timeline, lsn)| self.at.timeline == timeline && self.at.lsn >= lsn;
        self.target.is_some_and(is_far)
    }

    /// Streams one timeline, to its end or until it is enough.
    fn follow(&mut self) -> Result<Option<NextTimeline>> {
        let stream = LogStream::start(&mut self.connection, self.slot, self.at.timeline, self.at.lsn)?;
        self.silent = Duration::ZERO;
        loop {
            let event = stream.next(&mut self.connection)?;
            let must_settle = match event {
                LogEvent::Data { start, bytes } => {
                    self.take(start, &bytes)?;
                    false
                }
                // A server that shuts down waits until all is safe here.
                LogEvent::Alive { answer } => {
                    self.silent = Duration::ZERO;
                    answer
                }
                LogEvent::Quiet => {
                    self.silent += SLICE;
                    self.connection.keep_waiting(self.silent)?;
                    false
                }
                LogEvent::Ended(next) => return Ok(Some(next)),
            };
            self.settle(must_settle)?;
            if self.is_enough() {
                finish(&mut self.connection)?;
                return Ok(None);
            }
            if self.connection.is_stopped() {
                return Err(self.connection.stopped());
            }
        }
    }

    fn take(&mut self, start: Lsn, bytes: &[u8]) -> Result<()> {
        self.silent = Duration::ZERO;
        if start != self.at.lsn {
            let what = format!("log from {start} where {} is next", self.at.lsn);
            return Err(self.connection.protocol(what));
        }
        self.sink.write(self.at.timeline, start, bytes)?;
        self.at.lsn = Lsn(start.0 + bytes.len() as u64);
        Ok(())
    }

    /// Makes safe what came and tells the server, where it is time to: at once when no more is coming.
    fn settle(&mut self, must: bool) -> Result<()> {
        let now = self.connection.now();
        let has_unsafe = self.flushed < self.at.lsn;
        let is_pausing = !self.silent.is_zero() || self.is_enough();
        let must_flush = has_unsafe && (must || is_pausing || is_due(self.flushed_at, FLUSH_AFTER, now));
        if must_flush {
            self.flush()?;
        }
        if must || must_flush || is_due(self.reported_at, REPORT_EVERY, now) {
            self.report()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.flushed < self.at.lsn {
            self.flushed = self.sink.flush()?;
        }
        self.flushed_at = self.connection.now();
        Ok(())
    }

    fn report(&mut self) -> Result<()> {
        self.reported_at = self.connection.now();
        let progress = Progress {
            written: self.at.lsn,
            flushed: self.flushed,
        };
        // A server that has long said nothing is asked whether it is there.
        report(&mut self.connection, progress, self.silent >= PATIENCE / 4)
    }
}

/// Whether so much time passed. A clock that was set back makes everything due.
fn is_due(since: Timestamp, limit: SignedDuration, now: Timestamp) -> bool {
    !(SignedDuration::ZERO..limit).contains(&now.duration_since(since))
}
