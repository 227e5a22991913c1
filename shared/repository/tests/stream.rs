//! Streamed backup as its callers see it.
#![allow(clippy::unwrap_used, reason = "a test program: failing is its purpose")]

mod support;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_repository::backup::{
    BackupOptions, BackupReport, Chunk, Chunks, Item, ItemContent, Source, Stream, backup_stream,
};
use holdfast_repository::chunker::MIN_CHUNK;
use holdfast_repository::forget::forget;
use holdfast_repository::pack::BlobKind;
use holdfast_repository::prune::{MarkOptions, SweepOptions, mark, sweep};
use holdfast_repository::storage::FileKind;
use holdfast_repository::tree::mode;
use holdfast_repository::{ErrorKind, Id, NoProgress, Node, NodeKind, Repository, Result};
use jiff::{SignedDuration, Timestamp};

use support::{PASSWORD, Part, TestSource, back_up, disk_repository, memory_repository, noise};

/// Four pages of a database.
const BLOCK: usize = 32 << 10;

/// Where a file is cut.
#[derive(Clone, Copy)]
enum Cut {
    ByContent,
    Every(usize),
}

struct Entry {
    path: PathBuf,
    node: Node,
    bytes: Option<Vec<u8>>,
    cut: Cut,
}

/// Gives entries in the order they are in.
#[derive(Default)]
struct TestStream {
    entries: Vec<Entry>,
    next: usize,
    content: io::Cursor<Vec<u8>>,
    blocks: Blocks,
    /// The stream breaks before this entry.
    breaks_at: Option<usize>,
    /// The bytes of this entry end in an error.
    tears_at: Option<usize>,
    /// Set when the stream is half-way.
    cancel: Option<&'static AtomicBool>,
    torn: Torn,
}

/// A file in blocks, every other of which comes with its hash.
#[derive(Default)]
struct Blocks {
    bytes: Vec<u8>,
    length: usize,
    next: usize,
}

impl Chunks for Blocks {
    fn next_chunk(&mut self) -> io::Result<Option<Chunk<'_>>> {
        self.next += 1;
        let chunk = self.bytes.chunks(self.length).nth(self.next - 1);
        Ok(chunk.map(|bytes| match self.next % 2 {
            0 => Chunk::Hashed(Id::of(bytes), bytes),
            _ => Chunk::Bytes(bytes),
        }))
    }
}

/// A connection that ends.
#[derive(Default)]
struct Torn;

impl Read for Torn {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the server closed the connection"))
    }
}

impl TestStream {
    fn file(mut self, path: &str, bytes: impl Into<Vec<u8>>, cut: Cut) -> TestStream {
        let bytes = bytes.into();
        let mut node = Node::new(Vec::new(), NodeKind::File);
        (node.mode, node.size) = (0o600, bytes.len() as u64);
        self.entries.push(Entry {
            path: path.into(),
            node,
            bytes: Some(bytes),
            cut,
        });
        self
    }

    fn other(mut self, path: &str, kind: NodeKind) -> TestStream {
        let mut node = Node::new(Vec::new(), kind);
        match kind {
            NodeKind::Dir => node.mode = mode::DIR | 0o700,
            _ => (node.mode, node.link_target) = (mode::SYMLINK | 0o777, b"/srv/space".to_vec()),
        }
        self.entries.push(Entry {
            path: path.into(),
            node,
            bytes: None,
            cut: Cut::ByContent,
        });
        self
    }

    /// All that a source has below `/data`.
    fn of(source: &TestSource) -> TestStream {
        let mut stream = TestStream::default();
        stream.add(source, Path::new("/data"));
        stream
    }

    fn add(&mut self, source: &TestSource, path: &Path) {
        let node = source.stat(path).unwrap();
        let mut bytes = None;
        match node.kind {
            NodeKind::Dir => {
                for name in source.names(path).unwrap() {
                    self.add(source, &path.join(name));
                }
            }
            NodeKind::File => bytes = Some(all(source, path)),
            _ => {}
        }
        self.entries.push(Entry {
            path: path.to_owned(),
            node,
            bytes,
            cut: Cut::ByContent,
        });
    }
}

