//! Stage of a streamed backup: cut its files into chunks, hold what came until all of it is there, and say it in order.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

use crate::chunker::MAX_CHUNK;
use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::tree::{Node, NodeKind, mode};

use super::read::Reader;
use super::run::Run;
use super::walk::{Before, Entry};
use super::work::{Batch, FileEnd, FileOutcome, OpenFile};
use super::{Chunk, Chunks, Item, ItemContent, Stream};

/// Everything that a stream gave, by path: folders stand before what is in them, and names in the order of their bytes.
pub(super) struct Gathered(BTreeMap<PathBuf, Node>);

struct Gatherer<'a> {
    run: &'a Run<'a>,
    root: PathBuf,
    nodes: BTreeMap<PathBuf, Node>,
    /// Files whose chunks are still being hashed, in the order they came.
    open: VecDeque<(PathBuf, Receiver<FileOutcome>)>,
}

/// Reads the stream to its end.
pub(super) fn gather(run: &Run<'_>, stream: &mut dyn Stream, batches: Sender<Batch>) -> Result<Gathered> {
    let root = plain(&stream.root())?;
    let mut gatherer = Gatherer {
        run,
        root,
        nodes: BTreeMap::new(),
        open: VecDeque::new(),
    };
    let mut reader = Reader::new(run, batches);
    while let Some(item) = stream.next_item().map_err(RepositoryError::io("read the stream"))? {
        run.check()?;
        gatherer.item(&mut reader, item)?;
        gatherer.take_finished()?;
    }
    reader.send()?;
    // The workers end when nobody can send them more.
    drop(reader);
    gatherer.finish()
}

/// An absolute path without detours.
fn plain(path: &Path) -> Result<PathBuf> {
    let detour = |part| matches!(part, Component::ParentDir);
    if !path.is_absolute() || path.components().any(detour) {
        return Err(refused(path, "it is not absolute, or has `..` in it"));
    }
    Ok(path.components().collect())
}

fn refused(path: &Path, reason: impl std::fmt::Display) -> RepositoryError {
    RepositoryError::invalid(format!("the path {}", path.display()), reason)
}

