//! The content of regular files: what stands already is compared, the rest is fetched pack by pack.

mod handles;

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_repository::fetch::{BlobSink, Wanted};
use holdfast_repository::{Id, RepositoryError};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::super::beneath::handle_path;
use super::report::{Tally, locked};
use super::target::Standing;
use super::walk::Entry;
use super::{Cause, Overwrite, RestoreError, Work, entries, metadata, parallel};
use handles::{Handles, Origin};

/// A run of zeroes is stored as blobs of this length, which become holes again.
const ZERO_RUN: usize = 512 << 10;
/// Bytes of existing files that one thread compares at a time, unless one blob alone is longer.
const COMPARED_AT_ONCE: u64 = 8 << 20;

/// A blob's place in a file.
#[derive(Clone, Copy)]
struct Piece {
    blob: Id,
    offset: u64,
    length: u64,
}

/// A file of the batch, being restored.
struct File<'a> {
    entry: &'a Entry,
    pieces: Vec<Piece>,
    found: Found,
    /// Bytes that need no writing.
    right: AtomicU64,
}

/// What stands in a file's place in the target.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    /// A file whose content may be right.
    Content,
    /// A file whose content is believed to be right.
    Unchanged,
}

/// Restores one batch of files: content, then metadata.
pub(super) fn restore_files(work: &Work<'_>, batch: &[Entry]) -> Result<(), RestoreError> {
    let zero_run = Id::of(&vec![0; ZERO_RUN]);
    let files: Vec<Option<File<'_>>> = parallel::map(work, batch, |entry| prepare(work, entry))?;
    let origins = files.iter().zip(batch).map(|(file, entry)| match file {
        Some(file) => Origin {
            path: &entry.path,
            length: file.length(),
            make: file.found == Found::Nothing,
        },
        None => Origin {
            path: &entry.path,
            length: 0,
            make: false,
        },
    });
    let filling = Filling {
        work,
        handles: Handles::new(&work.target, origins.collect()),
        files: &files,
        problems: batch.iter().map(|_| Mutex::default()).collect(),
        stopped: Mutex::default(),
    };
    let wanted = filling.wanted(&zero_run)?;
    for part in wanted.chunks(work.options.batch.max(1)) {
        filling.fetch(part)?;
    }
    let numbers: Vec<usize> = (0..files.len()).collect();
    parallel::map(work, &numbers, |number| filling.finish(*number)).map(drop)
}

/// Looks at what stands in a file's place and makes room. `None` where the file cannot be restored, which is recorded.
fn prepare<'a>(work: &Work<'_>, entry: &'a Entry) -> Result<Option<File<'a>>, RestoreError> {
    let fail = |cause| {
        work.tally.fail(work.target.shown(&entry.path), cause);
        Ok(None)
    };
    let pieces = match pieces(work, entry) {
        Ok(pieces) => pieces,
        Err(cause) => return fail(cause),
    };
    match make_room(work, entry) {
        Ok(found) => Ok(Some(File {
            entry,
            pieces,
            found,
            right: AtomicU64::new(0),
        })),
        Err(error) => fail(work.target.refused("replace what stands there", &entry.path, error)?),
    }
}

/// Where the blobs of a file go.
fn pieces(work: &Work<'_>, entry: &Entry) -> Result<Vec<Piece>, Cause> {
    let Some(content) = &entry.node.content else {
        return Err(Cause::Malformed(
            "a file without content, not even an empty one".to_owned(),
        ));
    };
    let (mut pieces, mut offset) = (Vec::with_capacity(content.len()), 0u64);
    for blob in content {
        let missing = || Cause::Unreadable(format!("data blob {blob} is in no pack that the index knows"));
        let length = work.store.length(blob).ok_or_else(missing)?;
        pieces.push(Piece {
            blob: *blob,
            offset,
            length,
        });
        offset = offset.saturating_add(length);
    }
    if offset != entry.node.size {
        return Err(Cause::Malformed(format!(
            "its size is {}, but its blobs hold {offset} bytes",
            entry.node.size
        )));
    }
    Ok(pieces)
}

