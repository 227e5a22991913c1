//! Stage: read files and cut them into chunks.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError};

use crate::chunker::MIN_CHUNK;
use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::index::Lookup;
use crate::pack::BlobKind;
use crate::tree::Node;

use super::parent::same_state;
use super::run::Run;
use super::window::{Bytes, Piece, Window};
use super::work::{Batch, FileEnd, FileOutcome, OpenFile};
use super::{Content, Source, Unread, UnreadReason};

/// Chunks of small files travel together up to this many bytes.
pub(super) const BATCH_BYTES: usize = 512 << 10;

/// A file to read.
pub(super) struct FileJob {
    pub(super) path: PathBuf,
    /// What an earlier portion read of it.
    pub(super) beginning: Option<Beginning>,
    pub(super) outcome: Sender<FileOutcome>,
}

/// The first bytes of a file.
pub(super) struct Beginning {
    /// The file in the state that they belong to.
    pub(super) listed: Node,
    pub(super) chunks: Vec<Id>,
    /// How many bytes that is.
    pub(super) length: u64,
}

/// Cuts files into chunks and passes these on in batches.
pub(super) struct Reader<'a> {
    run: &'a Run<'a>,
    window: Window,
    batches: Sender<Batch>,
    batch: Batch,
    zeroes: Id,
}

