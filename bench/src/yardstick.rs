//! What the necessary steps take when the usual programs do each alone over the same bytes: a yardstick of the machine.
//!
//! Every byte that is backed up has to be read and hashed once, what can be compressed has to be compressed, and what is
//! stored has to be encrypted. With `n` processors that is the sum of these divided by `n`, or the time to copy the files,
//! whichever is longer. A check has to decrypt, decompress and hash; a restore must write as well. It is no limit: an engine
//! reads from no pipe, encrypts only what compression leaves, and does not try to compress what looks like noise.

use std::ffi::OsString;
use std::path::Path;

use serde::Serialize;

use crate::data::Set;
use crate::measured;

/// Seconds of one processor for each kernel over all bytes of a set, and of the wall for copying it.
#[derive(Debug, Clone, Serialize)]
pub struct Yardstick {
    /// The set.
    pub set: &'static str,
    /// Seconds that `cp --recursive` takes.
    pub copy: f64,
    /// SHA-256 of everything.
    pub sha256: f64,
    /// Compression of everything, level 3.
    pub zstd: f64,
    /// Decompression of it.
    pub unzstd: f64,
    /// AES-256-CTR over everything.
    pub aes: f64,
}

impl Yardstick {
    /// Measures with coreutils, OpenSSL and the zstd program.
    pub fn of(set: Set, data: &Path, work: &Path) -> Result<Self, String> {
        let out = work.join("yardstick");
        let cpu = |script: &str| shell(script, data, &out).map(|took| took.cpu);
        let all = "find \"$1\" -type f -exec cat {} +";
        let reading = cpu(&format!("{all} > /dev/null"))?;
        let key =
            "-K 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f -iv 00000000000000000000000000000000";
        let alone = Self {
            set: set.name(),
            copy: shell("cp --recursive \"$1\" \"$2\"", data, &out)?.wall,
            sha256: cpu(&format!("{all} | openssl dgst -sha256"))? - reading,
            aes: cpu(&format!("{all} | openssl enc -aes-256-ctr {key} > /dev/null"))? - reading,
            zstd: cpu(&format!(
                "rm -rf \"$2\"; {all} | zstd --quiet -3 --single-thread > \"$2\""
            ))? - reading,
            unzstd: cpu("zstd --quiet --decompress --stdout \"$2\" > /dev/null")?,
        };
        shell("rm -rf \"$2\"", data, &out)?;
        Ok(alone)
    }

    /// Seconds on the wall for what a first backup of this set cannot do without.
    pub fn backup(&self, processors: f64) -> f64 {
        self.copy.max((self.sha256 + self.zstd + self.aes) / processors)
    }

    /// The same for reading everything back without writing it.
    pub fn check(&self, processors: f64) -> f64 {
        (self.sha256 + self.unzstd + self.aes) / processors
    }

    /// The same for restoring.
    pub fn restore(&self, processors: f64) -> f64 {
        self.copy.max(self.check(processors))
    }
}

fn shell(script: &str, data: &Path, out: &Path) -> Result<measured::Took, String> {
    let words = [
        OsString::from("sh"),
        "-c".into(),
        script.into(),
        "sh".into(),
        data.into(),
        out.into(),
    ];
    measured::run(&words, &[], Path::new("/"))
}
