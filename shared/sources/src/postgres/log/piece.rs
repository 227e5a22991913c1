//! [`Piece`]: part of a log as one snapshot holds it, and the tags that tell without reading the snapshot's tree.

use holdfast_repository::{Id, Snapshot};
use jiff::Timestamp;

use super::super::lsn::Lsn;
use super::super::segment::{LogFile, Segment, SegmentSize};
use super::error::LogError;
use super::history::{Ancestor, History};

/// The tag of every snapshot of a log.
pub const TAG: &str = "wal";

/// What one snapshot holds of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The server's system identifier. `None` for history files, which do not say it.
    pub system: Option<u64>,
    /// Length of the server's segments.
    pub segment_size: SegmentSize,
    /// The timeline that its files are of.
    pub timeline: u32,
    /// What it holds.
    pub content: PieceContent,
    /// Time of the last commit or rollback in it.
    pub last_commit: Option<Timestamp>,
}

/// The files of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PieceContent {
    /// Full segments, from the one that starts at the first position to the one that ends at the second.
    Segments(Lsn, Lsn),
    /// The beginning of a segment, from its start to the end of the last record in it.
    Partial(Lsn, Lsn),
    /// A history file, and what it says.
    History(History),
    /// A backup history file.
    BackupHistory(LogFile),
}

/// A piece and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPiece {
    /// The snapshot that holds it.
    pub snapshot: Id,
    /// What it holds.
    pub piece: Piece,
}

impl Piece {
    /// The positions that it covers; none for files that are no log themselves.
    pub fn range(&self) -> Option<(Lsn, Lsn)> {
        match self.content {
            PieceContent::Segments(start, end) | PieceContent::Partial(start, end) => Some((start, end)),
            PieceContent::History(_) | PieceContent::BackupHistory(_) => None,
        }
    }

    /// Whether it holds a file.
    pub fn holds(&self, file: LogFile) -> bool {
        let size = self.segment_size;
        match (&self.content, file) {
            (PieceContent::Segments(start, end), LogFile::Segment(segment)) => {
                segment.timeline == self.timeline && *start <= segment.start(size) && segment.end(size) <= *end
            }
            (PieceContent::Partial(start, _), LogFile::Partial(segment)) => {
                segment.timeline == self.timeline && *start == segment.start(size)
            }
            (PieceContent::History(history), LogFile::History(timeline)) => history.timeline == timeline,
            (PieceContent::BackupHistory(held), file) => *held == file,
            _ => false,
        }
    }

    /// The tags that say all of this.
    pub fn tags(&self) -> Vec<String> {
        let mut tags = vec![
            TAG.to_owned(),
            format!("segment-bytes:{}", self.segment_size.bytes()),
            format!("timeline:{}", self.timeline),
        ];
        tags.extend(self.system.map(|system| format!("system:{system}")));
        if let Some((start, end)) = self.range() {
            tags.extend([format!("start:{start}"), format!("end:{end}")]);
        }
        match &self.content {
            PieceContent::Segments(..) => {}
            PieceContent::Partial(..) => tags.push("partial".to_owned()),
            PieceContent::History(history) => {
                tags.push("history".to_owned());
                let branch = |ancestor: &Ancestor| format!("branch:{}:{}", ancestor.timeline, ancestor.end);
                tags.extend(history.ancestors.iter().map(branch));
            }
            PieceContent::BackupHistory(file) => tags.push(format!("backup:{}", file.name(self.segment_size))),
        }
        tags.extend(self.last_commit.map(|time| format!("commit:{time}")));
        tags
    }

    /// Reads the tags of a snapshot; `None` where it holds no log.
    pub fn of(id: Id, snapshot: &Snapshot) -> Result<Option<Piece>, LogError> {
        if !snapshot.tags.iter().any(|tag| tag == TAG) {
            return Ok(None);
        }
        Piece::parse(&snapshot.tags)
            .map(Some)
            .map_err(|reason| LogError::Tags { snapshot: id, reason })
    }

