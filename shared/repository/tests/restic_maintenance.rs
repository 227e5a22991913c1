//! restic judges what our copy, prune and repair leave behind, and our check judges what restic wrote.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use holdfast_repository::check::{AffectedFile, CheckOptions, CheckReport, Damage, affected_files, check};
use holdfast_repository::copy::{CopyOptions, copy};
use holdfast_repository::forget::forget;
use holdfast_repository::lock::{Lock, LockKind};
use holdfast_repository::prune::{MarkOptions, SweepOptions, mark, sweep};
use holdfast_repository::repair::repair;
use holdfast_repository::storage::{DiskStorage, FileKind, FileName};
use holdfast_repository::{Ambient, Id, NoProgress, Repository, Unlock};
use jiff::{SignedDuration, Timestamp};

static GO_ON: AtomicBool = AtomicBool::new(false);
const PASSWORD: &str = "correct horse";

/// The time of a test that talks to a real program is the real time.
#[expect(clippy::disallowed_methods, reason = "restic compares our locks with its own clock")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn fill_random(bytes: &mut [u8]) {
    fs::File::open("/dev/urandom").unwrap().read_exact(bytes).unwrap();
}

#[expect(
    clippy::disallowed_methods,
    reason = "restic looks whether the process of a lock runs"
)]
fn ambient() -> Ambient {
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname")
        .unwrap()
        .trim()
        .to_owned();
    let pid = std::process::id();
    Ambient {
        now,
        fill_random,
        hostname,
        username: "tester".to_owned(),
        pid,
        uid: 0,
        gid: 0,
    }
}

/// Runs restic; whether it succeeded, and everything it said.
fn try_restic(repo: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("restic")
        .args(["--no-cache", "--repo"])
        .arg(repo)
        .args(arguments)
        .env("RESTIC_PASSWORD", PASSWORD)
        .output()
        .expect("these tests need the program `restic` (0.14 or later) in PATH: apt-get install restic");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn restic(repo: &Path, arguments: &[&str]) -> String {
    let (succeeded, said) = try_restic(repo, arguments);
    assert!(succeeded, "restic {arguments:?}: {said}");
    said
}

/// Bytes that do not compress and that no other seed gives.
fn noise(seed: &str, length: usize) -> Vec<u8> {
    (0u32..)
        .flat_map(|n| Id::of(format!("{seed} {n}").as_bytes()).0)
        .take(length)
        .collect()
}

struct Setup {
    folder: tempfile::TempDir,
    repo: Repository,
    path: PathBuf,
    source: PathBuf,
}

/// Two snapshots by restic: the second drops `one` and half of `two`, and adds `three`.
fn written_by_restic() -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let (path, source) = (folder.path().join("repo"), folder.path().join("source"));
    fs::create_dir_all(source.join("sub")).unwrap();
    restic(&path, &["init", "--repository-version", "2"]);
    let back_up = || {
        restic(
            &path,
            &["backup", "--pack-size", "4", "--host", "h", source.to_str().unwrap()],
        )
    };
    fs::write(source.join("one"), noise("one", 3 << 20)).unwrap();
    fs::write(source.join("sub/two"), noise("two", 2 << 20)).unwrap();
    fs::write(source.join("sub/empty"), b"").unwrap();
    back_up();
    fs::remove_file(source.join("one")).unwrap();
    fs::write(source.join("sub/two"), &noise("two", 2 << 20)[..1 << 20]).unwrap();
    fs::write(source.join("sub/three"), noise("three", 1 << 20)).unwrap();
    back_up();
    let repo = open(&path);
    Setup {
        folder,
        repo,
        path,
        source,
    }
}

fn open(path: &Path) -> Repository {
    let storage = Arc::new(DiskStorage::open_or_create(path).unwrap());
    Repository::open(storage, ambient(), Unlock::Password(PASSWORD)).unwrap()
}

