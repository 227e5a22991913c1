//! Stage: list folders, compare with the parent, and say in order what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::tree::{Node, NodeKind, mode};

use super::parent::{ParentFolder, unchanged_content};
use super::portion::{Taken, taken_over};
use super::read::{Beginning, FileJob};
use super::run::Run;
use super::work::FileOutcome;
use super::{Source, Unread};

/// What the walk found, in the order of the trees to build.
pub(super) enum Entry {
    /// A folder begins; its entries follow, then [`Entry::Leave`].
    Enter { node: Box<Node>, before: Before },
    /// The innermost folder ends.
    Leave,
    /// A file that is as it was in the parent, or anything that has no content.
    Whole(Box<Node>),
    /// A file that an earlier portion of this backup read.
    Taken { node: Box<Node>, before: Before },
    /// A file that a reader was told to read.
    File {
        node: Box<Node>,
        before: Before,
        outcome: Receiver<FileOutcome>,
    },
    /// Something that could not be read.
    Unread(Unread),
    /// The walk is over: folders of the parent that could not be loaded.
    End {
        unusable: Vec<String>,
        /// Whether it went all the way.
        complete: bool,
    },
}

/// What the parent has under a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    Absent,
    File,
    Folder(Id),
}

impl Before {
    fn of(node: Option<&Node>) -> Before {
        match node {
            Some(Node {
                kind: NodeKind::Dir,
                subtree: Some(tree),
                ..
            }) => Before::Folder(*tree),
            Some(Node {
                kind: NodeKind::File, ..
            }) => Before::File,
            _ => Before::Absent,
        }
    }

    fn tree(self) -> Option<Id> {
        match self {
            Before::Folder(tree) => Some(tree),
            Before::Absent | Before::File => None,
        }
    }
}

struct Walk<'a> {
    run: &'a Run<'a>,
    source: &'a dyn Source,
    entries: Sender<Entry>,
    files: Sender<FileJob>,
    /// The folders above the roots, each with the entries that lead to roots.
    above: BTreeMap<PathBuf, BTreeSet<OsString>>,
    unusable: Vec<String>,
    roots: BTreeSet<PathBuf>,
    unread_roots: Vec<Unread>,
    paused: bool,
}

/// A folder whose entries are being gone through.
struct Frame {
    path: PathBuf,
    names: Box<dyn Iterator<Item = OsString>>,
    parent: ParentFolder,
    /// The same folder in what earlier portions stored.
    done: Vec<ParentFolder>,
}

/// What was known of an entry before this call.
struct Earlier {
    parent: Option<Node>,
    done: Vec<Node>,
}

/// Walks the source, depth first, from `/` down to the roots and through them.
pub(super) fn walk(
    run: &Run<'_>,
    source: &dyn Source,
    parent: Option<Id>,
    entries: Sender<Entry>,
    files: Sender<FileJob>,
) -> Result<()> {
    let roots = outermost(run.origin.paths.clone())?;
    let above = folders_above(&roots);
    let mut walk = Walk {
        run,
        source,
        entries,
        files,
        above,
        unusable: Vec::new(),
        roots,
        unread_roots: Vec::new(),
        paused: false,
    };
    walk.tree(parent)?;
    if let [first, ..] = walk.unread_roots.as_slice()
        && walk.unread_roots.len() == walk.roots.len()
    {
        return Err(RepositoryError::UnreadableRoot {
            path: first.path.clone(),
            reason: first.reason.to_string(),
        });
    }
    let unusable = std::mem::take(&mut walk.unusable);
    let complete = !walk.paused;
    walk.send(Entry::End { unusable, complete })
}

