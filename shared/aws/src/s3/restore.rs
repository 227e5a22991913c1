//! Writing the files of a recovery point as objects: small ones many at a time, large ones in parts.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_sdk_s3::types::CompletedPart;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use holdfast_core::domain::{Failure, FailureKind};
use holdfast_repository::fetch::{BlobSink, FetchOptions, Wanted, fetch};
use holdfast_repository::pack::BlobKind;
use holdfast_repository::{Id, RepositoryError};
use holdfast_sources::content_engine::places::{PointContent, RestoreCursor, RestoreRequest};

use super::attributes;
use super::refused::Refused;
use super::target::{Item, S3Target, go_on, of_repository};
use super::upload::{Body, Upload, part_size};

/// Larger objects are never whole in memory.
const LARGE_ABOVE: u64 = 16 << 20;
/// Bytes of small objects that are in memory at one time.
const BATCH_BYTES: u64 = 32 << 20;
/// Small objects of one batch.
const BATCH_OBJECTS: usize = 512;
/// Small objects on their way at one time.
const OBJECTS_AT_ONCE: usize = 16;
/// Parts of a large object that are in memory, and on their way, at one time.
const PARTS_AT_ONCE: u64 = 4;

/// Writes everything that was asked for and is not written by the cursor. What could not be written is among the
/// differences.
pub(super) fn restore(
    target: &S3Target,
    content: &PointContent<'_>,
    request: &RestoreRequest<'_>,
    cursor: &mut RestoreCursor,
) -> Result<(), Failure> {
    let written_before = cursor.written;
    let mut restore = Restore {
        target,
        content,
        request,
        batch: Vec::new(),
        batch_bytes: 0,
        seen: 0,
        cursor,
    };
    let mut add = |item: Item| {
        restore.seen += 1;
        request.progress.expect(0, 1);
        if restore.seen > written_before && request.holds(&item.path) {
            return restore.add(item);
        }
        request.progress.advance(0, 1);
        Ok(())
    };
    let selected = target.walk(content, request, &mut add, &mut |_| {})?;
    if restore.seen > written_before {
        restore.flush()?;
        restore.advance()?;
    }
    if selected == 0 && !request.include.is_empty() {
        let (snapshot, include) = (content.snapshot.short(), request.include.join(", "));
        let message = format!("nothing in snapshot {snapshot} matches {include}");
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    Ok(())
}

struct Restore<'a> {
    target: &'a S3Target,
    content: &'a PointContent<'a>,
    request: &'a RestoreRequest<'a>,
    /// Small objects, with their blobs and the length of each.
    batch: Vec<(Item, Vec<(Id, u64)>)>,
    batch_bytes: u64,
    /// Files that the walk has shown.
    seen: u64,
    cursor: &'a mut RestoreCursor,
}

