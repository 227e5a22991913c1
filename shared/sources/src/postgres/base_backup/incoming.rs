//! [`Incoming`]: what the server sends, received by a thread of its own while what came before is looked at.

use std::iter::Flatten;
use std::panic::resume_unwind;
use std::sync::mpsc::{IntoIter, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use super::super::connection::Connection;
use super::super::error::Result;
use super::Tablespace;
use super::framing::{Framing, Piece};

/// Bytes that are handed over at one time: enough that two threads seldom have to wake each other.
const HANDED_OVER: usize = 1 << 20;
/// How many times so much may wait.
const WAITING: usize = 3;

/// Archives and the manifest, on their way.
pub(super) struct Incoming {
    /// What was handed over and what will be. Gone when nobody wants it any more.
    pieces: Option<Flatten<IntoIter<Vec<Piece>>>>,
    thread: Option<JoinHandle<Result<Connection>>>,
}

impl Incoming {
    /// Begins to receive what was asked for over a connection.
    pub(super) fn begin(connection: Connection, framing: Framing, tablespaces: Vec<Tablespace>) -> Incoming {
        let (handed_over, waiting) = sync_channel(WAITING);
        let receive = move || receive(connection, framing, &tablespaces, &handed_over);
        Incoming {
            pieces: Some(waiting.into_iter().flatten()),
            thread: Some(thread::spawn(receive)),
        }
    }

    /// The next piece; `None` when nothing more comes, because that was all or because something failed.
    pub(super) fn next(&mut self) -> Option<Piece> {
        self.pieces.as_mut()?.next()
    }

    /// The connection again once nothing more comes, or what failed; `None` where it was given back already.
    pub(super) fn end(&mut self) -> Option<Result<Connection>> {
        self.pieces = None;
        let ended = self.thread.take()?.join();
        Some(ended.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

impl Drop for Incoming {
    /// Nobody wants the rest: the thread ends with the next that it would hand over, or with the server's patience.
    fn drop(&mut self) {
        self.pieces = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Receives until nothing more comes, or nobody wants it.
fn receive(
    mut connection: Connection,
    mut framing: Framing,
    tablespaces: &[Tablespace],
    handed_over: &SyncSender<Vec<Piece>>,
) -> Result<Connection> {
    loop {
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        let mut is_end = false;
        while bytes < HANDED_OVER && !is_end {
            match framing.next(&mut connection, tablespaces)? {
                Some(piece) => {
                    bytes += piece.bytes();
                    pieces.push(piece);
                }
                None => is_end = true,
            }
        }
        if handed_over.send(pieces).is_err() || is_end {
            return Ok(connection);
        }
    }
}
