//! Moments that a server is restored to.

use std::fmt;
use std::str::FromStr;

use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};

/// How a time is written that is the same everywhere.
pub const ZONED_TIME: &str =
    "write it with its zone, as in 2026-03-01T12:30:00+02:00 or 2026-03-01T12:30:00[Europe/Vienna]";

/// The word for the end of the log.
const LATEST: &str = "latest";

/// Reads a time with its zone: one without would mean another moment on another machine.
pub fn zoned_time(word: &str) -> Option<Timestamp> {
    let zoned = word.parse::<Zoned>().map(|zoned| zoned.timestamp());
    zoned.or_else(|_| word.parse()).ok()
}

/// What state of a server is wanted: `latest`, or a time with its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Moment {
    /// That at the end of the log.
    Latest,
    /// That of all that was committed by then.
    At(Timestamp),
}

/// A word that means no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no moment: write \"latest\", or a time; {ZONED_TIME}")]
pub struct InvalidMoment(String);

impl FromStr for Moment {
    type Err = InvalidMoment;

    fn from_str(word: &str) -> Result<Self, InvalidMoment> {
        match word {
            LATEST => Ok(Self::Latest),
            _ => zoned_time(word)
                .map(Self::At)
                .ok_or_else(|| InvalidMoment(word.chars().take(80).collect())),
        }
    }
}

impl TryFrom<String> for Moment {
    type Error = InvalidMoment;

    fn try_from(word: String) -> Result<Self, InvalidMoment> {
        word.parse()
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        moment.to_string()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str(LATEST),
            Self::At(time) => time.fmt(f),
        }
    }
}

/// How far a restored server recovers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRecovery {
    /// To there.
    pub to: Moment,
    /// Along this timeline.
    pub timeline: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_with_its_zone_and_written_in_utc() {
        for (word, written) in [
            ("latest", "latest"),
            ("2026-11-28T10:15:00+01:00", "2026-11-28T09:15:00Z"),
            ("2026-11-28T10:15:00.25[Europe/Vienna]", "2026-11-28T09:15:00.25Z"),
            ("2026-11-28T09:15:00Z", "2026-11-28T09:15:00Z"),
        ] {
            let moment: Moment = word.parse().unwrap();
            assert_eq!(moment.to_string(), written);
            let json = serde_json::to_string(&moment).unwrap();
            assert_eq!(serde_json::from_str::<Moment>(&json).unwrap(), moment);
        }
        for wrong in ["", "newest", "2026-11-28", "2026-11-28T10:15:00", "10:15"] {
            let refusal = wrong.parse::<Moment>().unwrap_err().to_string();
            assert!(refusal.contains("with its zone"), "{wrong}: {refusal}");
        }
    }
}
