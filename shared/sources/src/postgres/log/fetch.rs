//! [`fetch()`]: what a recovering server's `restore_command` does.
//!
//! The server asks for one file after another. Each time one has to be fetched, those that it will ask for next are fetched
//! at the same time, into a spool folder; they are then only renamed.
//!
//! Nothing is written through to the disk. After a crash the server asks again for what it had not replayed, as it does
//! where its `restore_command` is `cp`; whoever needs the files for longer syncs them.

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use holdfast_repository::index::Lookup;

use super::super::segment::{LogFile, Segment, SegmentSize};
use super::error::LogError;
use super::inspect::LogFileOnDisk;
use super::records::{Chain, SegmentFault, origin};
use super::store::{Found, LogArchive};

/// Ends the name of a file that is being written.
const UNFINISHED: &str = ".fetching";
/// Zeroes written at one time.
static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

/// How to fetch.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// Where segments wait that were not asked for yet: on the file system of the target, best beside the log. After the machine
    /// was started anew it must be another folder: what is in this one may have lost its bytes.
    pub spool: PathBuf,
    /// Segments that are fetched ahead at most.
    pub ahead: usize,
    /// Files that are fetched at one time.
    pub workers: usize,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The file is where it was asked for, whole.
    Restored,
    /// No such file is stored: for the server, this is where the log ends.
    NotThere,
}

/// The exit code that tells a server what became of its request. Above 125, the server ends its recovery: a file that is
/// stored and cannot be read must not look like the end of the log.
pub fn exit_code(result: &Result<Fetched, LogError>) -> u8 {
    match result {
        Ok(Fetched::Restored) => 0,
        Ok(Fetched::NotThere) => 1,
        Err(_) => 200,
    }
}

/// Restores the file of that name to `target`, whole. A segment that is stored in part only is filled up with zeroes, which a
/// server takes for the end of the log; where the server has the whole of it beside the target, it is told to take that.
pub fn fetch(
    archive: &LogArchive,
    index: &dyn Lookup,
    name: &str,
    target: &Path,
    options: &FetchOptions,
) -> Result<Fetched, LogError> {
    let Some(size) = archive.segment_size() else {
        return Ok(Fetched::NotThere);
    };
    let Ok(file) = LogFile::parse(name, size) else {
        return Ok(Fetched::NotThere);
    };
    fs::create_dir_all(&options.spool).map_err(LogError::io("make folder", &options.spool))?;
    if take(&options.spool.join(name), target)? {
        return Ok(Fetched::Restored);
    }
    let fetcher = Fetcher {
        archive,
        index,
        size,
        spool: &options.spool,
    };
    let Some(found) = archive.find(index, file)? else {
        return Ok(Fetched::NotThere);
    };
    if matches!(found.file, LogFile::Partial(_)) && stands_whole(name, target, size) {
        return Ok(Fetched::NotThere);
    }
    let ahead = match found.file {
        LogFile::Segment(segment) => fetcher.ahead(segment, options.ahead)?,
        _ => Vec::new(),
    };
    fetcher.clear(segment_of(file))?;
    fetcher.all(&found, &ahead, options.workers)?;
    match take(&options.spool.join(name), target)? {
        true => Ok(Fetched::Restored),
        false => Err(LogError::io("find", options.spool.join(name))(
            ErrorKind::NotFound.into(),
        )),
    }
}

/// Whether the server has the whole segment in its own log, as its base backup brought it along: a part that was stored before
/// that must not hide what makes the base backup consistent.
fn stands_whole(name: &str, target: &Path, size: SegmentSize) -> bool {
    let own = target.with_file_name(name);
    LogFileOnDisk::inspect(&own, size, &mut Chain::default()).is_ok()
}

/// Moves a file to where it is wanted if it was fetched ahead, which takes no repository; false where it was not.
pub fn take_ahead(spool: &Path, name: &str, target: &Path) -> Result<bool, LogError> {
    if name.contains('/') || name.ends_with(UNFINISHED) {
        return Ok(false);
    }
    take(&spool.join(name), target)
}

fn segment_of(file: LogFile) -> Option<Segment> {
    match file {
        LogFile::Segment(segment) | LogFile::Partial(segment) => Some(segment),
        LogFile::History(_) | LogFile::BackupHistory { .. } => None,
    }
}