impl Restore<'_> {
    fn add(&mut self, item: Item) -> Result<(), Failure> {
        let blobs = match self.blobs(&item) {
            Ok(blobs) => blobs,
            Err(what) => {
                self.cursor.restored.differences.push(item.differs(what));
                return Ok(());
            }
        };
        if item.node.size > LARGE_ABOVE {
            // The cursor counts files in the order of the snapshot.
            self.flush()?;
            self.large(&item, &blobs)?;
            return self.advance();
        }
        self.batch_bytes += item.node.size;
        self.batch.push((item, blobs));
        if self.batch_bytes >= BATCH_BYTES || self.batch.len() >= BATCH_OBJECTS {
            self.flush()?;
            return self.advance();
        }
        Ok(())
    }

    /// All files that were shown are written.
    fn advance(&mut self) -> Result<(), Failure> {
        self.cursor.written = self.seen;
        if self.request.cursors.is_due() {
            self.request.cursors.keep(self.cursor)?;
        }
        Ok(())
    }

    /// The blobs of a file and their lengths, or what is wrong with it.
    fn blobs(&self, item: &Item) -> Result<Vec<(Id, u64)>, String> {
        let content = item.node.content.as_ref();
        let content = content.ok_or("the snapshot holds no content of it, not even an empty one")?;
        let lengths = content.iter().map(|blob| {
            let location = self.content.index.lookup(BlobKind::Data, blob);
            let location = location.ok_or_else(|| format!("data blob {blob} is in no pack that the index knows"))?;
            Ok((*blob, u64::from(location.plaintext_length())))
        });
        let blobs = lengths.collect::<Result<Vec<(Id, u64)>, String>>()?;
        let held: u64 = blobs.iter().map(|(_, length)| length).sum();
        if held != item.node.size {
            return Err(format!(
                "its size is {}, but its blobs hold {held} bytes",
                item.node.size
            ));
        }
        Ok(blobs)
    }

    /// Reads the blobs of several files.
    fn fetch(&self, files: &[&[(Id, u64)]]) -> Result<Fetched, Failure> {
        let mut wanted = Vec::new();
        let mut buffers = Vec::new();
        for (blobs, file) in files.iter().zip(0..) {
            let mut offset = 0;
            for (blob, length) in *blobs {
                let blob = *blob;
                wanted.push(Wanted { blob, file, offset });
                offset += length;
            }
            buffers.push(Mutex::new(vec![0; usize::try_from(offset).unwrap_or(usize::MAX)]));
        }
        let options = FetchOptions {
            workers: self.request.threads,
            progress: self.request.progress,
            cancel: self.request.cancel,
        };
        let sink = Buffers(buffers);
        let mut missing = BTreeMap::new();
        match fetch(self.content.repository, self.content.index, wanted, &sink, &options) {
            Ok(()) => {}
            Err(RepositoryError::BlobsUnreadable { blobs }) => {
                for (blob, file) in blobs
                    .iter()
                    .flat_map(|blob| blob.files.iter().map(move |file| (blob, file)))
                {
                    missing.insert(*file, format!("the repository cannot give it: {}", blob.reason));
                }
            }
            Err(error) => return Err(of_repository(error)),
        }
        let buffers = sink.0.into_iter();
        let buffers = buffers.map(|buffer| buffer.into_inner().unwrap_or_else(PoisonError::into_inner));
        Ok(Fetched {
            contents: buffers.collect(),
            missing,
        })
    }

    /// Writes the batch.
    fn flush(&mut self) -> Result<(), Failure> {
        go_on(self.request)?;
        self.batch_bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        let blobs: Vec<&[(Id, u64)]> = batch.iter().map(|(_, blobs)| blobs.as_slice()).collect();
        let Fetched { contents, missing } = self.fetch(&blobs)?;
        let bucket = &self.target.bucket;
        let overwrite = self.request.overwrite;
        let whole = batch.iter().zip(contents).zip(0u32..);
        let whole = whole.filter(|(_, number)| !missing.contains_key(number));
        let puts = whole.map(|(((item, _), bytes), _)| async move {
            let headers = attributes::headers(&item.node, !overwrite);
            let put = bucket
                .put_whole(&item.key, &Body::from(Bytes::from(bytes)), &headers)
                .await;
            written(item, put)
        });
        let outcomes: Vec<Option<String>> =
            bucket.block_on(stream::iter(puts).buffer_unordered(OBJECTS_AT_ONCE).try_collect())?;
        let sizes = batch
            .iter()
            .zip(0u32..)
            .filter(|(_, number)| !missing.contains_key(number));
        self.cursor.restored.bytes += sizes.map(|((item, _), _)| item.node.size).sum::<u64>();
        self.cursor.restored.files += outcomes.iter().filter(|outcome| outcome.is_none()).count() as u64;
        self.cursor.restored.differences.extend(outcomes.into_iter().flatten());
        let unreadable = missing
            .iter()
            .filter_map(|(number, what)| Some(batch.get(*number as usize)?.0.differs(what)));
        self.cursor.restored.differences.extend(unreadable);
        self.request.progress.advance(0, batch.len() as u64);
        Ok(())
    }

    /// Writes one object in parts, some of which are in memory at one time.
    fn large(&mut self, item: &Item, blobs: &[(Id, u64)]) -> Result<(), Failure> {
        let bucket = &self.target.bucket;
        let headers = attributes::headers(&item.node, !self.request.overwrite);
        let upload = bucket.block_on(bucket.begin(&item.key, &headers));
        let upload = match upload {
            Ok(upload) => upload,
            Err(refused) => {
                let what = written(item, Err(refused))?;
                self.cursor.restored.differences.extend(what);
                return Ok(());
            }
        };
        let parts = match self.parts(&upload, item, blobs) {
            Ok(Ok(parts)) => parts,
            Ok(Err(what)) => {
                self.abort(upload, &what);
                self.cursor.restored.differences.push(item.differs(what));
                return Ok(());
            }
            Err(failure) => {
                self.abort(upload, &failure.message);
                return Err(failure);
            }
        };
        let what = written(item, bucket.block_on(upload.complete(parts)))?;
        if what.is_none() {
            self.cursor.restored.files += 1;
            self.cursor.restored.bytes += item.node.size;
        }
        self.cursor.restored.differences.extend(what);
        self.request.progress.advance(0, 1);
        Ok(())
    }

    fn abort(&self, upload: Upload<'_>, why: &str) {
        let refused = Refused::broken(why.to_owned());
        // What made it necessary is told by whoever asks for this.
        drop(self.target.bucket.block_on(upload.abort_after::<()>(refused)));
    }

    /// Sends the parts of a large object. The inner error is about this object alone.
    fn parts(
        &self,
        upload: &Upload<'_>,
        item: &Item,
        blobs: &[(Id, u64)],
    ) -> Result<Result<Vec<CompletedPart>, String>, Failure> {
        let part = part_size(item.node.size) as usize;
        let mut sent = Vec::new();
        let mut bytes = Vec::new();
        let mut blobs = blobs.iter().copied().peekable();
        while blobs.peek().is_some() || !bytes.is_empty() {
            go_on(self.request)?;
            let mut next: Vec<(Id, u64)> = Vec::new();
            let mut held = bytes.len() as u64;
            while held < PARTS_AT_ONCE * part as u64
                && let Some(blob) = blobs.next()
            {
                held += blob.1;
                next.push(blob);
            }
            let Fetched { mut contents, missing } = self.fetch(&[&next])?;
            if let Some(what) = missing.into_values().next() {
                return Ok(Err(what));
            }
            bytes.append(&mut contents.remove(0));
            let is_last = blobs.peek().is_none();
            let ready = if is_last {
                bytes.len()
            } else {
                bytes.len() / part * part
            };
            let rest = bytes.split_off(ready);
            let whole = Bytes::from(bytes);
            let first = i32::try_from(sent.len()).unwrap_or(i32::MAX);
            let starts = (0..ready).step_by(part).zip(first + 1..);
            let calls = starts.map(|(start, number)| upload.part(number, whole.slice(start..ready.min(start + part))));
            let calls = stream::iter(calls)
                .buffered(PARTS_AT_ONCE as usize)
                .try_collect::<Vec<_>>();
            match self.target.bucket.block_on(calls) {
                Ok(parts) => sent.extend(parts),
                Err(refused) if refused.kind == FailureKind::Invalid => return Ok(Err(refused.message)),
                Err(refused) => return Err(refused.into_failure()),
            }
            bytes = rest;
        }
        Ok(Ok(sent))
    }
}