/// The roots without those that lie under another.
fn outermost(paths: Vec<PathBuf>) -> Result<BTreeSet<PathBuf>> {
    let all: BTreeSet<PathBuf> = paths.into_iter().map(|path| path.components().collect()).collect();
    if all.is_empty() {
        return Err(RepositoryError::invalid(
            "a backup without paths",
            "there is nothing to read",
        ));
    }
    for path in &all {
        let parts_are_plain = !path
            .components()
            .any(|part| matches!(part, std::path::Component::ParentDir));
        if !path.is_absolute() || !parts_are_plain {
            return Err(RepositoryError::invalid(
                format!("the path {}", path.display()),
                "it is not absolute",
            ));
        }
    }
    let inner = |path: &&PathBuf| path.ancestors().skip(1).any(|above| all.contains(above));
    Ok(all.iter().filter(|path| !inner(path)).cloned().collect())
}

fn folders_above(roots: &BTreeSet<PathBuf>) -> BTreeMap<PathBuf, BTreeSet<OsString>> {
    let mut above: BTreeMap<PathBuf, BTreeSet<OsString>> = BTreeMap::new();
    for root in roots {
        let mut path = root.as_path();
        while let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
            above.entry(folder.to_owned()).or_default().insert(name.to_owned());
            path = folder;
        }
    }
    above
}

