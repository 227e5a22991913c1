//! [`ReadAhead`]: answers small reads of packs from larger ones. Over a network each request waits as long, and trees are
//! read one after the other, as each tells which come next; in a pack they lie side by side. Small files that never change
//! are asked for once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{FileKind, FileName, Put, RangeReader, Storage};
use crate::error::Result;
use crate::id::Id;

/// Reads of more bytes are worth a request of their own.
const SMALL: usize = 256 << 10;
/// Bytes that are read at one time, and where in a file they begin.
const WINDOW: u64 = 4 << 20;
/// Windows in memory at one time: 32 MiB.
const WINDOWS: usize = 8;

/// Bytes of all small files in memory at one time.
const KEPT: usize = 16 << 20;

/// A store far away, read in large pieces. Packs are written once, so that what was read of one stays right until it is
/// replaced or deleted here.
pub struct ReadAhead {
    inner: Arc<dyn Storage>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// The oldest first.
    windows: VecDeque<Window>,
    /// Snapshots and index files.
    files: HashMap<FileName, Vec<u8>>,
    file_bytes: usize,
}

struct Window {
    file: FileName,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// The bytes from `offset`, if the window has that many.
    fn part(&self, file: &FileName, offset: u64, length: usize) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let part = self.bytes.get(from..from.checked_add(length)?)?;
        (self.file == *file).then_some(part)
    }
}

impl ReadAhead {
    /// Reads ahead of who reads from `inner`.
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        let held = Mutex::default();
        Self { inner, held }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, file: &FileName) {
        let mut held = self.held();
        if let Some(bytes) = held.files.remove(file) {
            held.file_bytes -= bytes.len();
        }
        held.windows.retain(|window| window.file != *file);
    }

    /// Reads the window that holds these bytes. False where the file does not have them: then the store tells why.
    fn read_window(&self, held: &mut Held, file: &FileName, offset: u64, length: usize) -> Result<bool> {
        let before = usize::try_from(offset % WINDOW).unwrap_or(0);
        let (start, wanted) = (offset - before as u64, before + length);
        let bytes = self.inner.read_up_to(file, start, wanted.max(WINDOW as usize))?;
        if bytes.len() < wanted {
            return Ok(false);
        }
        if held.windows.len() == WINDOWS {
            held.windows.pop_front();
        }
        let file = file.clone();
        held.windows.push_back(Window { file, start, bytes });
        Ok(true)
    }
}

impl Storage for ReadAhead {
    /// Who reads while another reads a window waits for it: most often it is the one that it needs.
    fn read_range(&self, file: &FileName, offset: u64, into: &mut [u8]) -> Result<()> {
        let is_pack = matches!(file, FileName::Object(FileKind::Data, _));
        if !is_pack || into.is_empty() || into.len() > SMALL {
            return self.inner.read_range(file, offset, into);
        }
        let mut held = self.held();
        let holds = |held: &Held| {
            held.windows
                .iter()
                .any(|window| window.part(file, offset, into.len()).is_some())
        };
        if !holds(&held) && !self.read_window(&mut held, file, offset, into.len())? {
            drop(held);
            return self.inner.read_range(file, offset, into);
        }
        let part = held
            .windows
            .iter()
            .rev()
            .find_map(|window| window.part(file, offset, into.len()));
        match part {
            Some(part) => {
                into.copy_from_slice(part);
                Ok(())
            }
            None => self.inner.read_range(file, offset, into),
        }
    }

    fn list(&self, kind: FileKind) -> Result<Vec<(Id, u64)>> {
        self.inner.list(kind)
    }

    fn list_sidecar(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        self.inner.list_sidecar(prefix)
    }

    fn size(&self, file: &FileName) -> Result<Option<u64>> {
        self.inner.size(file)
    }

    /// Locks come and go, and tell something by that: they are always asked for.
    fn read(&self, file: &FileName) -> Result<Vec<u8>> {
        let FileName::Object(FileKind::Snapshot | FileKind::Index, id) = file else {
            return self.inner.read(file);
        };
        if let Some(bytes) = self.held().files.get(file) {
            return Ok(bytes.clone());
        }
        let bytes = self.inner.read(file)?;
        // Bytes that were damaged on their way are asked for again.
        let is_right = Id::of(&bytes) == *id;
        let mut held = self.held();
        if is_right && held.file_bytes + bytes.len() <= KEPT && held.files.insert(file.clone(), bytes.clone()).is_none()
        {
            held.file_bytes += bytes.len();
        }
        Ok(bytes)
    }