/// Removes what is no file of ours to write into.
fn make_room(work: &Work<'_>, entry: &Entry) -> rustix::io::Result<Found> {
    if work.target.standing == Standing::Empty {
        return Ok(Found::Nothing);
    }
    let place = work.target.place(&entry.path)?;
    let Some(stat) = entries::standing(&place)? else {
        return Ok(Found::Nothing);
    };
    let is_file = rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile;
    // Another name of the same file may lie outside of what is restored: writing through this one would change it.
    if !is_file || (stat.st_nlink > 1 && work.target.standing != Standing::Ours) {
        entries::clear(&place, &stat)?;
        return Ok(Found::Nothing);
    }
    if is_believed(work, entry, &stat) {
        return Ok(Found::Unchanged);
    }
    // While it is written, nobody may read it who may not read it afterwards.
    let (found, wanted) = (stat.st_mode & 0o7777, entry.node.mode & 0o777);
    let working = (found & wanted) | 0o600;
    if found != working {
        let file = work.target.open(&entry.path, OFlags::PATH, Mode::empty())?;
        rustix::fs::chmod(handle_path(file.as_fd()), Mode::from_raw_mode(working))?;
    }
    Ok(Found::Content)
}

/// Whether a file need not be read. One that an unfinished restore left may have its time before all of its content.
fn is_believed(work: &Work<'_>, entry: &Entry, stat: &rustix::fs::Stat) -> bool {
    let mtime = entry.node.mtime;
    work.options.overwrite == Overwrite::IfChanged
        && work.target.standing == Standing::Foreign
        && u64::try_from(stat.st_size) == Ok(entry.node.size)
        && (stat.st_mtime, u64::from(mtime.nanos)) == (mtime.seconds, stat.st_mtime_nsec)
}

impl File<'_> {
    fn length(&self) -> u64 {
        self.entry.node.size
    }
}

/// A batch of files while their content arrives.
struct Filling<'a> {
    work: &'a Work<'a>,
    handles: Handles<'a>,
    files: &'a [Option<File<'a>>],
    /// What went wrong with each file.
    problems: Vec<Mutex<Option<Cause>>>,
    /// What stops the restore.
    stopped: Mutex<Option<RestoreError>>,
}

