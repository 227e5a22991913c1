//! Lengths of time as people write them.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A length of time of whole seconds, written `90s`, `15m`, `4h`, `30d` or `2w`; days are 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span {
    seconds: i64,
}

impl Span {
    /// A span of whole seconds; negative counts as none.
    pub const fn seconds(seconds: i64) -> Self {
        Self {
            seconds: if seconds < 0 { 0 } else { seconds },
        }
    }

    /// A span of whole minutes.
    pub const fn minutes(minutes: i64) -> Self {
        Self::seconds(minutes * 60)
    }

    /// A span of whole hours.
    pub const fn hours(hours: i64) -> Self {
        Self::seconds(hours * 3600)
    }

    /// A span of whole days of 24 hours.
    pub const fn days(days: i64) -> Self {
        Self::hours(days * 24)
    }

    /// The length in seconds.
    pub const fn as_seconds(self) -> i64 {
        self.seconds
    }

    /// The span from `from` to `to`; none when `to` is not later.
    pub fn between(from: Timestamp, to: Timestamp) -> Self {
        Self::seconds(to.duration_since(from).as_secs())
    }

    /// The time that lies this span after `at`, or the last representable time.
    pub fn after(self, at: Timestamp) -> Timestamp {
        at.checked_add(SignedDuration::from_secs(self.seconds))
            .unwrap_or(Timestamp::MAX)
    }

    /// The time that lies this span before `at`, or the first representable time.
    pub fn before(self, at: Timestamp) -> Timestamp {
        at.checked_sub(SignedDuration::from_secs(self.seconds))
            .unwrap_or(Timestamp::MIN)
    }
}

/// A word that is no span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a length of time: write a whole number and a unit, such as 90s, 15m, 4h, 30d or 2w")]
pub struct InvalidSpan(String);

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(word: &str) -> Result<Self, InvalidSpan> {
        let invalid = || InvalidSpan(word.chars().take(40).collect());
        let unit = word.chars().last().ok_or_else(invalid)?;
        let number = &word[..word.len() - unit.len_utf8()];
        let in_seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return Err(invalid()),
        };
        if number.is_empty() || !number.chars().all(|c| c.is_ascii_digit()) {
            return Err(invalid());
        }
        let number: i64 = number.parse().map_err(|_| invalid())?;
        number.checked_mul(in_seconds).map(Self::seconds).ok_or_else(invalid)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(604_800, 'w'), (86_400, 'd'), (3600, 'h'), (60, 'm')];
        let whole = units
            .into_iter()
            .find(|(size, _)| self.seconds > 0 && self.seconds % size == 0);
        match whole {
            Some((size, unit)) => write!(f, "{}{unit}", self.seconds / size),
            None => write!(f, "{}s", self.seconds),
        }
    }
}

impl TryFrom<String> for Span {
    type Error = InvalidSpan;
    fn try_from(word: String) -> Result<Self, InvalidSpan> {
        word.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        span.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_and_write_the_same() {
        for word in ["90s", "15m", "4h", "30d", "2w", "0s"] {
            assert_eq!(word.parse::<Span>().unwrap().to_string(), word);
        }
    }

    #[test]
    fn words_that_are_no_span_are_refused() {
        for word in ["", "h", "4", "4 h", "-4h", "4y", "1.5h", "99999999999999999w", "4ü"] {
            assert!(word.parse::<Span>().is_err(), "{word:?}");
        }
    }
}
