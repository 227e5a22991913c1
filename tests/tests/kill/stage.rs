//! What the kills are done on: two states of a folder, repositories that open fast, and what must be true of them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use holdfast_local::system_ambient;
use holdfast_repository::check::{CheckOptions, CheckReport, check};
use holdfast_repository::crypto::MasterKey;
use holdfast_repository::index::Index;
use holdfast_repository::storage::{DiskStorage, FileKind, FileName, Storage};
use holdfast_repository::{Id, InitOptions, NoProgress, Repository};
use holdfast_sources::files::{Manifest, RestoreOptions, restore};
use tempfile::TempDir;

use crate::tools::*;

/// Free memory that makes it worth working there.
const ENOUGH: u64 = 2 << 30;

/// A folder to work in: in memory where there is room, since nothing here depends on a disk that keeps its promises,
/// and hundreds of commands would wait for one.
pub fn work_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let roomy = rustix::fs::statvfs(memory).is_ok_and(|stat| stat.f_bavail * stat.f_frsize > ENOUGH);
    if roomy && let Ok(folder) = tempfile::tempdir_in(memory) {
        return folder;
    }
    tempfile::tempdir().unwrap()
}

/// The first state of the folder: many small files.
pub fn first_state(source: &Path) {
    for folder in 0..20_u64 {
        let path = source.join(format!("folder {folder}/sub"));
        fs::create_dir_all(&path).unwrap();
        for file in 0..10 {
            fs::write(
                path.join(format!("small {file}")),
                noise(1 + folder * 100 + file, 5_000),
            )
            .unwrap();
        }
        symlink("sub/small 1", source.join(format!("folder {folder}/link"))).unwrap();
    }
    fs::write(source.join("grows"), prose(1, 100_000)).unwrap();
}

/// The second state: some of the small files changed, and much larger ones appeared.
pub fn second_state(source: &Path) {
    for folder in 0..20_u64 {
        fs::write(
            source.join(format!("folder {folder}/sub/small 3")),
            noise(9_000 + folder, 6_000),
        )
        .unwrap();
    }
    for large in 0..4 {
        fs::write(source.join(format!("large {large}")), noise(50 + large, 5_000_000)).unwrap();
        fs::write(source.join(format!("prose {large}")), prose(60 + large, 2_000_000)).unwrap();
    }
    fs::write(source.join("grows"), prose(1, 900_000)).unwrap();
}

/// A repository whose key file costs nothing to open, so that the kills hit the work and not the hashing of the password.
pub fn init(repo: &Path) -> Repository {
    let ambient = system_ambient();
    let salt: [u8; 64] = ambient.random();
    let mut random = [0; 64];
    let params = scrypt::Params::new(1, 8, 1).unwrap();
    scrypt::scrypt(PASSWORD.as_bytes(), &salt, &params, &mut random).unwrap();
    for (at, mask) in [(3, 15), (7, 15), (11, 15), (15, 15), (4, 252), (8, 252), (12, 252)] {
        random[48 + at] &= mask;
    }
    let [encrypt, k, r] = [&random[..32], &random[32..48], &random[48..]].map(|part| BASE64.encode(part));
    let json = format!("{{\"mac\":{{\"k\":\"{k}\",\"r\":\"{r}\"}},\"encrypt\":\"{encrypt}\"}}");
    let password_key = MasterKey::from_json(json.as_bytes()).unwrap();
    let mut data = Vec::new();
    password_key.seal(&MasterKey::generate(&ambient).to_json(), ambient.random(), &mut data);
    let (salt, data) = (BASE64.encode(salt), BASE64.encode(data));
    let file = format!(
        "{{\"created\":\"2026-01-01T00:00:00Z\",\"username\":\"u\",\"hostname\":\"h\",\"kdf\":\"scrypt\",\"N\":2,\"r\":8,\
         \"p\":1,\"salt\":\"{salt}\",\"data\":\"{data}\"}}"
    );
    let storage = Arc::new(DiskStorage::open_or_create(repo).unwrap());
    let name = FileName::Object(FileKind::Key, Id::of(file.as_bytes()));
    storage.put(&name, file.as_bytes()).unwrap();
    let options = InitOptions {
        password: Some(PASSWORD),
        ..InitOptions::default()
    };
    Repository::init(storage, ambient, &options).unwrap()
}

