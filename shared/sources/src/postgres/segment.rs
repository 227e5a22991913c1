//! [`Segment`]: the files that a server's log is cut into, their names, and those of the files beside them.

use std::fmt;

use super::lsn::Lsn;

/// How long a server's segments are: a power of two from 1 MiB to 1 GiB, chosen when the server is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentSize(u32);

/// Text or a number that means no segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// No server has segments of this length.
    #[error("{0} bytes is no length of log segments: it is a power of two from 1 MiB to 1 GiB")]
    Size(u64),
    /// A name that no file of a log has.
    #[error("{0:?} is no name of a log segment, history file or backup history file")]
    Name(String),
}

impl SegmentSize {
    /// The shortest.
    pub const SMALLEST: SegmentSize = SegmentSize(1 << 20);
    /// What servers have unless they were made otherwise.
    pub const DEFAULT: SegmentSize = SegmentSize(16 << 20);

    /// Segments of so many bytes.
    pub fn new(bytes: u64) -> Result<SegmentSize, SegmentError> {
        match u32::try_from(bytes) {
            Ok(size) if size.is_power_of_two() && (1 << 20..=1 << 30).contains(&size) => Ok(SegmentSize(size)),
            _ => Err(SegmentError::Size(bytes)),
        }
    }

    /// Their length.
    pub fn bytes(self) -> u64 {
        self.0.into()
    }

    /// Segments that share the middle part of their names.
    fn per_log(self) -> u64 {
        (1 << 32) / self.bytes()
    }

    /// How far a position is from the start of its segment.
    pub fn offset(self, lsn: Lsn) -> u64 {
        lsn.0 % self.bytes()
    }
}

impl fmt::Display for SegmentSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.0 >> 20)
    }
}

/// One file of a log. Segments of one timeline are in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment {
    /// The timeline that wrote it.
    pub timeline: u32,
    /// How many segments of its length lie before it.
    pub number: u64,
}

impl Segment {
    /// The segment that holds the byte at a position.
    pub fn holding(timeline: u32, lsn: Lsn, size: SegmentSize) -> Segment {
        let number = lsn.0 / size.bytes();
        Segment { timeline, number }
    }

    /// The segment that holds the last byte before a position.
    pub fn before(timeline: u32, lsn: Lsn, size: SegmentSize) -> Segment {
        Segment::holding(timeline, Lsn(lsn.0.saturating_sub(1)), size)
    }

    /// The position of its first byte. A number beyond all positions has the last one.
    pub fn start(self, size: SegmentSize) -> Lsn {
        Lsn(self.number.saturating_mul(size.bytes()))
    }

    /// The position after its last byte.
    pub fn end(self, size: SegmentSize) -> Lsn {
        self.next().start(size)
    }

    /// The one that follows on the same timeline.
    pub fn next(self) -> Segment {
        Segment {
            number: self.number.saturating_add(1),
            ..self
        }
    }

    /// Its file's name: 24 hexadecimal digits.
    pub fn name(self, size: SegmentSize) -> String {
        let (log, part) = (self.number / size.per_log(), self.number % size.per_log());
        format!("{:08X}{log:08X}{part:08X}", self.timeline)
    }

    /// The segment that a name means. Names are strict: capital digits, no timeline 0, no part beyond what the length allows.
    pub fn parse(name: &str, size: SegmentSize) -> Result<Segment, SegmentError> {
        let wrong = || SegmentError::Name(name.to_owned());
        let (timeline, rest) = name.split_at_checked(8).ok_or_else(wrong)?;
        let (log, part) = rest.split_at_checked(8).ok_or_else(wrong)?;
        let [timeline, log, part] = [timeline, log, part].map(eight_digits);
        match (timeline, log, part) {
            (Some(timeline), Some(log), Some(part)) if timeline > 0 && u64::from(part) < size.per_log() => {
                Ok(Segment {
                    timeline,
                    number: u64::from(log) * size.per_log() + u64::from(part),
                })
            }
            _ => Err(wrong()),
        }
    }
}

fn eight_digits(text: &str) -> Option<u32> {
    let strict = text.len() == 8 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'));
    strict.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

/// A file that a server archives or asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogFile {
    /// A full segment.
    Segment(Segment),
    /// The beginning of a segment: the last one of a timeline that was left, or one that is still being written.
    Partial(Segment),
    /// Where a timeline came from.
    History(u32),
    /// Where a base backup began, left in the log for people.
    BackupHistory {
        /// The segment in which it began.
        segment: Segment,
        /// At which byte of it.
        offset: u32,
    },
}

