//! Backup, restore, and an independent look at what came back.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use holdfast_repository::backup::{BackupOptions, BackupReport, UnreadReason, backup};
use holdfast_repository::crypto::MasterKey;
use holdfast_repository::storage::{DiskStorage, MemoryStorage, Storage};
use holdfast_repository::{Ambient, Id, InitOptions, NoProgress, Repository};
use holdfast_sources::files::manifest::{self, Kind};
use holdfast_sources::files::{
    FileTree, Manifest, Overwrite, Patterns, RestoreError, RestoreOptions, RestoreReport, restore,
};
use holdfast_testkit::seeds::noise;
use jiff::Timestamp;
use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

static GO_ON: AtomicBool = AtomicBool::new(false);

fn ambient() -> Ambient {
    fn fill_random(bytes: &mut [u8]) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        for part in bytes.chunks_mut(32) {
            part.copy_from_slice(&Id::of(&NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes()).0[..part.len()]);
        }
    }
    let (hostname, username) = ("host".to_owned(), "user".to_owned());
    Ambient {
        now: || Timestamp::UNIX_EPOCH,
        fill_random,
        hostname,
        username,
        pid: 1,
        uid: 0,
        gid: 0,
    }
}

fn repository(storage: Arc<dyn Storage>, password: Option<&str>) -> Repository {
    let master_key = Some(MasterKey::generate(&ambient()));
    let options = InitOptions {
        password,
        master_key,
        ..InitOptions::default()
    };
    Repository::init(storage, ambient(), &options).unwrap()
}

/// Without a password, which would cost half a second of key derivation.
fn in_memory() -> Repository {
    repository(Arc::new(MemoryStorage::new()), None)
}

fn back_up(repo: &Repository, root: &Path, exclude: &[&str], parent: Option<Id>) -> BackupReport {
    let source = FileTree::new(vec![root.to_owned()], Patterns::new(&[], exclude).unwrap()).unwrap();
    let options = BackupOptions {
        parent,
        workers: 2,
        ..BackupOptions::new(Timestamp::UNIX_EPOCH, &NoProgress, &GO_ON)
    };
    backup(repo, &source, &options).unwrap()
}

fn restore_root(repo: &Repository, snapshot: &Id, root: &Path, target: &Path) -> RestoreReport {
    let options = RestoreOptions {
        subfolder: Some(root.to_owned()),
        workers: 2,
        ..RestoreOptions::new(&GO_ON)
    };
    restore(repo, &repo.load_index().unwrap(), snapshot, target, &options).unwrap()
}

/// The tree of the folder `path` in a snapshot's root tree.
fn subtree(repo: &Repository, tree: Id, path: &Path) -> Id {
    let index = repo.load_index().unwrap();
    path.strip_prefix("/").unwrap().iter().fold(tree, |tree, part| {
        repo.load_tree(&index, &tree)
            .unwrap()
            .find(part.as_bytes())
            .unwrap()
            .subtree
            .unwrap()
    })
}

fn differences(expected: &Path, found: &Path) -> Vec<manifest::Difference> {
    manifest::compare(&Manifest::of(expected).unwrap(), &Manifest::of(found).unwrap())
}

