//! [`Connection`]: one blocking connection to a server.
//!
//! Nothing here waits for ever: every wait is cut into short slices, between which the caller's stop flag is looked at,
//! and ends when the server was silent for longer than the patience that is set.

mod authentication;
mod reply;
mod socket;
mod start;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use jiff::Timestamp;
use postgres_protocol::message::backend::{Header, Message};
use postgres_protocol::message::frontend;

use super::error::{PostgresError, Result, ServerReport};
pub(super) use reply::Reply;
pub(super) use socket::SLICE;
use socket::Stream;

/// How long a server may be silent when it has something to say.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes asked of the socket at a time: two blocks of a base backup. Larger pieces would cost a page fault each.
const READ: usize = 64 << 10;
/// No message that this client can get is larger; a length beyond is no length.
const LARGEST_MESSAGE: i32 = 64 << 20;
/// Warnings that are kept for whoever asks.
const MOST_WARNINGS: usize = 100;

/// What a connection takes from its caller.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The time, for what is told to the server and how often.
    pub now: fn() -> Timestamp,
    /// Set by the caller to end whatever runs, within about a quarter of a second.
    pub stop: Arc<AtomicBool>,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// SQL in the address's database.
    Sql,
    /// Replication commands, for which PostgreSQL has its own lines in `pg_hba.conf`.
    Replication,
}

/// One connection to a server, ready for commands.
pub struct Connection {
    stream: Stream,
    incoming: BytesMut,
    outgoing: BytesMut,
    options: ClientOptions,
    patience: Duration,
    place: String,
    user: String,
    doing: String,
    parameters: BTreeMap<String, String>,
    warnings: Vec<ServerReport>,
    backend: i32,
    major: u32,
}

impl Connection {
    /// The host and port, or the socket, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The server's major version, 13 to 18.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// Whether bytes are encrypted on their way.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// A setting that the server reports by itself, such as `server_version`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// Takes what the server warned of since this was last asked.
    pub fn take_warnings(&mut self) -> Vec<ServerReport> {
        std::mem::take(&mut self.warnings)
    }

