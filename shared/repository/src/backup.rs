//! Backup: reads a [`Source`] and writes a snapshot.
//!
//! The stages run at the same time, with bounded channels between them:
//!
//! ```text
//! walk ──files──▶ read ──chunks──▶ work ──packs──▶ upload ──▶ index files
//!   └──entries in order──▶ assemble ──tree packs──┘
//! ```
//!
//! `walk` lists folders and finds what the parent snapshot already has. `read` cuts files into chunks, `work` hashes
//! them, drops those that are known, compresses, seals and packs. `assemble` waits for each file's content in order
//! and builds the trees from the leaves up. `publish` makes the snapshot visible once everything else is durable.
//! Whatever fails or is cancelled before leaves only packs and index files that nothing refers to.
//!
//! What gives its files once and in an order of its own is a [`Stream`]: there, `gather` stands for `walk` and `read`,
//! and the trees are built when all of it has come.

mod assemble;
mod buffers;
mod gather;
mod indexer;
mod known;
mod options;
mod packer;
mod parent;
mod portion;
mod publish;
mod read;
mod run;
mod source;
mod stream;
mod stream_backup;
mod throttle;
mod tree_encoder;
mod upload;
mod walk;
mod window;
mod work;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};

use crossbeam_channel::{Sender, bounded};

use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::lock::{Lock, LockKind};
use crate::repository::Repository;

pub use options::{BackupOptions, BackupReport, BeforePublish};
pub use portion::{Ended, Portion, PortionReport, Slice};
pub use source::{Content, Source, Unread, UnreadReason};
pub use stream::{Chunk, Chunks, Item, ItemContent, Stream};
pub use stream_backup::{StreamBackup, backup_stream};
pub use throttle::Throttle;

use assemble::{Assembled, assemble};
use indexer::Indexer;
use run::{Origin, Run};
use upload::Upload;
use work::Batch;

/// Entries that the walk may be ahead of the assembly.
const ENTRIES_AHEAD: usize = 1024;
/// Files that wait for a reader.
const FILES_AHEAD: usize = 256;

/// Backs up a source. Files that could not be read do not stop it: the report lists them. Everything else that fails
/// is an error, and then there is no snapshot.
pub fn backup(repository: &Repository, source: &dyn Source, options: &BackupOptions<'_>) -> Result<BackupReport> {
    backup_after(repository, source, options, &[])
}

/// As [`backup`], where portions before it stored some of it already.
pub fn backup_after(
    repository: &Repository,
    source: &dyn Source,
    options: &BackupOptions<'_>,
    done: &[PortionReport],
) -> Result<BackupReport> {
    let portion = Portion {
        done,
        slice: None,
        pause: &AtomicBool::new(false),
    };
    match backup_portion(repository, source, options, portion)? {
        Ended::Published(report) => Ok(*report),
        Ended::Stored(_) => Err(RepositoryError::Bug(
            "a backup that nobody paused stopped half-way".into(),
        )),
    }
}

/// Does one portion of a backup: takes over what earlier portions stored, reads what is left of its slice until it is
/// paused, and publishes the snapshot when it had no slice and reached everything.
///
/// What a portion stored is referred to by no snapshot: prune keeps it as long as it keeps any new pack.
pub fn backup_portion(
    repository: &Repository,
    source: &dyn Source,
    options: &BackupOptions<'_>,
    portion: Portion<'_>,
) -> Result<Ended> {
    options.check()?;
    let lock = Lock::acquire(repository, LockKind::Shared)?;
    let parent = options.parent.map(|id| repository.snapshot(&id)).transpose()?;
    let origin = Origin {
        paths: source.paths(),
        host: source.host(),
    };
    let index = Arc::new(repository.open_index(options.index)?);
    let run = Run::new(repository, origin, options, portion, index);
    let indexer = Indexer::new(&run);
    let assembled = run_stages(&run, &indexer, source, parent.map(|snapshot| snapshot.tree))?;
    indexer.finish()?;
    lock.verify()?;
    let ended = if portion.slice.is_some() || !assembled.complete {
        repository.storage().barrier()?;
        Ended::Stored(PortionReport {
            tree: assembled.tree,
            complete: assembled.complete,
            data_blobs: run.added.data_blobs.load(Ordering::Relaxed),
            tree_blobs: run.added.tree_blobs.load(Ordering::Relaxed),
            added_bytes: run.added.bytes.load(Ordering::Relaxed),
            added_packed_bytes: run.added.packed_bytes.load(Ordering::Relaxed),
        })
    } else {
        Ended::Published(Box::new(publish::publish(&run, &indexer, assembled, &[], &lock)?))
    };
    lock.release()?;
    Ok(ended)
}

/// Batches of chunks that wait for each worker, each of up to 4 MiB: enough for it to find several at once where they are hashed
/// together, and elsewhere for it not to wait.
fn batches_ahead() -> usize {
    if Id::worth_gathering() > 1 { 4 } else { 1 }
}

fn run_stages(run: &Run<'_>, indexer: &Indexer<'_>, source: &dyn Source, parent: Option<Id>) -> Result<Assembled> {
    let (entries, entries_out) = bounded(ENTRIES_AHEAD);
    let (files, files_out) = bounded(FILES_AHEAD);
    let assembled = thread::scope(|scope| {
        let Storing {
            chunks,
            packs,
            mut stages,
        } = start_storing(scope, run, indexer);
        stages.push(scope.spawn(|| run.stage(|| walk::walk(run, source, parent, entries, files))));
        for _ in 0..run.options.readers {
            let (files, chunks) = (files_out.clone(), chunks.clone());
            stages.push(scope.spawn(move || run.stage(|| read::read(run, source, &files, chunks))));
        }
        drop((files_out, chunks));
        let assembled = run.stage(|| assemble(run, entries_out, packs));
        join(run, stages);
        assembled
    });
    outcome(run, assembled)
}

/// The stages that every backup has: they hash, pack and store what comes in as chunks, until nobody can send more.
struct Storing<'scope> {
    chunks: Sender<Batch>,
    packs: Sender<Upload>,
    stages: Vec<ScopedJoinHandle<'scope, Option<()>>>,
}

fn start_storing<'scope>(
    scope: &'scope Scope<'scope, '_>,
    run: &'scope Run<'scope>,
    indexer: &'scope Indexer<'scope>,
) -> Storing<'scope> {
    let (chunks, chunks_out) = bounded(batches_ahead() * run.options.workers);
    let (packs, packs_out) = bounded(0);
    let mut stages = Vec::new();
    for _ in 0..run.options.workers {
        let (chunks, packs) = (chunks_out.clone(), packs.clone());
        stages.push(scope.spawn(move || run.stage(|| work::work(run, &chunks, packs))));
    }
    for _ in 0..run.options.uploads {
        let packs = packs_out.clone();
        stages.push(scope.spawn(move || run.stage(|| upload::upload(run, indexer, packs))));
    }
    Storing { chunks, packs, stages }
}

/// What the stages made, or why they did not.
fn outcome(run: &Run<'_>, assembled: Option<Assembled>) -> Result<Assembled> {
    run.outcome()?;
    assembled.ok_or_else(|| RepositoryError::Bug("a backup without a failure made no tree".into()))
}

fn join(run: &Run<'_>, stages: Vec<ScopedJoinHandle<'_, Option<()>>>) {
    for stage in stages {
        if stage.join().is_err() {
            run.fail(RepositoryError::Bug("a stage of the backup panicked".into()));
        }
    }
}