/// What a write came to: nothing, a line about this object alone, or what stops the restore.
fn written(item: &Item, written: Result<(), Refused>) -> Result<Option<String>, Failure> {
    match written {
        Ok(()) => Ok(None),
        // It is the object itself where only the answer to its writing was lost, or else another one: the comparison tells.
        Err(refused) if refused.is_condition() || refused.is_race() => Ok(None),
        // A name or header that S3 does not take is no reason to leave out the others.
        Err(refused) if refused.kind == FailureKind::Invalid => Ok(Some(item.differs(refused.message))),
        Err(refused) => Err(refused.into_failure()),
    }
}

/// What the repository gave of some files.
struct Fetched {
    contents: Vec<Vec<u8>>,
    /// By number, why a file cannot be had.
    missing: BTreeMap<u32, String>,
}

/// Where the blobs of a batch go.
struct Buffers(Vec<Mutex<Vec<u8>>>);

impl Buffers {
    fn of(&self, file: u32) -> Option<MutexGuard<'_, Vec<u8>>> {
        let buffer = self.0.get(file as usize)?;
        Some(buffer.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl BlobSink for Buffers {
    fn write(&self, file: u32, offset: u64, bytes: &[u8]) -> Result<(), RepositoryError> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let place = || Some(start..start.checked_add(bytes.len())?);
        let mut buffer = self.of(file);
        let into = buffer.as_mut().and_then(|buffer| buffer.get_mut(place()?));
        match into {
            Some(into) => into.copy_from_slice(bytes),
            None => {
                return Err(RepositoryError::Bug(
                    "a blob came for a place that nobody asked about".into(),
                ));
            }
        }
        Ok(())
    }
}
