//! Small repositories for tests, made without a source of files.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};

use crate::ambient::Ambient;
use crate::check::{CheckOptions, CheckReport, check};
use crate::crypto::MasterKey;
use crate::fetch::{BlobSink, FetchOptions, Wanted, fetch};
use crate::id::Id;
use crate::pack::BlobKind;
use crate::progress::NoProgress;
use crate::repository::{InitOptions, Repository, Unlock};
use crate::rewrite::PackWriter;
use crate::snapshot::Snapshot;
use crate::storage::{MemoryStorage, Storage};
use crate::tree::{Node, NodeKind, NodeTime, Tree};

/// Nobody cancels.
pub(crate) static GO_ON: AtomicBool = AtomicBool::new(false);

thread_local! {
    static LATER: Cell<SignedDuration> = const { Cell::new(SignedDuration::ZERO) };
}

/// Moves this thread's clock on.
pub(crate) fn pass(time: SignedDuration) {
    LATER.set(LATER.get() + time);
}

/// This thread's time.
pub(crate) fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(500_000) + LATER.get()
}

/// Never the same twice in one process; no test needs more.
fn fill_random(bytes: &mut [u8]) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    for part in bytes.chunks_mut(32) {
        let random = Id::of(&NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes()).0;
        part.copy_from_slice(&random[..part.len()]);
    }
}

/// A host of its own with process 1, which always runs.
pub(crate) fn ambient() -> Ambient {
    Ambient {
        now,
        fill_random,
        hostname: "test-host".to_owned(),
        username: "tester".to_owned(),
        pid: 1,
        uid: 0,
        gid: 0,
    }
}

pub(crate) fn init(storage: Arc<dyn Storage>) -> Repository {
    let master_key = Some(MasterKey::generate(&ambient()));
    Repository::init(
        storage,
        ambient(),
        &InitOptions {
            master_key,
            ..InitOptions::default()
        },
    )
    .unwrap()
}

/// The same repository through another store.
pub(crate) fn through(repo: &Repository, storage: Arc<dyn Storage>) -> Repository {
    Repository::open(storage, ambient(), Unlock::MasterKey(repo.key().clone())).unwrap()
}

/// Blobs of a file's content in tests: short, so that files have several.
const CHUNK: usize = 100;

/// Bytes that no other name and length share.
pub(crate) fn content(name: &str, length: usize) -> Vec<u8> {
    (0..)
        .flat_map(|n: u32| Id::of(format!("{name} {n}").as_bytes()).0)
        .take(length)
        .collect()
}

pub(crate) fn chunks(content: &[u8]) -> Vec<Id> {
    content.chunks(CHUNK).map(Id::of).collect()
}

/// Stores a snapshot of `files`, each in a folder of its own name's first letter, in packs of about `pack_size` bytes.
/// What a pack that is not condemned holds is not stored again.
pub(crate) fn snapshot(repo: &Repository, files: &[(&str, usize)], pack_size: usize) -> Id {
    let index = repo.load_index().unwrap();
    let mut writer = PackWriter::new(repo, pack_size, 1).unwrap();
    let mut written = std::collections::HashSet::new();
    let mut add = |kind, bytes: &[u8]| {
        let id = Id::of(bytes);
        if !index.usable_for_dedup(kind, &id) && written.insert(id) {
            writer.add(kind, id, bytes).unwrap();
        }
        id
    };
    let mut folders: BTreeMap<u8, Vec<Node>> = BTreeMap::new();
    let mut files = files.to_vec();
    files.sort_unstable();
    for (name, length) in files {
        let bytes = content(name, length);
        let mut node = Node::new(name, NodeKind::File);
        node.size = length as u64;
        node.content = Some(bytes.chunks(CHUNK).map(|chunk| add(BlobKind::Data, chunk)).collect());
        folders.entry(name.as_bytes()[0]).or_default().push(node);
    }
    let mut root = Vec::new();
    for (letter, nodes) in folders {
        let mut node = Node::new([letter], NodeKind::Dir);
        node.subtree = Some(add(BlobKind::Tree, &Tree::new(nodes).encode().unwrap()));
        root.push(node);
    }
    let tree = add(BlobKind::Tree, &Tree::new(root).encode().unwrap());
    writer.finish().unwrap();
    let id = repo.save_snapshot(&plain_snapshot(tree)).unwrap();
    repo.storage().barrier().unwrap();
    id
}

