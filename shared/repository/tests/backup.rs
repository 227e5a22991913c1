//! Backup as its callers see it.
#![allow(clippy::unwrap_used, reason = "a test program: failing is its purpose")]

mod support;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use holdfast_repository::backup::UnreadReason;
use holdfast_repository::chunker::{MAX_CHUNK, MIN_CHUNK};
use holdfast_repository::pack::BlobKind;
use holdfast_repository::storage::{FileKind, MemoryStorage};
use holdfast_repository::{ErrorKind, Id, InitOptions, Node, NodeKind, Repository, RepositoryError, Tree, Unlock};

use support::{PASSWORD, Part, TestSource, Trouble, ambient, back_up, memory_repository, noise};

/// The node at a path of a snapshot's tree.
fn node(repository: &Repository, tree: Id, path: &[&[u8]]) -> Node {
    let index = repository.load_index().unwrap();
    let (last, folders) = path.split_last().unwrap();
    let mut tree: Tree = repository.load_tree(&index, &tree).unwrap();
    for folder in folders {
        let subtree = tree.find(folder).unwrap().subtree.unwrap();
        tree = repository.load_tree(&index, &subtree).unwrap();
    }
    tree.find(last)
        .unwrap_or_else(|| panic!("{:?} is missing", String::from_utf8_lossy(last)))
        .clone()
}

fn bytes(repository: &Repository, node: &Node) -> Vec<u8> {
    let index = repository.load_index().unwrap();
    let blobs = node.content.as_ref().unwrap().iter();
    blobs
        .flat_map(|id| repository.load_blob(&index, BlobKind::Data, id).unwrap())
        .collect()
}

fn opened(source: &TestSource) -> BTreeSet<PathBuf> {
    std::mem::take(&mut source.opened.lock().unwrap())
}

#[test]
fn what_was_backed_up_reads_back_and_sizes_agree() {
    let repository = memory_repository();
    let large = noise(1, 20 << 20);
    let source = TestSource::new()
        .file(b"/data/a/large", large.clone())
        .file(b"/data/b", b"small")
        .file(b"/data/c", b"");
    let report = back_up(&repository, &source, |_| ()).unwrap();
    let node_a = node(&repository, report.tree, &[b"data", b"a", b"large"]);
    assert!(bytes(&repository, &node_a) == large);
    assert_eq!(node_a.size, large.len() as u64);
    let empty = node(&repository, report.tree, &[b"data", b"c"]);
    assert_eq!(empty.content, Some(Vec::new()));
    let summary = &report.summary;
    assert_eq!((summary.files_new, summary.dirs_new), (3, 2));
    assert_eq!(summary.total_bytes_processed, large.len() as u64 + 5);
    assert_eq!(repository.snapshot(&report.snapshot).unwrap().paths, ["/data"]);
}

#[test]
fn the_same_content_is_stored_once_also_within_one_backup() {
    let repository = memory_repository();
    let content = noise(2, 6 << 20);
    let mut source = TestSource::new();
    for number in 0..8 {
        source = source.file(format!("/data/{number}").as_bytes(), content.clone());
    }
    let report = back_up(&repository, &source, |options| options.workers = 4).unwrap();
    let index = repository.load_index().unwrap();
    let data: Vec<Id> = index
        .iter()
        .filter(|(kind, ..)| *kind == BlobKind::Data)
        .map(|(_, id, _)| id)
        .collect();
    assert_eq!(data.len(), data.iter().collect::<BTreeSet<_>>().len());
    assert_eq!(data.len() as u64, report.summary.data_blobs);
    assert!(report.summary.data_added < content.len() as u64 + 100_000);
}

#[test]
fn bytes_inserted_at_the_front_cost_one_chunk_not_the_file() {
    let repository = memory_repository();
    let content = noise(3, 30 << 20);
    back_up(
        &repository,
        &TestSource::new().file(b"/data/a", content.clone()),
        |_| (),
    )
    .unwrap();
    let moved = TestSource::new().file(b"/data/a", [b"in front".to_vec(), content].concat());
    let report = back_up(&repository, &moved, |_| ()).unwrap();
    assert!(
        report.summary.data_added < 2 * MAX_CHUNK as u64,
        "{}",
        report.summary.data_added
    );
}