/// A repository with two snapshots and their manifests.
pub struct Stage {
    pub folder: TempDir,
    pub source: PathBuf,
    pub repo: PathBuf,
    pub manifests: Vec<Manifest>,
}

impl Stage {
    /// A folder in its first state, backed up.
    pub fn first() -> Stage {
        let folder = work_folder();
        let (source, repo) = (folder.path().join("source"), folder.path().join("repo"));
        first_state(&source);
        init(&repo);
        let mut stage = Stage {
            folder,
            source,
            repo,
            manifests: Vec::new(),
        };
        stage.back_up();
        stage
    }

    /// The folder in its second state, both backed up.
    pub fn second() -> Stage {
        let mut stage = Stage::first();
        second_state(&stage.source);
        stage.back_up();
        stage
    }

    pub fn back_up(&mut self) {
        Ran::of(&mut self.backup(&self.repo)).ends(0);
        self.manifests.push(Manifest::of(&self.source).unwrap());
    }

    pub fn backup(&self, repo: &Path) -> Command {
        let mut command = holdfast_command("backup", repo);
        command.arg(&self.source);
        command
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A copy of a repository in its place. The files are shared, as nothing ever changes one.
    pub fn fresh(&self, repo: &Path, name: &str) -> PathBuf {
        let copy = self.at(name);
        drop(fs::remove_dir_all(&copy));
        share(repo, &copy);
        copy
    }

    /// Requires that the repository is whole to the last byte, and that each of its snapshots restores to the manifest
    /// at the same place in `manifests`; snapshots of a state that has several count once.
    pub fn require_whole(&self, repo: &Path, manifests: &[&Manifest], told: &dyn Fn() -> String) -> CheckReport {
        let repository = open(repo);
        let report = checked(&repository);
        assert!(report.is_clean(), "{}: {:?}", told(), report.damages);
        let index = repository.load_index().unwrap();
        let mut trees = Vec::new();
        for (id, snapshot) in repository.snapshots().unwrap() {
            // Snapshots of the same state differ in the folders above the source, which change all the time.
            let tree = self.source_tree(&repository, &index, snapshot.tree);
            if trees.contains(&tree) {
                continue;
            }
            let manifest = manifests.get(trees.len());
            let manifest = manifest.unwrap_or_else(|| panic!("{}: snapshot {id} is one too many", told()));
            trees.push(tree);
            let target = tempfile::tempdir_in(self.folder.path()).unwrap();
            let cancel = AtomicBool::new(false);
            let options = RestoreOptions {
                subfolder: Some(self.source.clone()),
                ..RestoreOptions::new(&cancel)
            };
            let restored = restore(&repository, &index, &id, target.path(), &options).unwrap();
            assert!(restored.is_complete(), "{}: {:?}", told(), restored.failures);
            assert_is(manifest, target.path());
        }
        assert_eq!(trees.len(), manifests.len(), "{}: a snapshot is gone", told());
        report
    }

    fn source_tree(&self, repository: &Repository, index: &Index, root: Id) -> Id {
        self.source.strip_prefix("/").unwrap().iter().fold(root, |tree, name| {
            let tree = repository.load_tree(index, &tree).unwrap();
            tree.find(name.as_encoded_bytes()).unwrap().subtree.unwrap()
        })
    }
}

pub fn checked(repository: &Repository) -> CheckReport {
    let cancel = AtomicBool::new(false);
    let options = CheckOptions {
        read_data: true,
        snapshots: None,
        workers: 2,
        progress: &NoProgress,
        cancel: &cancel,
        ledger: None,
    };
    check(repository, &options).unwrap()
}

fn share(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            share(&entry.path(), &to);
        } else {
            fs::hard_link(entry.path(), to).unwrap();
        }
    }
}

/// Every file below a folder.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_below(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

/// Requires that nobody's lock and no half-written file is left.
pub fn require_tidy(repo: &Path, told: &dyn Fn() -> String) {
    let left: Vec<PathBuf> = files_below(repo)
        .into_iter()
        .filter(|file| {
            file.starts_with(repo.join("locks")) || file.file_name().unwrap().as_encoded_bytes().starts_with(b".")
        })
        .collect();
    assert!(left.is_empty(), "{}: left behind: {left:?}", told());
}