/// The bytes of a file, holes as zeroes.
fn all(source: &TestSource, path: &Path) -> Vec<u8> {
    let mut content = source.open(path).unwrap();
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let hole = content.hole().unwrap();
        bytes.resize(bytes.len() + usize::try_from(hole).unwrap(), 0);
        match content.read(&mut buffer).unwrap() {
            0 if hole == 0 => return bytes,
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

impl Stream for TestStream {
    fn root(&self) -> PathBuf {
        "/data".into()
    }

    fn host(&self) -> Option<String> {
        Some("database".into())
    }

    fn next_item(&mut self) -> io::Result<Option<Item<'_>>> {
        let number = self.next;
        self.next += 1;
        if self.breaks_at == Some(number) {
            return Err(io::Error::other("terminating connection due to administrator command"));
        }
        if let Some(cancel) = self.cancel.filter(|_| number == self.entries.len() / 2) {
            cancel.store(true, Ordering::Relaxed);
        }
        let Some(entry) = self.entries.get(number) else {
            return Ok(None);
        };
        let content = match (&entry.bytes, entry.cut) {
            (Some(_), _) if self.tears_at == Some(number) => Some(ItemContent::Bytes(&mut self.torn)),
            (Some(bytes), Cut::ByContent) => {
                self.content = io::Cursor::new(bytes.clone());
                Some(ItemContent::Bytes(&mut self.content))
            }
            (Some(bytes), Cut::Every(length)) => {
                self.blocks = Blocks {
                    bytes: bytes.clone(),
                    length,
                    next: 0,
                };
                Some(ItemContent::Chunks(&mut self.blocks))
            }
            (None, _) => None,
        };
        Ok(Some(Item {
            path: entry.path.clone(),
            node: entry.node.clone(),
            content,
        }))
    }
}

fn stream(repository: &Repository, stream: &mut TestStream) -> Result<BackupReport> {
    static GO_ON: AtomicBool = AtomicBool::new(false);
    let cancel = stream.cancel.unwrap_or(&GO_ON);
    let mut options = BackupOptions::new(Timestamp::from_second(1_790_000_000).unwrap(), &NoProgress, cancel);
    options.pack_size = 1 << 20;
    options.tags = vec!["base".into()];
    backup_stream(repository, stream, &options)
}

/// Every file of a tree with its bytes, and the lengths of its blobs.
fn files(repository: &Repository, tree: &Id) -> BTreeMap<PathBuf, (Vec<u8>, Vec<usize>)> {
    let index = repository.load_index().unwrap();
    let (mut files, mut folders) = (BTreeMap::new(), vec![(PathBuf::from("/"), *tree)]);
    while let Some((folder, tree)) = folders.pop() {
        for node in repository.load_tree(&index, &tree).unwrap().nodes {
            let path = folder.join(OsStr::from_bytes(&node.name));
            folders.extend(node.subtree.map(|tree| (path.clone(), tree)));
            let Some(content) = node.content else { continue };
            let blob = |id| repository.load_blob(&index, BlobKind::Data, id).unwrap();
            let blobs: Vec<Vec<u8>> = content.iter().map(blob).collect();
            let lengths: Vec<usize> = blobs.iter().map(Vec::len).collect();
            assert_eq!(node.size, lengths.iter().sum::<usize>() as u64, "{}", path.display());
            files.insert(path, (blobs.concat(), lengths));
        }
    }
    files
}

fn shuffle(entries: &mut [Entry], seed: u64) {
    entries.sort_by_key(|entry| Id::of(&[entry.path.as_os_str().as_bytes(), &seed.to_le_bytes()].concat()));
}

fn source() -> TestSource {
    let parts = vec![
        Part::Data(noise(5, 700_000)),
        Part::Hole(3 * MIN_CHUNK as u64 + 77),
        Part::Data(noise(6, 9)),
    ];
    let mut link = Node::new(Vec::new(), NodeKind::Symlink);
    (link.mode, link.link_target) = (mode::SYMLINK | 0o777, b"elsewhere".to_vec());
    TestSource::new()
        .file(b"/data/a/large", noise(1, 9 << 20))
        .file(b"/data/a/same", noise(1, 9 << 20))
        .file(b"/data/a-b", noise(2, 100_000))
        .file(b"/data/a.c", b"a dot comes before a slash")
        .file(b"/data/empty", b"")
        .file(b"/data/not utf-8 \xff", b"\xff")
        .sparse(b"/data/deep/er/sparse", parts)
        .node(b"/data/link", link)
}

#[test]
fn the_tree_is_that_of_an_ordinary_backup_in_whatever_order_it_comes() {
    let repository = memory_repository();
    let ordinary = back_up(&repository, &source(), |_| ()).unwrap();
    for seed in 0..6 {
        let mut input = TestStream::of(&source());
        shuffle(&mut input.entries, seed);
        let report = stream(&repository, &mut input).unwrap();
        assert_eq!(report.tree, ordinary.tree);
        assert_eq!((report.summary.data_added, report.unread.len()), (0, 0));
        assert_eq!(report.summary.files_new, 7);
        assert_eq!(
            report.summary.total_bytes_processed,
            ordinary.summary.total_bytes_processed
        );
    }
    let fresh = memory_repository();
    let report = stream(&fresh, &mut TestStream::of(&source())).unwrap();
    let (ours, ordinary) = (files(&fresh, &report.tree), files(&repository, &ordinary.tree));
    let bytes = |files: BTreeMap<_, (Vec<u8>, _)>| -> Vec<_> { files.into_iter().map(|(p, (b, _))| (p, b)).collect() };
    assert!(bytes(ours) == bytes(ordinary));
    let snapshot = fresh.snapshot(&report.snapshot).unwrap();
    assert_eq!(
        (snapshot.paths, snapshot.hostname),
        (vec!["/data".into()], "database".into())
    );
    assert_eq!((snapshot.tags, snapshot.parent), (vec!["base".into()], None));
}

/// Pages as a database has them: a header, then rows that compress about by half; some pages are all zeroes.
fn pages(seed: u64, count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count * 8192);
    for page in 0..count {
        if page % 50 >= 45 {
            bytes.resize(bytes.len() + 8192, 0);
            continue;
        }
        let head = noise(seed ^ (page as u64 + 1), 4096);
        bytes.extend_from_slice(&head);
        bytes.extend(head.iter().map(|byte| byte & 3));
    }
    bytes
}