/// Runs until there are no more files.
pub(super) fn read(
    run: &Run<'_>,
    source: &dyn Source,
    files: &Receiver<FileJob>,
    batches: Sender<Batch>,
) -> Result<()> {
    let mut reader = Reader::new(run, batches);
    loop {
        run.check()?;
        let job = match files.try_recv() {
            Ok(job) => job,
            Err(TryRecvError::Disconnected) => return reader.send(),
            Err(TryRecvError::Empty) => {
                // The assembly may wait for what is in the batch, and the walk for the assembly.
                reader.send()?;
                match files.recv() {
                    Ok(job) => job,
                    Err(_) => return Ok(()),
                }
            }
        };
        reader.file(source, job)?;
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(run: &'a Run<'a>, batches: Sender<Batch>) -> Reader<'a> {
        Reader {
            run,
            window: Window::new(),
            batches,
            batch: Batch::new(run.chunk_buffers.take()),
            zeroes: Id::of(&vec![0; MIN_CHUNK]),
        }
    }

    fn file(&mut self, source: &dyn Source, job: FileJob) -> Result<()> {
        let file = Arc::new(OpenFile::new(job.outcome));
        if self.run.is_paused() {
            return file.report(FileOutcome::NotReached);
        }
        let done = match source.open(&job.path) {
            Ok(mut content) => self.content(&file, &job.path, job.beginning, &mut *content)?,
            Err(unread) => Err(unread),
        };
        self.run.options.progress.advance(0, 1);
        match done {
            Ok(end) => file.end(end),
            Err(unread) => file.report(FileOutcome::Unread(unread)),
        }
    }

    /// Reads a file to its end. The inner error is about the file alone.
    fn content(
        &mut self,
        file: &Arc<OpenFile>,
        path: &std::path::Path,
        beginning: Option<Beginning>,
        content: &mut dyn Content,
    ) -> Result<Result<FileEnd, Unread>> {
        let mut size = 0;
        self.begin();
        // What was written anew between its listing and its opening has no beginning in what was read before.
        let of_this = |beginning: &Beginning| {
            content
                .opened()
                .is_ok_and(|opened| same_state(&opened, &beginning.listed))
        };
        if let Some(Beginning { chunks, length, .. }) = beginning.filter(of_this) {
            // Chunks are cut by the bytes after the last cut alone, so the rest falls into the same ones as in one go.
            if let Err(error) = content.skip(length) {
                return Ok(Err(Unread {
                    path: path.to_owned(),
                    reason: UnreadReason::from_io(&error),
                }));
            }
            for id in chunks {
                file.reserve(Some(id));
            }
            self.run.options.progress.advance(length, 0);
            size = length;
        }
        loop {
            self.run.check()?;
            if self.run.is_paused() {
                return Ok(content.opened().map(|opened| FileEnd {
                    node: Some(Box::new(opened)),
                    size,
                    unread: None,
                    in_part: true,
                }));
            }
            match self.chunk(file, content)? {
                Ok(0) => break,
                Ok(length) => size += length as u64,
                Err(error) => {
                    return Ok(Err(Unread {
                        path: path.to_owned(),
                        reason: UnreadReason::from_io(&error),
                    }));
                }
            }
        }
        Ok(Ok(end_of(path, size, content)))
    }

    /// Makes ready for another file.
    pub(super) fn begin(&mut self) {
        self.window.clear();
    }

    /// Passes on the next chunk of a file, cut by its content; its length, 0 at the end. The inner error is about the
    /// file alone.
    pub(super) fn chunk<B: Bytes + ?Sized>(
        &mut self,
        file: &Arc<OpenFile>,
        content: &mut B,
    ) -> Result<io::Result<usize>> {
        let length = match self.window.next(content, &self.run.chunker) {
            Ok(None) => return Ok(Ok(0)),
            Ok(Some(Piece::Data(data))) => {
                self.batch.push(file, data, None);
                data.len()
            }
            Ok(Some(Piece::Zeroes)) => {
                if self.run.known.contains(BlobKind::Data, &self.zeroes)? {
                    self.take_over(file, self.zeroes, MIN_CHUNK);
                    return Ok(Ok(MIN_CHUNK));
                }
                self.batch.push_zeroes(file, MIN_CHUNK);
                MIN_CHUNK
            }
            Err(error) => return Ok(Err(error)),
        };
        self.send_full()?;
        Ok(Ok(length))
    }

    /// Passes on a chunk that is cut already.
    pub(super) fn given_chunk(&mut self, file: &Arc<OpenFile>, bytes: &[u8]) -> Result<()> {
        self.batch.push(file, bytes, None);
        self.send_full()
    }

    /// As [`Reader::given_chunk`], where its hash is known: one that the repository has needs no more work.
    pub(super) fn hashed_chunk(&mut self, file: &Arc<OpenFile>, id: Id, bytes: &[u8]) -> Result<()> {
        debug_assert_eq!(Id::of(bytes), id, "a chunk's hash is that of its bytes");
        if self.run.known.contains(BlobKind::Data, &id)? {
            self.take_over(file, id, bytes.len());
            return Ok(());
        }
        self.batch.push(file, bytes, Some(id));
        self.send_full()
    }

    /// Takes over a chunk that the repository has, without reading it. One in a condemned pack counts as missing: it is read, to
    /// be stored again.
    pub(super) fn stored_chunk(&mut self, file: &Arc<OpenFile>, id: Id, length: usize) -> Result<()> {
        let index = self.run.known.index();
        let check = |found: usize| match found == length {
            true => Ok(()),
            false => Err(RepositoryError::invalid(
                format!("the chunk {id} of a file"),
                format!("the repository has {found} bytes of it where {length} were promised"),
            )),
        };
        if let Some(found) = index.usable(BlobKind::Data, &id)? {
            check(found as usize)?;
            self.take_over(file, id, length);
            return Ok(());
        }
        let bytes = self.run.repository.load_blob(index, BlobKind::Data, &id)?;
        check(bytes.len())?;
        self.given_chunk(file, &bytes)
    }

    /// The next chunk of a file is one that needs no more work.
    fn take_over(&self, file: &OpenFile, id: Id, length: usize) {
        file.reserve(Some(id));
        self.run.options.progress.advance(length as u64, 0);
    }

    fn send_full(&mut self) -> Result<()> {
        if self.batch.len() >= BATCH_BYTES {
            self.send()?;
        }
        Ok(())
    }

    /// Passes on what is left.
    pub(super) fn send(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let next = Batch::new(self.run.chunk_buffers.take());
        self.batches
            .send(std::mem::replace(&mut self.batch, next))
            .map_err(|_| RepositoryError::Cancelled)
    }
}

/// What is known of a file that was read to its end.
fn end_of(path: &std::path::Path, size: u64, content: &mut dyn Content) -> FileEnd {
    match content.finish() {
        Ok(node) if node.size == size => FileEnd {
            node: Some(Box::new(node)),
            size,
            unread: None,
            in_part: false,
        },
        Ok(_) => {
            let unread = Unread {
                path: path.to_owned(),
                reason: UnreadReason::ChangedWhileRead,
            };
            FileEnd {
                node: None,
                size,
                unread: Some(unread),
                in_part: false,
            }
        }
        Err(unread) => FileEnd {
            node: None,
            size,
            unread: Some(unread),
            in_part: false,
        },
    }
}
