//! Time and identity of the machine: the one place of this crate where they are ambient.

use holdfast_core::ports::{Clock, Ids};
use jiff::Timestamp;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this adapter is where the time comes from")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Random ids.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    /// Panics when the operating system has no randomness to give: an id made without it may be somebody else's.
    #[expect(clippy::disallowed_methods, reason = "this adapter is where identity comes from")]
    fn fresh(&self) -> String {
        let mut bytes = [0; 16];
        if let Err(error) = getrandom::fill(&mut bytes) {
            panic!("the operating system gives no random bytes: {error}");
        }
        hex::encode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_hexadecimal_and_differ() {
        let ids = [SystemIds.fresh(), SystemIds.fresh()];
        assert_ne!(ids[0], ids[1]);
        for id in ids {
            assert!(
                id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
                "{id}"
            );
        }
    }
}