#[test]
fn cuts_at_multiples_give_blocks_of_that_length_and_the_bytes_come_back() {
    let repository = memory_repository();
    let relation = pages(1, 500);
    let short = pages(2, 3);
    let mut input = TestStream::default()
        .file("/data/base/5/1259", relation.clone(), Cut::Every(BLOCK))
        .file("/data/base/5/1259_fsm", short.clone(), Cut::Every(BLOCK))
        .file("/data/base/5/empty", b"", Cut::Every(BLOCK))
        .file("/data/base/5/zeroes", vec![0; 2 * MIN_CHUNK + 5], Cut::Every(BLOCK))
        .file("/data/log", relation.clone(), Cut::ByContent);
    let report = stream(&repository, &mut input).unwrap();
    let files = files(&repository, &report.tree);
    let file = |name: &str| &files[Path::new(name)];
    let (bytes, lengths) = file("/data/base/5/1259");
    assert!(*bytes == relation && lengths[..lengths.len() - 1].iter().all(|length| *length == BLOCK));
    assert_eq!(lengths.len(), relation.len().div_ceil(BLOCK));
    assert_eq!(*file("/data/base/5/1259_fsm"), (short.clone(), vec![short.len()]));
    assert_eq!(*file("/data/base/5/empty"), (Vec::new(), Vec::new()));
    let (bytes, lengths) = file("/data/base/5/zeroes");
    assert!(bytes.iter().all(|byte| *byte == 0) && bytes.len() == 2 * MIN_CHUNK + 5);
    assert_eq!((lengths[0], lengths.len()), (BLOCK, 2 * MIN_CHUNK / BLOCK + 1));
    assert!(file("/data/log").0 == relation);
}