fn set_times(path: &Path, seconds: i64, nanos: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanos,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Only the administrator may read a file whatever its mode says, so that anybody else keeps the right to do so.
fn set_mode(path: &Path, mode: u32) {
    let mode = if rustix::process::geteuid().is_root() {
        mode
    } else {
        mode | 0o400
    };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A folder with everything a file system can hold. Devices only where that is permitted.
fn everything(root: &Path) {
    let at = |name: &str| root.join(name);
    fs::create_dir_all(at("deep/er/est")).unwrap();
    fs::create_dir(at("empty-folder")).unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::write(at("big"), noise(1, 9_000_000)).unwrap();
    fs::write(at("deep/er/est/file"), "deep").unwrap();
    let long = vec![b'n'; 255];
    for name in [
        &b"invalid \xff\xfe"[..],
        b"new\nline",
        b"quote\"s'\\",
        b" ",
        b"-rf",
        b"\x01\x7f",
        &long,
    ] {
        fs::write(root.join(OsStr::from_bytes(name)), name).unwrap();
        symlink(OsStr::from_bytes(name), at("deep").join(OsStr::from_bytes(name))).unwrap();
    }
    symlink("/no/where", at("dangling")).unwrap();
    symlink(at("big"), at("absolute")).unwrap();
    fs::hard_link(at("big"), at("deep/hard")).unwrap();
    fs::hard_link(at("dangling"), at("deep/hard-symlink")).unwrap();
    rustix::fs::mkfifoat(CWD, at("pipe"), Mode::from_raw_mode(0o640)).unwrap();
    let sparse = fs::File::create(at("sparse")).unwrap();
    sparse.set_len(40 << 20).unwrap();
    sparse.write_all_at(b"data", (20 << 20) + 12_345).unwrap();
    for (name, value) in [
        ("user.text", &b"text"[..]),
        ("user.binary", b"\0\xff"),
        ("user.empty", b""),
    ] {
        rustix::fs::setxattr(at("big"), name, value, XattrFlags::empty()).unwrap();
        rustix::fs::setxattr(at("empty-folder"), name, value, XattrFlags::empty()).unwrap();
    }
    for (name, kind, number) in [
        ("disk", FileType::BlockDevice, (7, 300)),
        ("tty", FileType::CharacterDevice, (4, 1)),
    ] {
        let device = rustix::fs::makedev(number.0, number.1);
        if rustix::fs::mknodat(CWD, at(name), kind, Mode::from_raw_mode(0o600), device).is_err() {
            eprintln!("devices are not tested: only the system's administrator may make them");
        }
    }
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(at("empty"), Some(12345), Some(54321)).unwrap();
        std::os::unix::fs::lchown(at("dangling"), Some(12345), Some(54321)).unwrap();
    }
    set_mode(&at("deep/er/est/file"), 0o6711);
    set_mode(&at("empty"), 0o000);
    set_mode(&at("deep/er"), 0o1777);
    set_mode(&at("empty-folder"), 0o2555);
    set_times(&at("dangling"), 1_234_567_890, 999_999_999);
    set_times(&at("empty"), -86_400, 1);
    set_times(&at("pipe"), 4_000_000_000, 0);
    set_times(&at("deep"), 1, 10);
    set_times(root, 1_000_000_000, 100_000_000);
}

#[test]
fn everything_a_file_system_holds_comes_back_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (root, target) = (folder.path().join("root"), folder.path().join("target"));
    fs::create_dir(&root).unwrap();
    everything(&root);
    let repo = in_memory();
    let first = back_up(&repo, &root, &[], None);
    assert_eq!(first.unread, []);
    let report = restore_root(&repo, &first.snapshot, &root, &target);
    assert!(report.is_complete(), "{:?}", report.failures);
    assert_eq!(report.notes, []);
    assert_eq!(differences(&root, &target), []);
    let blocks = |path: PathBuf| std::os::unix::fs::MetadataExt::blocks(&path.metadata().unwrap());
    assert!(
        blocks(target.join("sparse")) * 512 < 2 << 20,
        "holes come back as holes"
    );

    let again = back_up(&repo, &root, &[], Some(first.snapshot));
    assert_eq!((again.summary.files_new, again.summary.files_changed), (0, 0));
    let (before, after) = (subtree(&repo, first.tree, &root), subtree(&repo, again.tree, &root));
    assert_eq!(
        before, after,
        "nothing changed, so it is the same tree, whoever read the files meanwhile"
    );
}

#[test]
fn the_whole_path_is_restored_below_the_target_without_a_subfolder() {
    let folder = tempfile::tempdir().unwrap();
    let (root, target) = (folder.path().join("a/b"), folder.path().join("target"));
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("keep.txt"), "keep").unwrap();
    fs::write(root.join("drop.tmp"), "drop").unwrap();
    set_mode(&folder.path().join("a"), 0o711);
    let repo = in_memory();
    let snapshot = back_up(&repo, &root, &["*.tmp"], None).snapshot;
    restore(
        &repo,
        &repo.load_index().unwrap(),
        &snapshot,
        &target,
        &RestoreOptions::new(&GO_ON),
    )
    .unwrap();
    let restored = target.join(root.strip_prefix("/").unwrap());
    assert_eq!(fs::read(restored.join("keep.txt")).unwrap(), b"keep");
    assert!(!restored.join("drop.tmp").exists());
    assert_eq!(
        restored.parent().unwrap().metadata().unwrap().permissions().mode() & 0o7777,
        0o711
    );
}

