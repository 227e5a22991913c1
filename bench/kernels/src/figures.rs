//! [`Figures`]: how fast each kernel is on this machine.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::time::Duration;

use holdfast_repository::{RepositoryError, Result};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::kernel::{Kernel, Pass};
use crate::machine::{processor, processors};

/// Bytes that each processor works on: more than its nearer caches hold.
const LENGTH: usize = 32 << 20;
/// Files that each processor makes or reads.
const FILES: usize = 500;
/// Everything is measured at least so often.
const ROUNDS: u32 = 5;
/// Kernels are measured at least so long; what touches files is not, so as to leave few of them.
const DURATION: Duration = Duration::from_millis(500);

/// What some processors do together when each does nothing else: the sum of what each does in a second of its CPU time.
/// Bytes count before compression and encryption.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// How many processors work at one time.
    pub processors: usize,
    /// MB/s in which ends of chunks are found.
    pub chunk: f64,
    /// MB/s of SHA-256.
    pub hash: f64,
    /// MB/s in which noise is recognised as such.
    pub probe: f64,
    /// MB/s of zstd at level 3 over text.
    pub compress: f64,
    /// MB/s of encryption with authentication.
    pub seal: f64,
    /// MB/s of decryption with authentication.
    pub open: f64,
    /// MB/s of text that come out of zstd.
    pub decompress: f64,
    /// MB/s from one place in memory to another.
    pub copy: f64,
    /// MB/s from large files in the page cache.
    pub read: f64,
    /// MB/s into large files, not waiting for the disk.
    pub write: f64,
    /// Files of one byte opened, read and closed in a second.
    pub files_read: f64,
    /// Files of one byte made, written and closed in a second. ext4 makes files several times slower for some minutes after
    /// many were removed.
    pub files_written: f64,
}

/// The machine, and what it does alone and with all processors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// The processor's name, and what it has of the instructions that matter.
    pub machine: String,
    /// With one processor.
    pub one: Rates,
    /// With all of them.
    pub all: Rates,
}

impl Figures {
    /// Measures everything; files are written below `folder`, and removed again.
    pub fn measure(folder: &Path) -> Result<Self> {
        let folder = folder.join("kernels");
        let (one, all) = (
            Rates::measure(&folder.join("one"), 1)?,
            Rates::measure(&folder.join("all"), processors())?,
        );
        fs::remove_dir_all(&folder).map_err(RepositoryError::io(format!("remove {}", folder.display())))?;
        let machine = processor();
        Ok(Self { machine, one, all })
    }

    /// A table in Markdown.
    pub fn markdown(&self) -> String {
        let (one, all) = (&self.one, &self.all);
        let rows = [
            ("chunk: find where chunks end (Gear)", one.chunk, all.chunk),
            ("hash: SHA-256", one.hash, all.hash),
            ("probe: recognise noise", one.probe, all.probe),
            ("compress: zstd at level 3, of text", one.compress, all.compress),
            ("seal: AES-256-CTR and Poly1305", one.seal, all.seal),
            ("open: Poly1305 and AES-256-CTR", one.open, all.open),
            ("decompress: zstd, to text", one.decompress, all.decompress),
            ("copy in memory", one.copy, all.copy),
            ("read files, from the page cache", one.read, all.read),
            ("write files, into the page cache", one.write, all.write),
            ("read files of one byte, files/s", one.files_read, all.files_read),
            ("write files of one byte, files/s", one.files_written, all.files_written),
        ];
        let mut text = String::new();
        let _ = writeln!(text, "| MB/s | one processor | {} processors |", all.processors);
        let _ = writeln!(text, "| --- | --- | --- |");
        for (what, one, all) in rows {
            let _ = writeln!(text, "| {what} | {one:.0} | {all:.0} |");
        }
        text
    }
}

impl Rates {
    fn measure(folder: &Path, processors: usize) -> Result<Self> {
        let workers = 0..processors as u64;
        let megabytes = LENGTH as f64 / 1e6;
        let of = |kernel: Kernel| -> Result<f64> {
            let prepared = workers.clone().map(|worker| kernel.prepare(worker, LENGTH));
            Ok(megabytes * passes_a_second(&mut prepared.collect::<Result<Vec<_>>>()?, DURATION)?)
        };
        let on_disk = |prepare: fn(&Path, u64, usize) -> Result<Pass>, amount: usize| -> Result<f64> {
            let prepared = workers.clone().map(|worker| prepare(folder, worker, amount));
            passes_a_second(&mut prepared.collect::<Result<Vec<_>>>()?, Duration::ZERO)
        };
        let files = FILES as f64;
        Ok(Self {
            processors,
            chunk: of(Kernel::Chunk)?,
            hash: of(Kernel::Hash)?,
            probe: of(Kernel::Probe)?,
            compress: of(Kernel::Compress)?,
            seal: of(Kernel::Seal)?,
            open: of(Kernel::Open)?,
            decompress: of(Kernel::Decompress)?,
            copy: of(Kernel::Copy)?,
            read: megabytes * on_disk(files::reading, LENGTH)?,
            write: megabytes * on_disk(files::writing, LENGTH)?,
            files_read: files * on_disk(files::opening, FILES)?,
            files_written: files * on_disk(files::creating, FILES)?,
        })
    }
}

/// Passes a second, of all workers together, in the best of several rounds in which all pass at one time, for `duration` at
/// least. Counted are the CPU seconds of each, so that what else runs on the machine takes little from the figure.
fn passes_a_second(passes: &mut [Pass], duration: Duration) -> Result<f64> {
    let (mut best, mut total, mut rounds) = (0.0, Duration::ZERO, 0);
    while rounds < ROUNDS || total < duration {
        let took = round(passes)?;
        best = took.iter().map(|took| 1.0 / took.as_secs_f64()).sum::<f64>().max(best);
        total += took.into_iter().max().unwrap_or(duration);
        rounds += 1;
    }
    Ok(best)
}

/// The CPU time that each pass takes while the others go on.
fn round(passes: &mut [Pass]) -> Result<Vec<Duration>> {
    let barrier = &Barrier::new(passes.len());
    std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for pass in passes {
            workers.push(scope.spawn(move || {
                barrier.wait();
                let started = cpu_time();
                pass()?;
                Ok(cpu_time().saturating_sub(started))
            }));
        }
        let panicked = |_| RepositoryError::Bug("a kernel panicked".into());
        workers
            .into_iter()
            .map(|worker| worker.join().map_err(panicked)?)
            .collect()
    })
}

/// The CPU time that this thread has taken.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
