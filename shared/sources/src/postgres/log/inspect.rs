//! [`LogFileOnDisk`]: a file of a log that is about to be stored, looked through.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::super::lsn::Lsn;
use super::super::segment::{LogFile, Segment, SegmentSize};
use super::error::LogError;
use super::history::History;
use super::piece::{Piece, PieceContent};
use super::records::{Chain, End, Followed, origin};

/// Read at one time.
const BUFFER: usize = 256 << 10;
/// Longest file beside segments that is read.
const LONGEST_TEXT: u64 = 4 << 20;

/// A file of a log, and what it holds.
#[derive(Clone, Debug)]
pub struct LogFileOnDisk {
    /// Where it is.
    pub path: PathBuf,
    /// Which file it is.
    pub file: LogFile,
    /// Its length.
    pub length: u64,
    /// What a snapshot of it alone would say.
    pub piece: Piece,
}

/// The length of a server's segments, by the first page of one.
pub fn segment_size(path: &Path) -> Result<SegmentSize, LogError> {
    let mut file = File::open(path).map_err(LogError::io("open", path))?;
    let origin = origin(&mut file).map_err(|fault| LogError::Fault {
        name: name_of(path),
        fault,
    })?;
    Ok(origin.segment_size)
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

impl LogFileOnDisk {
    /// Looks a file through: every record of a segment is checked. `chain` goes on from the segment before, if that was looked
    /// through last.
    pub fn inspect(path: &Path, size: SegmentSize, chain: &mut Chain) -> Result<LogFileOnDisk, LogError> {
        let name = name_of(path);
        let file = LogFile::parse(&name, size)?;
        let mut content = File::open(path).map_err(LogError::io("open", path))?;
        let length = content.metadata().map_err(LogError::io("look at", path))?.len();
        let plain = |timeline, content| Piece {
            system: None,
            segment_size: size,
            timeline,
            content,
            last_commit: None,
        };
        let piece = match file {
            LogFile::History(timeline) => {
                let history = History::parse(timeline, &text(&mut content, path)?)?;
                plain(timeline, PieceContent::History(history))
            }
            LogFile::BackupHistory { segment, .. } => plain(segment.timeline, PieceContent::BackupHistory(file)),
            LogFile::Segment(segment) => {
                if length != size.bytes() {
                    let expected = size.bytes();
                    return Err(LogError::Length {
                        name,
                        found: length,
                        expected,
                    });
                }
                let followed = follow(&name, segment, size, content, chain)?;
                if let End::Broken { at, reason } = followed.end {
                    return Err(LogError::Damaged { name, at, reason });
                }
                let range = PieceContent::Segments(segment.start(size), segment.end(size));
                of_server(segment, size, &followed, range)
            }
            LogFile::Partial(segment) => {
                let followed = follow(&name, segment, size, content, chain)?;
                let end = match &followed.end {
                    End::Broken { at, .. } => *at,
                    End::Whole | End::Switched => segment.end(size),
                };
                // Its first page alone holds the end of a record that began before.
                let end = end.max(Lsn(segment.start(size).0 + 1));
                of_server(
                    segment,
                    size,
                    &followed,
                    PieceContent::Partial(segment.start(size), end),
                )
            }
        };
        Ok(LogFileOnDisk {
            path: path.to_owned(),
            file,
            length,
            piece,
        })
    }
}

fn of_server(segment: Segment, size: SegmentSize, followed: &Followed, content: PieceContent) -> Piece {
    Piece {
        system: Some(followed.origin.system),
        segment_size: size,
        timeline: segment.timeline,
        content,
        last_commit: followed.last_commit,
    }
}

fn follow(
    name: &str,
    segment: Segment,
    size: SegmentSize,
    content: File,
    chain: &mut Chain,
) -> Result<Followed, LogError> {
    let mut content = BufReader::with_capacity(BUFFER, content);
    chain
        .follow(segment, size, &mut content)
        .map_err(|fault| LogError::Fault {
            name: name.to_owned(),
            fault,
        })
}

fn text(content: &mut File, path: &Path) -> Result<Vec<u8>, LogError> {
    let mut bytes = Vec::new();
    let mut limited = content.take(LONGEST_TEXT + 1);
    limited.read_to_end(&mut bytes).map_err(LogError::io("read", path))?;
    Ok(bytes)
}
