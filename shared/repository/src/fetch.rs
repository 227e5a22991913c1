//! Reads many blobs pack by pack: every blob once, neighbours with one request, several packs at a time. What has come of a
//! request is opened and handed on while the rest is on its way.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::index::{Index, Location};
use crate::pack::{BlobKind, open_blob, open_blobs, pieces};
use crate::parallel;
use crate::progress::Progress;
use crate::reach::is_damage;
use crate::repository::Repository;
use crate::storage::{FileKind, FileName};

/// Bytes that are worth a request of their own where there are threads to read them at the same time.
const LEAST_REQUEST: u64 = 8 << 20;

/// One place that wants a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The data blob.
    pub blob: Id,
    /// The caller's number of the file.
    pub file: u32,
    /// Where in the file the blob's first byte goes.
    pub offset: u64,
}

/// Takes what [`fetch`] reads. Calls come from many threads and in any order.
pub trait BlobSink: Sync {
    /// Writes `bytes` at `offset` of a file. An error stops everything.
    fn write(&self, file: u32, offset: u64, bytes: &[u8]) -> Result<()>;
}

/// How to fetch.
pub struct FetchOptions<'a> {
    /// Requests under way at one time.
    pub workers: usize,
    /// Hears of every byte written.
    pub progress: &'a dyn Progress,
    /// Stops the work when set.
    pub cancel: &'a AtomicBool,
}

/// A blob that cannot be read from any pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableBlob {
    /// The blob.
    pub blob: Id,
    /// The packs that should hold it; none when the index does not know it.
    pub packs: Vec<Id>,
    /// The caller's numbers of the files that want it, ascending.
    pub files: Vec<u32>,
    /// What went wrong, for each pack.
    pub reason: String,
}

/// One blob of a request.
struct Part {
    location: Location,
    /// Which of the wanted places, which are sorted by blob.
    places: Range<usize>,
}

/// Reads every wanted data blob once, pack by pack, ranges coalesced, in parallel, verified, and hands it to every place
/// that wants it. A damaged blob is read from another pack that holds it. When some cannot be read from any,
/// the rest is still delivered, and [`RepositoryError::BlobsUnreadable`] lists them all.
pub fn fetch(
    repo: &Repository,
    index: &Index,
    mut wanted: Vec<Wanted>,
    sink: &dyn BlobSink,
    options: &FetchOptions<'_>,
) -> Result<()> {
    wanted.sort_unstable();
    let fetcher = Fetcher {
        repo,
        index,
        wanted: &wanted,
        sink,
        options,
        unreadable: Mutex::default(),
    };
    let workers = options.workers.max(1);
    let storage = repo.storage();
    let gap = storage.worth_skipping() as u64;
    let (parts, bytes) = fetcher.plan();
    let most = (storage.worth_reading() as u64).max(LEAST_REQUEST);
    let budget = (bytes / workers as u64).clamp(LEAST_REQUEST, most);
    options.progress.expect(bytes, 0);
    let requests: Vec<&[Part]> = parts
        .chunk_by(same_pack)
        .flat_map(|pack| coalesce(pack, budget, gap))
        .collect();
    parallel::for_each(&requests, workers, options.cancel, Vec::new, |buffer, parts| {
        fetcher.request(buffer, parts)
    })?;
    let mut unreadable = fetcher.unreadable.into_inner().unwrap_or_else(PoisonError::into_inner);
    if unreadable.is_empty() {
        return Ok(());
    }
    unreadable.sort_unstable_by_key(|bad| bad.blob);
    Err(RepositoryError::BlobsUnreadable { blobs: unreadable })
}

struct Fetcher<'a> {
    repo: &'a Repository,
    index: &'a Index,
    wanted: &'a [Wanted],
    sink: &'a dyn BlobSink,
    options: &'a FetchOptions<'a>,
    unreadable: Mutex<Vec<UnreadableBlob>>,
}

fn same_pack(a: &Part, b: &Part) -> bool {
    a.location.pack == b.location.pack
}

/// Cuts the parts of one pack, sorted by offset, into requests of about the same length: up to half as large again as
/// `budget`, and a blob, so that a pack that is a little larger takes no second one. A gap that is no larger than is worth skipping is
/// read along. Blobs that share bytes, as a forged index may say, are read by themselves.
fn coalesce(parts: &[Part], budget: u64, worth_skipping: u64) -> Vec<&[Part]> {
    let mut requests = Vec::new();
    let all = parts.last().map_or(0, end) - parts.first().map_or(0, start_of);
    let budget = all.div_ceil(all.div_ceil(budget + budget / 2).max(1));
    let mut start = 0;
    for at in 1..parts.len() {
        let (before, next) = (&parts[at - 1], &parts[at]);
        let length = end(before) - start_of(&parts[start]);
        if !before.location.is_soon_followed_by(&next.location, worth_skipping) || length >= budget {
            requests.push(&parts[start..at]);
            start = at;
        }
    }
    requests.push(&parts[start..]);
    requests
}

fn start_of(part: &Part) -> u64 {
    part.location.offset.into()
}

fn end(part: &Part) -> u64 {
    start_of(part) + u64::from(part.location.length)
}