/// A snapshot of a root tree.
pub(crate) fn plain_snapshot(tree: Id) -> Snapshot {
    Snapshot {
        time: NodeTime::UNIX_EPOCH,
        parent: None,
        tree,
        paths: vec!["/".to_owned()],
        hostname: String::new(),
        username: String::new(),
        uid: 0,
        gid: 0,
        excludes: Vec::new(),
        tags: Vec::new(),
        original: None,
        program_version: String::new(),
        summary: None,
    }
}

pub(crate) fn check_all(repo: &Repository) -> CheckReport {
    let options = CheckOptions {
        read_data: true,
        snapshots: None,
        workers: 2,
        progress: &NoProgress,
        cancel: &GO_ON,
        ledger: None,
    };
    check(repo, &options).unwrap()
}

/// Fails unless the repository is clean and every one of `snapshots` restores to exactly these files.
pub(crate) fn assert_whole(repo: &Repository, snapshots: &[(Id, &[(&str, usize)])], context: &str) {
    let report = check_all(repo);
    assert!(report.is_clean(), "{context}: {:?}", report.damages);
    for (id, files) in snapshots {
        let restored = restore(repo, id);
        let expected: BTreeMap<String, Vec<u8>> = files
            .iter()
            .map(|(name, length)| ((*name).to_owned(), content(name, *length)))
            .collect();
        assert!(restored == expected, "{context}: snapshot {id} differs");
    }
}

struct Files(std::sync::Mutex<BTreeMap<u32, Vec<u8>>>);

impl BlobSink for Files {
    fn write(&self, file: u32, offset: u64, bytes: &[u8]) -> crate::error::Result<()> {
        let mut files = self.0.lock().unwrap();
        let file = files.get_mut(&file).unwrap();
        let start = usize::try_from(offset).unwrap();
        file[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

/// Every file of a snapshot, read with [`fetch`].
pub(crate) fn restore(repo: &Repository, snapshot: &Id) -> BTreeMap<String, Vec<u8>> {
    let index = repo.load_index().unwrap();
    let root = repo.load_tree(&index, &repo.snapshot(snapshot).unwrap().tree).unwrap();
    let (mut names, mut wanted, mut files) = (Vec::new(), Vec::new(), BTreeMap::new());
    for folder in &root.nodes {
        for node in repo.load_tree(&index, &folder.subtree.unwrap()).unwrap().nodes {
            let file = u32::try_from(names.len()).unwrap();
            let blobs = node.content.unwrap();
            let places = blobs.iter().zip((0..).step_by(CHUNK));
            wanted.extend(places.map(|(blob, offset)| Wanted {
                blob: *blob,
                file,
                offset,
            }));
            files.insert(file, vec![0; usize::try_from(node.size).unwrap()]);
            names.push(String::from_utf8(node.name).unwrap());
        }
    }
    let sink = Files(std::sync::Mutex::new(files));
    let options = FetchOptions {
        workers: 2,
        progress: &NoProgress,
        cancel: &GO_ON,
    };
    fetch(repo, &index, wanted, &sink, &options).unwrap();
    names
        .into_iter()
        .zip(sink.0.into_inner().unwrap().into_values())
        .collect()
}

/// A repository in memory, and its store for direct damage.
pub(crate) fn memory() -> (Arc<MemoryStorage>, Repository) {
    let storage = Arc::new(MemoryStorage::new());
    let repo = init(storage.clone());
    (storage, repo)
}