#[test]
fn a_second_stream_stores_the_blocks_that_changed_and_nothing_else() {
    let repository = memory_repository();
    let mut relation = pages(3, 4000);
    let first = TestStream::default().file("/data/1259", relation.clone(), Cut::Every(BLOCK));
    stream(&repository, &mut { first }).unwrap();
    let changed: Vec<usize> = (0..40).map(|page| page * 100 + 7).collect();
    for page in &changed {
        relation[page * 8192 + 100] ^= 0xff;
    }
    let second = TestStream::default().file("/data/1259", relation.clone(), Cut::Every(BLOCK));
    let report = stream(&repository, &mut { second }).unwrap();
    assert_eq!(report.summary.data_blobs, changed.len() as u64);
    assert!(report.summary.data_added < (changed.len() * BLOCK + 200_000) as u64);
    assert!(files(&repository, &report.tree)[Path::new("/data/1259")].0 == relation);
}

#[test]
fn a_stream_that_breaks_publishes_nothing_and_says_why() {
    let repository = memory_repository();
    let refuse = |mut input: TestStream, words: &[&str], kind: ErrorKind| {
        let error = stream(&repository, &mut input).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        for word in words {
            assert!(error.to_string().contains(word), "{error}");
        }
        assert_eq!(repository.snapshots().unwrap(), []);
        assert_eq!(repository.storage().list(FileKind::Lock).unwrap(), []);
    };
    let mut broken = TestStream::of(&source());
    broken.breaks_at = Some(4);
    refuse(broken, &["administrator command"], ErrorKind::Transient);
    let mut torn = TestStream::of(&source());
    torn.tears_at = torn.entries.iter().position(|entry| entry.path.ends_with("large"));
    refuse(
        torn,
        &["/data/a/large", "the server closed the connection"],
        ErrorKind::Transient,
    );
    static CANCEL: AtomicBool = AtomicBool::new(false);
    let mut cancelled = TestStream::of(&source());
    cancelled.cancel = Some(&CANCEL);
    refuse(cancelled, &["cancelled"], ErrorKind::Cancelled);
}

#[test]
fn what_cannot_stand_in_a_tree_is_refused_by_name() {
    let repository = memory_repository();
    let plain = || TestStream::default().file("/data/a", b"a", Cut::ByContent);
    let mut short = plain();
    short.entries[0].node.size = 2;
    let mut nothing = plain();
    nothing.entries[0].bytes = None;
    let mut folder = plain();
    folder.entries[0].node.kind = NodeKind::Dir;
    let cases = [
        (plain().file("/elsewhere/b", b"b", Cut::ByContent), "/elsewhere/b"),
        (plain().file("/database", b"b", Cut::ByContent), "/database"),
        (plain().file("/data/../etc/b", b"b", Cut::ByContent), "/data/../etc/b"),
        (plain().file("data/b", b"b", Cut::ByContent), "data/b"),
        (plain().file("/data//a", b"b", Cut::ByContent), "comes twice"),
        (plain().other("/data/a", NodeKind::Dir), "comes twice"),
        (plain().file("/data/a/b", b"b", Cut::ByContent), "no folder"),
        (
            plain().file("/data/b", vec![7; 5 << 20], Cut::Every(5 << 20)),
            "a chunk of 5242880 bytes",
        ),
        (short, "1 bytes where 2"),
        (nothing, "without bytes"),
        (folder, "no regular file"),
    ];
    for (mut input, word) in cases {
        let error = stream(&repository, &mut input).unwrap_err();
        assert!(error.to_string().contains(word), "{word}: {error}");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(repository.snapshots().unwrap(), []);
    }
}

