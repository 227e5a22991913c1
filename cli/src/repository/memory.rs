//! `--memory`: how much goes on at one time, so that all of it fits.

use std::fmt;
use std::str::FromStr;

use holdfast_repository::Id;
use holdfast_repository::backup::BackupOptions;

const MIB: u64 = 1 << 20;
/// The program, its threads, and small things.
const BASE: u64 = 64 * MIB;
/// One thread of each kind fits, with the smallest packs.
const LEAST: u64 = 224 * MIB;

/// The part of a file that a reader looks at: twice the longest chunk and a run of zeroes.
const READER: u64 = 9 * MIB;
/// The largest batch of chunks.
const BATCH: u64 = 5 * MIB;
/// A pack may be larger than it is to be by its last blob and its header.
const BEYOND: u64 = 5 * MIB;
/// Sizes of packs, in the order of preference: every pack costs a request on S3.
const PACKS: [u64; 4] = [LARGEST_PACK, 16 * MIB, 8 * MIB, 4 * MIB];
const LARGEST_PACK: u64 = 32 * MIB;
/// Packs on their way to S3 at one time, at the least where smaller packs are possible, and at the most.
const REMOTE_UPLOADS: (u64, u64) = (4, 16);

/// What one request holds of which a pack comes piece by piece: the part that is opened, the largest blob in it twice, and what
/// has come after it.
const REQUEST: u64 = 20 * MIB;
/// A group of packs that are read together.
const GROUP: u64 = 52 * MIB;
/// A pack that is written anew, the one that it goes into, and one that is read meanwhile.
const REWRITTEN: u64 = 3 * (LARGEST_PACK + BEYOND);

/// The most memory that one command takes, in bytes. The index comes on top: 50 bytes for each blob of the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory(u64);

/// What is taken where nothing is said.
pub const DEFAULT: &str = "512M";

impl FromStr for Memory {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let no_size = || format!("\"{word}\" is no size; give a number with K, M or G, as in 512M");
        let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit: u64 = match &word[digits.len()..] {
            "K" => 1 << 10,
            "M" => MIB,
            "G" => 1 << 30,
            _ => return Err(no_size()),
        };
        let number: u64 = digits.parse().map_err(|_| no_size())?;
        let bytes = number.checked_mul(unit).ok_or_else(no_size)?;
        if bytes < LEAST {
            return Err(format!("{word} is too little: at least {} are needed", Self(LEAST)));
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}M", self.0 / MIB)
    }
}

impl Memory {
    /// Sizes of packs and numbers of threads for a backup.
    pub fn of_backup<'a>(self, options: BackupOptions<'a>, is_remote: bool) -> BackupOptions<'a> {
        let (readers, mut workers) = (options.readers as u64, options.workers as u64);
        let (largest, (least, most)) = if is_remote {
            (LARGEST_PACK, REMOTE_UPLOADS)
        } else {
            let uploads = options.uploads as u64;
            (options.pack_size as u64, (uploads, uploads))
        };
        let flowing = |workers: u64| readers * READER + (readers + 2 * workers) * BATCH;
        while workers > 1 && flowing(workers) > (self.0 - BASE) / 2 {
            workers -= 1;
        }
        let rest = (self.0 - BASE).saturating_sub(flowing(workers));
        // Each worker fills a pack, and so do the folders.
        let filling = workers + 1;
        let fits = |size: u64| rest / (size + BEYOND);
        let mut sizes = PACKS.into_iter().filter(|size| *size <= largest);
        let size = sizes.find(|size| fits(*size) >= filling + least).unwrap_or(PACKS[3]);
        BackupOptions {
            workers: usize::try_from(workers).unwrap_or(1),
            uploads: usize::try_from(fits(size).saturating_sub(filling).clamp(1, most)).unwrap_or(1),
            pack_size: usize::try_from(size).unwrap_or(options.pack_size),
            ..options
        }
    }

    /// Requests of a restore under way at one time.
    pub fn requests(self, wanted: usize) -> usize {
        self.at_once(REQUEST, wanted)
    }

    /// Packs that are checked at one time.
    pub fn checked(self, wanted: usize) -> usize {
        let each = if Id::worth_gathering() > 1 { GROUP } else { REQUEST };
        self.at_once(each, wanted)
    }

    /// Groups of packs that are copied at one time.
    pub fn groups(self, wanted: usize) -> usize {
        self.at_once(GROUP, wanted)
    }

    /// Packs that are written anew at one time.
    pub fn rewritten(self, wanted: usize) -> usize {
        self.at_once(REWRITTEN, wanted)
    }

    fn at_once(self, each: u64, wanted: usize) -> usize {
        let fits = usize::try_from((self.0 - BASE) / each).unwrap_or(wanted);
        fits.clamp(1, wanted.max(1))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use holdfast_repository::progress::NoProgress;
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn sizes_are_read_and_what_is_none_is_named() {
        assert_eq!("512M".parse(), Ok(Memory(512 * MIB)));
        assert_eq!("2G".parse(), Ok(Memory(2048 * MIB)));
        assert_eq!(
            "262144K".parse::<Memory>().map(|memory| memory.to_string()),
            Ok("256M".to_owned())
        );
        for word in ["", "512", "M", "1T", "-1M", "half", "99999999999999G"] {
            let error = word.parse::<Memory>().unwrap_err();
            assert!(error.contains("is no size"), "{error}");
        }
        let error = "128M".parse::<Memory>().unwrap_err();
        assert!(error.contains("at least 224M"), "{error}");
    }

    /// What a backup with these options holds at most.
    fn held(options: &BackupOptions<'_>) -> u64 {
        let (readers, workers) = (options.readers as u64, options.workers as u64);
        let packs = (workers + 1 + options.uploads as u64) * (options.pack_size as u64 + BEYOND);
        BASE + readers * READER + (readers + 2 * workers) * BATCH + packs
    }

    #[test]
    fn what_is_planned_fits_and_more_memory_means_no_fewer_workers() {
        let cancel = AtomicBool::new(false);
        for is_remote in [false, true] {
            let mut last = 0;
            for mib in (LEAST / MIB..4096).step_by(8) {
                let memory = Memory(mib * MIB);
                let options = memory.of_backup(
                    BackupOptions::new(Timestamp::UNIX_EPOCH, &NoProgress, &cancel),
                    is_remote,
                );
                assert!(held(&options) <= memory.0, "{mib}: {}", held(&options) / MIB);
                assert!(options.uploads >= 1 && options.workers >= 1);
                assert!(options.workers >= last, "{mib}");
                last = options.workers;
                let sums = [
                    memory.requests(64) as u64 * REQUEST,
                    memory.groups(64) as u64 * GROUP,
                    memory.rewritten(64) as u64 * REWRITTEN,
                ];
                assert!(sums.iter().all(|sum| BASE + sum <= memory.0), "{mib}: {sums:?}");
            }
        }
    }

    #[test]
    fn the_default_leaves_a_disk_what_is_fastest_and_halves_the_requests_of_a_bucket() {
        let cancel = AtomicBool::new(false);
        let usual = || BackupOptions::new(Timestamp::UNIX_EPOCH, &NoProgress, &cancel);
        let memory: Memory = DEFAULT.parse().unwrap();
        let local = memory.of_backup(usual(), false);
        assert_eq!((local.pack_size, local.uploads), (usual().pack_size, usual().uploads));
        assert_eq!(memory.of_backup(usual(), true).pack_size as u64, LARGEST_PACK);
    }
}
