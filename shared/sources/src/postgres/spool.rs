//! [`Spool`]: received log in a folder, a file for each segment.
//!
//! A segment is `<name>.partial` until it is full and safe on disk. A partial file is never shortened: after a restart its
//! bytes come again and are written over those that are there, since those were acknowledged and must outlive another
//! crash.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::base_backup::LogPosition;
use super::error::SinkError;
use super::lsn::Lsn;
use super::receive::LogSink;
use super::replication::History;

/// What the name of a segment that is not full ends in.
pub const PARTIAL: &str = ".partial";

/// A folder that takes the log.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    segment_bytes: u64,
    open: Option<OpenSegment>,
    /// Everything before is safe on disk.
    flushed: Lsn,
}

#[derive(Debug)]
struct OpenSegment {
    file: File,
    timeline: u32,
    /// The position of its first byte.
    start: u64,
    /// Bytes written since it was opened, from its start.
    filled: u64,
    is_dirty: bool,
}

/// The name of the segment that starts at a position.
fn segment_name(timeline: u32, start: u64, segment_bytes: u64) -> String {
    let number = start / segment_bytes;
    let per_log = (1 << 32) / segment_bytes;
    format!("{timeline:08X}{:08X}{:08X}", number / per_log, number % per_log)
}

/// The timeline and the position of a segment's first byte.
fn segment_start(name: &str, segment_bytes: u64) -> Option<(u32, u64)> {
    if name.len() != 24 || !name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F')) {
        return None;
    }
    let part = |from: usize| u64::from_str_radix(&name[from..from + 8], 16).ok();
    let per_log = (1 << 32) / segment_bytes;
    let number = part(8)?
        .checked_mul(per_log)?
        .checked_add(part(16).filter(|low| *low < per_log)?)?;
    Some((u32::try_from(part(0)?).ok()?, number.checked_mul(segment_bytes)?))
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SinkError {
    let what = format!("{what} {}", path.display());
    move |source| SinkError { what, source }
}

impl Spool {
    /// Opens the spool in `folder`, which is made where it is missing. `segment_bytes` is the server's `wal_segment_size`.
    pub fn open(folder: &Path, segment_bytes: u64) -> Result<Spool, SinkError> {
        if !segment_bytes.is_power_of_two() || !(1 << 20..=1 << 30).contains(&segment_bytes) {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "PostgreSQL has segments of 1 MiB to 1 GiB");
            return Err(failed("use segments of such a size in", folder)(source));
        }
        fs::create_dir_all(folder).map_err(failed("make folder", folder))?;
        Ok(Spool {
            folder: folder.to_owned(),
            segment_bytes,
            open: None,
            flushed: Lsn(0),
        })
    }

    /// Where the log goes on: at the start of the first segment that is not full, on the newest timeline. `None` for an
    /// empty spool.
    pub fn position(&self) -> Result<Option<LogPosition>, SinkError> {
        let mut newest = None;
        for entry in fs::read_dir(&self.folder).map_err(failed("list", &self.folder))? {
            let entry = entry.map_err(failed("list", &self.folder))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let (name, is_full) = match name.strip_suffix(PARTIAL) {
                Some(name) => (name, false),
                None => (name, true),
            };
            let Some((timeline, start)) = segment_start(name, self.segment_bytes) else {
                continue;
            };
            let position = match is_full {
                true => start + self.segment_bytes,
                false => start,
            };
            newest = newest.max(Some((timeline, position)));
        }
        Ok(newest.map(|(timeline, position)| LogPosition {
            lsn: Lsn(position),
            timeline,
        }))
    }

    fn partial(&self, timeline: u32, start: u64) -> PathBuf {
        let name = segment_name(timeline, start, self.segment_bytes);
        self.folder.join(name + PARTIAL)
    }

    /// The segment that the next byte belongs to.
    fn segment(&mut self, timeline: u32, position: u64) -> Result<&mut OpenSegment, SinkError> {
        let start = position - position % self.segment_bytes;
        let path = self.partial(timeline, start);
        let opened = match self.open.take() {
            Some(open) if open.timeline == timeline && open.start + open.filled == position => open,
            left => {
                if let Some(left) = left {
                    // Another timeline goes on elsewhere; what there is of the old one stays partial.
                    self.sync(&left)?;
                }
                if position != start {
                    let source = io::Error::new(io::ErrorKind::InvalidInput, "a segment is written from its start");
                    return Err(failed("go on in the middle of", &path)(source));
                }
                let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
                let file = file.map_err(failed("open", &path))?;
                self.sync_folder()?;
                OpenSegment {
                    file,
                    timeline,
                    start,
                    filled: 0,
                    is_dirty: false,
                }
            }
        };
        Ok(self.open.insert(opened))
    }

    fn sync(&self, open: &OpenSegment) -> Result<(), SinkError> {
        let path = self.partial(open.timeline, open.start);
        open.file.sync_data().map_err(failed("write", &path))
    }

    fn sync_folder(&self) -> Result<(), SinkError> {
        let folder = File::open(&self.folder).map_err(failed("open", &self.folder))?;
        folder.sync_all().map_err(failed("write", &self.folder))
    }

    /// A full segment gets its name when it is safe.
    fn complete(&mut self) -> Result<(), SinkError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let (timeline, start) = (open.timeline, open.start);
        self.sync(&open)?;
        let partial = self.partial(timeline, start);
        let full = partial.with_extension("");
        fs::rename(&partial, &full).map_err(failed("rename", &partial))?;
        self.sync_folder()?;
        self.flushed = Lsn(start + self.segment_bytes);
        Ok(())
    }
}