    /// What was written is read from the store itself: whoever reads it wants to know that it stands there.
    fn put(&self, file: &FileName, bytes: &[u8]) -> Result<Put> {
        self.forget(file);
        self.inner.put(file, bytes)
    }

    fn put_buffer(&self, file: &FileName, buffer: Vec<u8>) -> Result<Vec<u8>> {
        self.forget(file);
        self.inner.put_buffer(file, buffer)
    }

    fn put_unnamed(&self, kind: FileKind, buffer: Vec<u8>) -> Result<(Id, Vec<u8>)> {
        self.inner.put_unnamed(kind, buffer)
    }

    fn replace_damaged(&self, kind: FileKind, id: Id, bytes: &[u8]) -> Result<()> {
        let replaced = self.inner.replace_damaged(kind, id, bytes);
        self.forget(&FileName::Object(kind, id));
        replaced
    }

    fn delete(&self, file: &FileName) -> Result<()> {
        let deleted = self.inner.delete(file);
        self.forget(file);
        deleted
    }

    /// Large parts of packs, as they come.
    fn range(&self, file: &FileName, offset: u64, end: u64) -> Result<Box<dyn RangeReader + '_>> {
        self.inner.range(file, offset, end)
    }

    /// A whole pack: what is wanted of it comes with one request.
    fn worth_reading(&self) -> usize {
        128 << 20
    }

    fn worth_skipping(&self) -> usize {
        2 << 20
    }

    fn barrier(&self) -> Result<()> {
        self.inner.barrier()
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::faults::{Fault, Faulty};
    use crate::storage::{MemoryStorage, contract};

    #[test]
    fn reading_ahead_keeps_the_contract() {
        contract::all(&|| ReadAhead::new(Arc::new(MemoryStorage::new())));
    }

    /// A pack of ten mebibytes, behind a store that counts calls.
    fn pack() -> (Arc<Faulty>, ReadAhead, FileName, Vec<u8>) {
        let bytes: Vec<u8> = (0..10 << 20).map(|n: u32| (n / 251) as u8 ^ n as u8).collect();
        let memory = Arc::new(MemoryStorage::new());
        let file = FileName::Object(FileKind::Data, Id::of(&bytes));
        memory.put(&file, &bytes).unwrap();
        let counted = Arc::new(Faulty::new(memory, u64::MAX, Fault::Fail));
        (counted.clone(), ReadAhead::new(counted), file, bytes)
    }

    #[test]
    fn small_reads_side_by_side_are_one_request_and_bring_the_right_bytes() {
        let (counted, store, file, bytes) = pack();
        for place in (0..10 << 20).step_by(1000) {
            let mut into = vec![0; 900.min(bytes.len() - place)];
            store.read_range(&file, place as u64, &mut into).unwrap();
            assert_eq!(into, bytes[place..place + into.len()], "at {place}");
        }
        // Three windows, and one more for each read that crosses from one into the next.
        assert!(counted.calls() <= 5, "{} calls", counted.calls());
    }

    #[test]
    fn a_large_read_is_a_request_of_its_own_and_one_past_the_end_an_error() {
        let (counted, store, file, bytes) = pack();
        let mut into = vec![0; SMALL + 1];
        store.read_range(&file, 5, &mut into).unwrap();
        assert_eq!(into, bytes[5..5 + into.len()]);
        assert_eq!(counted.calls(), 1);
        let end = bytes.len() as u64 - 10;
        assert!(store.read_range(&file, end, &mut [0; 11]).is_err());
        store.read_range(&file, end, &mut [0; 10]).unwrap();
    }

    #[test]
    fn a_small_file_is_asked_for_once_and_again_after_it_was_written_or_deleted() {
        let memory = Arc::new(MemoryStorage::new());
        let file = FileName::Object(FileKind::Snapshot, Id::of(b"a snapshot"));
        memory.put(&file, b"a snapshot").unwrap();
        let counted = Arc::new(Faulty::new(memory.clone(), u64::MAX, Fault::Fail));
        let store = ReadAhead::new(counted.clone());
        for _ in 0..3 {
            assert_eq!(store.read(&file).unwrap(), b"a snapshot");
        }
        assert_eq!(counted.calls(), 1);
        store.put(&file, b"a snapshot").unwrap();
        store.read(&file).unwrap();
        assert_eq!(counted.calls(), 3);
        store.delete(&file).unwrap();
        assert!(store.read(&file).is_err());
    }

    #[test]
    fn what_was_deleted_is_not_read_from_memory() {
        let (_, store, file, _) = pack();
        store.read_range(&file, 0, &mut [0; 10]).unwrap();
        store.delete(&file).unwrap();
        assert!(store.read_range(&file, 0, &mut [0; 10]).is_err());
    }
}