impl Gatherer<'_> {
    fn item(&mut self, reader: &mut Reader<'_>, item: Item<'_>) -> Result<()> {
        let Item {
            path,
            mut node,
            content,
        } = item;
        let path = plain(&path)?;
        let Some(name) = path.file_name().filter(|_| path.starts_with(&self.root)) else {
            return Err(refused(&path, format!("it is not below {}", self.root.display())));
        };
        if self.nodes.contains_key(&path) {
            return Err(refused(&path, "it comes twice"));
        }
        node.name = name.as_bytes().to_vec();
        (node.content, node.subtree) = (None, None);
        match (node.kind, content) {
            (NodeKind::File, Some(content)) => self.file(reader, &path, node.size, content)?,
            (NodeKind::File, None) => return Err(refused(&path, "it is a regular file without bytes")),
            (_, Some(_)) => return Err(refused(&path, "it has bytes and is no regular file")),
            (_, None) => {}
        }
        self.nodes.insert(path, node);
        Ok(())
    }

    fn file(&mut self, reader: &mut Reader<'_>, path: &Path, promised: u64, content: ItemContent<'_>) -> Result<()> {
        self.run.options.progress.expect(promised, 1);
        let (report, outcome) = bounded(1);
        let file = Arc::new(OpenFile::new(report));
        reader.begin();
        let size = match content {
            ItemContent::Bytes(bytes) => self.bytes(reader, path, &file, bytes)?,
            ItemContent::Chunks(chunks) => self.chunks(reader, path, &file, chunks)?,
        };
        if size != promised {
            return Err(refused(
                path,
                format!("it has {size} bytes where {promised} were promised"),
            ));
        }
        file.end(FileEnd {
            node: None,
            size,
            unread: None,
            in_part: false,
        })?;
        self.run.options.progress.advance(0, 1);
        self.open.push_back((path.to_owned(), outcome));
        Ok(())
    }

    /// Cuts bytes into chunks; how many there were.
    fn bytes(&self, reader: &mut Reader<'_>, path: &Path, file: &Arc<OpenFile>, content: &mut dyn Read) -> Result<u64> {
        let mut size = 0;
        loop {
            self.run.check()?;
            let chunk = reader.chunk(file, content)?;
            match chunk.map_err(RepositoryError::io(format!("read {}", path.display())))? {
                0 => return Ok(size),
                length => size += length as u64,
            }
        }
    }

    /// Takes chunks as they are; how many bytes they have.
    fn chunks(
        &self,
        reader: &mut Reader<'_>,
        path: &Path,
        file: &Arc<OpenFile>,
        chunks: &mut dyn Chunks,
    ) -> Result<u64> {
        let mut size = 0;
        loop {
            self.run.check()?;
            let chunk = chunks.next_chunk();
            let length = match chunk.map_err(RepositoryError::io(format!("read {}", path.display())))? {
                None => return Ok(size),
                Some(Chunk::Bytes(bytes) | Chunk::Hashed(_, bytes)) if !(1..=MAX_CHUNK).contains(&bytes.len()) => {
                    return Err(refused(path, format!("it has a chunk of {} bytes", bytes.len())));
                }
                Some(Chunk::Bytes(bytes)) => {
                    reader.given_chunk(file, bytes)?;
                    bytes.len()
                }
                Some(Chunk::Hashed(id, bytes)) => {
                    reader.hashed_chunk(file, id, bytes)?;
                    bytes.len()
                }
                Some(Chunk::Stored(id, length)) => {
                    reader.stored_chunk(file, id, length)?;
                    length
                }
            };
            size += length as u64;
        }
    }

    /// Takes over the content of files that are done, so that only few of them are open at one time.
    fn take_finished(&mut self) -> Result<()> {
        while let Some((path, outcome)) = self.open.pop_front() {
            match outcome.try_recv() {
                Ok(outcome) => self.content(&path, outcome)?,
                Err(TryRecvError::Empty) => {
                    self.open.push_front((path, outcome));
                    break;
                }
                Err(TryRecvError::Disconnected) => return Err(RepositoryError::Cancelled),
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Gathered> {
        while let Some((path, outcome)) = self.open.pop_front() {
            let outcome = outcome.recv().map_err(|_| RepositoryError::Cancelled)?;
            self.content(&path, outcome)?;
        }
        Ok(Gathered(self.nodes))
    }

    fn content(&mut self, path: &Path, outcome: FileOutcome) -> Result<()> {
        let (Some(node), FileOutcome::Read { content, .. }) = (self.nodes.get_mut(path), outcome) else {
            return Err(RepositoryError::Bug(format!(
                "{} was not read to its end",
                path.display()
            )));
        };
        node.content = Some(exactly(content));
        Ok(())
    }
}

/// Without spare room: these lists are all that a large backup holds for long.
fn exactly(content: Vec<Id>) -> Vec<Id> {
    content.into_boxed_slice().into_vec()
}

impl Gathered {
    /// Says everything in the order of the trees to build. Folders that did not come are made up.
    pub(super) fn tell(self, entries: &Sender<Entry>) -> Result<()> {
        let send = |entry| entries.send(entry).map_err(|_| RepositoryError::Cancelled);
        let before = Before::Absent;
        let mut folder = PathBuf::from("/");
        let mut no_folder: Option<PathBuf> = None;
        for (path, node) in self.0 {
            if let Some(above) = no_folder.take().filter(|above| path.starts_with(above)) {
                return Err(refused(
                    &path,
                    format!("it lies in {}, which is no folder", above.display()),
                ));
            }
            while !path.starts_with(&folder) {
                send(Entry::Leave)?;
                folder.pop();
            }
            let parent = path.parent().unwrap_or(&path);
            let missing = parent.strip_prefix(&folder).map(Path::to_owned).unwrap_or_default();
            for name in &missing {
                let mut node = Box::new(Node::new(name.as_bytes(), NodeKind::Dir));
                node.mode = mode::DIR | 0o755;
                send(Entry::Enter { node, before })?;
                folder.push(name);
            }
            let node = Box::new(node);
            match node.kind {
                NodeKind::Dir => {
                    send(Entry::Enter { node, before })?;
                    folder = path;
                    continue;
                }
                NodeKind::File => send(Entry::Taken { node, before })?,
                _ => send(Entry::Whole(node))?,
            }
            no_folder = Some(path);
        }
        for _ in folder.components().skip(1) {
            send(Entry::Leave)?;
        }
        let unusable = Vec::new();
        send(Entry::End {
            unusable,
            complete: true,
        })
    }
}