impl LogSink for Spool {
    fn history(&mut self, history: &History) -> Result<(), SinkError> {
        let path = self.folder.join(&history.name);
        match fs::read(&path) {
            Ok(content) if content == history.content => return Ok(()),
            Ok(_) => {
                let source = io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "another history is there: use another folder",
                );
                return Err(failed("keep", &path)(source));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("read", &path)(error)),
        }
        let beside = path.with_extension("history.new");
        let written = File::create(&beside).and_then(|mut file| {
            file.write_all(&history.content)?;
            file.sync_all()
        });
        written.map_err(failed("write", &beside))?;
        fs::rename(&beside, &path).map_err(failed("rename", &beside))?;
        self.sync_folder()
    }

    fn write(&mut self, timeline: u32, start: Lsn, mut bytes: &[u8]) -> Result<(), SinkError> {
        let mut position = start.0;
        while !bytes.is_empty() {
            let segment_bytes = self.segment_bytes;
            let open = self.segment(timeline, position)?;
            let room = usize::try_from(segment_bytes - open.filled).unwrap_or(usize::MAX);
            let (part, rest) = bytes.split_at(bytes.len().min(room));
            let outcome = open.file.write_all_at(part, open.filled);
            open.filled += part.len() as u64;
            open.is_dirty = true;
            let (first, is_full) = (open.start, open.filled == segment_bytes);
            outcome.map_err(failed("write", &self.partial(timeline, first)))?;
            if is_full {
                self.complete()?;
            }
            position += part.len() as u64;
            bytes = rest;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<Lsn, SinkError> {
        if let Some(open) = &mut self.open {
            let end = Lsn(open.start + open.filled);
            if open.is_dirty {
                let outcome = open.file.sync_data();
                open.is_dirty = outcome.is_err();
                let (timeline, start) = (open.timeline, open.start);
                outcome.map_err(failed("write", &self.partial(timeline, start)))?;
            }
            self.flushed = end;
        }
        Ok(self.flushed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn at(timeline: u32, lsn: u64) -> Option<LogPosition> {
        Some(LogPosition {
            lsn: Lsn(lsn),
            timeline,
        })
    }

    #[test]
    fn segments_are_named_as_postgresql_does() {
        for (timeline, start, size, name) in [
            (1, 0x16_B300_0000, 16 * MIB, "0000000100000016000000B3"),
            (0xAB, 0x1_0000_0000, 16 * MIB, "000000AB0000000100000000"),
            (1, 0x7FFF_FFF0_0000, MIB, "0000000100007FFF00000FFF"),
        ] {
            assert_eq!(segment_name(timeline, start, size), name);
            assert_eq!(segment_start(name, size), Some((timeline, start)));
        }
        assert_eq!(
            segment_start("000000010000000000000100", 16 * MIB),
            None,
            "there are 256 in 4 GiB"
        );
        assert_eq!(segment_start("00000002.history", 16 * MIB), None);
    }

    #[test]
    fn a_segment_gets_its_name_when_it_is_full_and_the_spool_goes_on_at_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), MIB).unwrap();
        assert_eq!(spool.position().unwrap(), None);
        spool.write(1, Lsn(3 * MIB), &vec![1; MIB as usize + 10]).unwrap();
        assert_eq!(spool.flush().unwrap(), Lsn(4 * MIB + 10));
        assert_eq!(
            names(folder.path()),
            ["000000010000000000000003", "000000010000000000000004.partial"]
        );
        assert_eq!(spool.position().unwrap(), at(1, 4 * MIB));
        spool.write(1, Lsn(4 * MIB + 10), &vec![2; MIB as usize - 10]).unwrap();
        assert_eq!(spool.flush().unwrap(), Lsn(5 * MIB));
        assert_eq!(spool.position().unwrap(), at(1, 5 * MIB));
        let full = fs::read(folder.path().join("000000010000000000000004")).unwrap();
        assert_eq!((full.len() as u64, full[9], full[10]), (MIB, 1, 2));
    }

    #[test]
    fn a_restart_never_shortens_what_was_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), MIB).unwrap();
        spool.write(1, Lsn(MIB), &[7; 1000]).unwrap();
        drop(spool);
        let mut spool = Spool::open(folder.path(), MIB).unwrap();
        assert_eq!(spool.position().unwrap(), at(1, MIB));
        spool.write(1, Lsn(MIB), &[7; 10]).unwrap();
        assert_eq!(spool.flush().unwrap(), Lsn(MIB + 10), "only what came again counts");
        let partial = fs::read(folder.path().join("000000010000000000000001.partial")).unwrap();
        assert_eq!(partial, [7; 1000]);
        let error = Spool::open(folder.path(), MIB)
            .unwrap()
            .write(1, Lsn(MIB + 10), &[7])
            .unwrap_err();
        assert!(error.to_string().contains("middle"), "{error}");
    }

    #[test]
    fn another_timeline_leaves_the_old_segment_partial() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), MIB).unwrap();
        spool.write(1, Lsn(MIB), &[1; 100]).unwrap();
        let history = History {
            name: "00000002.history".to_owned(),
            content: b"1\t0/100064\tpromoted\n".to_vec(),
        };
        spool.history(&history).unwrap();
        spool.history(&history).unwrap();
        spool.write(2, Lsn(MIB), &[1; 200]).unwrap();
        assert_eq!(spool.flush().unwrap(), Lsn(MIB + 200));
        assert_eq!(
            names(folder.path()),
            [
                "000000010000000000000001.partial",
                "00000002.history",
                "000000020000000000000001.partial"
            ]
        );
        assert_eq!(spool.position().unwrap(), at(2, MIB));
        let other = History {
            content: b"other".to_vec(),
            ..history
        };
        assert!(
            spool
                .history(&other)
                .unwrap_err()
                .to_string()
                .contains("another history")
        );
    }
}