    fn parse(tags: &[String]) -> Result<Piece, String> {
        let value = |name: &str| {
            let mut values = tags.iter().filter_map(|tag| tag.strip_prefix(name)?.strip_prefix(':'));
            match (values.next(), values.next()) {
                (value, None) => Ok(value),
                _ => Err(format!("`{name}` is there twice")),
            }
        };
        let needed = |name: &str| value(name)?.ok_or_else(|| format!("`{name}` is missing"));
        let lsn = |name: &str| needed(name)?.parse::<Lsn>().map_err(|error| error.to_string());
        let timeline = number(needed("timeline")?)?;
        let segment_size = SegmentSize::new(number(needed("segment-bytes")?)?).map_err(|error| error.to_string())?;
        let has = |word: &str| tags.iter().any(|tag| tag == word);
        let content = if let Some(name) = value("backup")? {
            PieceContent::BackupHistory(LogFile::parse(name, segment_size).map_err(|error| error.to_string())?)
        } else if has("history") {
            let branches = tags.iter().filter_map(|tag| tag.strip_prefix("branch:"));
            let ancestors = branches.map(branch).collect::<Result<_, _>>()?;
            PieceContent::History(History { timeline, ancestors })
        } else {
            let (start, end) = (lsn("start")?, lsn("end")?);
            if start >= end || segment_size.offset(start) != 0 {
                return Err(format!("it goes from {start} to {end}"));
            }
            match has("partial") {
                true => PieceContent::Partial(start, end),
                false => PieceContent::Segments(start, end),
            }
        };
        let commit = value("commit")?.map(str::parse::<Timestamp>).transpose();
        Ok(Piece {
            system: value("system")?.map(number).transpose()?,
            segment_size,
            timeline,
            content,
            last_commit: commit.map_err(|error| error.to_string())?,
        })
    }

    /// The segment that a partial piece begins, or the first of several.
    pub fn first(&self) -> Option<Segment> {
        let (start, _) = self.range()?;
        Some(Segment::holding(self.timeline, start, self.segment_size))
    }
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    let strict = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = strict.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| format!("`{text}` is no number that fits"))
}

fn branch(text: &str) -> Result<Ancestor, String> {
    let (timeline, end) = text.split_once(':').ok_or_else(|| format!("`{text}` is no branch"))?;
    Ok(Ancestor {
        timeline: number(timeline)?,
        end: end.parse::<Lsn>().map_err(|error| error.to_string())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_say_everything_and_are_read_strictly() {
        let size = SegmentSize::DEFAULT;
        let ancestor = |timeline, end| Ancestor {
            timeline,
            end: Lsn(end),
        };
        let backup = LogFile::parse("000000010000000000000002.00000028.backup", size).unwrap();
        for content in [
            PieceContent::Segments(Lsn(2 << 24), Lsn(9 << 24)),
            PieceContent::Partial(Lsn(2 << 24), Lsn((2 << 24) + 1000)),
            PieceContent::History(History {
                timeline: 3,
                ancestors: vec![ancestor(1, 77), ancestor(2, 99)],
            }),
            PieceContent::BackupHistory(backup),
        ] {
            let piece = Piece {
                system: Some(7_234_567_890_123_456_789),
                segment_size: size,
                timeline: 3,
                content,
                last_commit: Some(Timestamp::from_microsecond(1_790_000_000_123_456).unwrap()),
            };
            assert_eq!(Piece::parse(&piece.tags()), Ok(piece));
        }
        let tags = |more: &[&str]| {
            let all = ["wal", "segment-bytes:16777216", "timeline:1"];
            all.iter().chain(more).map(|tag| (*tag).to_owned()).collect::<Vec<_>>()
        };
        assert!(Piece::parse(&tags(&["start:0/1000000", "end:0/2000000"])).is_ok());
        for wrong in [
            &[][..],
            &["start:0/1000000"],
            &["start:0/1000000", "end:0/1000000"],
            &["start:0/1000001", "end:0/2000000"],
            &["start:0/1000000", "end:0/2000000", "end:0/3000000"],
            &["start:0/1000000", "end:0/2000000", "system:-1"],
            &["start:0/1000000", "end:0/2000000", "commit:yesterday"],
            &["history", "branch:1"],
        ] {
            assert!(Piece::parse(&tags(wrong)).is_err(), "{wrong:?}");
        }
    }
}
