//! [`Tree`] and [`Node`]: one folder's entries, byte for byte as restic stores them.

mod decode;
mod encode;
pub mod mode;
mod stream;
mod time;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::error::{RepositoryError, Result};
use crate::id::Id;

pub use encode::{TREE_END, TREE_START, encode_node};
pub use stream::NodeStream;
pub use time::NodeTime;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NodeKind {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A block device.
    Dev,
    /// A character device.
    CharDev,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl NodeKind {
    /// The word in the stored tree.
    pub fn word(self) -> &'static str {
        match self {
            NodeKind::File => "file",
            NodeKind::Dir => "dir",
            NodeKind::Symlink => "symlink",
            NodeKind::Dev => "dev",
            NodeKind::CharDev => "chardev",
            NodeKind::Fifo => "fifo",
            NodeKind::Socket => "socket",
        }
    }

    /// The kind a stored word means.
    pub fn from_word(word: &str) -> Option<NodeKind> {
        use NodeKind::{CharDev, Dev, Dir, Fifo, File, Socket, Symlink};
        [File, Dir, Symlink, Dev, CharDev, Fifo, Socket]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}

/// One extended attribute of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedAttribute {
    /// Full name with its namespace, as in `user.comment`.
    pub name: String,
    /// Raw value.
    pub value: Vec<u8>,
}

/// One entry of a folder: all metadata restic keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Raw bytes of the name; never empty, `.`, `..`, with a slash or NUL.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: NodeKind,
    /// Go's `os.FileMode` bits, not `st_mode`: see [`mode`].
    pub mode: u32,
    /// Last change of the content.
    pub mtime: NodeTime,
    /// Last access.
    pub atime: NodeTime,
    /// Last change of content or metadata.
    pub ctime: NodeTime,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Owner's name, empty when unknown.
    pub user: String,
    /// Group's name, empty when unknown.
    pub group: String,
    /// Inode number, 0 when there is none.
    pub inode: u64,
    /// Device number of the file system; restic keeps it only where `links` is above 1.
    pub device_id: u64,
    /// Length in bytes; the sum of the content's plaintext lengths.
    pub size: u64,
    /// Number of hard links, 0 when unknown.
    pub links: u64,
    /// Raw bytes a symbolic link points to.
    pub link_target: Vec<u8>,
    /// Extended attributes in the order they were read.
    pub extended_attributes: Vec<ExtendedAttribute>,
    /// Attributes of other operating systems, kept as they came.
    pub generic_attributes: BTreeMap<String, serde_json::Value>,
    /// Device number of a device node (`st_rdev`).
    pub device: u64,
    /// The data blobs of a file in order; `None` for anything that is not a file.
    pub content: Option<Vec<Id>>,
    /// The tree blob of a folder.
    pub subtree: Option<Id>,
    /// What went wrong when it was read, empty normally.
    pub error: String,
}

impl Node {
    /// A node with nothing known but its name and kind.
    pub fn new(name: impl Into<Vec<u8>>, kind: NodeKind) -> Node {
        Node {
            name: name.into(),
            kind,
            mode: 0,
            mtime: NodeTime::UNIX_EPOCH,
            atime: NodeTime::UNIX_EPOCH,
            ctime: NodeTime::UNIX_EPOCH,
            uid: 0,
            gid: 0,
            user: String::new(),
            group: String::new(),
            inode: 0,
            device_id: 0,
            size: 0,
            links: 0,
            link_target: Vec::new(),
            extended_attributes: Vec::new(),
            generic_attributes: BTreeMap::new(),
            device: 0,
            content: None,
            subtree: None,
            error: String::new(),
        }
    }

    /// The name for messages: bytes that are no UTF-8 are shown as `\u{fffd}`.
    pub fn display_name(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }
}

/// The entries of one folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tree {
    /// Entries in ascending order of the raw bytes of their names, each name once.
    pub nodes: Vec<Node>,
    /// False when the stored bytes hold something this program would not write back the same: such a tree must not
    /// be rewritten.
    pub lossless: bool,
}

impl Tree {
    /// A tree of `nodes`, which must be in order.
    pub fn new(nodes: Vec<Node>) -> Tree {
        Tree { nodes, lossless: true }
    }

    /// The stored bytes: `{"nodes":[…]}` and a newline, as Go's `encoding/json` writes them. Fails where a name is not
    /// allowed or out of order.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(self.nodes.len() * 400 + 16);
        out.extend_from_slice(TREE_START);
        let mut previous: Option<&[u8]> = None;
        for node in &self.nodes {
            check_name(&node.name)?;
            check_order(previous, &node.name)?;
            if previous.is_some() {
                out.push(b',');
            }
            encode_node(node, &mut out)?;
            previous = Some(&node.name);
        }
        out.extend_from_slice(TREE_END);
        Ok(out)
    }

    /// Reads stored bytes. Refuses names that could leave a folder and entries out of order.
    pub fn decode(bytes: &[u8]) -> Result<Tree> {
        let mut nodes = Vec::new();
        for node in NodeStream::new(bytes) {
            nodes.push(node?);
        }
        let mut tree = Tree::new(nodes);
        tree.lossless = tree.encode().is_ok_and(|again| again == bytes);
        Ok(tree)
    }

    /// The entry of that name.
    pub fn find(&self, name: &[u8]) -> Option<&Node> {
        let place = self
            .nodes
            .binary_search_by(|node| node.name.as_slice().cmp(name))
            .ok()?;
        self.nodes.get(place)
    }
}

/// Refuses a name that is no plain name of one folder entry.
pub fn check_name(name: &[u8]) -> Result<()> {
    let reason = match name {
        b"" => "it is empty",
        b"." | b".." => "it means a folder, not an entry of one",
        _ if name.contains(&b'/') => "it holds a slash",
        _ if name.contains(&0) => "it holds a NUL byte",
        _ => return Ok(()),
    };
    Err(RepositoryError::invalid(
        format!("the name `{}` in a tree", String::from_utf8_lossy(name)),
        reason,
    ))
}

/// Refuses a name that does not come after the one before it.
pub(crate) fn check_order(previous: Option<&[u8]>, name: &[u8]) -> Result<()> {
    match previous {
        Some(previous) if previous >= name => Err(RepositoryError::invalid(
            format!("the name `{}` in a tree", String::from_utf8_lossy(name)),
            format!(
                "it must come after `{}`, in ascending byte order",
                String::from_utf8_lossy(previous)
            ),
        )),
        _ => Ok(()),
    }
}