#[test]
fn a_file_damaged_in_place_is_mended_by_fetching_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let (root, target) = (folder.path().join("root"), folder.path().join("target"));
    fs::create_dir(&root).unwrap();
    everything(&root);
    let repo = in_memory();
    let snapshot = back_up(&repo, &root, &[], None).snapshot;
    restore_root(&repo, &snapshot, &root, &target);
    fs::File::options()
        .write(true)
        .open(target.join("sparse"))
        .unwrap()
        .write_all_at(b"x", 5)
        .unwrap();
    fs::remove_file(target.join("pipe")).unwrap();
    set_mode(&target.join("deep"), 0o700);
    assert_ne!(differences(&root, &target), []);
    let options = RestoreOptions {
        subfolder: Some(root.clone()),
        overwrite: Overwrite::Always,
        ..RestoreOptions::new(&GO_ON)
    };
    let report = restore(&repo, &repo.load_index().unwrap(), &snapshot, &target, &options).unwrap();
    assert!(report.is_complete(), "{:?}", report.failures);
    assert_eq!(differences(&root, &target), []);
    assert!(report.bytes_right >= 39 << 20);
}

#[test]
fn what_vanishes_or_is_denied_is_named_and_the_rest_backed_up() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("stays"), "stays").unwrap();
    fs::write(root.join("vanishes"), "vanishes").unwrap();
    set_times(&root, 1_000_000_000, 0);

    /// Removes a file between listing and looking.
    struct Vanishing(FileTree, PathBuf);
    impl holdfast_repository::backup::Source for Vanishing {
        fn paths(&self) -> Vec<PathBuf> {
            self.0.paths()
        }
        fn stat(&self, path: &Path) -> Result<holdfast_repository::Node, holdfast_repository::backup::Unread> {
            if path == self.1 {
                fs::remove_file(path).unwrap();
            }
            self.0.stat(path)
        }
        fn names(&self, folder: &Path) -> Result<Vec<std::ffi::OsString>, holdfast_repository::backup::Unread> {
            self.0.names(folder)
        }
        fn open(
            &self,
            path: &Path,
        ) -> Result<Box<dyn holdfast_repository::backup::Content>, holdfast_repository::backup::Unread> {
            self.0.open(path)
        }
    }
    let tree = FileTree::new(vec![root.clone()], Patterns::all()).unwrap();
    let source = Vanishing(tree, root.join("vanishes"));
    let repo = in_memory();
    let options = BackupOptions::new(Timestamp::UNIX_EPOCH, &NoProgress, &GO_ON);
    let report = backup(&repo, &source, &options).unwrap();
    assert_eq!(report.unread.len(), 1);
    assert_eq!(
        (&report.unread[0].path, &report.unread[0].reason),
        (&root.join("vanishes"), &UnreadReason::Vanished)
    );
    let target = folder.path().join("target");
    restore_root(&repo, &report.snapshot, &root, &target);
    // The folder was looked at before the file vanished from it.
    set_times(&root, 1_000_000_000, 0);
    assert_eq!(differences(&root, &target), []);
}

#[test]
fn restic_restores_the_same() {
    if Command::new("restic").arg("version").output().is_err() {
        eprintln!("not tested: restic is not installed");
        return;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: without the administrator's rights restic loses attributes of read-only folders");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (root, target, store) = (
        folder.path().join("root"),
        folder.path().join("target"),
        folder.path().join("store"),
    );
    fs::create_dir(&root).unwrap();
    everything(&root);
    // Older versions of restic neither link symbolic links nor keep bytes in their targets that are not UTF-8.
    fs::remove_file(root.join("deep/hard-symlink")).unwrap();
    fs::remove_file(root.join("deep").join(OsStr::from_bytes(b"invalid \xff\xfe"))).unwrap();
    let repo = repository(Arc::new(DiskStorage::open_or_create(&store).unwrap()), Some("secret"));
    back_up(&repo, &root, &[], None);
    let restic = |arguments: &[&OsStr]| {
        let mut command = Command::new("restic");
        command
            .args(["--no-cache", "--quiet", "--repo"])
            .arg(&store)
            .args(arguments)
            .env("RESTIC_PASSWORD", "secret");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    restic(&["check".as_ref(), "--read-data".as_ref()]);
    restic(&[
        "restore".as_ref(),
        "latest".as_ref(),
        "--target".as_ref(),
        target.as_ref(),
    ]);
    let restored = target.join(root.strip_prefix("/").unwrap());
    let mut found = Manifest::of(&restored).unwrap();
    let mut expected = Manifest::of(&root).unwrap();
    for manifest in [&mut expected, &mut found] {
        for entry in manifest
            .entries
            .values_mut()
            .filter(|entry| entry.kind == Kind::Symlink)
        {
            // Whether restic sets the times of links depends on its version.
            entry.mtime_ns = 0;
        }
    }
    assert_eq!(manifest::compare(&expected, &found), []);
}

#[derive(Clone, Debug)]
enum Plan {
    File { length: usize, seed: u64, mode: u32 },
    Sparse { before: u32, after: u32 },
    Folder(Vec<(Vec<u8>, Plan)>),
    Link(Vec<u8>),
    Pipe,
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => b'a'..=b'c', 1 => any::<u8>()].prop_filter("no separator", |b| *b != b'/' && *b != 0);
    proptest::collection::vec(byte, 1..6).prop_filter("a plain name", |name| name != b"." && name != b"..")
}

