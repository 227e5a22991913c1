//! Where a repository's files live: a write-once store of whole files, named as restic names them.
//!
//! [`disk::DiskStorage`] keeps them in a folder, [`memory::MemoryStorage`] in memory; the object-storage adapter lives
//! elsewhere. All of them pass the one suite in `contract`.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod disk;
#[cfg(test)]
pub(crate) mod faults;
pub mod memory;
mod range;
mod read_ahead;

use std::fmt;
use std::io;

use rustix::io::Errno;

use crate::error::{ErrorKind, Result};
use crate::id::Id;

pub use disk::DiskStorage;
pub use memory::MemoryStorage;
pub use range::RangeReader;
pub use read_ahead::ReadAhead;

/// The kinds of files that are named by an id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum FileKind {
    /// Packs: encrypted blobs and a header.
    Data,
    /// Index files: which blob is where in which pack.
    Index,
    /// Snapshots.
    Snapshot,
    /// Password-protected copies of the master key.
    Key,
    /// Locks of running programs.
    Lock,
}

impl FileKind {
    /// Every kind, in restic's order of creation.
    pub const ALL: [FileKind; 5] = [
        FileKind::Data,
        FileKind::Index,
        FileKind::Snapshot,
        FileKind::Key,
        FileKind::Lock,
    ];

    /// The folder of this kind in restic's layout.
    pub fn folder(self) -> &'static str {
        match self {
            FileKind::Data => "data",
            FileKind::Index => "index",
            FileKind::Snapshot => "snapshots",
            FileKind::Key => "keys",
            FileKind::Lock => "locks",
        }
    }
}

/// The name of one file of a repository.
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum FileName {
    /// The repository's `config`.
    Config,
    /// A file named by the SHA-256 of its bytes.
    Object(FileKind, Id),
    /// A derived file of ours under `holdfast/`: a relative path of `a-z 0-9 . _ - /`, no part of which starts with a dot.
    Sidecar(String),
}

impl FileName {
    /// Path below the repository's root, in restic's layout. Fails on a sidecar name outside the allowed characters.
    pub fn path(&self) -> Result<String> {
        match self {
            FileName::Config => Ok("config".to_owned()),
            FileName::Object(FileKind::Data, id) => {
                let hex = id.to_string();
                Ok(format!("data/{}/{hex}", &hex[..2]))
            }
            FileName::Object(kind, id) => Ok(format!("{}/{id}", kind.folder())),
            FileName::Sidecar(name) if sidecar_name_is_valid(name) => Ok(format!("holdfast/{name}")),
            FileName::Sidecar(name) => Err(StorageError::BadSidecarName { name: name.clone() }.into()),
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileName::Config => f.write_str("config"),
            FileName::Object(kind, id) => write!(f, "{}/{id}", kind.folder()),
            FileName::Sidecar(name) => write!(f, "holdfast/{name}"),
        }
    }
}

/// Whether `name` may be stored under `holdfast/`.
fn sidecar_name_is_valid(name: &str) -> bool {
    !name.is_empty() && name.split('/').all(sidecar_part_is_valid)
}

fn sidecar_part_is_valid(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with('.')
        && part
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
}

/// What [`Storage::put`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Put {
    /// The file was written.
    Created,
    /// The same file was there before; nothing was written.
    AlreadyThere,
}

/// Write-once store of whole files. All calls may run from many threads. A short or unreadable listing is an error.
pub trait Storage: Send + Sync {
    /// Every file of `kind` with its size in bytes, in ascending order of id. Complete, or an error; names that are not
    /// 64 hex digits are passed over.
    fn list(&self, kind: FileKind) -> Result<Vec<(Id, u64)>>;

    /// Every sidecar whose name starts with `prefix`, with its size in bytes, in ascending order. Names are relative to
    /// `holdfast/`. Complete, or an error.
    fn list_sidecar(&self, prefix: &str) -> Result<Vec<(String, u64)>>;

    /// Size in bytes; `None` when it is not there.
    fn size(&self, file: &FileName) -> Result<Option<u64>>;

    /// The whole file. [`ErrorKind::NotFound`] when it is not there.
    fn read(&self, file: &FileName) -> Result<Vec<u8>>;

    /// Fills `into` from `offset`. A file that ends before is an [`ErrorKind::Integrity`] error.
    fn read_range(&self, file: &FileName, offset: u64, into: &mut [u8]) -> Result<()>;

    /// What the file has from `offset`, `most` bytes at most; nothing where it ends before.
    fn read_up_to(&self, file: &FileName, offset: u64, most: usize) -> Result<Vec<u8>> {
        let not_there = || StorageError::NotThere {
            location: self.location(),
            file: file.clone(),
        };
        let size = self.size(file)?.ok_or_else(not_there)?;
        let there = usize::try_from(size.saturating_sub(offset)).unwrap_or(most);
        let mut bytes = vec![0; there.min(most)];
        if !bytes.is_empty() {
            self.read_range(file, offset, &mut bytes)?;
        }
        Ok(bytes)
    }