fn restic(repository: &Path, arguments: &[&str]) {
    let output = Command::new("restic")
        .args(["--no-cache", "--repo"])
        .arg(repository)
        .args(arguments)
        .env("RESTIC_PASSWORD", PASSWORD)
        .output()
        .expect("restic must be installed for this test: apt-get install restic");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "restic {arguments:?} failed:\n{text}");
}

#[test]
fn restic_checks_and_restores_a_streamed_backup() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("repository");
    let repository = disk_repository(&path);
    let relation = pages(4, 1000);
    let mut input = TestStream::default()
        .file("/data/pg_wal/0", noise(3, 3 << 20), Cut::ByContent)
        .file("/data/base/5/1259", relation.clone(), Cut::Every(BLOCK))
        .file("/data/base/5/zeroes", vec![0; 2 << 20], Cut::Every(BLOCK))
        .other("/data/pg_tblspc/1", NodeKind::Symlink)
        .other("/data/pg_notify", NodeKind::Dir)
        .other("/data", NodeKind::Dir);
    let report = stream(&repository, &mut input).unwrap();
    restic(&path, &["check", "--read-data"]);
    let target = temp.path().join("target");
    let snapshot = report.snapshot.to_string();
    restic(
        &path,
        &["restore", &snapshot, "--verify", "--target", target.to_str().unwrap()],
    );
    let read = |name: &str| std::fs::read(target.join("data").join(name)).unwrap();
    assert!(read("base/5/1259") == relation);
    assert!(read("base/5/zeroes") == vec![0; 2 << 20]);
    assert!(read("pg_wal/0") == noise(3, 3 << 20));
    assert!(target.join("data/pg_notify").is_dir());
    assert_eq!(
        std::fs::read_link(target.join("data/pg_tblspc/1")).unwrap(),
        Path::new("/srv/space")
    );
}

/// One file in chunks that are cut already: those with a length are in the repository.
struct Cuts {
    size: u64,
    chunks: Vec<(Id, Option<usize>, Vec<u8>)>,
    next: usize,
    told: bool,
}

impl Cuts {
    fn new(chunks: &[(&[u8], bool)]) -> Cuts {
        let chunk =
            |(bytes, is_stored): &(&[u8], bool)| (Id::of(bytes), is_stored.then_some(bytes.len()), bytes.to_vec());
        Cuts {
            size: chunks.iter().map(|(bytes, _)| bytes.len() as u64).sum(),
            chunks: chunks.iter().map(chunk).collect(),
            next: 0,
            told: false,
        }
    }
}

impl Chunks for Cuts {
    fn next_chunk(&mut self) -> io::Result<Option<Chunk<'_>>> {
        self.next += 1;
        Ok(self.chunks.get(self.next - 1).map(|(id, stored, bytes)| match stored {
            Some(length) => Chunk::Stored(*id, *length),
            None => Chunk::Bytes(bytes),
        }))
    }
}

impl Stream for Cuts {
    fn root(&self) -> PathBuf {
        "/data".into()
    }

    fn next_item(&mut self) -> io::Result<Option<Item<'_>>> {
        if std::mem::replace(&mut self.told, true) {
            return Ok(None);
        }
        let mut node = Node::new(Vec::new(), NodeKind::File);
        node.size = self.size;
        Ok(Some(Item {
            path: "/data/1259".into(),
            node,
            content: Some(ItemContent::Chunks(self)),
        }))
    }
}

