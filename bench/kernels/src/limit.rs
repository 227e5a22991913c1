//! The limit: the least time in which something can be done, given how fast the kernels are.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use holdfast_repository::pack::{BlobEncoder, BlobKind};
use holdfast_repository::{RepositoryError, Result};
use serde::Serialize;

use crate::figures::Rates;
use crate::kernel::{PIECE, encoder};

/// What a set of files is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Composition {
    /// Bytes that compression makes smaller.
    pub compressible: u64,
    /// Bytes that it makes of those.
    pub compressed: u64,
    /// Bytes that nothing makes smaller.
    pub noise: u64,
    /// Number of files.
    pub files: u64,
}

impl Composition {
    /// Reads all files below `folder` and compresses each mebibyte of them as the engine does.
    pub fn of(folder: &Path) -> Result<Self> {
        let mut encoder = encoder()?;
        let (mut set, mut folders) = (Self::default(), vec![folder.to_owned()]);
        while let Some(folder) = folders.pop() {
            let failed = |error| RepositoryError::io(format!("read {}", folder.display()))(error);
            for entry in fs::read_dir(&folder).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let kind = entry.file_type().map_err(failed)?;
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    set.add(File::open(entry.path()).map_err(failed)?, &mut encoder)?;
                }
            }
        }
        Ok(set)
    }

    fn add(&mut self, mut file: File, encoder: &mut BlobEncoder) -> Result<()> {
        self.files += 1;
        let mut piece = Vec::new();
        loop {
            piece.clear();
            let read = file.by_ref().take(PIECE as u64).read_to_end(&mut piece);
            let length = read.map_err(RepositoryError::io("read a file"))? as u64;
            if length == 0 {
                return Ok(());
            }
            match encoder.encode(BlobKind::Data, &piece)? {
                (payload, Some(_)) => {
                    self.compressible += length;
                    self.compressed += payload.len() as u64;
                }
                (_, None) => self.noise += length,
            }
        }
    }

    /// Bytes in the files.
    pub fn bytes(&self) -> u64 {
        self.compressible + self.noise
    }

    /// Bytes in a repository that holds every file once.
    pub fn stored(&self) -> u64 {
        self.compressed + self.noise
    }
}

/// Seconds on the wall.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Seconds {
    /// The first backup of everything.
    pub backup: f64,
    /// Reading everything back and comparing it with its hashes.
    pub check: f64,
    /// Restoring everything into an empty folder.
    pub restore: f64,
}

/// The least seconds for a set in which no two pieces are equal, on as many processors as the rates are of, which are those
/// of all of them together: bytes divided by a rate are the kernel's CPU seconds divided by the processors.
///
/// * A backup finds the chunks of all bytes and hashes them, compresses what can be compressed and recognises the rest as
///   noise, and seals and hashes what is stored (packs are named by their hash). Or it reads all files, if that takes longer.
/// * A check hashes what is stored and opens it, decompresses what was compressed, and hashes all bytes. Or it reads what is
///   stored, if that takes longer.
/// * A restore opens what is stored, decompresses, and hashes all bytes. Or it writes all files, if that takes longer.
///
/// Everything is in the page cache, and nothing waits for the disk. Reading and writing take processors too; the model lets
/// them happen beside the rest, as if they took none. Names, trees, the index and the derivation of the key from the
/// password are left out. So no engine of this format gets to the limit with these kernels, and a better one comes closer.
pub fn least_seconds(rates: &Rates, set: &Composition) -> Seconds {
    let over = |bytes: u64, rate: f64| bytes as f64 / 1e6 / rate;
    let files = |rate: f64| set.files as f64 / rate;
    let (bytes, stored) = (set.bytes(), set.stored());
    let backup = over(bytes, rates.chunk)
        + over(bytes + stored, rates.hash)
        + over(set.compressible, rates.compress)
        + over(set.noise, rates.probe)
        + over(stored, rates.seal);
    let restore = over(stored, rates.open) + over(set.compressible, rates.decompress) + over(bytes, rates.hash);
    let check = over(stored, rates.hash) + restore;
    Seconds {
        backup: backup.max(over(bytes, rates.read) + files(rates.files_read)),
        check: check.max(over(stored, rates.read)),
        restore: restore.max(over(bytes, rates.write) + files(rates.files_written)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{noise, text};

    const RATES: Rates = Rates {
        processors: 2,
        chunk: 1000.0,
        hash: 500.0,
        probe: 2000.0,
        compress: 100.0,
        seal: 250.0,
        open: 400.0,
        decompress: 800.0,
        copy: 5000.0,
        read: 4000.0,
        write: 2000.0,
        files_read: 10_000.0,
        files_written: 1000.0,
    };

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
    }

    #[test]
    fn kernels_add_up_over_the_bytes_that_they_have_to_pass() {
        let set = Composition {
            compressible: 1_000_000_000,
            compressed: 250_000_000,
            noise: 1_000_000_000,
            files: 10,
        };
        let least = least_seconds(&RATES, &set);
        // 2 GB cut, 2 + 1.25 GB hashed, 1 GB compressed, 1 GB probed, 1.25 GB sealed.
        near(least.backup, 2.0 + 6.5 + 10.0 + 0.5 + 5.0);
        // 1.25 GB opened, 1 GB decompressed, 2 GB hashed; a check hashes the packs as well.
        near(least.restore, 3.125 + 1.25 + 4.0);
        near(least.check, 3.125 + 1.25 + 4.0 + 2.5);
    }

    #[test]
    fn many_files_are_bounded_by_opening_and_making_them() {
        let set = Composition {
            noise: 1_000_000,
            files: 100_000,
            ..Composition::default()
        };
        let least = least_seconds(&RATES, &set);
        near(least.backup, 10.0 + 1.0 / 4000.0);
        near(least.restore, 100.0 + 1.0 / 2000.0);
        assert!(least.check < 0.1);
    }

    #[test]
    fn reading_bounds_a_check_whose_kernels_are_faster() {
        let set = Composition {
            noise: 4_000_000_000,
            files: 1,
            ..Composition::default()
        };
        let slow = Rates { read: 10.0, ..RATES };
        near(least_seconds(&slow, &set).check, 400.0);
    }

    #[test]
    fn a_folder_is_taken_apart_by_the_mebibyte() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::create_dir_all(folder.join("below")).unwrap();
        fs::write(folder.join("below/both"), [text(1, PIECE), noise(1, PIECE)].concat()).unwrap();
        fs::write(folder.join("small"), text(2, 5000)).unwrap();
        fs::write(folder.join("empty"), "").unwrap();
        let set = Composition::of(folder).unwrap();
        assert_eq!(
            (set.compressible, set.noise, set.files),
            (PIECE as u64 + 5000, PIECE as u64, 3)
        );
        assert!(set.compressed < set.compressible / 2, "{set:?}");
        assert_eq!(set.stored(), set.compressed + PIECE as u64);
    }
}
