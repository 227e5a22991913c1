use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_repository::fetch::{BlobSink, UnreadableBlob, Wanted};
use holdfast_repository::tree::{ExtendedAttribute, NodeTime};
use holdfast_repository::{ErrorKind, RepositoryError};

use super::super::attributes::Subject;
use super::*;

mod malicious;
mod over;
mod resume;

const BLOB: usize = 1000;

/// A repository in memory.
#[derive(Default)]
struct Memory {
    trees: HashMap<Id, Vec<u8>>,
    blobs: HashMap<Id, Vec<u8>>,
    damaged: HashSet<Id>,
    /// Blobs that are still given before the connection breaks.
    breaks_after: Option<u64>,
    given: AtomicU64,
    asked: Mutex<Vec<Wanted>>,
}

impl Store for Memory {
    fn tree(&self, id: &Id) -> holdfast_repository::Result<Tree> {
        match self.trees.get(id) {
            Some(bytes) => Tree::decode(bytes),
            None => Err(RepositoryError::damaged(format!("tree blob {id}"), "lost")),
        }
    }

    fn length(&self, blob: &Id) -> Option<u64> {
        self.blobs.get(blob).map(|bytes| bytes.len() as u64)
    }

    fn fetch(&self, wanted: Vec<Wanted>, sink: &dyn BlobSink) -> holdfast_repository::Result<()> {
        let mut blobs = Vec::new();
        for place in &wanted {
            if self
                .breaks_after
                .is_some_and(|limit| self.given.fetch_add(1, Ordering::Relaxed) >= limit)
            {
                return Err(RepositoryError::Io {
                    what: "read".into(),
                    source: std::io::Error::other("cut off"),
                });
            }
            self.asked.lock().unwrap().push(*place);
            if self.damaged.contains(&place.blob) {
                let (packs, files, reason) = (vec![], vec![place.file], "damaged".to_owned());
                blobs.push(UnreadableBlob {
                    blob: place.blob,
                    packs,
                    files,
                    reason,
                });
            } else {
                sink.write(place.file, place.offset, &self.blobs[&place.blob])?;
            }
        }
        if blobs.is_empty() {
            Ok(())
        } else {
            Err(RepositoryError::BlobsUnreadable { blobs })
        }
    }
}

impl Memory {
    fn tree_of(&mut self, mut nodes: Vec<Node>) -> Id {
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        self.put_tree(Tree::new(nodes).encode().unwrap())
    }

    fn put_tree(&mut self, bytes: Vec<u8>) -> Id {
        let id = Id::of(&bytes);
        self.trees.insert(id, bytes);
        id
    }

    fn file(&mut self, name: &str, content: &[u8]) -> Node {
        self.file_of(name, content.chunks(BLOB))
    }

    fn file_of<'a>(&mut self, name: &str, blobs: impl Iterator<Item = &'a [u8]>) -> Node {
        let mut node = node(name, NodeKind::File, 0o644);
        node.content = Some(Vec::new());
        for blob in blobs {
            let id = Id::of(blob);
            self.blobs.insert(id, blob.to_vec());
            node.content.as_mut().unwrap().push(id);
            node.size += blob.len() as u64;
        }
        node
    }

    fn folder(&mut self, name: &str, nodes: Vec<Node>) -> Node {
        let mut node = node(name, NodeKind::Dir, 0o755 | holdfast_repository::tree::mode::DIR);
        node.subtree = Some(self.tree_of(nodes));
        node
    }
}

fn node(name: &str, kind: NodeKind, mode: u32) -> Node {
    let mut node = Node::new(name, kind);
    (node.uid, node.gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    node.mode = mode;
    node.mtime = NodeTime::utc(1_000_000_000, 123_456_789);
    node.atime = NodeTime::utc(1_100_000_000, 5);
    node
}

fn link_to(name: &str, target: &str) -> Node {
    let mut node = node(
        name,
        NodeKind::Symlink,
        0o777 | holdfast_repository::tree::mode::SYMLINK,
    );
    node.link_target = target.as_bytes().to_vec();
    node
}

/// Bytes that differ from blob to blob.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    (0..)
        .flat_map(|n: u64| Id::of(format!("{seed} {n}").as_bytes()).0)
        .take(length)
        .collect()
}

static GO_ON: AtomicBool = AtomicBool::new(false);
const SNAPSHOT: Id = Id([7; 32]);

