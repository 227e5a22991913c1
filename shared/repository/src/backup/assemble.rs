//! Stage: put the trees together, from the leaves up.

use crossbeam_channel::{Receiver, Sender};

use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::pack::BlobKind;
use crate::tree::{Node, NodeKind};

use super::Unread;
use super::packer::Packer;
use super::portion::READ_IN_PART;
use super::run::Run;
use super::tree_encoder::TreeEncoder;
use super::upload::Upload;
use super::walk::{Before, Entry};
use super::work::FileOutcome;

/// What the assembly made.
pub(super) struct Assembled {
    pub(super) tree: Id,
    pub(super) unread: Vec<Unread>,
    pub(super) unusable: Vec<String>,
    pub(super) counts: Counts,
    /// Whether every file was reached that this call was to read.
    pub(super) complete: bool,
}

/// What was seen.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) files_new: u64,
    pub(super) files_changed: u64,
    pub(super) files_unmodified: u64,
    pub(super) dirs_new: u64,
    pub(super) dirs_changed: u64,
    pub(super) dirs_unmodified: u64,
    pub(super) bytes: u64,
}

struct Assembly<'a> {
    run: &'a Run<'a>,
    packer: Packer<'a>,
    root: TreeEncoder,
    folders: Vec<Folder>,
    unread: Vec<Unread>,
    counts: Counts,
    in_part: bool,
}

/// A folder that is not complete yet.
struct Folder {
    node: Box<Node>,
    before: Before,
    tree: TreeEncoder,
}

/// Runs until the walk is over. Entries come in order; the content of files is waited for.
pub(super) fn assemble(run: &Run<'_>, entries: Receiver<Entry>, packs: Sender<Upload>) -> Result<Assembled> {
    let mut assembly = Assembly {
        run,
        packer: Packer::new(run, BlobKind::Tree, packs)?,
        root: TreeEncoder::new(),
        folders: Vec::new(),
        unread: Vec::new(),
        counts: Counts::default(),
        in_part: false,
    };
    for entry in entries {
        run.check()?;
        match entry {
            Entry::Enter { node, before } => {
                assembly.folders.push(Folder {
                    node,
                    before,
                    tree: TreeEncoder::new(),
                });
            }
            Entry::Leave => assembly.leave()?,
            Entry::Whole(node) => assembly.whole(&node)?,
            Entry::Taken { node, before } => {
                assembly.count(before, node.size);
                assembly.push(&node)?;
            }
            Entry::File { node, before, outcome } => assembly.file(node, before, &outcome)?,
            Entry::Unread(unread) => assembly.unread.push(unread.passed_over()?),
            Entry::End { unusable, complete } => return assembly.end(unusable, complete),
        }
    }
    Err(RepositoryError::Cancelled)
}

impl Assembly<'_> {
    fn push(&mut self, node: &Node) -> Result<()> {
        let tree = self
            .folders
            .last_mut()
            .map_or(&mut self.root, |folder| &mut folder.tree);
        tree.push(self.run, node)
    }

    fn leave(&mut self) -> Result<()> {
        let Some(Folder { mut node, before, tree }) = self.folders.pop() else {
            return Err(RepositoryError::Bug("the walk left a folder it had not entered".into()));
        };
        let id = tree.finish(self.run, &mut self.packer)?;
        match before {
            Before::Folder(same) if same == id => self.counts.dirs_unmodified += 1,
            Before::Folder(_) => self.counts.dirs_changed += 1,
            Before::Absent | Before::File => self.counts.dirs_new += 1,
        }
        node.subtree = Some(id);
        self.push(&node)
    }

    fn whole(&mut self, node: &Node) -> Result<()> {
        if node.kind == NodeKind::File {
            self.counts.files_unmodified += 1;
            self.counts.bytes += node.size;
        }
        self.push(node)
    }

    fn file(&mut self, listed: Box<Node>, before: Before, outcome: &Receiver<FileOutcome>) -> Result<()> {
        let (node, content, size, unread, in_part) = match outcome.recv().map_err(|_| RepositoryError::Cancelled)? {
            FileOutcome::Unread(unread) => {
                self.unread.push(unread.passed_over()?);
                return Ok(());
            }
            FileOutcome::NotReached => {
                self.in_part = true;
                return Ok(());
            }
            FileOutcome::Read {
                node,
                content,
                size,
                unread,
                in_part,
            } => (node, content, size, unread, in_part),
        };
        self.unread.extend(unread.map(Unread::passed_over).transpose()?);
        // A file that changed keeps the metadata from before it was read: it differs from what is on disk then, so the
        // next backup reads the file again.
        let name = listed.name.clone();
        let mut node = node.unwrap_or(listed);
        node.name = name;
        node.content = Some(content);
        if in_part {
            // It keeps the state that it was opened in: only a file that still is in that state goes on from here.
            self.in_part = true;
            READ_IN_PART.clone_into(&mut node.error);
            return self.push(&node);
        }
        node.size = size;
        self.count(before, size);
        self.push(&node)
    }

    /// A file that this backup read.
    fn count(&mut self, before: Before, size: u64) {
        match before {
            Before::File => self.counts.files_changed += 1,
            Before::Absent | Before::Folder(_) => self.counts.files_new += 1,
        }
        self.counts.bytes += size;
    }

    fn end(mut self, unusable: Vec<String>, walked_all: bool) -> Result<Assembled> {
        let tree = self.root.finish(self.run, &mut self.packer)?;
        self.packer.finish()?;
        Ok(Assembled {
            tree,
            unread: self.unread,
            unusable,
            counts: self.counts,
            complete: walked_all && !self.in_part,
        })
    }
}
