//! Stage: hash chunks, drop those that are known, pack the others.

use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender};

use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::pack::BlobKind;
use crate::tree::Node;

use super::Unread;
use super::packer::Packer;
use super::run::Run;
use super::upload::Upload;

/// Bytes of chunks that a worker takes at one time at most, give or take a batch.
const GATHERED_BYTES: usize = 8 << 20;

/// Chunks on their way to a worker, one after another in one buffer.
pub(super) struct Batch {
    bytes: Vec<u8>,
    chunks: Vec<Chunk>,
}

/// Part of a file.
struct Chunk {
    file: Arc<OpenFile>,
    /// Which chunk of the file it is.
    place: usize,
    length: usize,
    /// Its hash, where that came along.
    id: Option<Id>,
}

impl Batch {
    pub(super) fn new(buffer: Vec<u8>) -> Batch {
        Batch {
            bytes: buffer,
            chunks: Vec::new(),
        }
    }

    /// Adds the next chunk of a file.
    pub(super) fn push(&mut self, file: &Arc<OpenFile>, bytes: &[u8], id: Option<Id>) {
        self.bytes.extend_from_slice(bytes);
        self.note(file, bytes.len(), id);
    }

    /// Adds the next chunk of a file, which is all zeroes.
    pub(super) fn push_zeroes(&mut self, file: &Arc<OpenFile>, length: usize) {
        self.bytes.resize(self.bytes.len() + length, 0);
        self.note(file, length, None);
    }

    fn note(&mut self, file: &Arc<OpenFile>, length: usize, id: Option<Id>) {
        self.chunks.push(Chunk {
            file: Arc::clone(file),
            place: file.reserve(None),
            length,
            id,
        });
    }

    /// Bytes of all its chunks.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    fn iter(&self) -> impl Iterator<Item = (&Chunk, &[u8])> {
        let mut rest = self.bytes.as_slice();
        self.chunks.iter().map(move |chunk| {
            let (bytes, after) = rest.split_at(chunk.length);
            rest = after;
            (chunk, bytes)
        })
    }
}

/// What became of a file.
pub(super) enum FileOutcome {
    /// It was read: its metadata afterwards, its content, and its length.
    Read {
        node: Option<Box<Node>>,
        content: Vec<Id>,
        size: u64,
        /// Set when it changed meanwhile.
        unread: Option<Unread>,
        /// Whether only its beginning was read, because this call is to end.
        in_part: bool,
    },
    /// This call ended before it was opened.
    NotReached,
    /// Nothing of it is kept.
    Unread(Unread),
}

/// A file whose chunks are being hashed by whichever workers got them.
pub(super) struct OpenFile {
    state: Mutex<OpenFileState>,
    outcome: Sender<FileOutcome>,
}

struct OpenFileState {
    content: Vec<Option<Id>>,
    end: Option<FileEnd>,
    missing: usize,
}

/// What the reader knows when it reached the end of a file.
pub(super) struct FileEnd {
    pub(super) node: Option<Box<Node>>,
    pub(super) size: u64,
    pub(super) unread: Option<Unread>,
    pub(super) in_part: bool,
}

impl OpenFile {
    pub(super) fn new(outcome: Sender<FileOutcome>) -> OpenFile {
        let state = OpenFileState {
            content: Vec::new(),
            end: None,
            missing: 0,
        };
        OpenFile {
            state: Mutex::new(state),
            outcome,
        }
    }

    /// Takes the place of the next chunk; its id comes later, unless it is known already.
    pub(super) fn reserve(&self, id: Option<Id>) -> usize {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.content.push(id);
        state.missing += usize::from(id.is_none());
        state.content.len() - 1
    }

    /// Gives a chunk its id.
    pub(super) fn fill(&self, place: usize, id: Id) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.content[place] = Some(id);
        state.missing -= 1;
        self.report_when_done(&mut state)
    }

    /// The reader is done with the file.
    pub(super) fn end(&self, end: FileEnd) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.end = Some(end);
        self.report_when_done(&mut state)
    }

    fn report_when_done(&self, state: &mut OpenFileState) -> Result<()> {
        if state.missing > 0 {
            return Ok(());
        }
        let Some(FileEnd {
            node,
            size,
            unread,
            in_part,
        }) = state.end.take()
        else {
            return Ok(());
        };
        let content = std::mem::take(&mut state.content).into_iter().flatten().collect();
        self.report(FileOutcome::Read {
            node,
            content,
            size,
            unread,
            in_part,
        })
    }

    /// Tells the assembly what became of the file.
    pub(super) fn report(&self, outcome: FileOutcome) -> Result<()> {
        self.outcome.send(outcome).map_err(|_| RepositoryError::Cancelled)
    }
}

/// Runs until there are no more chunks.
pub(super) fn work(run: &Run<'_>, batches: &Receiver<Batch>, packs: Sender<Upload>) -> Result<()> {
    let mut packer = Packer::new(run, BlobKind::Data, packs)?;
    while let Ok(batch) = batches.recv() {
        let gathered = gather(batch, batches);
        let (chunks, bytes): (Vec<&Chunk>, Vec<&[u8]>) = gathered.iter().flat_map(Batch::iter).unzip();
        for ((chunk, bytes), id) in chunks.iter().zip(&bytes).zip(ids(&chunks, &bytes)) {
            run.check()?;
            if run.known.claim(BlobKind::Data, id)? {
                packer.add(id, bytes)?;
            }
            run.options.progress.advance(bytes.len() as u64, 0);
            chunk.file.fill(chunk.place, id)?;
        }
        gathered
            .into_iter()
            .for_each(|batch| run.chunk_buffers.give(batch.bytes));
    }
    run.check()?;
    packer.finish()
}

/// The hash of each chunk: those that did not come along are worked out together.
fn ids(chunks: &[&Chunk], bytes: &[&[u8]]) -> Vec<Id> {
    let unhashed = chunks.iter().zip(bytes).filter(|(chunk, _)| chunk.id.is_none());
    let mut found = Id::of_each(&unhashed.map(|(_, bytes)| *bytes).collect::<Vec<_>>()).into_iter();
    chunks
        .iter()
        .filter_map(|chunk| chunk.id.or_else(|| found.next()))
        .collect()
}

/// Adds what else is waiting, up to what is worth hashing together.
fn gather(first: Batch, batches: &Receiver<Batch>) -> Vec<Batch> {
    let mut bytes = first.len();
    let mut gathered = vec![first];
    while Id::worth_gathering() > 1
        && bytes < GATHERED_BYTES
        && let Ok(more) = batches.try_recv()
    {
        bytes += more.len();
        gathered.push(more);
    }
    gathered
}