    /// The bytes from `offset` to `end`, one after the other: where a request costs, with one, and in the memory of what
    /// is asked for at one time. Nothing is asked before the first of them are.
    fn range(&self, file: &FileName, offset: u64, end: u64) -> Result<Box<dyn RangeReader + '_>> {
        Ok(range::in_pieces(self, file.clone(), offset, end))
    }

    /// Writes a file that must not exist yet. The bytes of an object must hash to its id.
    ///
    /// An object that is there with the same size is [`Put::AlreadyThere`]; with another size it is damaged, and the
    /// call fails with [`ErrorKind::Integrity`]. `config` and sidecars are not named by their content: they are
    /// [`Put::AlreadyThere`] when the bytes agree, and [`ErrorKind::Conflict`] when they do not.
    fn put(&self, file: &FileName, bytes: &[u8]) -> Result<Put>;

    /// As [`Storage::put`], of a buffer that a store may keep until its bytes are sent; gives it back.
    fn put_buffer(&self, file: &FileName, buffer: Vec<u8>) -> Result<Vec<u8>> {
        self.put(file, &buffer)?;
        Ok(buffer)
    }

    /// As [`Storage::put_buffer`], of an object that has no name yet: its bytes give it one.
    fn put_unnamed(&self, kind: FileKind, buffer: Vec<u8>) -> Result<(Id, Vec<u8>)> {
        let id = Id::of(&buffer);
        let buffer = self.put_buffer(&FileName::Object(kind, id), buffer)?;
        Ok((id, buffer))
    }

    /// Puts the right bytes in place of a damaged or missing object. Refuses bytes that do not hash to `id`. Bytes that
    /// were there before are kept under `holdfast/quarantine/`. A crash leaves the old file or the new one.
    fn replace_damaged(&self, kind: FileKind, id: Id, bytes: &[u8]) -> Result<()>;

    /// Deletes one file. Deleting what is not there succeeds.
    fn delete(&self, file: &FileName) -> Result<()>;

    /// How many bytes one [`Storage::range`] had best have where many are wanted.
    fn worth_reading(&self) -> usize {
        16 << 20
    }

    /// How many bytes that nobody wants are read along rather than asking twice.
    fn worth_skipping(&self) -> usize {
        256 << 10
    }

    /// Returns once every earlier put and delete is durable (names included).
    fn barrier(&self) -> Result<()>;

    /// For messages: a path or an address.
    fn location(&self) -> String;
}

/// What a store of files can fail with. Each names the file and where it lives.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The file is missing.
    #[error("{location}: {file} is not there")]
    NotThere {
        /// Where the store is.
        location: String,
        /// The file.
        file: FileName,
    },
    /// No space, or no quota, is left.
    #[error("{location}: no space left to write {file}; free some space or extend the disk, then run this again")]
    Full {
        /// Where the store is.
        location: String,
        /// The file being written.
        file: String,
    },
    /// An object is there with another size than its name promises.
    #[error("{location}: {file} is damaged: it holds {found} bytes where {expected} belong; repair it from a copy")]
    OtherSize {
        /// Where the store is.
        location: String,
        /// The file.
        file: FileName,
        /// Bytes that are stored.
        found: u64,
        /// Bytes that belong there.
        expected: u64,
    },
    /// A file that is written once is there with other bytes.
    #[error("{location}: {file} is there already with other content; another program wrote it")]
    OtherContent {
        /// Where the store is.
        location: String,
        /// The file.
        file: FileName,
    },
    /// A file ends before the range that was asked for.
    #[error("{location}: {file} ends before byte {end}: it is cut short")]
    Short {
        /// Where the store is.
        location: String,
        /// The file.
        file: FileName,
        /// First byte after the range.
        end: u64,
    },
    /// The bytes do not hash to the name they should get.
    #[error("{file}: the bytes to store hash to {actual}; nothing was written")]
    WrongBytes {
        /// The file.
        file: FileName,
        /// What the bytes hash to.
        actual: Id,
    },
    /// A sidecar name with characters that are not allowed.
    #[error("{name:?} cannot be a file under holdfast/: use a-z 0-9 . _ - and /, and no part that starts with a dot")]
    BadSidecarName {
        /// The name.
        name: String,
    },
    /// Something other than a regular file has a file's name.
    #[error("{location}: {path} is not a regular file (links are not followed inside a repository)")]
    NotAFile {
        /// Where the store is.
        location: String,
        /// The path below it.
        path: String,
    },
    /// The file system refused.
    #[error("{location}: cannot {action} {path}: {source}")]
    Io {
        /// Where the store is.
        location: String,
        /// A verb.
        action: &'static str,
        /// The path below it.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A remote service refused.
    #[error("{location}: cannot {action} {path}: {message}")]
    Remote {
        /// Where the store is.
        location: String,
        /// A verb.
        action: &'static str,
        /// The path or key.
        path: String,
        /// What the caller should do about it.
        kind: ErrorKind,
        /// What the service said.
        message: String,
    },
}

impl StorageError {
    /// What a caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            StorageError::NotThere { .. } => ErrorKind::NotFound,
            StorageError::Full { .. } => ErrorKind::Full,
            StorageError::OtherSize { .. } | StorageError::Short { .. } | StorageError::WrongBytes { .. } => {
                ErrorKind::Integrity
            }
            StorageError::OtherContent { .. } => ErrorKind::Conflict,
            StorageError::BadSidecarName { .. } | StorageError::NotAFile { .. } => ErrorKind::Invalid,
            StorageError::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                // The medium cannot give back what was written: asking again does not help.
                _ if Errno::from_io_error(source) == Some(Errno::IO) => ErrorKind::Integrity,
                _ => ErrorKind::Transient,
            },
            StorageError::Remote { kind, .. } => *kind,
        }
    }
}

/// Refuses bytes that do not hash to the object's name.
pub(crate) fn require_hash(kind: FileKind, id: Id, bytes: &[u8]) -> Result<()> {
    let actual = Id::of(bytes);
    if actual == id {
        return Ok(());
    }
    Err(StorageError::WrongBytes {
        file: FileName::Object(kind, id),
        actual,
    }
    .into())
}

/// Name of the `n`-th quarantined version of a damaged object.
pub(crate) fn quarantine_name(kind: FileKind, id: Id, n: u32) -> FileName {
    FileName::Sidecar(format!("quarantine/{}-{id}-{n}", kind.folder()))
}
