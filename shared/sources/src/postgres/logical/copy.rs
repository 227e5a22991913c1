//! Rows out of a server and into one, by `COPY`.

use bytes::Bytes;

use super::super::connection::{Connection, Reply};
use super::super::error::Result;

impl Connection {
    /// Runs a `COPY … TO STDOUT` and hands over its rows as they come.
    pub(super) fn copy_out(&mut self, name: &str, sql: &str, mut take: impl FnMut(&Bytes)) -> Result<()> {
        self.begin(format!("copying {name}"));
        self.send_query(sql)?;
        loop {
            match self.receive()? {
                Reply::Data(rows) => take(&rows),
                Reply::CopyOut | Reply::CopyDone | Reply::Done => {}
                Reply::Ready => return Ok(()),
                Reply::Error(report) => return Err(self.fail(report)),
                _ => return Err(self.protocol("something else than rows")),
            }
        }
    }

    /// Runs a `COPY … FROM STDIN` up to where the rows go, which are sent by [`Connection::send_copy_data`].
    pub(super) fn begin_copy_in(&mut self, name: &str, sql: &str) -> Result<()> {
        self.begin(format!("copying {name}"));
        self.send_query(sql)?;
        match self.receive()? {
            Reply::CopyIn => Ok(()),
            Reply::Error(report) => Err(self.fail(report)),
            _ => Err(self.protocol("something else than a wish for rows")),
        }
    }

    /// Ends the rows, and waits until the server has them all.
    pub(super) fn end_copy_in(&mut self) -> Result<()> {
        self.send_copy_done()?;
        loop {
            match self.receive()? {
                Reply::Done => {}
                Reply::Ready => return Ok(()),
                Reply::Error(report) => return Err(self.fail(report)),
                _ => return Err(self.protocol("something else than the end of a copy")),
            }
        }
    }
}
