//! restic as the judge: what it wrote must read and re-encode here to the byte, what is written here must please it.
#![allow(clippy::unwrap_used, reason = "a test program: failing is its purpose")]

mod support;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use holdfast_repository::index::{decode_index, encode_index};
use holdfast_repository::pack::{BlobKind, pack_size, read_header};
use holdfast_repository::storage::{DiskStorage, FileKind};
use holdfast_repository::tree::{ExtendedAttribute, mode};
use holdfast_repository::{Node, NodeKind, NodeTime, Repository, Tree, Unlock};

use support::{PASSWORD, Part, TestSource, ambient, back_up, disk_repository, noise};

/// Runs restic on a repository; it must be installed and succeed.
fn restic(repository: &Path, arguments: &[&str]) -> String {
    let output = Command::new("restic")
        .args(["--no-cache", "--repo"])
        .arg(repository)
        .args(arguments)
        .env("RESTIC_PASSWORD", PASSWORD)
        .output()
        .expect("restic must be installed for this test: apt-get install restic");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "restic {arguments:?} failed:\n{text}");
    text
}

fn run(program: &str, arguments: &[&std::ffi::OsStr]) {
    let status = Command::new(program)
        .args(arguments)
        .status()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(status.success(), "{program} {arguments:?}");
}

const ODD_NAMES: &[&[u8]] = &[
    b"plain",
    b"with \"quotes\" and 'more'",
    b"new\nline\ttab\rreturn\x07\x08\x0c\x0b\x1b\x7f",
    b"not utf-8 \xff\xfe \xe2\x82",
    "ümläut ñ 日本語".as_bytes(),
    "emoji 😀 👩‍👩‍👧 zero\u{200b}width nbsp\u{a0}soft\u{ad}hyphen".as_bytes(),
    "\u{2028}\u{2029}\u{feff}\u{fffd}\u{e000}\u{80}\u{378}\u{10ffff}\u{e0001}".as_bytes(),
    b"back\\slash \\n \\u0041 \\\\",
    b"<a&b>",
];

/// What this version of restic writes otherwise than current ones: Go before 1.22 escaped backspace and form feed
/// longer, and restic before 0.17 lost bytes of link targets that are no UTF-8.
const OLDER_FORMS: &[&str] = &["\"linktarget\":\"new\\nline", "\"linktarget\":\"not utf-8"];

fn make_odd_files(folder: &Path) {
    for name in ODD_NAMES {
        let name = std::ffi::OsStr::from_bytes(name);
        fs::write(folder.join(name), name.as_bytes()).unwrap();
        let inner = folder.join("folders").join(name);
        fs::create_dir_all(&inner).unwrap();
        std::os::unix::fs::symlink(name, inner.join("link")).unwrap();
    }
    fs::write(folder.join("empty"), b"").unwrap();
    fs::write(folder.join("large"), noise(1, 5 << 20)).unwrap();
    fs::hard_link(folder.join("plain"), folder.join("hard link")).unwrap();
    std::os::unix::fs::symlink("target <&> \"quoted\" \\ ü\n", folder.join("odd link")).unwrap();
    run("mkfifo", &[folder.join("fifo").as_os_str()]);
    let attributed = folder.join("attributed");
    fs::write(&attributed, b"x").unwrap();
    for (name, value) in [("user.comment", "some <value> & \"more\""), ("user.empty", "")] {
        rustix::fs::setxattr(&attributed, name, value.as_bytes(), rustix::fs::XattrFlags::empty()).unwrap();
    }
    for (seconds, nanos) in [
        (0, 0),
        (1, 120_000_000),
        (1_234_567_890, 1),
        (4_000_000_000, 999_999_999),
        (-1, 500),
    ] {
        let path = folder.join(format!("time {seconds} {nanos}"));
        fs::write(&path, b"").unwrap();
        let time = rustix::fs::Timespec {
            tv_sec: seconds,
            tv_nsec: nanos,
        };
        let times = rustix::fs::Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(rustix::fs::CWD, &path, &times, rustix::fs::AtFlags::empty()).unwrap();
    }
}

fn open(path: &Path) -> Repository {
    let storage = Arc::new(DiskStorage::open_or_create(path).unwrap());
    Repository::open(storage, ambient(), Unlock::Password(PASSWORD)).unwrap()
}

#[test]
fn everything_restic_wrote_re_encodes_byte_for_byte() {
    let temp = tempfile::tempdir().unwrap();
    let (data, path) = (temp.path().join("data"), temp.path().join("repository"));
    fs::create_dir(&data).unwrap();
    make_odd_files(&data);
    restic(&path, &["init", "--repository-version", "2"]);
    restic(
        &path,
        &[
            "backup",
            "--tag",
            "a<b>&c",
            "--host",
            "hö\"st",
            "--exclude",
            "*.<tmp>",
            data.to_str().unwrap(),
        ],
    );

    let repository = open(&path);
    let index = repository.load_index().unwrap();
    let mut names = Vec::new();
    for (kind, id, _) in index.iter() {
        let plain = repository.load_blob(&index, kind, &id).unwrap();
        if kind == BlobKind::Tree {
            let tree = Tree::decode(&plain).unwrap();
            let text = String::from_utf8_lossy(&plain);
            if OLDER_FORMS.iter().any(|form| text.contains(form)) {
                assert!(!tree.lossless, "{text}");
                continue;
            }
            assert_eq!(String::from_utf8_lossy(&tree.encode().unwrap()), text);
            assert!(tree.lossless);
            names.extend(tree.nodes.into_iter().map(|node| node.name));
        }
    }
    for name in ODD_NAMES {
        assert!(
            names.iter().any(|found| found == name),
            "{}",
            String::from_utf8_lossy(name)
        );
    }
    for (id, _) in repository.storage().list(FileKind::Index).unwrap() {
        let json = repository.load_unpacked(FileKind::Index, &id).unwrap();
        let packs = decode_index(&id, &json).unwrap();
        assert_eq!(decode_index(&id, &encode_index(&packs)).unwrap(), packs);
        for pack in packs {
            let size = pack_size(&pack.blobs);
            assert_eq!(read_header(&repository, pack.id, size).unwrap(), pack.blobs);
        }
    }
    let [(id, snapshot)] = repository.snapshots().unwrap().try_into().unwrap();
    let json = repository.load_unpacked(FileKind::Snapshot, &id).unwrap();
    assert_eq!(
        String::from_utf8(snapshot.encode()).unwrap(),
        String::from_utf8(json).unwrap()
    );
    assert_eq!(repository.find_snapshot(&id.to_string()[..10]).unwrap().0, id);
    assert_eq!(
        (snapshot.tags[0].as_str(), snapshot.hostname.as_str()),
        ("a<b>&c", "hö\"st")
    );
}

