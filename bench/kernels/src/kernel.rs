//! [`Kernel`]: the parts of a backup, check or restore that every byte has to pass.

use std::hint::black_box;

use holdfast_repository::chunker::Chunker;
use holdfast_repository::crypto::{IV_LENGTH, MasterKey};
use holdfast_repository::pack::{BlobEncoder, BlobKind};
use holdfast_repository::{Id, RepositoryError, Result, kernels};

use crate::data::{noise, text};

/// The length of the pieces in which bytes pass: that of an average chunk.
pub(crate) const PIECE: usize = 1 << 20;
/// Pieces that the engine hashes together.
const GATHERED: usize = 8;
/// Bytes of sealed pieces after which a buffer is used anew, as for the next pack.
const PACK: usize = 16 << 20;
/// The level that backups compress at unless told otherwise.
const LEVEL: i32 = 3;

/// One thing done to bytes in memory, with the engine's own code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kernel {
    /// Finding where chunks end.
    Chunk,
    /// SHA-256 of pieces, side by side where the engine does it so.
    Hash,
    /// Finding out that noise need not be compressed.
    Probe,
    /// zstd at level 3, of text.
    Compress,
    /// AES-256-CTR and Poly1305.
    Seal,
    /// The same for reading.
    Open,
    /// The way back from what zstd made of text.
    Decompress,
    /// Copying bytes from one place in memory to another.
    Copy,
}

/// One pass of a kernel over its input.
pub type Pass = Box<dyn FnMut() -> Result<()> + Send>;

impl Kernel {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Chunk,
        Self::Hash,
        Self::Probe,
        Self::Compress,
        Self::Seal,
        Self::Open,
        Self::Decompress,
        Self::Copy,
    ];

    /// Its name on command lines and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chunk => "chunk",
            Self::Hash => "hash",
            Self::Probe => "probe",
            Self::Compress => "compress",
            Self::Seal => "seal",
            Self::Open => "open",
            Self::Decompress => "decompress",
            Self::Copy => "copy",
        }
    }

    /// Prepares its input, of so many bytes before compression and encryption, and returns what passes over it. Different
    /// seeds make different bytes of the same kind.
    pub fn prepare(self, seed: u64, length: usize) -> Result<Pass> {
        let key = key()?;
        Ok(match self {
            Self::Chunk => {
                let (chunker, data) = (Chunker::new(&key), noise(seed, length));
                Box::new(move || {
                    let mut rest = data.as_slice();
                    while !rest.is_empty() {
                        rest = &rest[black_box(chunker.cut(rest))..];
                    }
                    Ok(())
                })
            }
            Self::Hash => {
                let data = noise(seed, length);
                Box::new(move || {
                    for gathered in data.chunks(GATHERED * PIECE) {
                        black_box(Id::of_each(&gathered.chunks(PIECE).collect::<Vec<_>>()));
                    }
                    Ok(())
                })
            }
            Self::Probe => encode(noise(seed, length))?,
            Self::Compress => encode(text(seed, length))?,
            Self::Seal => {
                let (data, mut sealed) = (noise(seed, length), Vec::new());
                Box::new(move || {
                    for piece in data.chunks(PIECE) {
                        if sealed.len() >= PACK {
                            sealed.clear();
                        }
                        key.seal(piece, IV, &mut sealed);
                    }
                    black_box(&sealed);
                    Ok(())
                })
            }
            Self::Open => open(key, &noise(seed, length)),
            Self::Decompress => decompress(&text(seed, length))?,
            Self::Copy => {
                let (data, mut to) = (noise(seed, length), vec![0; length]);
                Box::new(move || {
                    to.copy_from_slice(black_box(&data));
                    black_box(&to);
                    Ok(())
                })
            }
        })
    }
}

const IV: [u8; IV_LENGTH] = [1; IV_LENGTH];

/// The same key everywhere: how fast a kernel is depends on none.
fn key() -> Result<MasterKey> {
    let json = br#"{"mac":{"k":"AQEBAQEBAQEBAQEBAQEBAQ==","r":"AQEBAQEBAQEBAQEBAQEBAQ=="},"encrypt":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}"#;
    MasterKey::from_json(json).map_err(|error| RepositoryError::Bug(error.to_string()))
}

/// An encoder at the level that backups compress at.
pub(crate) fn encoder() -> Result<BlobEncoder> {
    BlobEncoder::new(LEVEL)
}

/// What the engine makes of a blob before it is sealed.
fn encode(data: Vec<u8>) -> Result<Pass> {
    let mut encoder = encoder()?;
    Ok(Box::new(move || {
        for piece in data.chunks(PIECE) {
            black_box(encoder.encode(BlobKind::Data, piece)?);
        }
        Ok(())
    }))
}

fn open(key: MasterKey, data: &[u8]) -> Pass {
    let seal = |piece| {
        let mut sealed = Vec::new();
        key.seal(piece, IV, &mut sealed);
        sealed
    };
    let pieces: Vec<Vec<u8>> = data.chunks(PIECE).map(seal).collect();
    Box::new(move || {
        for sealed in &pieces {
            let opened = key.open(sealed);
            black_box(opened.map_err(|error| RepositoryError::Bug(error.to_string()))?);
        }
        Ok(())
    })
}

fn decompress(data: &[u8]) -> Result<Pass> {
    let mut encoder = encoder()?;
    let mut pieces = Vec::new();
    for piece in data.chunks(PIECE) {
        // A rest of a few bytes does not shrink, and is stored as it is.
        if let (compressed, Some(_)) = encoder.encode(BlobKind::Data, piece)? {
            pieces.push((compressed.to_vec(), piece.len()));
        }
    }
    Ok(Box::new(move || {
        for (compressed, length) in &pieces {
            black_box(kernels::decompress(compressed, *length)?);
        }
        Ok(())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_runs_over_input_of_any_length() {
        for kernel in Kernel::ALL {
            for length in [1, PIECE + 7] {
                let mut pass = kernel.prepare(1, length).unwrap();
                pass().unwrap();
                pass().unwrap();
            }
        }
    }

    #[test]
    fn noise_is_probed_and_text_compresses_to_between_a_quarter_and_a_third() {
        let mut encoder = encoder().unwrap();
        let mut length = |data: Vec<u8>| encoder.encode(BlobKind::Data, &data).unwrap().0.len();
        assert_eq!(length(noise(1, PIECE)), PIECE);
        let compressed = length(text(1, PIECE));
        assert!((PIECE / 4..PIECE * 2 / 5).contains(&compressed), "{compressed}");
    }
}
