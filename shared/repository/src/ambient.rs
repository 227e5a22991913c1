//! [`Ambient`]: time, identity and randomness, handed in by the program.

use jiff::Timestamp;

/// What the engine needs to know about its surroundings. The program makes the real one; tests a fixed one.
#[derive(Clone)]
pub struct Ambient {
    /// The time now.
    pub now: fn() -> Timestamp,
    /// Fills a buffer from the operating system's random generator. Encryption rests on it: never a seeded
    /// generator outside tests.
    pub fill_random: fn(&mut [u8]),
    /// Name of this host, written into snapshots, keys and locks.
    pub hostname: String,
    /// Name of the user this process runs as.
    pub username: String,
    /// This process.
    pub pid: u32,
    /// Numeric user id of this process.
    pub uid: u32,
    /// Numeric group id of this process.
    pub gid: u32,
}

impl Ambient {
    /// `N` random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0u8; N];
        (self.fill_random)(&mut bytes);
        bytes
    }
}
