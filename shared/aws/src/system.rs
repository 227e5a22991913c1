//! Time and identity of the machine: the one place of this crate where they are ambient.

use holdfast_core::ports::{Clock, Ids};
use holdfast_repository::Ambient;
use jiff::Timestamp;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        now()
    }
}

/// Random ids.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    fn fresh(&self) -> String {
        let mut bytes = [0; 16];
        fill_random(&mut bytes);
        hex::encode(bytes)
    }
}

#[expect(clippy::disallowed_methods, reason = "this adapter is where the time comes from")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Panics when the operating system has no randomness to give: whatever would be made without it is not safe.
#[expect(clippy::disallowed_methods, reason = "this adapter is where randomness comes from")]
fn fill_random(bytes: &mut [u8]) {
    if let Err(error) = getrandom::fill(bytes) {
        panic!("the operating system gives no random bytes: {error}");
    }
}

/// The surroundings of a function, for the content engine. Its processes come and go: in snapshots, keys and locks they all
/// go by one name, and a lock of one that died is given up by its age.
#[expect(clippy::disallowed_methods, reason = "this adapter is where identity comes from")]
pub(crate) fn ambient(hostname: String) -> Ambient {
    Ambient {
        now,
        fill_random,
        hostname,
        username: "holdfast".to_owned(),
        pid: std::process::id(),
        uid: 0,
        gid: 0,
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