impl Fetcher<'_> {
    /// Where each wanted blob is read, by pack and offset, and the number of bytes that will be written.
    fn plan(&self) -> (Vec<Part>, u64) {
        let mut parts = Vec::new();
        let (mut start, mut bytes) = (0, 0);
        for group in self.wanted.chunk_by(|a, b| a.blob == b.blob) {
            let places = start..start + group.len();
            start = places.end;
            match self.index.lookup(BlobKind::Data, &group[0].blob) {
                Some(location) => {
                    bytes += u64::from(location.plaintext_length()) * group.len() as u64;
                    parts.push(Part { location, places });
                }
                None => self.give_up(&places, Vec::new(), "no pack that the index knows holds it".to_owned()),
            }
        }
        let mut order = HashMap::new();
        for (number, pack) in self.index.packs().iter().enumerate() {
            order.insert(pack.id, number);
        }
        // Packs in the order they were written: files that were written together are read together.
        parts.sort_unstable_by_key(|part| (order.get(&part.location.pack).copied(), part.location.offset));
        (parts, bytes)
    }

    fn request(&self, buffer: &mut Vec<u8>, parts: &[Part]) -> Result<()> {
        let [first, .., last] = parts else {
            return parts.iter().try_for_each(|part| self.one(buffer, part, None));
        };
        let file = FileName::Object(FileKind::Data, first.location.pack);
        let mut next = start_of(first);
        let mut range = self.repo.storage().range(&file, next, end(last))?;
        let mut left = parts;
        for piece in pieces(parts, |part| start_of(part)..end(part)) {
            let piece_end = piece.last().map_or(next, end);
            let length = usize::try_from(piece_end - next).unwrap_or(usize::MAX);
            if buffer.len() < length {
                buffer.resize(length, 0);
            }
            let bytes = &mut buffer[..length];
            match range.fill(bytes) {
                Ok(()) => self.piece(piece, next, bytes)?,
                // One bad spot must not take its neighbours along.
                Err(e) if is_damage(&e) => {
                    let mut small = Vec::new();
                    return left.iter().try_for_each(|part| self.one(&mut small, part, None));
                }
                Err(e) => return Err(e),
            }
            next = piece_end;
            left = &left[piece.len()..];
        }
        Ok(())
    }

    /// Opens parts of a pack that have come, and hands them on. `start` is where in the pack `bytes` begin.
    fn piece(&self, parts: &[Part], start: u64, bytes: &[u8]) -> Result<()> {
        let sealed = parts.iter().map(|part| {
            let from = usize::try_from(start_of(part) - start).unwrap_or(usize::MAX);
            let blob = part.location.blob(BlobKind::Data, self.wanted[part.places.start].blob);
            (blob, &bytes[from..from + part.location.length as usize])
        });
        open_blobs(
            self.repo.key(),
            &sealed.collect::<Vec<_>>(),
            |number, opened| match opened {
                Ok(plaintext) => self.deliver(&parts[number], &plaintext),
                Err(e) if is_damage(&e) => self.one(&mut Vec::new(), &parts[number], Some(&e)),
                Err(e) => Err(e),
            },
        )
    }

    /// Reads one blob from whichever pack still gives it; `failed` is what its first place answered.
    fn one(&self, buffer: &mut Vec<u8>, part: &Part, failed: Option<&RepositoryError>) -> Result<()> {
        let id = self.wanted[part.places.start].blob;
        let (mut packs, mut reasons) = (Vec::new(), Vec::new());
        for location in self.index.lookup_all(BlobKind::Data, &id) {
            packs.push(location.pack);
            if location == part.location
                && let Some(error) = failed
            {
                reasons.push(format!("pack {}: {error}", location.pack));
                continue;
            }
            buffer.resize(location.length as usize, 0);
            let file = FileName::Object(FileKind::Data, location.pack);
            let read = self.repo.storage().read_range(&file, location.offset.into(), buffer);
            match read.and_then(|()| self.open(part, &location, buffer)) {
                Ok(plaintext) => return self.deliver(part, &plaintext),
                Err(e) if is_damage(&e) => reasons.push(format!("pack {}: {e}", location.pack)),
                Err(e) => return Err(e),
            }
        }
        self.give_up(&part.places, packs, reasons.join("; "));
        Ok(())
    }

    fn open(&self, part: &Part, location: &Location, sealed: &[u8]) -> Result<Vec<u8>> {
        let id = self.wanted[part.places.start].blob;
        open_blob(self.repo.key(), &location.blob(BlobKind::Data, id), sealed)
    }

    fn deliver(&self, part: &Part, plaintext: &[u8]) -> Result<()> {
        for place in &self.wanted[part.places.clone()] {
            self.sink.write(place.file, place.offset, plaintext)?;
            self.options.progress.advance(plaintext.len() as u64, 0);
        }
        Ok(())
    }

    fn give_up(&self, places: &Range<usize>, packs: Vec<Id>, reason: String) {
        let places = &self.wanted[places.clone()];
        let mut files: Vec<u32> = places.iter().map(|place| place.file).collect();
        files.dedup();
        let bad = UnreadableBlob {
            blob: places[0].blob,
            packs,
            files,
            reason,
        };
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).push(bad);
    }
}

#[cfg(test)]
mod tests;
