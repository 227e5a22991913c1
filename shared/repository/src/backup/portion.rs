//! Backups that are done in portions: several calls, one after another or side by side, each reading what the others
//! have not. A portion stores a tree of what it read and no snapshot; the last call takes all of it over and publishes.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::id::Id;
use crate::index::Lookup;
use crate::pack::BlobKind;
use crate::tree::{Node, NodeKind};

use super::BackupReport;
use super::parent::same_state;
use super::run::Run;

/// What the node of a file says whose end was not reached. Such nodes stand in portions only, never in a snapshot.
pub(super) const READ_IN_PART: &str = "holdfast: read in part";

/// What one call is to do of a backup.
#[derive(Clone, Copy)]
pub struct Portion<'a> {
    /// What earlier calls for the same backup stored: it is taken over without being read again.
    pub done: &'a [PortionReport],
    /// Read only these files, and publish nothing; `None` reads all that is left, and publishes.
    pub slice: Option<Slice>,
    /// Set it to have the call end soon and keep what it has.
    pub pause: &'a AtomicBool,
}

/// One of several equal shares: of all files, by their paths, or of whatever has ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Which, from 0.
    pub number: u32,
    /// Of how many; at least 1.
    pub of: u32,
}

impl Slice {
    /// Whether a file belongs to this share.
    pub fn holds(&self, path: &Path) -> bool {
        self.holds_id(&Id::of(path.as_os_str().as_bytes()))
    }

    /// Whether something that has an id belongs to this share.
    pub fn holds_id(&self, Id(hash): &Id) -> bool {
        let number = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
        number % self.of.max(1) == self.number
    }
}

/// What a portion stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortionReport {
    /// A tree of what was read, by this call or by those whose work it took over.
    pub tree: Id,
    /// Whether every file of the slice was reached.
    pub complete: bool,
    /// Data blobs that this call added.
    #[serde(default)]
    pub data_blobs: u64,
    /// Tree blobs that it added.
    #[serde(default)]
    pub tree_blobs: u64,
    /// Bytes of both, before compression.
    pub added_bytes: u64,
    /// The same as stored.
    pub added_packed_bytes: u64,
}

/// How a call ended.
#[derive(Debug)]
pub enum Ended {
    /// The snapshot stands.
    Published(Box<BackupReport>),
    /// There is more to do, or others do it.
    Stored(PortionReport),
}

/// What portions know of a file.
pub(super) enum Taken {
    /// All of it.
    Whole(Vec<Id>),
    /// Its beginning, and how long that is.
    Beginning(Vec<Id>, u64),
}

/// What earlier portions read of a file that is now as `now` says; none when it changed since or its blobs are gone.
pub(super) fn taken_over(run: &Run<'_>, now: &Node, done: &Node) -> Result<Option<Taken>> {
    if done.kind != NodeKind::File || !same_state(done, now) {
        return Ok(None);
    }
    let Some(content) = &done.content else { return Ok(None) };
    let mut length = 0;
    for id in content {
        match run.known.index().usable(BlobKind::Data, id)? {
            Some(plain) => length += u64::from(plain),
            None => return Ok(None),
        }
    }
    Ok(match done.error.as_str() {
        "" => Some(Taken::Whole(content.clone())),
        READ_IN_PART => Some(Taken::Beginning(content.clone(), length)),
        _ => None,
    })
}
