//! [`Walk`]: goes through the snapshot, makes folders, and gathers everything else into batches.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use holdfast_repository::tree::{Node, NodeKind};
use holdfast_repository::{ErrorKind, Id, RepositoryError, Tree};

use super::super::patterns::{Patterns, Verdict};
use super::report::Tally;
use super::target::MARKER;
use super::{Cause, RestoreError, Work, data, entries, metadata, parallel};

/// Folders of one folder whose trees are read at the same time: a store far away answers many requests as fast as one.
const TREES_AHEAD: usize = 16;

/// Something to restore that is no folder.
pub(super) struct Entry {
    /// Below the target.
    pub(super) path: PathBuf,
    pub(super) node: Node,
}

/// A further name of a file that is restored under another one.
pub(super) struct HardLink {
    pub(super) path: PathBuf,
    pub(super) node: Node,
    /// The file's first name, below the target.
    pub(super) first: PathBuf,
}

#[derive(Default)]
struct Batch {
    files: Vec<Entry>,
    links: Vec<HardLink>,
    others: Vec<Entry>,
    /// Blobs and entries held.
    weight: usize,
}

pub(super) struct Walk<'a> {
    work: &'a Work<'a>,
    patterns: &'a Patterns,
    batch: Batch,
    /// First names by (inode, device) of the files that have more than one.
    first_names: HashMap<(u64, u64), PathBuf>,
    /// The folders made, each after everything below it.
    folders: Vec<Entry>,
    selected: u64,
}