fn store_cuts(repository: &Repository, mut cuts: Cuts) -> Result<BackupReport> {
    static GO_ON: AtomicBool = AtomicBool::new(false);
    let options = BackupOptions::new(Timestamp::from_second(1_790_000_000).unwrap(), &NoProgress, &GO_ON);
    backup_stream(repository, &mut cuts, &options)
}

#[test]
fn chunks_that_the_repository_has_are_taken_over_by_their_names() {
    let repository = memory_repository();
    let (a, b, c) = (noise(1, BLOCK), noise(2, BLOCK), noise(3, 100));
    let relation = [&a[..], &b, &c].concat();
    let mut first = TestStream::default().file("/data/1259", relation, Cut::Every(BLOCK));
    stream(&repository, &mut first).unwrap();

    let changed = noise(4, BLOCK);
    let report = store_cuts(&repository, Cuts::new(&[(&a, true), (&changed, false), (&c, true)])).unwrap();
    assert_eq!(report.summary.data_blobs, 1);
    let files = files(&repository, &report.tree);
    let (bytes, lengths) = &files[Path::new("/data/1259")];
    assert!(*bytes == [&a[..], &changed, &c].concat(), "other bytes");
    assert_eq!(*lengths, [BLOCK, BLOCK, 100]);
}

#[test]
fn a_chunk_whose_pack_is_condemned_is_stored_again_before_the_pack_goes() {
    let repository = memory_repository();
    let (a, b) = (noise(1, BLOCK), noise(2, BLOCK));
    let mut first = TestStream::default().file("/data/1259", [&a[..], &b].concat(), Cut::Every(BLOCK));
    let first = stream(&repository, &mut first).unwrap().snapshot;
    forget(&repository, &[first]).unwrap();
    let never = AtomicBool::new(false);
    let marking = MarkOptions {
        extra_roots: &[],
        max_dead_percent: 100,
        pack_size: 16 << 20,
        batch_bytes: 1 << 20,
        dry_run: false,
        workers: 2,
        progress: &NoProgress,
        cancel: &never,
    };
    let condemned = mark(&repository, &marking).unwrap().condemned;
    assert!(!condemned.is_empty());

    let report = store_cuts(&repository, Cuts::new(&[(&a, true), (&b, true)])).unwrap();
    assert_eq!(report.summary.data_blobs, 2);
    let sweeping = SweepOptions {
        extra_roots: &[],
        dry_run: false,
        workers: 2,
        cancel: &never,
    };
    let now = (repository.ambient().now)();
    let swept = sweep(&repository, now, SignedDuration::ZERO, &sweeping).unwrap();
    assert_eq!((swept.deleted.len(), swept.rescued.len()), (condemned.len(), 0));
    let files = files(&repository, &report.tree);
    assert!(files[Path::new("/data/1259")].0 == [&a[..], &b].concat(), "other bytes");
}

#[test]
fn chunks_that_the_repository_does_not_have_as_told_are_refused_by_name() {
    let repository = memory_repository();
    let a = noise(1, BLOCK);
    let mut first = TestStream::default().file("/data/1259", a.clone(), Cut::Every(BLOCK));
    stream(&repository, &mut first).unwrap();
    let before = repository.storage().list(FileKind::Snapshot).unwrap().len();

    let unknown = noise(9, BLOCK);
    let mut longer = Cuts::new(&[(&a, true)]);
    longer.chunks[0].1 = Some(BLOCK + 1);
    for (cuts, said) in [
        (Cuts::new(&[(&unknown, true)]), Id::of(&unknown).to_string()),
        (
            longer,
            format!("{} bytes of it where {} were promised", BLOCK, BLOCK + 1),
        ),
        (Cuts::new(&[(&a, true), (b"", false)]), "a chunk of 0 bytes".to_owned()),
    ] {
        let error = store_cuts(&repository, cuts).unwrap_err().to_string();
        assert!(error.contains(&said), "{error}");
    }
    assert_eq!(repository.storage().list(FileKind::Snapshot).unwrap().len(), before);
}