#[test]
fn an_unchanged_file_is_not_opened_and_a_changed_one_is() {
    let repository = memory_repository();
    let mut source = TestSource::new()
        .file(b"/data/a", noise(1, 5000))
        .file(b"/data/b", noise(2, 5000));
    let first = back_up(&repository, &source, |_| ()).unwrap();
    assert_eq!(opened(&source).len(), 2);
    source.touch(b"/data/b", 1_750_000_000);
    let second = back_up(&repository, &source, |options| options.parent = Some(first.snapshot)).unwrap();
    assert_eq!(opened(&source), BTreeSet::from(["/data/b".into()]));
    let summary = &second.summary;
    assert_eq!(
        (summary.files_unmodified, summary.files_changed, summary.files_new),
        (1, 1, 0)
    );
    let third = back_up(&repository, &source, |options| {
        options.parent = Some(second.snapshot);
        options.reread = true;
    })
    .unwrap();
    assert_eq!(opened(&source).len(), 2, "reread opens everything");
    assert_eq!((third.tree, third.summary.data_added), (second.tree, 0));
    assert_eq!(
        repository.snapshot(&third.snapshot).unwrap().parent,
        Some(second.snapshot)
    );
}

#[test]
fn a_hole_and_zeroes_that_were_read_give_the_same_blobs() {
    let repository = memory_repository();
    let (head, tail) = (noise(1, 700_000), noise(2, 900_000));
    for length in [MIN_CHUNK - 1, MIN_CHUNK, 5 * MIN_CHUNK + 4321, 21 * MIN_CHUNK] {
        let dense = [head.clone(), vec![0; length], tail.clone()].concat();
        let parts = vec![
            Part::Data(head.clone()),
            Part::Hole(length as u64),
            Part::Data(tail.clone()),
        ];
        let source = TestSource::new()
            .file(b"/data/dense", dense.clone())
            .sparse(b"/data/sparse", parts);
        let report = back_up(&repository, &source, |_| ()).unwrap();
        let [dense_node, sparse_node] =
            [&b"dense"[..], b"sparse"].map(|name| node(&repository, report.tree, &[b"data", name]));
        assert_eq!(dense_node.content, sparse_node.content, "{length}");
        assert!(bytes(&repository, &sparse_node) == dense);
        let zeroes = Id::of(&vec![0; MIN_CHUNK]);
        let runs = sparse_node.content.unwrap().iter().filter(|id| **id == zeroes).count();
        assert_eq!(runs, length / MIN_CHUNK, "{length}");
    }
}

#[test]
fn a_large_hole_is_neither_read_nor_held() {
    let repository = memory_repository();
    let length = 40 << 30;
    let source = TestSource::new().sparse(b"/data/disk", vec![Part::Hole(length), Part::Data(b"end".to_vec())]);
    let report = back_up(&repository, &source, |_| ()).unwrap();
    assert_eq!(report.summary.total_bytes_processed, length + 3);
    assert_eq!(report.summary.data_blobs, 2);
}

#[test]
fn a_file_that_cannot_be_opened_is_left_out_and_listed() {
    let repository = memory_repository();
    let source = TestSource::new()
        .file(b"/data/a", b"a")
        .troubled(b"/data/b", b"b", Trouble::Denied)
        .troubled(b"/data/c", noise(1, 300_000), Trouble::BreaksAfter(150_000))
        .file(b"/data/d", b"d");
    let report = back_up(&repository, &source, |_| ()).unwrap();
    let unread: Vec<_> = report
        .unread
        .iter()
        .map(|unread| unread.path.to_str().unwrap())
        .collect();
    assert_eq!(unread, ["/data/b", "/data/c"]);
    assert_eq!(report.unread[0].reason, UnreadReason::Denied);
    assert_eq!(report.unread[1].reason, UnreadReason::Io("the disk is failing".into()));
    let index = repository.load_index().unwrap();
    let data = node(&repository, report.tree, &[b"data"]).subtree.unwrap();
    let names: Vec<_> = repository
        .load_tree(&index, &data)
        .unwrap()
        .nodes
        .into_iter()
        .map(|n| n.name)
        .collect();
    assert_eq!(names, [b"a", b"d"]);
}

