//! [`ExportStream`]: an export on its way into a repository.

use std::io::{self, Cursor};
use std::path::PathBuf;
use std::sync::mpsc::Receiver;

use holdfast_repository::backup::{Item, ItemContent, Stream};
use holdfast_repository::tree::mode;
use holdfast_repository::{Node, NodeKind, NodeTime};
use jiff::Timestamp;

/// A file of an export.
pub(super) struct Part {
    /// Below the root.
    pub path: PathBuf,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// Parts as they come, and last what is known only then.
pub(super) struct ExportStream<F> {
    /// The folder of the export.
    pub root: PathBuf,
    /// The server.
    pub place: String,
    /// What the snapshot is tagged with.
    pub tags: Vec<String>,
    /// When the export began.
    pub time: Timestamp,
    /// Gives parts until all that send them have ended.
    pub parts: Receiver<Part>,
    /// Gives the last part, the manifest, or says that something went wrong.
    pub last: Option<F>,
    /// The part that is being read.
    pub current: Cursor<Vec<u8>>,
}

impl<F: FnOnce() -> io::Result<Part>> Stream for ExportStream<F> {
    fn root(&self) -> PathBuf {
        self.root.clone()
    }

    fn host(&self) -> Option<String> {
        Some(self.place.clone())
    }

    fn tags(&self) -> Vec<String> {
        self.tags.clone()
    }

    fn next_item(&mut self) -> io::Result<Option<Item<'_>>> {
        let part = match self.parts.recv() {
            Ok(part) => part,
            Err(_) => match self.last.take() {
                Some(last) => last()?,
                None => return Ok(None),
            },
        };
        let mut node = Node::new(Vec::new(), NodeKind::File);
        (node.mode, node.size) = (mode::from_unix(0o100_600), part.bytes.len() as u64);
        let time = NodeTime::from(self.time);
        (node.mtime, node.atime, node.ctime) = (time, time, time);
        self.current = Cursor::new(part.bytes);
        Ok(Some(Item {
            path: self.root.join(part.path),
            node,
            content: Some(ItemContent::Bytes(&mut self.current)),
        }))
    }
}
