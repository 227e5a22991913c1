//! The log of a real server: archived, fetched, and recovered to where it was asked for.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod postgres_repository;
mod postgres_server;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use holdfast_repository::backup::{BackupOptions, Chunk, Chunks, Item, ItemContent, Stream, backup_stream};
use holdfast_repository::tree::mode;
use holdfast_repository::{Id, NoProgress, Node, NodeKind, NodeTime, Repository};
use holdfast_sources::files::{RestoreOptions, restore};
use holdfast_sources::postgres::log::windows::{Base, windows};
use holdfast_sources::postgres::log::{FetchOptions, Fetched, LogArchive, LogError, fetch, push, ready};
use holdfast_sources::postgres::recovery::{PrepareOptions, Recovery, RecoveryWords, prepare};
use holdfast_sources::postgres::{LogFile, Lsn, Segment, SegmentSize};
use jiff::Timestamp;

use postgres_repository::repository;
use postgres_server::{ADMIN, Server, as_owner, folder, give_to_owner, pause, program, run, wait_until};

static GO_ON: AtomicBool = AtomicBool::new(false);

fn options<'a>() -> BackupOptions<'a> {
    BackupOptions::new(Timestamp::from_second(1_790_000_000).unwrap(), &NoProgress, &GO_ON)
}

/// A folder as a server would send it.
struct FolderStream {
    folder: PathBuf,
    paths: Vec<PathBuf>,
    open: Option<File>,
    pages: Pages,
}

/// A file by four pages.
#[derive(Default)]
struct Pages {
    file: Option<File>,
    chunk: Vec<u8>,
}

impl Chunks for Pages {
    fn next_chunk(&mut self) -> io::Result<Option<Chunk<'_>>> {
        self.chunk.clear();
        if let Some(file) = &mut self.file {
            file.take(32 << 10).read_to_end(&mut self.chunk)?;
        }
        Ok(Some(self.chunk.as_slice())
            .filter(|bytes| !bytes.is_empty())
            .map(Chunk::Bytes))
    }
}

impl FolderStream {
    fn new(folder: &Path) -> FolderStream {
        let mut paths = vec![folder.to_owned()];
        let mut next = 0;
        while next < paths.len() {
            if paths[next].is_dir() {
                paths.extend(fs::read_dir(&paths[next]).unwrap().map(|entry| entry.unwrap().path()));
            }
            next += 1;
        }
        FolderStream {
            folder: folder.to_owned(),
            paths,
            open: None,
            pages: Pages::default(),
        }
    }
}

impl Stream for FolderStream {
    fn root(&self) -> PathBuf {
        "/main".into()
    }

    fn next_item(&mut self) -> io::Result<Option<Item<'_>>> {
        let Some(path) = self.paths.pop() else { return Ok(None) };
        let metadata = fs::metadata(&path)?;
        let kind = if metadata.is_dir() {
            NodeKind::Dir
        } else {
            NodeKind::File
        };
        let mut node = Node::new(Vec::new(), kind);
        (node.mode, node.uid, node.gid) = (mode::from_unix(metadata.mode()), metadata.uid(), metadata.gid());
        node.mtime = NodeTime::utc(metadata.mtime(), 0);
        let inside = path.strip_prefix(&self.folder).unwrap();
        let is_relation = inside.starts_with("base") || inside.starts_with("global");
        let mut content = None;
        if kind == NodeKind::File {
            node.size = metadata.len();
            let file = File::open(&path)?;
            content = Some(if is_relation {
                self.pages.file = Some(file);
                ItemContent::Chunks(&mut self.pages)
            } else {
                ItemContent::Bytes(self.open.insert(file))
            });
        }
        Ok(Some(Item {
            path: Path::new("/main").join(inside),
            node,
            content,
        }))
    }
}

/// The state of the ledger after a transaction.
#[derive(Debug)]
struct Entry {
    ledger: String,
    time: String,
    lsn: Lsn,
    transaction: String,
}

const LEDGER: &str = "SELECT string_agg(id::text || ':' || transaction, ',' ORDER BY id) FROM ledger";

fn write_entry(server: &Server) -> Entry {
    let transaction = server.sql("INSERT INTO ledger (transaction) VALUES (txid_current()) RETURNING transaction");
    server.sql("INSERT INTO ballast SELECT g, repeat(md5(g::text), 4) FROM generate_series(1, 5000) g");
    pause();
    let entry = Entry {
        ledger: server.sql(LEDGER),
        time: server.sql("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"),
        lsn: server.sql("SELECT pg_current_wal_lsn()").parse().unwrap(),
        transaction,
    };
    pause();
    entry
}