#[test]
fn what_may_be_readable_a_minute_later_fails_the_backup() {
    let repository = memory_repository();
    let source = TestSource::new()
        .file(b"/data/a", b"a")
        .troubled(b"/data/b", b"b", Trouble::ConnectionLost);
    let error = back_up(&repository, &source, |_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert_eq!(error.to_string(), "cannot read /data/b: no answer");
    assert_eq!(repository.snapshots().unwrap(), []);
}

#[test]
fn a_file_that_changed_while_read_is_kept_listed_and_read_again() {
    let repository = memory_repository();
    let source = TestSource::new().troubled(b"/data/log", noise(5, 2 << 20), Trouble::ChangedWhileRead);
    let report = back_up(&repository, &source, |_| ()).unwrap();
    assert_eq!(report.unread[0].reason, UnreadReason::ChangedWhileRead);
    let kept = node(&repository, report.tree, &[b"data", b"log"]);
    assert_eq!(kept.size, 2 << 20);
    assert!(bytes(&repository, &kept) == noise(5, 2 << 20));
}

#[test]
fn a_missing_root_is_listed_unless_it_is_the_only_one() {
    let repository = memory_repository();
    let source = TestSource::new().file(b"/data/a", b"a").roots(&["/data", "/gone"]);
    let report = back_up(&repository, &source, |_| ()).unwrap();
    assert_eq!(report.unread[0].path, PathBuf::from("/gone"));
    let nothing = TestSource::new().file(b"/data/a", b"a").roots(&["/gone"]);
    let error = back_up(&repository, &nothing, |_| ()).unwrap_err();
    assert!(error.to_string().contains("/gone"), "{error}");
    assert_eq!(repository.snapshots().unwrap().len(), 1);
}

#[test]
fn several_roots_share_the_folders_above_them() {
    let repository = memory_repository();
    let source = TestSource::new()
        .file(b"/srv/x/one", b"1")
        .file(b"/srv/y/two", b"2")
        .file(b"/srv/not", b"3")
        .file(b"/etc/three", b"4")
        .roots(&["/srv/y", "/srv/x/", "/etc/three", "/srv/x/one"]);
    let report = back_up(&repository, &source, |_| ()).unwrap();
    let index = repository.load_index().unwrap();
    let srv = node(&repository, report.tree, &[b"srv"]).subtree.unwrap();
    let names: Vec<_> = repository
        .load_tree(&index, &srv)
        .unwrap()
        .nodes
        .into_iter()
        .map(|n| n.name)
        .collect();
    assert_eq!(names, [b"x", b"y"]);
    assert_eq!(
        bytes(&repository, &node(&repository, report.tree, &[b"etc", b"three"])),
        b"4"
    );
}

#[test]
fn a_cancelled_backup_leaves_no_snapshot_and_no_lock() {
    let repository = memory_repository();
    let mut source = TestSource::new();
    for number in 0..3000 {
        source = source.file(format!("/data/{number:05}").as_bytes(), noise(number, 2000));
    }
    source.cancel_on_open = Some(Arc::new(AtomicBool::new(false)));
    let error = back_up(&repository, &source, |_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(repository.snapshots().unwrap(), []);
    assert_eq!(repository.storage().list(FileKind::Lock).unwrap(), []);
}

#[test]
fn a_refusal_before_publishing_leaves_everything_but_the_snapshot() {
    let repository = memory_repository();
    let source = TestSource::new().file(b"/data/a", noise(1, 3 << 20));
    let error = back_up(&repository, &source, |options| {
        options.before_publish =
            Some(&|snapshot, _| Err(RepositoryError::Bug(format!("refused {}", snapshot.paths[0]))));
    })
    .unwrap_err();
    assert!(error.to_string().contains("refused /data"));
    assert_eq!(repository.snapshots().unwrap(), []);
    let again = back_up(&repository, &source, |_| ()).unwrap();
    assert_eq!(again.summary.data_added, 0, "the work of the first attempt is found");
}

#[test]
fn a_damaged_parent_tree_is_named_and_its_files_are_read_again() {
    let repository = memory_repository();
    let source = TestSource::new().file(b"/data/a", b"content");
    let first = back_up(&repository, &source, |_| ()).unwrap();
    for (id, _) in repository.storage().list(FileKind::Index).unwrap() {
        repository
            .storage()
            .delete(&holdfast_repository::storage::FileName::Object(FileKind::Index, id))
            .unwrap();
    }
    opened(&source);
    let second = back_up(&repository, &source, |options| options.parent = Some(first.snapshot)).unwrap();
    assert_eq!(second.unusable_parent_trees.len(), 1);
    assert_eq!(opened(&source).len(), 1);
    assert_eq!(second.tree, first.tree);
}

#[test]
fn entries_of_every_kind_keep_their_metadata() {
    let repository = memory_repository();
    let mut device = Node::new(Vec::new(), NodeKind::CharDev);
    device.device = 0x501;
    device.links = 2;
    device.device_id = 7;
    let mut link = Node::new(Vec::new(), NodeKind::Symlink);
    link.link_target = b"not utf-8 \xff".to_vec();
    let source = TestSource::new()
        .node(b"/data/device", device.clone())
        .node(b"/data/link", link.clone());
    let report = back_up(&repository, &source, |_| ()).unwrap();
    device.name = b"device".to_vec();
    link.name = b"link".to_vec();
    assert_eq!(node(&repository, report.tree, &[b"data", b"device"]), device);
    assert_eq!(node(&repository, report.tree, &[b"data", b"link"]), link);
}

#[test]
fn a_folder_with_very_many_entries_is_one_tree_and_serves_as_parent() {
    let repository = memory_repository();
    let count = 40_000;
    let mut source = WideSource {
        count,
        opened: 0.into(),
    };
    let report = wide_backup(&repository, &source, None);
    assert_eq!(report.summary.files_new, count);
    source.opened = 0.into();
    let again = wide_backup(&repository, &source, Some(report.snapshot));
    assert_eq!((again.tree, again.summary.files_unmodified), (report.tree, count));
    assert_eq!(source.opened.into_inner(), 0);
    let index = repository.load_index().unwrap();
    let wide = node(&repository, report.tree, &[b"wide"]).subtree.unwrap();
    let nodes = repository.stream_tree(&index, &wide).unwrap();
    assert_eq!(nodes.map(Result::unwrap).count() as u64, count);
}

/// Many small files without holding them.
struct WideSource {
    count: u64,
    opened: std::sync::atomic::AtomicU64,
}

fn wide_backup(
    repository: &Repository,
    source: &WideSource,
    parent: Option<Id>,
) -> holdfast_repository::backup::BackupReport {
    use holdfast_repository::backup::{BackupOptions, backup};
    let cancel = AtomicBool::new(false);
    let time = jiff::Timestamp::from_second(1_790_000_000).unwrap();
    let mut options = BackupOptions::new(time, &holdfast_repository::NoProgress, &cancel);
    options.parent = parent;
    backup(repository, source, &options).unwrap()
}

impl holdfast_repository::backup::Source for WideSource {
    fn paths(&self) -> Vec<PathBuf> {
        vec!["/wide".into()]
    }

    fn stat(&self, path: &std::path::Path) -> Result<Node, holdfast_repository::backup::Unread> {
        let name = path.file_name().unwrap().as_encoded_bytes();
        if name == b"wide" {
            return Ok(Node::new(name, NodeKind::Dir));
        }
        let mut node = Node::new(name, NodeKind::File);
        node.size = name.len() as u64;
        node.user = "some user".into();
        node.group = "some group".into();
        Ok(node)
    }

    fn names(&self, _: &std::path::Path) -> Result<Vec<std::ffi::OsString>, holdfast_repository::backup::Unread> {
        Ok((0..self.count)
            .map(|number| format!("file-{number:09}").into())
            .collect())
    }

    fn open(
        &self,
        path: &std::path::Path,
    ) -> Result<Box<dyn holdfast_repository::backup::Content>, holdfast_repository::backup::Unread> {
        self.opened.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Box::new(Small {
            node: self.stat(path)?,
            given: false,
        }))
    }
}

struct Small {
    node: Node,
    given: bool,
}

impl holdfast_repository::backup::Content for Small {
    fn opened(&self) -> Result<Node, holdfast_repository::backup::Unread> {
        Ok(self.node.clone())
    }

    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        if std::mem::replace(&mut self.given, true) {
            return Ok(0);
        }
        buf[..self.node.name.len()].copy_from_slice(&self.node.name);
        Ok(self.node.name.len())
    }

    fn hole(&mut self) -> std::io::Result<u64> {
        Ok(0)
    }

    fn skip(&mut self, _bytes: u64) -> std::io::Result<()> {
        unreachable!("files this small are never read in part")
    }

    fn finish(&mut self) -> Result<Node, holdfast_repository::backup::Unread> {
        Ok(self.node.clone())
    }
}

