//! [`ParentFolder`]: one folder of the parent snapshot, walked beside the folder on disk.

use std::iter::Peekable;

use crate::error::Result;
use crate::id::Id;
use crate::tree::{Node, NodeKind};

use super::run::Run;
use crate::pack::BlobKind;
use crate::repository::TreeNodes;

/// The nodes of a parent's folder in order. Only as many as needed are in memory.
pub(super) struct ParentFolder {
    nodes: Option<Peekable<TreeNodes>>,
}

impl ParentFolder {
    /// A folder the parent does not have.
    pub(super) fn none() -> ParentFolder {
        ParentFolder { nodes: None }
    }

    /// Opens a folder of the parent. One that cannot be loaded counts as absent, with the reason in `unusable`.
    pub(super) fn open(run: &Run<'_>, tree: Option<Id>, unusable: &mut Vec<String>) -> ParentFolder {
        let Some(tree) = tree else { return ParentFolder::none() };
        match run.repository.stream_tree(run.known.index(), &tree) {
            Ok(nodes) => ParentFolder {
                nodes: Some(nodes.peekable()),
            },
            Err(error) => {
                unusable.push(error.to_string());
                ParentFolder::none()
            }
        }
    }

    /// The name of the node that comes next.
    pub(super) fn next_name(&mut self) -> Option<Vec<u8>> {
        let node = self.nodes.as_mut()?.peek()?;
        node.as_ref().ok().map(|node| node.name.clone())
    }

    /// The node of that name. Names must be asked for in ascending order.
    pub(super) fn take(&mut self, name: &[u8], unusable: &mut Vec<String>) -> Option<Node> {
        let nodes = self.nodes.as_mut()?;
        while nodes
            .next_if(|node| node.as_ref().is_ok_and(|node| node.name.as_slice() < name))
            .is_some()
        {}
        match nodes.next_if(|node| node.as_ref().map_or(true, |node| node.name == name))? {
            Ok(node) => Some(node),
            Err(error) => {
                unusable.push(error.to_string());
                self.nodes = None;
                None
            }
        }
    }
}

/// The content to take over when a file is as it was: same size, times and inode, and every blob still there.
pub(super) fn unchanged_content(run: &Run<'_>, now: &Node, before: Option<&Node>) -> Result<Option<Vec<Id>>> {
    let Some(before) = before else { return Ok(None) };
    let same = before.kind == NodeKind::File && same_state(before, now) && before.error.is_empty();
    if !same || run.options.reread {
        return Ok(None);
    }
    let Some(content) = &before.content else {
        return Ok(None);
    };
    for id in content {
        if !run.known.contains(BlobKind::Data, id)? {
            return Ok(None);
        }
    }
    Ok(Some(content.clone()))
}

/// Whether nothing speaks for a change of a file's content: same size, times and inode.
pub(super) fn same_state(before: &Node, now: &Node) -> bool {
    before.size == now.size && same_moment(before, now) && before.inode == now.inode
}

/// Times are compared as points in time: another program may have written them with a local offset.
fn same_moment(a: &Node, b: &Node) -> bool {
    [(a.mtime, b.mtime), (a.ctime, b.ctime)]
        .iter()
        .all(|(a, b)| (a.seconds, a.nanos) == (b.seconds, b.nanos))
}