/// A folder whose entries are being gone through.
struct Frame {
    entries: std::vec::IntoIter<Node>,
    /// Trees of folders further on in `entries`, by name.
    ahead: HashMap<Vec<u8>, Result<Tree, RepositoryError>>,
    /// `None` for the folder the restore began with.
    node: Option<Node>,
    /// From the root of the snapshot.
    path_in_snapshot: PathBuf,
    /// Below the target.
    path: PathBuf,
    made: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(work: &'a Work<'a>, patterns: &'a Patterns) -> Walk<'a> {
        Walk {
            work,
            patterns,
            batch: Batch::default(),
            first_names: HashMap::new(),
            folders: Vec::new(),
            selected: 0,
        }
    }

    /// Restores everything below `tree`, which is found at `path` in the snapshot. Returns the number of entries that
    /// the patterns selected.
    pub(super) fn run(mut self, tree: Tree, path: PathBuf) -> Result<u64, RestoreError> {
        let top = Frame {
            entries: tree.nodes.into_iter(),
            ahead: HashMap::new(),
            node: None,
            path_in_snapshot: path,
            path: PathBuf::new(),
            made: true,
        };
        let mut stack = vec![top];
        while let Some(frame) = stack.last_mut() {
            if self.work.options.cancel.load(Ordering::Relaxed) {
                return Err(RestoreError::Cancelled);
            }
            match frame.entries.next() {
                Some(node) => self.entry(&mut stack, node)?,
                None => self.leave(stack.pop()),
            }
        }
        self.flush()?;
        for folder in &self.folders {
            metadata::apply_to_folder(self.work, &folder.path, &folder.node);
        }
        Ok(self.selected)
    }

    fn entry(&mut self, stack: &mut Vec<Frame>, node: Node) -> Result<(), RestoreError> {
        let Some(frame) = stack.last() else { return Ok(()) };
        let name = OsStr::from_bytes(&node.name);
        let (path, path_in_snapshot) = (frame.path.join(name), frame.path_in_snapshot.join(name));
        let is_folder = node.kind == NodeKind::Dir;
        let verdict = self.patterns.verdict(&path_in_snapshot, is_folder);
        if verdict == Verdict::Skipped {
            return Ok(());
        }
        self.selected += u64::from(verdict == Verdict::Selected);
        if path.as_os_str() == MARKER {
            let cause = Cause::Malformed("its name is the one of the marker of an unfinished restore".to_owned());
            self.work.tally.fail(self.work.target.shown(&path), cause);
        } else if !is_folder {
            if self.make_folders(stack)? {
                self.add(Entry { path, node })?;
            }
        } else if let Some(tree) = self.read_tree(stack.last_mut(), &path, &node)? {
            let entries = tree.nodes.into_iter();
            stack.push(Frame {
                entries,
                ahead: HashMap::new(),
                node: Some(node),
                path_in_snapshot,
                path,
                made: false,
            });
            // A folder that only leads to what was asked for is made once something is found in it.
            if verdict == Verdict::Selected {
                self.make_folders(stack)?;
            }
        }
        Ok(())
    }

    /// The entries of a folder; where they cannot be had, that is recorded.
    fn read_tree(&self, above: Option<&mut Frame>, path: &Path, node: &Node) -> Result<Option<Tree>, RestoreError> {
        let Some(frame) = above else { return Ok(None) };
        if !frame.ahead.contains_key(&node.name) {
            frame.ahead = self.read_trees(frame, node)?;
        }
        let cause = match frame.ahead.remove(&node.name) {
            Some(Ok(tree)) => return Ok(Some(tree)),
            Some(Err(error)) => match error.kind() {
                ErrorKind::Integrity | ErrorKind::NotFound => Cause::Unreadable(error.to_string()),
                ErrorKind::Invalid => Cause::Malformed(error.to_string()),
                _ => return Err(error.into()),
            },
            None => Cause::Malformed("a folder without entries, not even none".to_owned()),
        };
        self.work.tally.fail(self.work.target.shown(path), cause);
        Ok(None)
    }

    /// The trees of a folder and of some that follow it.
    fn read_trees(
        &self,
        frame: &Frame,
        node: &Node,
    ) -> Result<HashMap<Vec<u8>, Result<Tree, RepositoryError>>, RestoreError> {
        let wanted = |node: &&Node| {
            let path = frame.path_in_snapshot.join(OsStr::from_bytes(&node.name));
            node.kind == NodeKind::Dir && self.patterns.verdict(&path, true) != Verdict::Skipped
        };
        let following = frame.entries.as_slice().iter().filter(wanted);
        let folders = std::iter::once(node).chain(following).take(TREES_AHEAD);
        let folders: Vec<(&Vec<u8>, Id)> = folders.filter_map(|node| Some((&node.name, node.subtree?))).collect();
        let read = |(name, tree): &(&Vec<u8>, Id)| Ok(((*name).clone(), self.work.store.tree(tree)));
        Ok(parallel::map(self.work, &folders, read)?.into_iter().collect())
    }

    /// Makes the folders on the stack that are not made yet. Where one cannot be made, it is left out with everything
    /// below it, and the answer is false.
    fn make_folders(&mut self, stack: &mut Vec<Frame>) -> Result<bool, RestoreError> {
        for at in 0..stack.len() {
            if stack[at].made {
                continue;
            }
            if let Some(cause) = entries::make_folder(self.work, &stack[at].path)? {
                self.work.tally.fail(self.work.target.shown(&stack[at].path), cause);
                stack.truncate(at);
                return Ok(false);
            }
            stack[at].made = true;
            Tally::add(&self.work.tally.folders, 1);
        }
        Ok(true)
    }

    fn leave(&mut self, frame: Option<Frame>) {
        if let Some(Frame {
            node: Some(node),
            path,
            made: true,
            ..
        }) = frame
        {
            self.folders.push(Entry { path, node });
        }
    }

    fn add(&mut self, entry: Entry) -> Result<(), RestoreError> {
        let Entry { path, node } = entry;
        self.batch.weight += 1 + node.content.as_ref().map_or(0, Vec::len);
        if node.links > 1 && node.inode != 0 {
            let file = (node.inode, node.device_id);
            if let Some(first) = self.first_names.get(&file).cloned() {
                self.batch.links.push(HardLink { path, node, first });
                return self.flush_when_full();
            }
            self.first_names.insert(file, path.clone());
        }
        if node.kind == NodeKind::File {
            self.work.options.progress.expect(0, 1);
            self.batch.files.push(Entry { path, node });
        } else {
            self.batch.others.push(Entry { path, node });
        }
        self.flush_when_full()
    }

    fn flush_when_full(&mut self) -> Result<(), RestoreError> {
        if self.batch.weight >= self.work.options.batch {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<(), RestoreError> {
        let batch = std::mem::take(&mut self.batch);
        data::restore_files(self.work, &batch.files)?;
        for other in &batch.others {
            entries::make_other(self.work, other)?;
        }
        for link in &batch.links {
            entries::make_hard_link(self.work, link)?;
        }
        Ok(())
    }
}