fn attempt(
    store: &Memory,
    root: &Id,
    target: &Path,
    options: &RestoreOptions<'_>,
) -> Result<RestoreReport, RestoreError> {
    restore_tree(store, "repository", &SNAPSHOT, root, target, options)
}

fn plain(store: &Memory, root: &Id, target: &Path) -> Result<RestoreReport, RestoreError> {
    attempt(store, root, target, &RestoreOptions::new(&GO_ON))
}

fn overwriting() -> RestoreOptions<'static> {
    RestoreOptions {
        overwrite: Overwrite::Always,
        ..RestoreOptions::new(&GO_ON)
    }
}

/// A folder for targets, with an `outside` that no restore may touch.
fn sandbox() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (target, outside) = (folder.path().join("target"), folder.path().join("outside"));
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "precious").unwrap();
    (folder, target, outside)
}

/// Says where the first difference is; a dump of the bytes would help nobody.
fn assert_holds(path: &Path, expected: &[u8]) {
    let found = fs::read(path).unwrap();
    let differs = found.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!((found.len(), differs), (expected.len(), None), "{}", path.display());
}

fn assert_untouched(outside: &Path) {
    let names: Vec<_> = fs::read_dir(outside)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["precious"]);
    assert_holds(&outside.join("precious"), b"precious");
}

#[test]
fn files_folders_and_links_come_back_with_all_their_metadata() {
    let (_folder, target, _) = sandbox();
    let mut store = Memory::default();
    let big = bytes(1, 10 * BLOB + 17);
    let mut file = store.file("file", &big);
    file.mode = 0o755 | holdfast_repository::tree::mode::SETUID;
    file.extended_attributes = vec![ExtendedAttribute {
        name: "user.note".into(),
        value: b"a\0b".to_vec(),
    }];
    let mut read_only = store.file("read-only", b"");
    read_only.mode = 0o400;
    let inner = store.folder("inner", vec![file, read_only, link_to("link", "\u{e9} nowhere")]);
    let mut outer = store.folder("outer", vec![inner]);
    outer.mode = 0o555 | holdfast_repository::tree::mode::DIR | holdfast_repository::tree::mode::STICKY;
    let root = store.tree_of(vec![outer]);

    let report = plain(&store, &root, &target).unwrap();
    assert!(report.is_complete());
    assert_eq!(report.notes, []);
    assert_eq!(
        (report.files, report.folders, report.others, report.bytes_written),
        (2, 2, 1, big.len() as u64)
    );
    let at = |path: &str| target.join("outer").join(path);
    assert_holds(&at("inner/file"), &big);
    assert_eq!(at("inner/file").metadata().unwrap().mode() & 0o7777, 0o4755);
    assert_eq!(at("inner/read-only").metadata().unwrap().mode() & 0o7777, 0o400);
    assert_eq!(at("").metadata().unwrap().mode() & 0o7777, 0o1555);
    assert_eq!(at("inner/link").read_link().unwrap(), Path::new("\u{e9} nowhere"));
    let attributes = Subject::Entry(at("inner/file"));
    assert_eq!(attributes.value(c"user.note").unwrap(), Some(b"a\0b".to_vec()));
    for path in ["", "inner", "inner/file", "inner/read-only", "inner/link"] {
        let metadata = at(path).symlink_metadata().unwrap();
        assert_eq!(
            (metadata.mtime(), metadata.mtime_nsec()),
            (1_000_000_000, 123_456_789),
            "{path}"
        );
    }
    assert!(!target.join(target::MARKER).exists());
}

#[test]
fn many_small_batches_and_few_handles_give_the_same_result() {
    let (_folder, target, _) = sandbox();
    let mut store = Memory::default();
    let mut files: Vec<Node> = (0..600)
        .map(|n| store.file(&format!("f{n:03}"), &bytes(n, 1500)))
        .collect();
    let mut again = files[3].clone();
    again.name = b"zz-link".to_vec();
    for node in [&mut files[3], &mut again] {
        (node.inode, node.device_id, node.links) = (77, 1, 2);
    }
    files.push(again);
    let root = store.tree_of(files);
    for (name, batch) in [("one", 200_000), ("many", 7), ("each", 1)] {
        let options = RestoreOptions {
            batch,
            workers: 3,
            ..RestoreOptions::new(&GO_ON)
        };
        let report = attempt(&store, &root, &target.join(name), &options).unwrap();
        assert_eq!((report.files, report.bytes_written), (601, 600 * 1500));
        for n in 0..600 {
            assert_holds(&target.join(name).join(format!("f{n:03}")), &bytes(n, 1500));
        }
        let inode = |file: &str| target.join(name).join(file).metadata().unwrap().ino();
        assert_eq!(inode("f003"), inode("zz-link"));
    }
}

