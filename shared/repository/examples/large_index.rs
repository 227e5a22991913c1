//! How long it takes, and how much memory, until a repository with a large index answers whether it has a blob: through a
//! sidecar, and with the whole index.
//!
//! ```text
//! cargo run --release -p holdfast-repository --example large_index -- <empty folder> [<blobs>]
//! ```
//!
//! The repository has index files of made-up blobs and no packs. Every step runs in a process of its own, with nothing of
//! the repository in the system's cache, and opens it with the master key: what a password costs is another matter.
#![expect(
    clippy::disallowed_methods,
    reason = "a program that measures is where time comes from"
)]

use std::error::Error;
use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_repository::crypto::MasterKey;
use holdfast_repository::index::{IndexOptions, IndexPack, Lookup};
use holdfast_repository::lock::{Lock, LockKind};
use holdfast_repository::pack::{BlobKind, PackBlob};
use holdfast_repository::storage::DiskStorage;
use holdfast_repository::{Ambient, Id, InitOptions, Repository, Unlock};
use jiff::Timestamp;
use rustix::fs::{Advice, fadvise};

const BLOBS: u64 = 10_000_000;
/// Blobs of a pack: 16 MiB of chunks of about 1 MiB.
const PER_PACK: u64 = 16;
/// One pack in so many holds trees.
const TREES: u64 = 20;
/// Blobs of an index file.
const PER_FILE: u64 = 40_000;
/// Lookups that are timed together.
const LOOKUPS: u64 = 1_000_000;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        [folder] => all(Path::new(folder), BLOBS),
        [folder, blobs] => number(blobs).and_then(|blobs| all(Path::new(folder), blobs)),
        [folder, blobs, step] => number(blobs).and_then(|blobs| one(step, Path::new(folder), blobs)),
        _ => Err("name an empty folder, and the number of blobs if it is not ten million".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn number(word: &str) -> Outcome<u64> {
    word.parse()
        .map_err(|_| format!("`{word}` is no number of blobs").into())
}

/// Every step in a process of its own.
fn all(folder: &Path, blobs: u64) -> Outcome {
    for step in ["make", "whole", "write", "sidecar", "grow"] {
        let own = std::env::current_exe()?;
        let status = Command::new(own)
            .arg(folder)
            .arg(blobs.to_string())
            .arg(step)
            .status()?;
        if !status.success() {
            return Err(format!("the step `{step}` failed").into());
        }
    }
    Ok(())
}

fn one(step: &str, folder: &Path, blobs: u64) -> Outcome {
    match step {
        "make" => return make(folder, blobs),
        "whole" | "sidecar" | "write" | "grow" => {}
        _ => return Err(format!("there is no step `{step}`").into()),
    }
    forget_cached(folder)?;
    let key = MasterKey::from_json(&fs::read(key_file(folder))?)?;
    let begun = Instant::now();
    let repository = Repository::open(Arc::new(DiskStorage::open(folder)?), ambient(), Unlock::MasterKey(key))?;
    match step {
        "whole" => {
            let index = repository.load_index()?;
            measure("the whole index", &index, blobs, begun)
        }
        "write" => write("the first sidecar", &repository, begun),
        "grow" => {
            fill(&repository, blobs..blobs + blobs / 4)?;
            write("a sidecar of a quarter more", &repository, Instant::now())
        }
        _ => {
            let index = repository.open_index(options())?;
            if index.covered() != blobs {
                return Err(format!("the sidecar covers {} blobs: {:?}", index.covered(), index.problems()).into());
            }
            measure("through the sidecar", &index, blobs, begun)
        }
    }
}

/// Index files of so many blobs.
fn make(folder: &Path, blobs: u64) -> Outcome {
    let begun = Instant::now();
    let key = MasterKey::generate(&ambient());
    let options = InitOptions {
        master_key: Some(key.clone()),
        ..InitOptions::default()
    };
    let repository = Repository::init(Arc::new(DiskStorage::open_or_create(folder)?), ambient(), &options)?;
    fs::write(key_file(folder), &*key.to_json())?;
    fill(&repository, 0..blobs)?;
    let size = size_below(&folder.join("index"))?;
    println!(
        "{blobs} blobs in index files of {} MiB, made in {:.1?}",
        size >> 20,
        begun.elapsed()
    );
    Ok(())
}

/// Writes index files of the blobs of these numbers.
fn fill(repository: &Repository, blobs: Range<u64>) -> Outcome {
    for start in blobs.clone().step_by(PER_FILE as usize) {
        let end = (start + PER_FILE).min(blobs.end);
        let packs = (start..end).step_by(PER_PACK as usize);
        let packs: Vec<IndexPack> = packs.map(|first| pack(first, end)).collect();
        repository.save_index(&packs)?;
    }
    Ok(())
}

/// A sidecar however few blobs there are.
fn options() -> IndexOptions {
    IndexOptions {
        sidecar_from: 1,
        ..IndexOptions::default()
    }
}

fn write(what: &str, repository: &Repository, begun: Instant) -> Outcome {
    let lock = Lock::acquire(repository, LockKind::Shared)?;
    let index = repository.open_index(options())?;
    let opened = begun.elapsed();
    let before = sidecar_bytes(repository)?;
    index.write_sidecar(&[], 0, &lock, &|| Ok(()))?;
    lock.release()?;
    let size = sidecar_bytes(repository)? - before;
    println!(
        "writing {what}: {} MiB, {:.2?} after {opened:.2?} to open the index, memory {} MiB",
        size >> 20,
        begun.elapsed() - opened,
        peak_memory()?
    );
    Ok(())
}

fn sidecar_bytes(repository: &Repository) -> Outcome<u64> {
    let files = repository.storage().list_sidecar("index/")?;
    Ok(files.iter().map(|(_, size)| size).sum())
}

fn measure(how: &str, index: &dyn Lookup, blobs: u64, begun: Instant) -> Outcome {
    let opened = begun.elapsed();
    let is_there = |number: u64| {
        index
            .usable(kind(number), &blob_id(number))
            .map(|found| found.is_some())
    };
    let first = is_there(blobs / 2)?;
    let answered = begun.elapsed();
    let memory = peak_memory()?;
    println!("{how}: opened in {opened:.2?}, first lookup after {answered:.2?}, memory {memory} MiB");

    let lookups = LOOKUPS.min(blobs);
    let ask = |from: u64, expected: bool| -> Outcome<Duration> {
        let begun = Instant::now();
        for n in 0..lookups {
            // Hashing the number scatters the ids; stepping far scatters the packs.
            let number = from + n.wrapping_mul(2_654_435_761) % blobs;
            if is_there(number)? != expected {
                return Err(format!("{how}: a wrong answer for blob {number}").into());
            }
        }
        Ok(begun.elapsed())
    };
    let (absent, present) = (ask(blobs, false)?, ask(0, true)?);
    let again = ask(0, true)?;
    let memory = peak_memory()?;
    println!(
        "  {lookups} lookups of new blobs {absent:.2?}, of stored ones {present:.2?}, again {again:.2?}, memory {memory} MiB"
    );
    if first {
        Ok(())
    } else {
        Err(format!("{how}: a blob is missing").into())
    }
}

fn pack(first: u64, end: u64) -> IndexPack {
    let blob = |number: u64| PackBlob {
        kind: kind(number),
        id: blob_id(number),
        offset: ((number - first) << 20) as u32,
        length: 1 << 20,
        uncompressed_length: number.is_multiple_of(2).then_some((1 << 20) + (number % 4096) as u32),
    };
    IndexPack {
        id: Id::of(format!("pack {first}").as_bytes()),
        blobs: (first..(first + PER_PACK).min(end)).map(blob).collect(),
    }
}

/// The kind of a blob of that number, also of one that there is not.
fn kind(number: u64) -> BlobKind {
    if (number / PER_PACK).is_multiple_of(TREES) {
        BlobKind::Tree
    } else {
        BlobKind::Data
    }
}

fn blob_id(number: u64) -> Id {
    Id::of(&number.to_le_bytes())
}

fn key_file(folder: &Path) -> PathBuf {
    folder.join("master-key.json")
}

fn ambient() -> Ambient {
    Ambient {
        now: Timestamp::now,
        fill_random,
        hostname: "localhost".to_owned(),
        username: String::new(),
        pid: std::process::id(),
        uid: 0,
        gid: 0,
    }
}

fn fill_random(bytes: &mut [u8]) {
    let read = File::open("/dev/urandom").and_then(|mut random| random.read_exact(bytes));
    if let Err(error) = read {
        panic!("the system gives no random bytes: {error}");
    }
}

/// Makes the system read the repository's files from the disk again.
fn forget_cached(folder: &Path) -> Outcome {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            forget_cached(&path)?;
        } else {
            let file = File::open(path)?;
            file.sync_all()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}

fn size_below(folder: &Path) -> Outcome<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        sum += entry?.metadata()?.len();
    }
    Ok(sum)
}

/// The most memory that this process has held, in MiB.
fn peak_memory() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib
        .ok_or("the system does not tell how much memory a process holds")?
        .parse()?;
    Ok(kib >> 10)
}