fn plan() -> impl Strategy<Value = Plan> {
    let leaf = prop_oneof![
        4 => (0usize..3000, 0u64..4, 0u32..0o10000).prop_map(|(length, seed, mode)| Plan::File { length, seed, mode }),
        1 => (500_000usize..3_000_000, 0u64..4).prop_map(|(length, seed)| Plan::File { length, seed, mode: 0o644 }),
        1 => (0u32..2_000_000, 0u32..2_000_000).prop_map(|(before, after)| Plan::Sparse { before, after }),
        1 => name().prop_map(Plan::Link),
        1 => Just(Plan::Pipe),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        proptest::collection::vec((name(), inner), 0..6).prop_map(Plan::Folder)
    })
}

fn carry_out(plan: &Plan, path: &Path) {
    // A name may come twice: the first one counts.
    if path.symlink_metadata().is_ok() {
        return;
    }
    match plan {
        Plan::File { length, seed, mode } => {
            fs::write(path, noise(*seed, *length)).unwrap();
            set_mode(path, *mode);
        }
        Plan::Sparse { before, after } => {
            let file = fs::File::create(path).unwrap();
            file.write_all_at(b"x", (*before).into()).unwrap();
            file.set_len(u64::from(*before) + 1 + u64::from(*after)).unwrap();
        }
        Plan::Folder(entries) => {
            fs::create_dir(path).unwrap();
            for (name, plan) in entries {
                carry_out(plan, &path.join(OsStr::from_bytes(name)));
            }
        }
        Plan::Link(target) => symlink(OsStr::from_bytes(target), path).unwrap(),
        Plan::Pipe => rustix::fs::mkfifoat(CWD, path, Mode::from_raw_mode(0o600)).unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_comes_back_the_same_also_over_another_one(
        first in proptest::collection::vec((name(), plan()), 0..8),
        second in proptest::collection::vec((name(), plan()), 0..8),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let roots = [folder.path().join("first"), folder.path().join("second")];
        carry_out(&Plan::Folder(first), &roots[0]);
        carry_out(&Plan::Folder(second), &roots[1]);
        let repo = in_memory();
        let snapshots = roots.each_ref().map(|root| back_up(&repo, root, &[], None));
        let target = folder.path().join("target");
        restore_root(&repo, &snapshots[0].snapshot, &roots[0], &target);
        prop_assert_eq!(differences(&roots[0], &target), []);

        // Over it: what is not in the second snapshot stays; a folder that is not empty, or a link where a folder
        // belongs, is in the way.
        let options = RestoreOptions {
            subfolder: Some(roots[1].clone()),
            overwrite: Overwrite::Always,
            batch: 3,
            ..RestoreOptions::new(&GO_ON)
        };
        let index = repo.load_index().unwrap();
        let report = match restore(&repo, &index, &snapshots[1].snapshot, &target, &options) {
            Err(RestoreError::SymlinkInTheWay { path }) => {
                prop_assert!(path.is_symlink());
                return Ok(());
            }
            report => report.unwrap(),
        };
        let in_the_way: Vec<_> = report.failures.iter().map(|failure| &failure.path).collect();
        for path in &in_the_way {
            prop_assert!(path.is_dir(), "{:?}", report.failures);
        }
        if in_the_way.is_empty() {
            let strangers = |difference: &manifest::Difference| {
                !matches!(difference, manifest::Difference::Unexpected { .. })
            };
            let left: Vec<_> = differences(&roots[1], &target).into_iter().filter(strangers).collect();
            prop_assert_eq!(left, []);
        }
    }
}
