//! [`NodeTime`]: a time with nanoseconds and the offset it was written with, as Go's RFC3339Nano.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time that remembers its offset from UTC, so that it is written back as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeTime {
    /// Seconds since 1970-01-01T00:00:00Z, before it negative.
    pub seconds: i64,
    /// Nanoseconds within the second, below 1,000,000,000.
    pub nanos: u32,
    /// Seconds east of UTC; whole minutes.
    pub offset: i32,
}

impl NodeTime {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: NodeTime = NodeTime {
        seconds: 0,
        nanos: 0,
        offset: 0,
    };

    /// A time in UTC, as `stat` gives it.
    pub fn utc(seconds: i64, nanos: u32) -> NodeTime {
        NodeTime {
            seconds,
            nanos,
            offset: 0,
        }
    }

    /// The point in time without its offset. Times beyond the years -9999 to 9999 become the nearest one within.
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::new(self.seconds, i32::try_from(self.nanos).unwrap_or(0)).unwrap_or(if self.seconds < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        })
    }

    /// Writes it as Go's RFC3339Nano. Years that Go cannot write as JSON (outside 0 to 9999) become the nearest second
    /// that it can, as restic does.
    pub fn write(&self, out: &mut Vec<u8>) {
        let minutes = self.offset.clamp(-MAX_OFFSET, MAX_OFFSET) / 60;
        let wanted = self.seconds.saturating_add(i64::from(minutes) * 60);
        let local = wanted.clamp(YEAR_0, YEAR_9999_END);
        let nanos = if wanted == local { self.nanos } else { 0 };
        let (year, month, day) = civil_from_days(local.div_euclid(DAY));
        let second = local.rem_euclid(DAY);
        digits(out, year, 4);
        for (mark, value) in [
            (b'-', month),
            (b'-', day),
            (b'T', second / 3600),
            (b':', second / 60 % 60),
            (b':', second % 60),
        ] {
            out.push(mark);
            digits(out, value, 2);
        }
        if nanos != 0 {
            out.push(b'.');
            digits(out, nanos.into(), 9);
            while out.last() == Some(&b'0') {
                out.pop();
            }
        }
        write_offset(minutes, out);
    }

    /// Reads RFC3339 with up to nine digits of a second.
    pub fn parse(text: &str) -> Option<NodeTime> {
        let bytes = text.as_bytes();
        let number = |from: usize, to: usize| -> Option<i64> { decimal(bytes.get(from..to)?) };
        let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if marks.iter().any(|(at, mark)| bytes.get(*at) != Some(mark)) {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let days = days_from_civil(year, month, day);
        if !(1..=12).contains(&month)
            || civil_from_days(days) != (year, month, day)
            || hour > 23
            || minute > 59
            || second > 59
        {
            return None;
        }
        let mut at = 19;
        let mut nanos = 0;
        if bytes.get(at) == Some(&b'.') {
            let count = bytes[at + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
            if count == 0 || count > 9 {
                return None;
            }
            let scale = 10u32.pow(9 - u32::try_from(count).ok()?);
            nanos = u32::try_from(number(at + 1, at + 1 + count)?).ok()? * scale;
            at += 1 + count;
        }
        let offset = parse_offset(&bytes[at..])?;
        let seconds = days * DAY + hour * 3600 + minute * 60 + second - i64::from(offset);
        Some(NodeTime { seconds, nanos, offset })
    }
}

const DAY: i64 = 86_400;
/// 0000-01-01T00:00:00Z.
const YEAR_0: i64 = -62_167_219_200;
/// 9999-12-31T23:59:59Z.
const YEAR_9999_END: i64 = 253_402_300_799;
/// The largest offset that can be written, in seconds.
const MAX_OFFSET: i32 = 24 * 3600 - 60;

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar. The year is counted from March,
/// so that the leap day is its last; an era is 400 years.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The reverse of [`civil_from_days`].
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn digits(out: &mut Vec<u8>, value: i64, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    let mut rest = value;
    for place in out[start..].iter_mut().rev() {
        *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
}

fn write_offset(minutes: i32, out: &mut Vec<u8>) {
    if minutes == 0 {
        out.push(b'Z');
        return;
    }
    out.push(if minutes < 0 { b'-' } else { b'+' });
    let minutes = i64::from(minutes.abs());
    digits(out, minutes / 60, 2);
    out.push(b':');
    digits(out, minutes % 60, 2);
}

fn parse_offset(bytes: &[u8]) -> Option<i32> {
    match bytes {
        b"Z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let hours = decimal(&[*h1, *h2])?;
            let minutes = decimal(&[*m1, *m2])?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn decimal(bytes: &[u8]) -> Option<i64> {
    if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        bytes
            .iter()
            .fold(0, |value, digit| value * 10 + i64::from(digit - b'0')),
    )
}

impl From<Timestamp> for NodeTime {
    fn from(timestamp: Timestamp) -> NodeTime {
        let (mut seconds, mut nanos) = (timestamp.as_second(), timestamp.subsec_nanosecond());
        if nanos < 0 {
            seconds -= 1;
            nanos += 1_000_000_000;
        }
        NodeTime::utc(seconds, nanos.unsigned_abs())
    }
}

impl fmt::Display for NodeTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(35);
        self.write(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl Serialize for NodeTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NodeTime, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        NodeTime::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not an RFC 3339 time")))
    }
}