impl Filling<'_> {
    /// Everything that does not stand in the files yet.
    fn wanted(&self, zero_run: &Id) -> Result<Vec<Wanted>, RestoreError> {
        let (mut wanted, mut to_compare) = (Vec::new(), Vec::new());
        for (number, file) in self.files.iter().enumerate() {
            let Some(file) = file else { continue };
            match file.found {
                Found::Content => to_compare.extend(runs(number, file)),
                Found::Unchanged => file.right.store(file.length(), Ordering::Relaxed),
                Found::Nothing => {
                    let (holes, data): (Vec<Piece>, Vec<Piece>) =
                        file.pieces.iter().partition(|piece| piece.blob == *zero_run);
                    file.right
                        .fetch_add(holes.iter().map(|hole| hole.length).sum(), Ordering::Relaxed);
                    wanted.extend(data.iter().map(|piece| want(number, piece)));
                }
            }
        }
        let together: Vec<&[Run<'_>]> = at_once(&to_compare, Run::length).collect();
        let different = parallel::map(self.work, &together, |runs| self.different(runs))?;
        wanted.extend(different.into_iter().flatten());
        Ok(wanted)
    }

    /// What does not stand yet of blobs that files found in the target may hold already.
    fn different(&self, runs: &[Run<'_>]) -> Result<Vec<Wanted>, RestoreError> {
        let mut read = Vec::with_capacity(runs.len());
        for run in runs {
            match self.read(run) {
                Ok(bytes) => read.push((run, bytes)),
                Err(error) => self.problem(run.number, "read", error)?,
            }
        }
        let (mut pieces, mut parts) = (Vec::new(), Vec::new());
        for (run, bytes) in &read {
            let mut rest = bytes.as_slice();
            for piece in run.pieces {
                let length = usize::try_from(piece.length).unwrap_or(usize::MAX).min(rest.len());
                let (part, after) = rest.split_at(length);
                rest = after;
                pieces.push((run, piece));
                parts.push(part);
            }
        }
        let mut different = Vec::new();
        for (((run, piece), part), found) in pieces.into_iter().zip(&parts).zip(Id::of_each(&parts)) {
            if found == piece.blob && part.len() as u64 == piece.length {
                Tally::add(&run.file.right, piece.length);
            } else {
                different.push(want(run.number, piece));
            }
        }
        Ok(different)
    }

    /// What a file found in the target has where these blobs belong.
    fn read(&self, run: &Run<'_>) -> rustix::io::Result<Vec<u8>> {
        let handle = self.handles.open(run.number)?;
        let offset = run.pieces.first().map_or(0, |piece| piece.offset);
        let mut bytes = vec![0; usize::try_from(run.length()).map_err(|_| Errno::FBIG)?];
        let read = read_up_to(&handle, offset, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    fn fetch(&self, wanted: &[Wanted]) -> Result<(), RestoreError> {
        let fetched = self.work.store.fetch(wanted.to_vec(), self);
        if let Some(error) = locked(&self.stopped).take() {
            return Err(error);
        }
        match fetched {
            Err(RepositoryError::BlobsUnreadable { blobs }) => {
                for bad in &blobs {
                    for file in &bad.files {
                        let cause = Cause::Unreadable(format!("data blob {}: {}", bad.blob, bad.reason));
                        locked(&self.problems[*file as usize]).get_or_insert(cause);
                    }
                }
                Ok(())
            }
            Err(RepositoryError::Cancelled) => Err(RestoreError::Cancelled),
            outcome => Ok(outcome?),
        }
    }

    /// Remembers a problem of one file; an error where it stops the restore.
    fn problem(&self, number: usize, action: &'static str, error: Errno) -> Result<(), RestoreError> {
        let cause = self.work.target.refused(action, self.path(number), error)?;
        locked(&self.problems[number]).get_or_insert(cause);
        Ok(())
    }

    fn path(&self, number: usize) -> &Path {
        self.files[number]
            .as_ref()
            .map_or(Path::new(""), |file| &file.entry.path)
    }

    /// Makes the file if nothing was written into it, and sets its metadata; or records why it is not whole.
    fn finish(&self, number: usize) -> Result<(), RestoreError> {
        let Some(file) = &self.files[number] else { return Ok(()) };
        let handle = match self.handles.open(number) {
            Ok(handle) => Some(handle),
            Err(error) => {
                self.problem(number, "make", error)?;
                None
            }
        };
        if let Some(cause) = locked(&self.problems[number]).take() {
            self.work.tally.fail(self.work.target.shown(&file.entry.path), cause);
        } else if let Some(handle) = handle {
            metadata::apply_to_handle(self.work, &file.entry.path, handle.as_fd(), &file.entry.node);
            Tally::add(&self.work.tally.files, 1);
        }
        self.handles.close(number);
        let right = file.right.load(Ordering::Relaxed);
        Tally::add(&self.work.tally.bytes_right, right);
        self.work.options.progress.expect(right, 0);
        self.work.options.progress.advance(right, 1);
        Ok(())
    }
}

fn want(number: usize, piece: &Piece) -> Wanted {
    // The weight of a batch counts every file, so there are never that many.
    let file = u32::try_from(number).unwrap_or(u32::MAX);
    Wanted {
        blob: piece.blob,
        file,
        offset: piece.offset,
    }
}

impl BlobSink for Filling<'_> {
    fn write(&self, file: u32, offset: u64, bytes: &[u8]) -> holdfast_repository::Result<()> {
        let number = file as usize;
        if locked(&self.problems[number]).is_some() {
            return Ok(());
        }
        let written = self
            .handles
            .open(number)
            .and_then(|handle| write_all(&handle, offset, bytes));
        match written {
            Ok(()) => {
                Tally::add(&self.work.tally.bytes_written, bytes.len() as u64);
                self.work.flusher.note(bytes.len() as u64);
                Ok(())
            }
            Err(error) => self.problem(number, "write", error).map_err(|error| {
                locked(&self.stopped).get_or_insert(error);
                RepositoryError::Cancelled
            }),
        }
    }
}

/// Blobs that lie one after another in a file.
struct Run<'a> {
    number: usize,
    file: &'a File<'a>,
    pieces: &'a [Piece],
}

impl Run<'_> {
    fn length(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.length).sum()
    }
}

/// Cuts a file into runs that are read at one time.
fn runs<'a>(number: usize, file: &'a File<'a>) -> impl Iterator<Item = Run<'a>> {
    at_once(&file.pieces, |piece| piece.length).map(move |pieces| Run { number, file, pieces })
}

/// Cuts a list into parts of as many bytes as are compared at one time.
fn at_once<T>(items: &[T], length: impl Fn(&T) -> u64) -> impl Iterator<Item = &[T]> {
    let mut bytes = 0;
    items.chunk_by(move |item, next| {
        bytes += length(item);
        let goes_on = bytes + length(next) <= COMPARED_AT_ONCE;
        if !goes_on {
            bytes = 0;
        }
        goes_on
    })
}

/// Fills `bytes` from `offset`, or as much of it as the file has; the number of bytes read.
fn read_up_to(file: impl AsFd, offset: u64, bytes: &mut [u8]) -> rustix::io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match rustix::io::pread(&file, &mut bytes[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn write_all(file: impl AsFd, mut offset: u64, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(&file, bytes, offset) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