impl Walk<'_> {
    fn tree(&mut self, parent: Option<Id>) -> Result<()> {
        let top = Path::new("/");
        let names = match self.names(top) {
            Ok(names) => names,
            Err(unread) => return self.unread(unread),
        };
        let parent = ParentFolder::open(self.run, parent, &mut self.unusable);
        let done = self.run.portion.done.iter().map(|done| Some(done.tree));
        let done = self.done_folders(done);
        let mut frames = vec![Frame {
            path: top.to_owned(),
            names,
            parent,
            done,
        }];
        while let Some(frame) = frames.last_mut() {
            self.run.check()?;
            if self.run.is_paused() {
                self.paused = true;
                return self.carry_over(frames);
            }
            let Some(name) = frame.names.next() else {
                frames.pop();
                if !frames.is_empty() {
                    self.send(Entry::Leave)?;
                }
                continue;
            };
            let path = frame.path.join(&name);
            let earlier = Earlier {
                parent: frame.parent.take(name.as_bytes(), &mut self.unusable),
                done: {
                    let take = |done: &mut ParentFolder| done.take(name.as_bytes(), &mut self.unusable);
                    frame.done.iter_mut().filter_map(take).collect()
                },
            };
            if let Some(inner) = self.entry(path, name, &earlier)? {
                frames.push(inner);
            }
        }
        Ok(())
    }

    /// Reports one entry; the frame of a folder to go into.
    fn entry(&mut self, path: PathBuf, name: OsString, earlier: &Earlier) -> Result<Option<Frame>> {
        let mut node = match self.stat(&path, &name, earlier) {
            Ok(node) => Box::new(node),
            Err(unread) => return self.unread(unread).map(|()| None),
        };
        node.name = name.into_vec();
        node.content = None;
        node.subtree = None;
        match node.kind {
            NodeKind::Dir => return self.folder(path, node, earlier),
            NodeKind::File => self.file(path, node, earlier)?,
            _ => self.send(Entry::Whole(node))?,
        }
        Ok(None)
    }

    fn folder(&mut self, path: PathBuf, node: Box<Node>, earlier: &Earlier) -> Result<Option<Frame>> {
        let before = Before::of(earlier.parent.as_ref());
        let names = match self.names(&path) {
            Ok(names) => names,
            Err(unread) => return self.unread(unread).map(|()| None),
        };
        self.send(Entry::Enter { node, before })?;
        let parent = ParentFolder::open(self.run, before.tree(), &mut self.unusable);
        let done = self.done_folders(earlier.done.iter().map(|node| node.subtree));
        Ok(Some(Frame {
            path,
            names,
            parent,
            done,
        }))
    }

    /// Ends the folders that are open with what earlier portions stored of the entries that this call does not come to,
    /// so that its tree holds all that theirs held.
    fn carry_over(&mut self, mut frames: Vec<Frame>) -> Result<()> {
        while let Some(mut frame) = frames.pop() {
            while let Some(name) = frame.done.iter_mut().filter_map(ParentFolder::next_name).min() {
                let nodes = frame.done.iter_mut().map(|done| done.take(&name, &mut self.unusable));
                let nodes: Vec<Node> = nodes.collect::<Vec<_>>().into_iter().flatten().collect();
                if let Some(node) = nodes.into_iter().next() {
                    self.send(Entry::Whole(Box::new(node)))?;
                }
            }
            if !frames.is_empty() {
                self.send(Entry::Leave)?;
            }
        }
        Ok(())
    }

    /// Folders of earlier portions; one that cannot be loaded is read again.
    fn done_folders(&mut self, trees: impl Iterator<Item = Option<Id>>) -> Vec<ParentFolder> {
        let run = self.run;
        trees
            .flatten()
            .map(|tree| ParentFolder::open(run, Some(tree), &mut self.unusable))
            .collect()
    }

    fn file(&mut self, path: PathBuf, mut node: Box<Node>, earlier: &Earlier) -> Result<()> {
        if self.run.portion.slice.is_some_and(|slice| !slice.holds(&path)) {
            return Ok(());
        }
        self.run.options.progress.expect(node.size, 1);
        if let Some(content) = unchanged_content(self.run, &node, earlier.parent.as_ref())? {
            self.run.options.progress.advance(node.size, 1);
            node.content = Some(content);
            return self.send(Entry::Whole(node));
        }
        let before = Before::of(earlier.parent.as_ref());
        let mut beginning = None;
        let mut whole = None;
        for done in &earlier.done {
            match taken_over(self.run, &node, done)? {
                None => {}
                Some(Taken::Whole(content)) => whole = Some(content),
                Some(Taken::Beginning(chunks, length)) => {
                    let listed = Node::clone(&node);
                    beginning = Some(Beginning { listed, chunks, length });
                }
            }
        }
        if let Some(content) = whole {
            self.run.options.progress.advance(node.size, 1);
            node.content = Some(content);
            return self.send(Entry::Taken { node, before });
        }
        let (report, outcome) = bounded(1);
        let job = FileJob {
            path,
            beginning,
            outcome: report,
        };
        self.files.send(job).map_err(|_| RepositoryError::Cancelled)?;
        self.send(Entry::File { node, before, outcome })
    }

    /// Metadata; a folder above the roots that cannot be looked at still leads to them.
    fn stat(&mut self, path: &Path, name: &OsStr, earlier: &Earlier) -> Result<Node, Unread> {
        let before: Vec<&Node> = earlier.done.iter().chain(&earlier.parent).collect();
        match self.source.stat_after(path, &before) {
            Err(unread) if self.above.contains_key(path) => {
                self.send_unread_folder(unread);
                let mut node = Node::new(name.as_bytes(), NodeKind::Dir);
                node.mode = mode::DIR | 0o755;
                Ok(node)
            }
            other => other,
        }
    }

    fn send_unread_folder(&self, unread: Unread) {
        // A closed channel shows at the next entry.
        drop(self.entries.send(Entry::Unread(unread)));
    }

    fn names(&self, folder: &Path) -> Result<Box<dyn Iterator<Item = OsString>>, Unread> {
        match self.above.get(folder) {
            Some(names) => Ok(Box::new(names.clone().into_iter())),
            None => Ok(Box::new(self.source.names(folder)?.into_iter())),
        }
    }

    fn unread(&mut self, unread: Unread) -> Result<()> {
        let unread = unread.passed_over()?;
        if self.roots.contains(&unread.path) {
            self.unread_roots.push(unread.clone());
        }
        self.send(Entry::Unread(unread))
    }

    fn send(&self, entry: Entry) -> Result<()> {
        self.entries.send(entry).map_err(|_| RepositoryError::Cancelled)
    }
}