fn push_all(archive: &mut LogArchive, folder: &Path) -> usize {
    let size = SegmentSize::DEFAULT;
    let files = ready(folder, size).unwrap();
    let index = archive.repository().load_index().unwrap();
    let stored = push(archive, &index, &folder.join(files[0].name(size)), 1000, &options()).unwrap();
    assert_eq!(stored.new.len() + stored.known.len(), files.len());
    let mut names = Vec::new();
    for receipt in stored.receipts {
        let bytes = fs::read(folder.join(&receipt.name)).unwrap();
        assert_eq!((receipt.length, receipt.sha256), (bytes.len() as u64, Id::of(&bytes)));
        names.push(receipt.name);
    }
    names.sort_unstable();
    let mut of_files: Vec<String> = files.iter().map(|file| file.name(size)).collect();
    of_files.sort_unstable();
    assert_eq!(names, of_files);
    stored.new.len()
}

/// Everything a server may ask for, in a folder that `cp` serves it from.
fn fetch_all(archive: &LogArchive, from: Segment, target: &Path) -> usize {
    let size = SegmentSize::DEFAULT;
    fs::create_dir_all(target).unwrap();
    let index = archive.repository().load_index().unwrap();
    let options = FetchOptions {
        spool: target.join("spool"),
        ahead: 3,
        workers: 2,
    };
    let (mut segment, mut count) = (from, 0);
    loop {
        let name = segment.name(size);
        match fetch(archive, &index, &name, &target.join(&name), &options).unwrap() {
            Fetched::Restored => count += 1,
            Fetched::NotThere => break,
        }
        assert_eq!(fs::metadata(target.join(&name)).unwrap().len(), size.bytes());
        assert!(fs::read_dir(target.join("spool")).unwrap().count() <= 3);
        segment = segment.next();
    }
    let missing = fetch(archive, &index, "00000002.history", &target.join("h"), &options).unwrap();
    assert_eq!((missing, target.join("h").exists()), (Fetched::NotThere, false));
    count
}

/// The ledger after recovery to a target.
fn recovered(repository: &Repository, base: &Id, log: &Path, words: &RecoveryWords<'_>) -> String {
    let place = folder();
    let data = place.path().join("data");
    let mut all = RestoreOptions::new(&GO_ON);
    all.subfolder = Some("/main".into());
    let report = restore(repository, &repository.load_index().unwrap(), base, &data, &all).unwrap();
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    let recovery = Recovery::parse(words).unwrap();
    let tablespaces = BTreeMap::new();
    let prepared = PrepareOptions {
        recovery: &recovery,
        restore_command: &format!("cp '{}/%f' '%p'", log.display()),
        version: Some(15),
        tablespaces: &tablespaces,
    };
    prepare(&data, &prepared).unwrap();
    give_to_owner(&data);
    let mut server = Server::over(place, data);
    server.begin();
    wait_until("the recovery is over", || {
        server.sql("SELECT pg_is_in_recovery()") == "f"
    });
    let ledger = server.sql(LEDGER);
    server.stop();
    ledger
}

fn refused(archive: &mut LogArchive, path: &Path) -> LogError {
    let index = archive.repository().load_index().unwrap();
    push(archive, &index, path, 0, &options()).unwrap_err()
}