/// Moves a file from the spool to where it is wanted; false where it is not in the spool.
fn take(spooled: &Path, target: &Path) -> Result<bool, LogError> {
    match fs::rename(spooled, target) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound && !spooled.exists() => Ok(false),
        Err(error) if error.kind() == ErrorKind::CrossesDevices => {
            let unfinished = beside(target);
            fs::copy(spooled, &unfinished).map_err(LogError::io("write", &unfinished))?;
            fs::rename(&unfinished, target).map_err(LogError::io("write", target))?;
            fs::remove_file(spooled).map_err(LogError::io("remove", spooled))?;
            Ok(true)
        }
        Err(error) => Err(LogError::io("write", target)(error)),
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    name.into()
}

struct Fetcher<'a> {
    archive: &'a LogArchive,
    index: &'a dyn Lookup,
    size: SegmentSize,
    spool: &'a Path,
}

impl Fetcher<'_> {
    /// The full segments that follow one on its timeline and are not in the spool.
    fn ahead(&self, mut segment: Segment, count: usize) -> Result<Vec<Found>, LogError> {
        let mut ahead = Vec::new();
        for _ in 0..count {
            segment = segment.next();
            if self.spool.join(segment.name(self.size)).exists() {
                continue;
            }
            match self.archive.find(self.index, LogFile::Segment(segment))? {
                Some(found) if found.file == LogFile::Segment(segment) => ahead.push(found),
                _ => break,
            }
        }
        Ok(ahead)
    }

    /// Removes what is in the spool and was passed over, so that it never holds more than was fetched ahead.
    fn clear(&self, asked: Option<Segment>) -> Result<(), LogError> {
        let Some(asked) = asked else { return Ok(()) };
        let failed = || LogError::io("list", self.spool);
        for entry in fs::read_dir(self.spool).map_err(failed())? {
            let name = entry.map_err(failed())?.file_name();
            let name = name.to_str().unwrap_or_default();
            let plain = name.strip_suffix(UNFINISHED).unwrap_or(name);
            let Ok(segment) = Segment::parse(plain, self.size) else {
                continue;
            };
            if segment.timeline != asked.timeline || segment < asked {
                let path = self.spool.join(name);
                fs::remove_file(&path).map_err(LogError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Fetches the file that was asked for and those ahead of it. What goes wrong with those is told when they are asked for.
    fn all(&self, asked: &Found, ahead: &[Found], workers: usize) -> Result<(), LogError> {
        let waiting = Mutex::new(ahead.iter());
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
        thread::scope(|scope| {
            for _ in 1..workers.min(ahead.len() + 1) {
                scope.spawn(|| while next().is_some_and(|found| self.one(found).is_ok()) {});
            }
            self.one(asked)?;
            while next().is_some_and(|found| self.one(found).is_ok()) {}
            Ok(())
        })
    }

    fn one(&self, found: &Found) -> Result<(), LogError> {
        let name = match found.file {
            LogFile::Partial(segment) => segment.name(self.size),
            file => file.name(self.size),
        };
        let path = self.spool.join(&name);
        let unfinished = beside(&path);
        let failed = || LogError::io("write", &unfinished);
        let mut file = File::create(&unfinished).map_err(failed())?;
        self.archive.copy(self.index, found, &mut file)?.map_err(failed())?;
        if let LogFile::Partial(_) = found.file {
            pad(&mut file, self.size.bytes().saturating_sub(found.length)).map_err(failed())?;
        }
        if segment_of(found.file).is_some() {
            self.verify(&name, &unfinished)?;
        }
        fs::rename(&unfinished, &path).map_err(LogError::io("write", &path))
    }

    /// The server would refuse a segment of another one only after a long recovery.
    fn verify(&self, name: &str, path: &Path) -> Result<(), LogError> {
        let file = File::open(path).map_err(LogError::io("open", path))?;
        let fault = |fault: SegmentFault| LogError::Fault {
            name: name.to_owned(),
            fault,
        };
        let origin = origin(&mut BufReader::new(file)).map_err(fault)?;
        match self.archive.system() {
            Some(expected) if expected != origin.system => Err(LogError::OtherServer {
                name: name.to_owned(),
                found: origin.system,
                expected,
            }),
            _ => Ok(()),
        }
    }
}

fn pad(file: &mut File, mut missing: u64) -> io::Result<()> {
    while missing > 0 {
        let count = missing.min(ZEROES.len() as u64);
        file.write_all(&ZEROES[..count as usize])?;
        missing -= count;
    }
    Ok(())
}