impl LogFile {
    /// The file that a name means.
    pub fn parse(name: &str, size: SegmentSize) -> Result<LogFile, SegmentError> {
        let wrong = || SegmentError::Name(name.to_owned());
        if let Some(segment) = name.strip_suffix(".partial") {
            return Segment::parse(segment, size).map(LogFile::Partial).map_err(|_| wrong());
        }
        if let Some(timeline) = name.strip_suffix(".history") {
            let timeline = eight_digits(timeline).filter(|timeline| *timeline > 0);
            return timeline.map(LogFile::History).ok_or_else(wrong);
        }
        let Some(start) = name.strip_suffix(".backup") else {
            return Segment::parse(name, size).map(LogFile::Segment);
        };
        let (segment, offset) = start.split_once('.').ok_or_else(wrong)?;
        let segment = Segment::parse(segment, size).map_err(|_| wrong())?;
        match eight_digits(offset) {
            Some(offset) if u64::from(offset) < size.bytes() => Ok(LogFile::BackupHistory { segment, offset }),
            _ => Err(wrong()),
        }
    }

    /// Its name.
    pub fn name(self, size: SegmentSize) -> String {
        match self {
            LogFile::Segment(segment) => segment.name(size),
            LogFile::Partial(segment) => segment.name(size) + ".partial",
            LogFile::History(timeline) => format!("{timeline:08X}.history"),
            LogFile::BackupHistory { segment, offset } => format!("{}.{offset:08X}.backup", segment.name(size)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_those_that_servers_give() {
        let size = SegmentSize::DEFAULT;
        let segment = Segment::holding(1, "16/B374D848".parse().unwrap(), size);
        assert_eq!(segment.name(size), "0000000100000016000000B3");
        assert_eq!(segment.start(size).to_string(), "16/B3000000");
        assert_eq!(segment.end(size).to_string(), "16/B4000000");
        let last = Segment::parse("00000002000000000000003F", SegmentSize::new(64 << 20).unwrap()).unwrap();
        let size = SegmentSize::new(64 << 20).unwrap();
        assert_eq!(last.next().name(size), "000000020000000100000000");
        let edge = Lsn(0x1_0000_0000);
        assert_eq!(Segment::before(2, edge, size), last);
        assert_eq!(Segment::holding(2, edge, size), last.next());
    }

    #[test]
    fn files_beside_segments_are_told_by_their_names() {
        let size = SegmentSize::DEFAULT;
        let segment = Segment {
            timeline: 0x1A,
            number: 0x102,
        };
        for (name, file) in [
            ("0000001A0000000100000002", LogFile::Segment(segment)),
            ("0000001A0000000100000002.partial", LogFile::Partial(segment)),
            ("0000001A.history", LogFile::History(0x1A)),
            (
                "0000001A0000000100000002.00000028.backup",
                LogFile::BackupHistory { segment, offset: 0x28 },
            ),
        ] {
            assert_eq!(LogFile::parse(name, size), Ok(file));
            assert_eq!(file.name(size), name);
        }
        for wrong in [
            "",
            "0000001a0000000100000002",
            "0000001A000000010000000",
            "0000001A00000001000000020",
            "0000001A0000000100000100",
            "000000000000000100000002",
            "+000001A0000000100000002",
            "00000000.history",
            "1A.history",
            ".history",
            "0000001A0000000100000002.partial.partial",
            "0000001A0000000100000002.backup",
            "0000001A0000000100000002.01000000.backup",
            "0000001A0000000100000002.28.backup",
            "../0000001A0000000100000002",
            "0000001A00000001000000é2",
        ] {
            assert!(LogFile::parse(wrong, size).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_lengths_that_servers_know_are_taken() {
        for wrong in [0, 1, 1 << 19, 3 << 20, 1 << 31, (1 << 32) + (16 << 20), u64::MAX] {
            assert_eq!(SegmentSize::new(wrong), Err(SegmentError::Size(wrong)));
        }
    }

    proptest! {
        #[test]
        fn every_position_lies_in_the_segment_that_its_name_says(lsn: u64, timeline in 1u32.., bits in 20u32..=30) {
            let size = SegmentSize::new(1 << bits).unwrap();
            let segment = Segment::holding(timeline, Lsn(lsn), size);
            prop_assert_eq!(Segment::parse(&segment.name(size), size), Ok(segment));
            prop_assert!(segment.start(size).0 <= lsn && lsn - segment.start(size).0 == size.offset(Lsn(lsn)));
            prop_assert!(segment.end(size).0 == u64::MAX || lsn < segment.end(size).0);
        }

        #[test]
        fn what_is_parsed_is_named_the_same(name in "[0-9A-F.]{0,26}(|\\.partial|\\.history|\\.backup)", bits in 20u32..=30) {
            let size = SegmentSize::new(1 << bits).unwrap();
            if let Ok(file) = LogFile::parse(&name, size) {
                prop_assert_eq!(file.name(size), name);
            }
        }
    }
}