fn check_all(repo: &Repository) -> CheckReport {
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

fn copy_all(from: &Repository, to: &Path) -> Repository {
    let options = CopyOptions {
        snapshots: None,
        workers: 2,
        progress: &NoProgress,
        cancel: &GO_ON,
    };
    copy(from, Arc::new(DiskStorage::open_or_create(to).unwrap()), &options).unwrap();
    open(to)
}

fn file_of(repo: &Path, kind: &str, id: &Id) -> PathBuf {
    let id = id.to_string();
    if kind == "data" {
        repo.join(kind).join(&id[..2]).join(id)
    } else {
        repo.join(kind).join(id)
    }
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    // restic makes its files read-only.
    fs::remove_file(file).unwrap();
    fs::write(file, bytes).unwrap();
}

/// restic finds nothing wrong, and restores the newest snapshot to what was backed up.
fn assert_restic_is_content(setup: &Setup, path: &Path) {
    let said = restic(path, &["check", "--read-data"]);
    assert!(said.contains("no errors were found"), "{said}");
    let target = tempfile::tempdir_in(setup.folder.path()).unwrap();
    restic(
        path,
        &[
            "restore",
            "latest",
            "--verify",
            "--target",
            target.path().to_str().unwrap(),
        ],
    );
    let restored = target.path().join(setup.source.strip_prefix("/").unwrap());
    for name in ["sub/two", "sub/three", "sub/empty"] {
        assert!(
            fs::read(restored.join(name)).unwrap() == fs::read(setup.source.join(name)).unwrap(),
            "{name}"
        );
    }
    assert!(!restored.join("one").exists());
}

#[test]
fn what_restic_wrote_is_clean_and_what_is_damaged_in_it_is_named() {
    let setup = written_by_restic();
    let report = check_all(&setup.repo);
    assert_eq!(
        (report.damages, report.snapshots, report.orphan_packs),
        (vec![], 2, vec![])
    );

    let old = setup.repo.snapshots().unwrap()[0].0;
    let index = setup.repo.load_index().unwrap();
    let tree = setup.repo.snapshot(&old).unwrap().tree;
    let (mut node, mut tree) = (None, setup.repo.load_tree(&index, &tree).unwrap());
    while node.is_none() {
        node = tree.find(b"one").cloned();
        if node.is_none() {
            tree = setup.repo.load_tree(&index, &tree.nodes[0].subtree.unwrap()).unwrap();
        }
    }
    let blob = node.unwrap().content.unwrap()[0];
    let location = index.lookup(holdfast_repository::pack::BlobKind::Data, &blob).unwrap();
    flip(
        &file_of(&setup.path, "data", &location.pack),
        location.offset as usize + 100,
    );
    let damages = check_all(&setup.repo).damages;
    assert!(
        damages
            .iter()
            .any(|d| matches!(d, Damage::PackHash { pack, .. } if *pack == location.pack))
    );
    assert!(
        damages
            .iter()
            .any(|d| matches!(d, Damage::BlobDamaged { blob: b, .. } if *b == blob))
    );
    assert_eq!(damages.len(), 2);
    let affected = affected_files(&setup.repo, &index, &damages).unwrap();
    assert_eq!(
        affected,
        [AffectedFile {
            snapshot: old,
            path: setup.source.join("one")
        }]
    );

    let pack = index
        .packs()
        .iter()
        .map(|pack| pack.id)
        .find(|id| *id != location.pack)
        .unwrap();
    fs::remove_file(file_of(&setup.path, "data", &pack)).unwrap();
    let snapshot = setup.repo.snapshots().unwrap()[1].0;
    flip(&file_of(&setup.path, "snapshots", &snapshot), 20);
    let damages = check_all(&setup.repo).damages;
    assert!(damages.contains(&Damage::MissingPack { pack }), "{damages:?}");
    assert!(
        damages
            .iter()
            .any(|d| matches!(d, Damage::BadSnapshot { snapshot: s, .. } if *s == snapshot))
    );
}

#[test]
fn restic_is_content_with_our_copy_and_can_write_to_it() {
    let setup = written_by_restic();
    let target = setup.folder.path().join("copy");
    let copied = copy_all(&setup.repo, &target);
    assert_restic_is_content(&setup, &target);
    assert!(check_all(&copied).is_clean());
    restic(&target, &["backup", "--host", "h", setup.source.to_str().unwrap()]);
    assert_restic_is_content(&setup, &target);
    let back = copy_all(&copied, &setup.path);
    assert_eq!(back.snapshots().unwrap().len(), 3);
    assert_restic_is_content(&setup, &setup.path);
}

#[test]
fn restic_is_content_after_our_prune_and_has_nothing_left_to_prune() {
    let setup = written_by_restic();
    let size = || -> u64 {
        setup
            .repo
            .storage()
            .list(FileKind::Data)
            .unwrap()
            .iter()
            .map(|(_, size)| size)
            .sum()
    };
    let before = size();
    let old = setup.repo.snapshots().unwrap()[0].0;
    forget(&setup.repo, &[old]).unwrap();
    let options = MarkOptions {
        extra_roots: &[],
        max_dead_percent: 0,
        pack_size: 4 << 20,
        batch_bytes: 1 << 20,
        dry_run: false,
        workers: 2,
        progress: &NoProgress,
        cancel: &GO_ON,
    };
    let marked = mark(&setup.repo, &options).unwrap();
    assert!(!marked.condemned.is_empty());
    assert_restic_is_content(&setup, &setup.path);
    let grace = SignedDuration::from_hours(48);
    let options = SweepOptions {
        extra_roots: &[],
        dry_run: false,
        workers: 2,
        cancel: &GO_ON,
    };
    let swept = sweep(
        &setup.repo,
        now() + grace + SignedDuration::from_secs(1),
        grace,
        &options,
    )
    .unwrap();
    assert_eq!(swept.deleted.len(), marked.condemned.len());
    assert!(before - size() > 3 << 20);
    assert_restic_is_content(&setup, &setup.path);
    let said = restic(&setup.path, &["prune", "--dry-run", "--verbose"]);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for nothing in [
        "total prune: 0 blobs / 0 B",
        "to repack: 0 packs",
        "to delete: 0 packs",
        "unused packs: 0",
    ] {
        assert!(said.contains(nothing), "{nothing}: {said}");
    }
}

#[test]
fn restic_is_content_after_our_repair() {
    let setup = written_by_restic();
    let copied = copy_all(&setup.repo, &setup.folder.path().join("copy"));
    for (kind, folder) in [
        (FileKind::Data, "data"),
        (FileKind::Index, "index"),
        (FileKind::Snapshot, "snapshots"),
    ] {
        for (n, (id, size)) in setup.repo.storage().list(kind).unwrap().into_iter().enumerate() {
            let file = file_of(&setup.path, folder, &id);
            match n % 2 {
                1 if kind == FileKind::Data => fs::remove_file(file).unwrap(),
                _ => flip(&file, usize::try_from(size).unwrap() / 2),
            }
        }
    }
    assert!(!try_restic(&setup.path, &["check"]).0);
    let report = repair(&setup.repo, &copied, &check_all(&setup.repo).damages, &GO_ON).unwrap();
    assert_eq!(report.unrepairable, []);
    assert_restic_is_content(&setup, &setup.path);
}

#[test]
fn restic_and_we_respect_each_others_locks() {
    let setup = written_by_restic();
    let lock = Lock::acquire(&setup.repo, LockKind::Shared).unwrap();
    let (succeeded, said) = try_restic(&setup.path, &["prune"]);
    assert!(!succeeded && said.contains("locked"), "{said}");
    restic(&setup.path, &["snapshots"]);
    lock.release().unwrap();
    restic(&setup.path, &["prune"]);
    let lock = Lock::acquire(&setup.repo, LockKind::Exclusive).unwrap();
    let (succeeded, said) = try_restic(&setup.path, &["snapshots"]);
    assert!(!succeeded && said.contains("locked"), "{said}");
    drop(lock);
    assert_eq!(setup.repo.storage().list(FileKind::Lock).unwrap(), []);
    assert!(setup.repo.storage().size(&FileName::Config).unwrap().is_some());
}