#[test]
fn runs_of_zeroes_become_holes_and_are_not_read() {
    let (_folder, target, _) = sandbox();
    let mut store = Memory::default();
    let (zeroes, data) = (vec![0; 512 << 10], bytes(1, BLOB));
    let parts: Vec<&[u8]> = vec![&zeroes, &zeroes, &data, &zeroes];
    let sparse = store.file_of("sparse", parts.into_iter());
    let empty = store.file_of("only-hole", std::iter::once(zeroes.as_slice()));
    let root = store.tree_of(vec![sparse, empty]);
    let report = plain(&store, &root, &target).unwrap();
    assert_eq!(
        (report.bytes_written, report.bytes_right),
        (BLOB as u64, 4 * zeroes.len() as u64)
    );
    assert_eq!(store.asked.lock().unwrap().len(), 1);
    let content = fs::read(target.join("sparse")).unwrap();
    assert_eq!(content.len(), 3 * zeroes.len() + BLOB);
    assert_eq!(&content[2 * zeroes.len()..][..BLOB], data);
    assert!(target.join("sparse").metadata().unwrap().blocks() * 512 < zeroes.len() as u64);
    assert_holds(&target.join("only-hole"), &zeroes);
}

#[test]
fn a_part_of_the_snapshot_is_restored_without_the_rest() {
    let (_folder, target, _) = sandbox();
    let mut store = Memory::default();
    let (conf, log, other) = (
        store.file("a.conf", b"conf"),
        store.file("a.log", b"log"),
        store.file("other", b"other"),
    );
    let (data, empty) = (store.folder("data", vec![conf, log]), store.folder("empty", vec![]));
    let srv = store.folder("srv", vec![data, empty]);
    let etc = store.folder("etc", vec![other]);
    let root = store.tree_of(vec![srv, etc]);
    let options = RestoreOptions {
        include: vec!["*.conf".into()],
        ..RestoreOptions::new(&GO_ON)
    };
    attempt(&store, &root, &target.join("one"), &options).unwrap();
    assert!(target.join("one/srv/data/a.conf").exists());
    for path in ["srv/data/a.log", "srv/empty", "etc"] {
        assert!(!target.join("one").join(path).exists(), "{path}");
    }

    let subfolder = Some(PathBuf::from("/srv/data"));
    let options = RestoreOptions {
        subfolder,
        exclude: vec!["/srv/data/*.log".into()],
        ..RestoreOptions::new(&GO_ON)
    };
    attempt(&store, &root, &target.join("two"), &options).unwrap();
    let names: Vec<_> = fs::read_dir(target.join("two"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["a.conf"]);
    let metadata = target.join("two").metadata().unwrap();
    assert_eq!(
        (metadata.mode() & 0o7777, metadata.mtime()),
        (0o755, 1_000_000_000),
        "the target is the folder itself"
    );

    let options = RestoreOptions {
        include: vec!["/srv/none".into()],
        ..RestoreOptions::new(&GO_ON)
    };
    let error = attempt(&store, &root, &target.join("three"), &options).unwrap_err();
    assert!(matches!(error, RestoreError::NothingSelected { .. }), "{error}");
    let options = RestoreOptions {
        subfolder: Some("/srv/none/x".into()),
        ..RestoreOptions::new(&GO_ON)
    };
    let error = attempt(&store, &root, &target.join("four"), &options).unwrap_err();
    assert!(error.to_string().contains("/srv/none is not in it"), "{error}");
}

#[test]
fn files_that_cannot_be_read_are_all_named_and_the_others_restored() {
    let (_folder, target, _) = sandbox();
    let mut store = Memory::default();
    let (good, bad) = (bytes(1, 3 * BLOB), bytes(2, 3 * BLOB));
    let files = vec![
        store.file("good", &good),
        store.file("bad", &bad),
        store.file("bad-too", &bad[BLOB..]),
    ];
    let mut lost = store.file("lost", &bytes(3, BLOB));
    lost.content = Some(vec![Id::of(b"in no index")]);
    let mut wrong = store.file("wrong-size", b"abc");
    wrong.size = 4;
    let mut no_tree = store.folder("no-tree", vec![]);
    no_tree.subtree = Some(Id::of(b"no tree"));
    let mut linked = files[1].clone();
    linked.name = b"bad-link".to_vec();
    let mut nodes = [files, vec![linked, lost, wrong, no_tree]].concat();
    for node in nodes
        .iter_mut()
        .filter(|node| node.name == b"bad" || node.name == b"bad-link")
    {
        (node.inode, node.device_id, node.links) = (5, 1, 2);
    }
    store.damaged.insert(Id::of(&bad[2 * BLOB..]));
    let root = store.tree_of(nodes);

    let report = plain(&store, &root, &target).unwrap();
    assert!(!report.is_complete());
    let failed: Vec<_> = report
        .failures
        .iter()
        .map(|f| f.path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(failed, ["bad", "bad-link", "bad-too", "lost", "no-tree", "wrong-size"]);
    assert!(
        report.failures[0].to_string().contains("data blob"),
        "{}",
        report.failures[0]
    );
    assert_holds(&target.join("good"), &good);
    assert!(target.join(target::MARKER).exists(), "it is not finished");

    store.damaged.clear();
    let report = plain(&store, &root, &target).unwrap();
    let failed: Vec<_> = report
        .failures
        .iter()
        .map(|f| f.path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(
        failed,
        ["lost", "no-tree", "wrong-size"],
        "once repaired, the next attempt completes the others"
    );
    assert_holds(&target.join("bad-link"), &bad);
}

#[test]
fn a_repository_that_stops_answering_stops_the_restore() {
    let (_folder, target, _) = sandbox();
    let mut store = Memory {
        breaks_after: Some(1),
        ..Memory::default()
    };
    let file = store.file("file", &bytes(1, 5 * BLOB));
    let root = store.tree_of(vec![file]);
    let error = plain(&store, &root, &target).unwrap_err();
    assert!(
        matches!(&error, RestoreError::Repository(error) if error.kind() == ErrorKind::Transient),
        "{error}"
    );
}

#[test]
fn pipes_and_devices_are_made_and_sockets_noted() {
    let (_folder, target, _) = sandbox();
    let mut store = Memory::default();
    let mut device = node("null", NodeKind::CharDev, 0o666);
    device.device = rustix::fs::makedev(1, 3);
    let root = store.tree_of(vec![
        node("pipe", NodeKind::Fifo, 0o640),
        node("socket", NodeKind::Socket, 0o600),
        device,
    ]);
    let report = plain(&store, &root, &target).unwrap();
    assert!(report.is_complete());
    let noted: Vec<_> = report
        .notes
        .iter()
        .map(|note| note.path.file_name().unwrap().to_str().unwrap())
        .collect();
    let pipe = target.join("pipe").metadata().unwrap();
    assert!(std::os::unix::fs::FileTypeExt::is_fifo(&pipe.file_type()));
    assert_eq!(pipe.mode() & 0o7777, 0o640);
    match target.join("null").metadata() {
        Ok(metadata) => {
            assert_eq!(
                (metadata.rdev(), metadata.mode() & 0o7777),
                (rustix::fs::makedev(1, 3), 0o666)
            );
            assert_eq!(noted, ["socket"]);
        }
        Err(_) => {
            eprintln!("devices were not tested: only the system's administrator may make them");
            assert_eq!(noted, ["null", "socket"]);
        }
    }
}

#[test]
fn set_id_bits_are_not_given_to_the_wrong_owner() {
    let (_folder, target, _) = sandbox();
    let mut store = Memory::default();
    let mut file = store.file("suid", b"x");
    file.mode = 0o755 | holdfast_repository::tree::mode::SETUID;
    // No file system stores this owner, so that even the administrator cannot set it.
    file.uid = u32::MAX;
    let root = store.tree_of(vec![file]);
    let report = plain(&store, &root, &target).unwrap();
    assert_eq!(target.join("suid").metadata().unwrap().mode() & 0o7777, 0o755);
    assert_eq!(report.notes.len(), 2, "{:?}", report.notes);
}