#[test]
fn a_repository_opens_with_its_password_or_master_key_and_nothing_else() {
    let storage = Arc::new(MemoryStorage::new());
    let made = Repository::init(
        storage.clone(),
        ambient(),
        &InitOptions {
            password: Some(PASSWORD),
            ..InitOptions::default()
        },
    )
    .unwrap();
    let open = |unlock| Repository::open(storage.clone(), ambient(), unlock);
    assert_eq!(open(Unlock::Password(PASSWORD)).unwrap().config(), made.config());
    assert_eq!(
        open(Unlock::MasterKey(made.key().clone())).unwrap().config(),
        made.config()
    );
    let wrong = open(Unlock::Password("wrong")).unwrap_err();
    assert!(
        matches!(wrong, RepositoryError::WrongPassword { tried: 1, .. }),
        "{wrong}"
    );
    let foreign = open(Unlock::MasterKey(memory_repository().key().clone())).unwrap_err();
    assert!(matches!(foreign, RepositoryError::WrongMasterKey { .. }), "{foreign}");
    let again = Repository::init(
        storage.clone(),
        ambient(),
        &InitOptions {
            password: Some("x"),
            ..InitOptions::default()
        },
    );
    assert!(matches!(again.unwrap_err(), RepositoryError::AlreadyInitialised { .. }));
    let empty = Repository::open(Arc::new(MemoryStorage::new()), ambient(), Unlock::Password("x")).unwrap_err();
    assert!(matches!(empty, RepositoryError::NoRepository { .. }), "{empty}");
}
