//! [`History`]: where a timeline came from, as its history file tells.

use super::super::lsn::Lsn;

/// Longest history file that is read: tens of thousands of promotions.
const LONGEST: usize = 4 << 20;

/// A timeline that ended, and where the next one went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Its number.
    pub timeline: u32,
    /// The first position that is no longer its own.
    pub end: Lsn,
}

/// A timeline and those it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Its number.
    pub timeline: u32,
    /// Oldest first; their numbers and their ends ascend.
    pub ancestors: Vec<Ancestor>,
}

/// A history file that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the history file of timeline {timeline} is not valid: {reason}")]
pub struct HistoryError {
    /// The timeline it is named after.
    pub timeline: u32,
    /// What is wrong, with the line.
    pub reason: String,
}

impl History {
    /// A timeline that came from none, such as the first.
    pub fn first(timeline: u32) -> History {
        let ancestors = Vec::new();
        History { timeline, ancestors }
    }

    /// Reads a history file.
    pub fn parse(timeline: u32, bytes: &[u8]) -> Result<History, HistoryError> {
        let wrong = |reason: String| HistoryError { timeline, reason };
        if bytes.len() > LONGEST {
            return Err(wrong(format!("it is longer than {LONGEST} bytes")));
        }
        let mut ancestors: Vec<Ancestor> = Vec::new();
        // The reasons at the ends of lines are in whatever encoding the server had.
        for line in bytes.split(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(line);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let ancestor = ancestor(line).ok_or_else(|| wrong(format!("{line:?} names no timeline and position")))?;
            let newest = ancestors.last().map_or((0, Lsn(0)), |last| (last.timeline, last.end));
            if ancestor.timeline <= newest.0 || ancestor.end < newest.1 || ancestor.timeline >= timeline {
                return Err(wrong(format!("{line:?} is out of order")));
            }
            ancestors.push(ancestor);
        }
        Ok(History { timeline, ancestors })
    }

    /// The timeline whose log leads over a position on the way to this one: the byte at the position is in its segments.
    pub fn holding(&self, lsn: Lsn) -> u32 {
        let holds = |ancestor: &&Ancestor| lsn < ancestor.end;
        self.ancestors
            .iter()
            .find(holds)
            .map_or(self.timeline, |found| found.timeline)
    }

    /// Where a timeline's part of this history begins and ends, the end open for the newest. `None` for one that this
    /// did not come from.
    pub fn part(&self, timeline: u32) -> Option<(Lsn, Option<Lsn>)> {
        let mut begin = Lsn(0);
        for ancestor in &self.ancestors {
            if ancestor.timeline == timeline {
                return Some((begin, Some(ancestor.end)));
            }
            begin = ancestor.end;
        }
        (timeline == self.timeline).then_some((begin, None))
    }

    /// All timelines, oldest first.
    pub fn timelines(&self) -> impl Iterator<Item = u32> {
        let ancestors = self.ancestors.iter().map(|ancestor| ancestor.timeline);
        ancestors.chain([self.timeline])
    }
}

fn ancestor(line: &str) -> Option<Ancestor> {
    let mut words = line.split_ascii_whitespace();
    let timeline = words.next()?;
    let strict = timeline.bytes().all(|byte| byte.is_ascii_digit());
    Some(Ancestor {
        timeline: strict.then(|| timeline.parse().ok()).flatten()?,
        end: words.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_tells_which_timeline_holds_what() {
        let text =
            b"1\t0/3000158\tno recovery target specified\n\n# made by hand\n3\t0/5000000\tbefore 2026-01-01 \xff\n";
        let history = History::parse(4, text).unwrap();
        for (lsn, timeline) in [
            (0, 1),
            (0x300_0157, 1),
            (0x300_0158, 3),
            (0x4ff_ffff, 3),
            (0x500_0000, 4),
        ] {
            assert_eq!(history.holding(Lsn(lsn)), timeline, "{lsn:x}");
        }
        assert_eq!(history.part(3), Some((Lsn(0x300_0158), Some(Lsn(0x500_0000)))));
        assert_eq!(history.part(4), Some((Lsn(0x500_0000), None)));
        assert_eq!(history.part(2), None);
        assert_eq!(history.timelines().collect::<Vec<_>>(), [1, 3, 4]);
        assert_eq!(History::first(1).holding(Lsn(9)), 1);
        assert_eq!(History::parse(1, b""), Ok(History::first(1)));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_line() {
        for wrong in [
            &b"x\t0/1\ty"[..],
            b"1",
            b"2\t0/1\ta\n1\t0/2\tb",
            b"1\t0/2\ta\n2\t0/1\tb",
            b"5\t0/1\tits own",
            b"0\t0/1\tnone",
            b"+1\t0/1\ta",
            b"\xff",
        ] {
            let error = History::parse(5, wrong).unwrap_err();
            assert!(error.to_string().contains("timeline 5"), "{error}");
        }
    }
}
