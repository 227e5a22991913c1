//! Time, identity and randomness of the machine: the one place where they are ambient.

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
fn now() -> Timestamp {
    Timestamp::now()
}

/// Panics when the operating system has no randomness to give: whatever would be made without it is not safe.
#[expect(clippy::disallowed_methods, reason = "this adapter is where randomness comes from")]
fn fill_random(bytes: &mut [u8]) {
    if let Err(error) = getrandom::fill(bytes) {
        panic!("the operating system gives no random bytes: {error}");
    }
}

/// The surroundings of this process, for the content engine. Names that are no UTF-8 are written with replacement
/// characters; a host or user without a name is named as such.
#[expect(clippy::disallowed_methods, reason = "this adapter is where identity comes from")]
pub fn system_ambient() -> Ambient {
    let name_of = |name: Option<std::ffi::OsString>, otherwise: &str| {
        name.map_or_else(|| otherwise.to_owned(), |name| name.to_string_lossy().into_owned())
    };
    Ambient {
        now,
        fill_random,
        hostname: name_of(hostname::get().ok(), "unnamed-host"),
        username: name_of(uzers::get_current_username(), "unnamed-user"),
        pid: std::process::id(),
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
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

    #[test]
    fn the_ambient_names_this_process() {
        let ambient = system_ambient();
        assert!(ambient.pid > 0 && !ambient.hostname.is_empty() && !ambient.username.is_empty());
        assert_ne!(ambient.random::<32>(), [0; 32]);
    }
}