#[test]
fn a_server_comes_back_as_it_was_at_any_point_of_its_log() {
    let mut server = Server::start(&["archive_mode = on", "archive_command = 'false'"]);
    let log = server.data.join("pg_wal");
    let repository = repository();
    let mut archive = LogArchive::open(&repository, "main").unwrap();
    server.sql("CREATE TABLE ledger (id serial PRIMARY KEY, transaction bigint)");
    server.sql("CREATE TABLE ballast (id int, text text)");
    write_entry(&server);

    let copied = folder();
    let target = copied.path().join("base");
    let mut backup = as_owner(&program("pg_basebackup"));
    let host = server.data.parent().unwrap();
    backup
        .arg("-h")
        .arg(host)
        .args(["-p", &server.port.to_string(), "-U", ADMIN]);
    run(backup.args(["-X", "stream", "-c", "fast", "-D"]).arg(&target));
    let base = backup_stream(&repository, &mut FolderStream::new(&target), &options())
        .unwrap()
        .snapshot;
    let label = fs::read_to_string(target.join("backup_label")).unwrap();
    let start: Lsn = label.split_whitespace().nth(3).unwrap().parse().unwrap();
    let end: Lsn = server.sql("SELECT pg_current_wal_lsn()").parse().unwrap();

    let mut entries = Vec::new();
    for number in 0..9 {
        entries.push(write_entry(&server));
        if number % 3 == 1 {
            server.sql("SELECT pg_switch_wal()");
        }
        if number == 4 {
            assert!(push_all(&mut archive, &log) > 1);
            assert_eq!(push_all(&mut archive, &log), 0, "what is stored is stored");
        }
    }
    assert!(push_all(&mut archive, &log) > 0);
    server.stop();

    // The segment that is not full, as a receiver would leave it.
    let last = entries.last().unwrap();
    let open = Segment::holding(1, last.lsn, SegmentSize::DEFAULT);
    let partial = copied.path().join(LogFile::Partial(open).name(SegmentSize::DEFAULT));
    fs::copy(log.join(open.name(SegmentSize::DEFAULT)), &partial).unwrap();
    let index = repository.load_index().unwrap();
    let stored = push(&mut archive, &index, &partial, 0, &options()).unwrap();
    assert_eq!((stored.new.len(), stored.receipts.len()), (1, 0));

    let archive = LogArchive::open(&repository, "main").unwrap();
    let found = windows(
        &[Base {
            snapshot: base,
            timeline: 1,
            start,
            end,
            ended_at: entries[0].time.parse().unwrap(),
            has_log: false,
        }],
        archive.pieces(),
    );
    let [window] = found.windows.as_slice() else {
        panic!("{found:?}")
    };
    assert!(
        window.latest >= last.lsn && found.gaps.is_empty() && found.unusable.is_empty(),
        "{found:?}"
    );
    assert!(window.latest_at <= last.time.parse().unwrap());
    assert!(window.latest_at > entries[entries.len() - 2].time.parse().unwrap());

    let fetched = copied.path().join("log");
    let first = Segment::holding(1, start, SegmentSize::DEFAULT);
    assert!(fetch_all(&archive, first, &fetched) > 3);
    give_to_owner(copied.path());
    let none = RecoveryWords::default();
    assert_eq!(recovered(&repository, &base, &fetched, &none), last.ledger);
    let at = |words: RecoveryWords<'_>| recovered(&repository, &base, &fetched, &words);
    for entry in [&entries[1], &entries[6]] {
        let (time, transaction) = (Some(entry.time.as_str()), Some(entry.transaction.as_str()));
        let lsn = entry.lsn.to_string();
        assert_eq!(at(RecoveryWords { time, ..none }), entry.ledger);
        assert_eq!(at(RecoveryWords { transaction, ..none }), entry.ledger);
        let words = RecoveryWords {
            lsn: Some(&lsn),
            exclusive: true,
            ..none
        };
        assert_eq!(at(words), entry.ledger);
    }
}

#[test]
fn segments_that_are_damaged_or_of_another_server_are_refused_by_name() {
    let server = Server::start(&["archive_mode = on", "archive_command = 'false'"]);
    let log = server.data.join("pg_wal");
    server.sql("CREATE TABLE ballast AS SELECT g, md5(g::text) FROM generate_series(1, 300000) g");
    server.sql("SELECT pg_switch_wal()");
    let repository = repository();
    let mut archive = LogArchive::open(&repository, "main").unwrap();
    let size = SegmentSize::DEFAULT;
    wait_until("segments are ready", || ready(&log, size).unwrap().len() > 2);
    let files = ready(&log, size).unwrap();
    let beside = folder();
    let name = files[1].name(size);
    let copy = beside.path().join(&name);
    let bytes = fs::read(log.join(&name)).unwrap();
    let change = |at: usize, length: usize| {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        changed.truncate(length);
        fs::write(&copy, changed).unwrap();
    };
    for at in [5 << 20, 9_000_001] {
        change(at, bytes.len());
        let error = refused(&mut archive, &copy);
        assert!(
            matches!(&error, LogError::Damaged { name: named, .. } if *named == name),
            "{error}"
        );
    }
    change(0, bytes.len());
    assert!(matches!(refused(&mut archive, &copy), LogError::Fault { .. }));
    change(8 << 20, 9 << 20);
    assert!(matches!(refused(&mut archive, &copy), LogError::Length { .. }));
    assert_eq!(repository.snapshots().unwrap().len(), 0);

    push_all(&mut archive, &log);
    change(24, bytes.len());
    assert!(matches!(refused(&mut archive, &copy), LogError::OtherServer { .. }));
    // Behind the end of the records: a segment that another history of the same server wrote would differ as well.
    let last = files
        .iter()
        .rev()
        .find(|file| matches!(file, LogFile::Segment(_)))
        .unwrap()
        .name(size);
    let mut other = fs::read(log.join(&last)).unwrap();
    *other.last_mut().unwrap() ^= 1;
    let copy = beside.path().join(&last);
    fs::write(&copy, other).unwrap();
    let error = refused(&mut archive, &copy);
    assert!(
        matches!(&error, LogError::OtherContent { name, .. } if *name == last),
        "{error}"
    );
    fs::write(beside.path().join("00000002.history"), "1\t0/5000000\tno reason\n").unwrap();
    let index = repository.load_index().unwrap();
    push(
        &mut archive,
        &index,
        &beside.path().join("00000002.history"),
        0,
        &options(),
    )
    .unwrap();
    fs::write(beside.path().join("00000002.history"), "1\t0/6000000\tno reason\n").unwrap();
    let error = refused(&mut archive, &beside.path().join("00000002.history"));
    assert!(matches!(error, LogError::OtherContent { .. }), "{error}");
}