fn odd_source() -> TestSource {
    let text = b"a line that repeats itself, and so compresses well\n".repeat(60_000);
    let hole = Part::Hole(3 * (512 << 10) + 1000);
    let mut source = TestSource::new()
        .file(b"/data/empty", b"")
        .file(b"/data/text", text)
        .file(b"/data/noise", noise(7, 9 << 20))
        .file(b"/data/zeroes", vec![0; (2 << 20) + 77])
        .sparse(
            b"/data/sparse",
            vec![Part::Data(noise(8, 70_000)), hole, Part::Data(noise(9, 10))],
        );
    for name in ODD_NAMES {
        source = source.file(&[b"/data/odd/", *name].concat(), *name);
    }
    let mut link = Node::new(Vec::new(), NodeKind::Symlink);
    link.mode = mode::SYMLINK | 0o777;
    link.link_target = b"some <target> \"\\".to_vec();
    let mut fifo = Node::new(Vec::new(), NodeKind::Fifo);
    fifo.mode = mode::NAMED_PIPE | 0o600;
    let mut attributed = Node::new(Vec::new(), NodeKind::Dir);
    attributed.mode = mode::DIR | mode::SETGID | 0o750;
    attributed.mtime = NodeTime {
        seconds: 1_600_000_000,
        nanos: 5000,
        offset: 2 * 3600 + 1800,
    };
    attributed.user = "röot<>".into();
    attributed.extended_attributes = vec![ExtendedAttribute {
        name: "user.comment".into(),
        value: b"\x00\xffvalue".to_vec(),
    }];
    source
        .node(b"/data/link", link)
        .node(b"/data/fifo", fifo)
        .node(b"/data/attributed", attributed)
}

#[test]
fn restic_checks_and_restores_what_is_written_here() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("repository");
    let repository = disk_repository(&path);
    let source = odd_source();
    let first = back_up(&repository, &source, |options| options.tags = vec!["one".into()]).unwrap();
    assert_eq!(first.unread, []);
    let second = back_up(&repository, &odd_source().file(b"/data/zzz", b"new"), |options| {
        options.parent = Some(first.snapshot);
    })
    .unwrap();
    assert_eq!((second.summary.files_new, second.summary.files_changed), (1, 0));

    restic(&path, &["check", "--read-data"]);
    let target = temp.path().join("target");
    let snapshot = second.snapshot.to_string();
    restic(
        &path,
        &["restore", &snapshot, "--verify", "--target", target.to_str().unwrap()],
    );
    assert_eq!(fs::read(target.join("data/noise")).unwrap(), noise(7, 9 << 20));
    assert_eq!(fs::read(target.join("data/zeroes")).unwrap(), vec![0; (2 << 20) + 77]);
    let sparse = [noise(8, 70_000), vec![0; 3 * (512 << 10) + 1000], noise(9, 10)].concat();
    assert_eq!(fs::read(target.join("data/sparse")).unwrap(), sparse);
    assert_eq!(fs::read(target.join("data/zzz")).unwrap(), b"new");
    assert_eq!(fs::read(target.join("data/empty")).unwrap(), b"");
    for name in ODD_NAMES {
        let file = target.join("data/odd").join(std::ffi::OsStr::from_bytes(name));
        assert_eq!(fs::read(file).unwrap(), *name);
    }
    assert_eq!(
        fs::read_link(target.join("data/link")).unwrap().as_os_str(),
        "some <target> \"\\"
    );
    let diff = restic(
        &path,
        &["diff", &first.snapshot.to_string(), &second.snapshot.to_string()],
    );
    assert!(diff.contains("+    /data/zzz"), "{diff}");
    restic(&path, &["forget", "--keep-last", "1", "--prune"]);
    restic(&path, &["check", "--read-data"]);
}

#[test]
fn restic_goes_on_from_a_snapshot_written_here() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("repository");
    let data = temp.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), noise(3, 3 << 20)).unwrap();
    let repository = disk_repository(&path);
    back_up(&repository, &odd_source(), |_| ()).unwrap();
    restic(&path, &["backup", data.to_str().unwrap()]);
    assert_eq!(repository.snapshots().unwrap().len(), 2);
    restic(&path, &["check", "--read-data"]);
    restic(&path, &["tag", "--add", "kept", "latest"]);
    restic(&path, &["key", "list"]);
}
