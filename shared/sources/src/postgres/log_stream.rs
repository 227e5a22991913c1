//! [`LogStream`]: the log as a server sends it.

use bytes::{Buf, Bytes};
use jiff::Timestamp;

use super::connection::{Connection, Reply};
use super::error::{Result, ServerReport};
use super::lsn::Lsn;
use super::query::Row;
use super::replication::SlotName;

/// Microseconds from 1970 to 2000, where PostgreSQL's clock starts.
const EPOCH: i64 = 946_684_800_000_000;

/// What comes next.
pub(super) enum LogEvent {
    /// Log from a position on.
    Data {
        /// The position of the first byte.
        start: Lsn,
        /// The bytes.
        bytes: Bytes,
    },
    /// The server is alive, and may ask for a sign of life.
    Alive {
        /// Whether it waits for an answer.
        answer: bool,
    },
    /// Nothing for a while.
    Quiet,
    /// The timeline ends here, and another goes on.
    Ended(NextTimeline),
}

/// The timeline that follows one that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NextTimeline {
    /// Its number.
    pub timeline: u32,
    /// Where it left the one before.
    pub start: Lsn,
}

/// How far a receiver is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Up to here everything has come.
    pub written: Lsn,
    /// Up to here everything survives a crash.
    pub flushed: Lsn,
}

/// A running stream over a connection, which can do other things again when it has ended.
pub(super) struct LogStream {
    /// A timeline that ends where it was asked for sends no log at all, only its end.
    begun: bool,
}

impl LogStream {
    /// Asks for the log of a timeline from a position on.
    pub(super) fn start(connection: &mut Connection, slot: &SlotName, timeline: u32, from: Lsn) -> Result<LogStream> {
        connection.begin(format!("streaming timeline {timeline} from {from}"));
        let command = format!("START_REPLICATION SLOT \"{slot}\" PHYSICAL {from} TIMELINE {timeline}");
        connection.send_query(&command)?;
        match connection.receive()? {
            Reply::CopyBoth => Ok(LogStream { begun: true }),
            Reply::Columns(_) => Ok(LogStream { begun: false }),
            Reply::Error(report) => Err(connection.fail(report)),
            _ => Err(connection.protocol("no log where one was asked for")),
        }
    }

    /// What comes next, waiting a moment for it.
    pub(super) fn next(&self, connection: &mut Connection) -> Result<LogEvent> {
        if !self.begun {
            return end(connection);
        }
        match connection.receive_soon()? {
            None => Ok(LogEvent::Quiet),
            Some(Reply::Data(data)) => event(connection, data),
            Some(Reply::CopyDone) => {
                connection.send_copy_done()?;
                end(connection)
            }
            // In the middle of the log only a server that goes down, and has sent all of it, is done.
            Some(Reply::Done) => Err(connection.refused(ServerReport {
                code: "57P01".to_owned(),
                message: "it sent its last log and shuts down".to_owned(),
                ..ServerReport::default()
            })),
            Some(Reply::Error(report)) => Err(connection.fail(report)),
            Some(_) => Err(connection.protocol("something else than log")),
        }
    }
}

/// Tells the server how far this side is, which lets it drop older log, and asks for a sign of life where wanted.
pub(super) fn report(connection: &mut Connection, progress: Progress, answer: bool) -> Result<()> {
    let mut message = Vec::with_capacity(34);
    message.push(b'r');
    message.extend_from_slice(&progress.written.0.to_be_bytes());
    message.extend_from_slice(&progress.flushed.0.to_be_bytes());
    // Nothing is replayed here.
    message.extend_from_slice(&0_u64.to_be_bytes());
    message.extend_from_slice(&since_2000(connection.now()).to_be_bytes());
    message.push(u8::from(answer));
    connection.send_copy_data(&message)
}

/// Ends the stream from this side.
pub(super) fn finish(connection: &mut Connection) -> Result<()> {
    connection.send_copy_done()?;
    rest(connection).map(|_| ())
}

fn event(connection: &Connection, mut data: Bytes) -> Result<LogEvent> {
    let kind = data.first().copied();
    match kind {
        Some(b'w') if data.len() > 25 => {
            data.advance(1);
            let start = Lsn(data.get_u64());
            data.advance(16);
            Ok(LogEvent::Data { start, bytes: data })
        }
        Some(b'k') if data.len() == 18 => {
            let answer = data[17] != 0;
            Ok(LogEvent::Alive { answer })
        }
        _ => Err(connection.protocol("a message within the log that has no meaning")),
    }
}

/// The row that names the next timeline, and the end of the command.
fn end(connection: &mut Connection) -> Result<LogEvent> {
    let rows = rest(connection)?;
    let row = rows
        .first()
        .ok_or_else(|| connection.protocol("a timeline ends, but no other follows"))?;
    Ok(LogEvent::Ended(NextTimeline {
        timeline: connection.parsed(row, 0)?,
        start: connection.parsed(row, 1)?,
    }))
}

fn rest(connection: &mut Connection) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    loop {
        match connection.receive()? {
            Reply::Row(body) => rows.push(connection.row(&body)?),
            Reply::Ready => return Ok(rows),
            Reply::Error(report) => return Err(connection.fail(report)),
            // Log that was on its way when this side ended the stream; it will be asked for again.
            Reply::Data(_) | Reply::CopyDone | Reply::Columns(_) | Reply::Done => {}
            _ => return Err(connection.protocol("something else than the end of the log")),
        }
    }
}

fn since_2000(time: Timestamp) -> i64 {
    time.as_microsecond() - EPOCH
}
