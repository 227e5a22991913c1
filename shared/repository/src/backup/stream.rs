//! [`Stream`]: what is backed up as it comes, once and in an order of its own, such as the archive that a database
//! server sends.

use std::io::{self, Read};
use std::path::PathBuf;

use crate::id::Id;
use crate::tree::Node;

/// Files and folders in any order, each once.
pub trait Stream {
    /// The absolute folder that everything lies below, recorded in the snapshot.
    fn root(&self) -> PathBuf;
    /// Where this comes from, recorded in the snapshot; `None` for this host.
    fn host(&self) -> Option<String> {
        None
    }
    /// More tags of the snapshot, for what is known only once everything has come. Asked for at the end.
    fn tags(&self) -> Vec<String> {
        Vec::new()
    }
    /// The next entry, `None` at the end. It is asked for once the bytes of the one before were read to their end. An
    /// error ends the backup, with its text.
    fn next_item(&mut self) -> io::Result<Option<Item<'_>>>;
}

/// One entry of a [`Stream`].
pub struct Item<'a> {
    /// Absolute: the root of the stream, or below it. Folders that lead to it may come later, or not at all: then they
    /// are made up.
    pub path: PathBuf,
    /// Metadata. The name is taken from the path; the size of a regular file is how many bytes it has to give.
    pub node: Node,
    /// What is in a regular file; `None` for everything else.
    pub content: Option<ItemContent<'a>>,
}

/// What is in a regular file.
pub enum ItemContent<'a> {
    /// Its bytes, which are cut where they themselves say so, about every MiB: what moves within a file is found again.
    Bytes(&'a mut dyn Read),
    /// Its chunks, some of which the repository may have. Only what is cut alike at every backup is found to be the same: files
    /// whose blocks are changed in place are best cut every so many of them, and then a changed block costs no more than these.
    Chunks(&'a mut dyn Chunks),
}

/// The content of a file that is cut into chunks already.
pub trait Chunks {
    /// The next chunk, `None` at the end of the file. An error ends the backup, with its text.
    fn next_chunk(&mut self) -> io::Result<Option<Chunk<'_>>>;
}

/// Part of a file.
pub enum Chunk<'a> {
    /// What the repository holds, of this length. It is not read, unless its pack is condemned: then it is stored again. One
    /// that the repository does not know, or has with another length, is refused by name.
    Stored(Id, usize),
    /// These bytes: at least one, and no more than the longest chunk.
    Bytes(&'a [u8]),
    /// The same, where their hash came along with them.
    Hashed(Id, &'a [u8]),
}
