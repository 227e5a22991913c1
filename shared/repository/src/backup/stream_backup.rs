//! [`StreamBackup`]: the backup of a [`Stream`], from the lock to the snapshot.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use crossbeam_channel::bounded;

use crate::error::Result;
use crate::index::LayeredIndex;
use crate::lock::{Lock, LockKind};
use crate::repository::Repository;

use super::assemble::{Assembled, assemble};
use super::indexer::Indexer;
use super::run::{Origin, Run};
use super::{BackupOptions, BackupReport, ENTRIES_AHEAD, Portion, Storing, Stream};
use super::{gather, join, outcome, publish, start_storing};

/// A backup of a stream that is about to begin. The repository is locked, so that nothing that is found in it now goes away
/// before the snapshot stands.
pub struct StreamBackup<'a> {
    repository: &'a Repository,
    options: &'a BackupOptions<'a>,
    lock: Lock,
    index: Arc<LayeredIndex>,
}

/// Backs up what a stream gives. Everything that fails is an error, that of the stream with its text, and then there is no
/// snapshot. A path that is not below the root of the stream, has `..` in it or comes twice is refused by name.
///
/// Nothing is compared with a parent: all bytes are read, and what the repository has is not stored again. Chunks that the
/// stream names are taken over unread. The parent in the options is only recorded.
///
/// Trees can be built only when all of the stream has come. Until then each file takes about 1 kB of memory, and each of
/// its chunks 32 bytes: 1 TiB takes 32 MiB where it is cut by content, and 1 GiB where it is cut every 32 KiB.
pub fn backup_stream(
    repository: &Repository,
    stream: &mut dyn Stream,
    options: &BackupOptions<'_>,
) -> Result<BackupReport> {
    StreamBackup::begin(repository, options)?.run(stream)
}

impl<'a> StreamBackup<'a> {
    /// Locks the repository and opens its index.
    pub fn begin(repository: &'a Repository, options: &'a BackupOptions<'a>) -> Result<StreamBackup<'a>> {
        options.check()?;
        let lock = Lock::acquire(repository, LockKind::Shared)?;
        let index = Arc::new(repository.open_index(options.index)?);
        Ok(StreamBackup {
            repository,
            options,
            lock,
            index,
        })
    }

    /// What the repository has, for a stream that refers to it.
    pub fn index(&self) -> &Arc<LayeredIndex> {
        &self.index
    }

    /// Backs up, as [`backup_stream`] says.
    pub fn run(self, stream: &mut dyn Stream) -> Result<BackupReport> {
        let StreamBackup {
            repository,
            options,
            lock,
            index,
        } = self;
        let origin = Origin {
            paths: vec![stream.root()],
            host: stream.host(),
        };
        let portion = Portion {
            done: &[],
            slice: None,
            pause: &AtomicBool::new(false),
        };
        let run = Run::new(repository, origin, options, portion, index);
        let indexer = Indexer::new(&run);
        let assembled = run_stages(&run, &indexer, stream)?;
        indexer.finish()?;
        lock.verify()?;
        let report = publish::publish(&run, &indexer, assembled, &stream.tags(), &lock)?;
        lock.release()?;
        Ok(report)
    }
}

fn run_stages(run: &Run<'_>, indexer: &Indexer<'_>, stream: &mut dyn Stream) -> Result<Assembled> {
    let assembled = thread::scope(|scope| {
        let Storing {
            chunks,
            packs,
            mut stages,
        } = start_storing(scope, run, indexer);
        let gathered = run.stage(|| gather::gather(run, stream, chunks));
        let assembled = gathered.and_then(|gathered| {
            let (entries, entries_out) = bounded(ENTRIES_AHEAD);
            stages.push(scope.spawn(move || run.stage(|| gathered.tell(&entries))));
            run.stage(|| assemble(run, entries_out, packs))
        });
        join(run, stages);
        assembled
    });
    outcome(run, assembled)
}
