//! [`Lsn`]: a position in a server's write-ahead log.

use std::fmt;
use std::str::FromStr;

/// A byte position in the write-ahead log, written as PostgreSQL does: `16/B374D848`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// Text that is no position in a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no log position: write two hexadecimal numbers with a slash, as in 16/B374D848")]
pub struct LsnError(String);

impl FromStr for Lsn {
    type Err = LsnError;

    fn from_str(text: &str) -> Result<Lsn, LsnError> {
        let wrong = || LsnError(text.to_owned());
        let half = |digits: &str| {
            let hexadecimal = matches!(digits.len(), 1..=8) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            hexadecimal.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
        };
        let (high, low) = text.split_once('/').ok_or_else(wrong)?;
        let (high, low) = (half(high).ok_or_else(wrong)?, half(low).ok_or_else(wrong)?);
        Ok(Lsn(high << 32 | low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_written_and_read_as_postgresql_does() {
        for (text, position) in [
            ("0/0", 0),
            ("16/B374D848", 0x16_B374_D848),
            ("FFFFFFFF/FFFFFFFF", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Lsn(position)));
            assert_eq!(Lsn(position).to_string(), text);
        }
        for wrong in ["", "16", "/", "1/", "/1", "1/123456789", "g/1", "+1/1", "1/1/1"] {
            assert!(wrong.parse::<Lsn>().is_err(), "{wrong}");
        }
    }
}
