//! [`Framing`]: how archives follow each other: one copy for each up to version 14, all in one from version 15 on.

use std::path::PathBuf;

use bytes::{Buf, Bytes};

use super::super::connection::{Connection, Reply};
use super::super::error::Result;
use super::Tablespace;

/// What comes next.
pub(super) enum Piece {
    /// An archive begins, whose members belong below this folder of the data folder.
    Archive(PathBuf),
    /// The manifest begins.
    Manifest,
    /// Some bytes of what began last.
    Data(Bytes),
}

impl Piece {
    /// How many bytes it has.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Piece::Data(data) => data.len(),
            Piece::Archive(_) | Piece::Manifest => 0,
        }
    }
}

/// Tells the pieces apart.
pub(super) enum Framing {
    /// One copy for each archive, in the order of the list of tablespaces, and one for the manifest.
    Copies {
        /// The archives to come.
        archives: std::vec::IntoIter<PathBuf>,
    },
    /// One copy, in which messages have a letter each.
    Messages,
}

/// Where the archive of a tablespace belongs, or of the data folder itself.
pub(super) fn below(tablespace: Option<u32>) -> PathBuf {
    tablespace.map_or_else(PathBuf::new, |oid| PathBuf::from(format!("pg_tblspc/{oid}")))
}

impl Framing {
    /// The next piece; `None` when nothing more comes.
    pub(super) fn next(&mut self, connection: &mut Connection, tablespaces: &[Tablespace]) -> Result<Option<Piece>> {
        loop {
            let reply = match connection.receive()? {
                Reply::Error(report) => return Err(connection.fail(report)),
                reply => reply,
            };
            match (&mut *self, reply) {
                (Framing::Copies { archives }, Reply::CopyOut) => {
                    return Ok(Some(archives.next().map_or(Piece::Manifest, Piece::Archive)));
                }
                (Framing::Copies { .. }, Reply::Data(data)) => return Ok(Some(Piece::Data(data))),
                (Framing::Copies { .. }, Reply::CopyDone) | (Framing::Messages, Reply::CopyOut) => {}
                // The columns of the end position: there is no other sign that nothing more comes.
                (Framing::Copies { .. }, Reply::Columns(_)) | (Framing::Messages, Reply::CopyDone) => {
                    return Ok(None);
                }
                (Framing::Messages, Reply::Data(data)) => {
                    if let Some(piece) = message(connection, tablespaces, data)? {
                        return Ok(Some(piece));
                    }
                }
                _ => return Err(connection.protocol("something else than archives")),
            }
        }
    }
}

fn message(connection: &Connection, tablespaces: &[Tablespace], mut data: Bytes) -> Result<Option<Piece>> {
    let letter = data.first().copied();
    data.advance(usize::from(letter.is_some()));
    match letter {
        Some(b'd') => Ok(Some(Piece::Data(data))),
        Some(b'm') => Ok(Some(Piece::Manifest)),
        // Progress, which nobody looks at.
        Some(b'p') => Ok(None),
        Some(b'n') => {
            let name = data.split(|byte| *byte == 0).next().unwrap_or_default();
            let name = String::from_utf8_lossy(name);
            let oid = match name.strip_suffix(".tar") {
                Some("base") => None,
                Some(digits) => digits
                    .parse()
                    .ok()
                    .filter(|oid| tablespaces.iter().any(|known| known.oid == *oid)),
                None => None,
            };
            match oid {
                None if name != "base.tar" => Err(connection.protocol(format!("an archive by the name of {name:?}"))),
                oid => Ok(Some(Piece::Archive(below(oid)))),
            }
        }
        _ => Err(connection.protocol("a message within the base backup that has no meaning")),
    }
}
