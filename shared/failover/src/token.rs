//! [`Token`]: the secret that guards, the authority endpoint and their callers share.

use std::fmt;
use std::path::Path;

use holdfast_core::domain::{Failure, FailureKind};
use zeroize::Zeroizing;

/// Fewer characters can be guessed.
const FEWEST: usize = 16;

/// A shared secret, kept out of logs and wiped from memory.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// Reads the first line of a file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let refused = |reason: String| {
            let message = format!(
                "token file {}: {reason}: write {FEWEST} or more random characters into its first line",
                path.display()
            );
            Failure::new(FailureKind::Invalid, message)
        };
        let content = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
        let content = Zeroizing::new(content);
        let line = content.lines().next().unwrap_or_default().trim();
        let is_plain = line.bytes().all(|byte| byte.is_ascii_graphic());
        if line.len() < FEWEST || !is_plain {
            return Err(refused(
                "the secret is short, or holds something else than letters, digits and signs".to_owned(),
            ));
        }
        Ok(Self(Zeroizing::new(line.to_owned())))
    }

    /// The value of an `Authorization` header.
    pub(crate) fn header(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("Bearer {}", self.0.as_str()))
    }

    /// Whether a request's `Authorization` header holds it. This takes as long for every wrong one of the same length.
    pub(crate) fn is_in(&self, header: Option<&[u8]>) -> bool {
        let (own, other) = (self.header(), header.unwrap_or_default());
        let differs = own
            .bytes()
            .zip(other)
            .fold(0, |differs, (own, other)| differs | (own ^ other));
        own.len() == other.len() && differs == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_taken_and_no_short_one_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "0123456789abcdef\nmore").unwrap();
        let token = Token::read(&path).unwrap();
        assert!(token.is_in(Some(b"Bearer 0123456789abcdef")));
        for wrong in [
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdeg",
            "",
            "0123456789abcdef",
        ] {
            assert!(!token.is_in(Some(wrong.as_bytes())), "{wrong}");
        }
        assert!(!token.is_in(None));
        assert_eq!(format!("{token:?}"), "…");
        std::fs::write(&path, "short").unwrap();
        assert_eq!(Token::read(&path).unwrap_err().kind, FailureKind::Invalid);
    }
}