    /// The number of the server's process behind this connection.
    pub(super) fn backend(&self) -> i32 {
        self.backend
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.options.now)()
    }

    /// Says what is being done, for messages of errors.
    pub(super) fn begin(&mut self, doing: impl Into<String>) {
        self.doing = doing.into();
    }

    /// How long the server may be silent from now on.
    pub(super) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    pub(super) fn protocol(&self, what: impl Into<String>) -> PostgresError {
        PostgresError::Protocol {
            place: self.place.clone(),
            doing: self.doing.clone(),
            what: what.into(),
        }
    }

    pub(super) fn refused(&self, report: ServerReport) -> PostgresError {
        PostgresError::refused(&self.place, &self.user, &self.doing, Box::new(report))
    }

    fn lost(&self, source: io::Error) -> PostgresError {
        PostgresError::Lost {
            place: self.place.clone(),
            doing: self.doing.clone(),
            source,
        }
    }

    /// Whether the caller asked to stop.
    pub(super) fn is_stopped(&self) -> bool {
        self.options.stop.load(Ordering::Relaxed)
    }

    pub(super) fn stopped(&self) -> PostgresError {
        PostgresError::Stopped {
            doing: self.doing.clone(),
        }
    }

    /// An error when the caller asked to stop, or the server was silent for too long.
    pub(super) fn keep_waiting(&self, silent: Duration) -> Result<()> {
        if self.is_stopped() {
            return Err(self.stopped());
        }
        if silent >= self.patience {
            return Err(PostgresError::Silent {
                place: self.place.clone(),
                doing: self.doing.clone(),
                seconds: silent.as_secs(),
            });
        }
        Ok(())
    }

    /// Sends one command of the simple protocol.
    pub(super) fn send_query(&mut self, command: &str) -> Result<()> {
        frontend::query(command, &mut self.outgoing)
            .map_err(|_| self.protocol("a command that is to be sent holds a zero byte"))?;
        self.flush()
    }

    /// Sends data within a copy.
    pub(super) fn send_copy_data(&mut self, data: &[u8]) -> Result<()> {
        let message = frontend::CopyData::new(data).map_err(|error| self.protocol(error.to_string()))?;
        message.write(&mut self.outgoing);
        self.flush()
    }

    /// Ends this side of a copy.
    pub(super) fn send_copy_done(&mut self) -> Result<()> {
        frontend::copy_done(&mut self.outgoing);
        self.flush()
    }

    /// Writes out all that is to be sent.
    fn flush(&mut self) -> Result<()> {
        let mut silent = Duration::ZERO;
        while !self.outgoing.is_empty() {
            match self.stream.write(&self.outgoing) {
                Ok(0) => return Err(self.lost(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    let _ = self.outgoing.split_to(count);
                    silent = Duration::ZERO;
                }
                Err(error) => silent = self.after(error, silent)?,
            }
        }
        while let Err(error) = self.stream.flush() {
            silent = self.after(error, silent)?;
        }
        Ok(())
    }

    /// What an error of the socket means: a slice of time that passed, or the end.
    fn after(&self, error: io::Error, silent: Duration) -> Result<Duration> {
        match error.kind() {
            io::ErrorKind::Interrupted => Ok(silent),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                let silent = silent + SLICE;
                self.keep_waiting(silent)?;
                Ok(silent)
            }
            _ => Err(self.lost(error)),
        }
    }

    /// The next message, waiting for it.
    pub(super) fn receive(&mut self) -> Result<Reply> {
        let mut silent = Duration::ZERO;
        loop {
            if let Some(reply) = self.buffered()? {
                return Ok(reply);
            }
            match self.fill()? {
                true => silent = Duration::ZERO,
                false => {
                    silent += SLICE;
                    self.keep_waiting(silent)?;
                }
            }
        }
    }

    /// The next message if there is one within a slice of time, for who has other things to do meanwhile.
    pub(super) fn receive_soon(&mut self) -> Result<Option<Reply>> {
        loop {
            if let Some(reply) = self.buffered()? {
                return Ok(Some(reply));
            }
            if !self.fill()? {
                self.keep_waiting(Duration::ZERO)?;
                return Ok(None);
            }
        }
    }

    /// The next message that is here already. What the server says beside the matter is put away.
    pub(super) fn buffered(&mut self) -> Result<Option<Reply>> {
        loop {
            let header = Header::parse(&self.incoming).map_err(|error| self.protocol(error.to_string()))?;
            let Some(header) = header else { return Ok(None) };
            if header.len() > LARGEST_MESSAGE {
                return Err(self.protocol(format!("a message of {} bytes", header.len())));
            }
            if let Some(reply) = Reply::copy_both(header, &mut self.incoming) {
                return Ok(Some(reply));
            }
            let message = Message::parse(&mut self.incoming).map_err(|error| self.protocol(error.to_string()))?;
            let Some(message) = message else { return Ok(None) };
            match Reply::of(message).map_err(|error| self.protocol(error.to_string()))? {
                Reply::Notice(report) if self.warnings.len() < MOST_WARNINGS => self.warnings.push(report),
                Reply::Notice(_) => {}
                Reply::Parameter(name, value) => {
                    self.parameters.insert(name, value);
                }
                reply => return Ok(Some(reply)),
            }
        }
    }

    /// Reads what the socket has; `false` where it has nothing for a slice of time.
    fn fill(&mut self) -> Result<bool> {
        let filled = self.incoming.len();
        self.incoming.resize(filled + READ, 0);
        let outcome = self.stream.read(&mut self.incoming[filled..]);
        self.incoming.truncate(filled + *outcome.as_ref().unwrap_or(&0));
        match outcome {
            Ok(0) => Err(self.lost(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server closed the connection",
            ))),
            Ok(_) => Ok(true),
            Err(error) => {
                self.after(error, Duration::ZERO)?;
                Ok(false)
            }
        }
    }

    /// The error that the server's report means, once the server is ready for the next command or gone.
    pub(super) fn fail(&mut self, report: ServerReport) -> PostgresError {
        let error = self.refused(report);
        while !matches!(self.receive(), Ok(Reply::Ready) | Err(_)) {}
        error
    }
}

impl Drop for Connection {
    /// Says goodbye, so that the server's log shows no lost connection. Nothing depends on it.
    fn drop(&mut self) {
        self.outgoing.clear();
        frontend::terminate(&mut self.outgoing);
        let _ = self.stream.write(&self.outgoing);
        let _ = self.stream.flush();
    }
}
