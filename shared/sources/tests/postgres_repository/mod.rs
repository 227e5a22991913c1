//! A repository in memory that takes backups of a test's server.

#![allow(dead_code, clippy::unwrap_used, reason = "helpers of tests, each of which uses some")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use holdfast_repository::backup::BackupOptions;
use holdfast_repository::crypto::MasterKey;
use holdfast_repository::storage::MemoryStorage;
use holdfast_repository::{Ambient, Id, InitOptions, NoProgress, Repository};
use holdfast_sources::postgres::SegmentSize;
use holdfast_sources::postgres::cluster::{BaseKind, ClusterBackup, back_up};
use holdfast_sources::postgres::log::{LogArchive, push, ready};
use jiff::Timestamp;

use crate::postgres_server::{ADMIN, Server, options, wait_until};

static GO_ON: AtomicBool = AtomicBool::new(false);
/// What the server is called in the repository.
pub const NAME: &str = "main";

/// An empty repository in memory.
pub fn repository() -> Repository {
    fn fill_random(bytes: &mut [u8]) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        for part in bytes.chunks_mut(32) {
            part.copy_from_slice(&Id::of(&NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes()).0[..part.len()]);
        }
    }
    let ambient = Ambient {
        now: || Timestamp::UNIX_EPOCH,
        fill_random,
        hostname: "host".to_owned(),
        username: "user".to_owned(),
        pid: 1,
        uid: 0,
        gid: 0,
    };
    let options = InitOptions {
        master_key: Some(MasterKey::generate(&ambient)),
        ..InitOptions::default()
    };
    Repository::init(Arc::new(MemoryStorage::new()), ambient, &options).unwrap()
}

/// Makes a full base backup.
pub fn store(repository: &Repository, server: &Server) {
    store_as(repository, server, BaseKind::Full);
}

/// Makes a base backup.
pub fn store_as(repository: &Repository, server: &Server, kind: BaseKind) -> ClusterBackup {
    let stored = BackupOptions::new(Timestamp::from_second(1_790_000_000).unwrap(), &NoProgress, &GO_ON);
    back_up(repository, &server.address(ADMIN), NAME, &options(), &stored, kind).unwrap()
}

/// Stores the log that the server wants archived.
pub fn store_log(repository: &Repository, server: &Server) {
    server.sql("SELECT pg_switch_wal()");
    let folder = server.data.join("pg_wal");
    wait_until("a segment is full", || {
        !ready(&folder, SegmentSize::DEFAULT).unwrap().is_empty()
    });
    let mut archive = LogArchive::open(repository, NAME).unwrap();
    let files = ready(&folder, SegmentSize::DEFAULT).unwrap();
    let index = repository.load_index().unwrap();
    let stored = BackupOptions::new(Timestamp::from_second(1_790_000_000).unwrap(), &NoProgress, &GO_ON);
    let first = folder.join(files[0].name(SegmentSize::DEFAULT));
    push(&mut archive, &index, &first, 1000, &stored).unwrap();
}
