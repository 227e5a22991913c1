//! Sealed pieces of a sidecar: each says inside which one it is.

use crate::crypto::OVERHEAD;
use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::pack::BlobKind;
use crate::parallel;
use crate::repository::Repository;
use crate::storage::FileName;

use super::head::{Head, stem};

/// Bytes before the payload: nonce, part, number.
const BINDING: usize = 32 + 1 + 4;
/// Bytes of one piece of what is read as a whole.
const PIECE: usize = 16 << 20;
/// Pieces being read at one time.
const READERS: usize = 8;

/// What a section belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// Ids of packs.
    Packs = 0,
    /// The filter of data blobs.
    DataFilter = 1,
    /// The filter of trees.
    TreeFilter = 2,
    /// Entries of data blobs.
    Data = 3,
    /// Entries of trees.
    Trees = 4,
}

impl Part {
    pub(super) fn entries(kind: BlobKind) -> Part {
        match kind {
            BlobKind::Data => Part::Data,
            BlobKind::Tree => Part::Trees,
        }
    }

    pub(super) fn filter(kind: BlobKind) -> Part {
        match kind {
            BlobKind::Data => Part::DataFilter,
            BlobKind::Tree => Part::TreeFilter,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Part::Packs => "packs",
            Part::DataFilter => "data-filter",
            Part::TreeFilter => "tree-filter",
            Part::Data => "data",
            Part::Trees => "trees",
        }
    }

    /// The `number`-th file of this part of the sidecar whose names begin so.
    pub(super) fn file(self, stem: &str, number: u32) -> FileName {
        FileName::Sidecar(format!("{stem}{}-{number}", self.word()))
    }
}

/// Which section: a store that gives another in its place is found out.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    pub(super) nonce: &'a Id,
    pub(super) part: Part,
    pub(super) number: u32,
}

impl Section<'_> {
    fn binding(&self) -> [u8; BINDING] {
        let mut binding = [0; BINDING];
        binding[..32].copy_from_slice(&self.nonce.0);
        binding[32] = self.part as u8;
        binding[33..].copy_from_slice(&self.number.to_le_bytes());
        binding
    }

    /// Appends the sealed section to `out`.
    pub(super) fn seal(&self, repo: &Repository, payload: &[u8], out: &mut Vec<u8>) {
        let plaintext = [&self.binding(), payload].concat();
        repo.key().seal(&plaintext, repo.ambient().random(), out);
    }

    /// The payload of a sealed section; an error says what is wrong with it.
    pub(super) fn open(&self, repo: &Repository, file: &FileName, sealed: &[u8]) -> Result<Vec<u8>> {
        let damaged = |reason: &dyn ToString| RepositoryError::damaged(file.to_string(), reason.to_string());
        let mut plaintext = repo.key().open(sealed).map_err(|error| damaged(&error))?;
        if !plaintext.starts_with(&self.binding()) {
            return Err(damaged(&"it holds what belongs elsewhere"));
        }
        plaintext.drain(..BINDING);
        Ok(plaintext)
    }
}

/// Bytes of a sealed section.
pub(super) const fn sealed_length(payload: usize) -> usize {
    payload + BINDING + OVERHEAD
}

/// Stores bytes that are read as a whole, in as many files as it takes.
pub(super) fn put_whole(repo: &Repository, nonce: &Id, part: Part, bytes: &[u8]) -> Result<()> {
    let stem = stem(nonce);
    for (number, piece) in (0..).zip(bytes.chunks(PIECE)) {
        let mut sealed = Vec::with_capacity(sealed_length(piece.len()));
        Section { nonce, part, number }.seal(repo, piece, &mut sealed);
        repo.storage().put(&part.file(&stem, number), &sealed)?;
    }
    Ok(())
}

/// Reads what [`put_whole`] stored, which must be `length` bytes.
pub(super) fn read_whole(repo: &Repository, head: &Head, part: Part, length: usize) -> Result<Vec<u8>> {
    let stem = head.stem();
    let numbers: Vec<u32> = (0..).take(length.div_ceil(PIECE)).collect();
    let pieces = parallel::map(&numbers, READERS, |number| {
        let (nonce, number) = (&head.nonce, *number);
        let file = part.file(&stem, number);
        let sealed = repo.storage().read(&file)?;
        Section { nonce, part, number }.open(repo, &file, &sealed)
    })?;
    let whole = pieces.concat();
    if whole.len() != length {
        let reason = format!("its {} have {} bytes, not {length}", part.word(), whole.len());
        return Err(RepositoryError::damaged(head.file().to_string(), reason));
    }
    Ok(whole)
}
