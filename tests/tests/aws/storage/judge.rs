//! restic as judge of repositories on S3, in both directions.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use holdfast_local::system_ambient;
use holdfast_repository::backup::{BackupOptions, backup};
use holdfast_repository::check::{CheckOptions, check};
use holdfast_repository::{InitOptions, NoProgress, Repository, Unlock};
use holdfast_sources::files::{FileTree, Patterns, RestoreOptions, restore};
use holdfast_tests::radosgw::{ACCESS_KEY, Radosgw, SECRET_KEY};

use super::world::Reach;
use crate::tools::{self, PASSWORD, Ran};

/// Runs restic on a repository in a bucket; it must succeed.
fn restic(repository: &str, arguments: &[&str]) -> Ran {
    let mut command = tools::restic_command(Path::new(repository));
    command
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    Ran::of(command.args(arguments)).ends(0)
}

/// Runs `holdfast repository` with what it needs to reach the server.
fn holdfast(repository: &Path, verb: &str, arguments: &[&dyn AsRef<OsStr>]) -> Ran {
    let mut command = tools::holdfast_command(verb, repository);
    command
        .env("AWS_ENDPOINT_URL_S3", Radosgw::shared().endpoint())
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    command.args(arguments.iter().map(AsRef::as_ref));
    Ran::of(&mut command)
}

struct Scene {
    folder: tempfile::TempDir,
    reach: Reach,
    bucket: String,
    /// As restic writes it.
    address: String,
}

impl Scene {
    fn new() -> Scene {
        let server = Radosgw::shared();
        let reach = Reach::to(&server.endpoint());
        let bucket = server.fresh_name();
        reach.make_bucket(&bucket, true);
        let folder = tempfile::tempdir().unwrap();
        tools::everything(&folder.path().join("source"));
        let address = format!("s3:{}/{bucket}/some/where", server.endpoint());
        Scene {
            folder,
            reach,
            bucket,
            address,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn storage(&self) -> Arc<holdfast_aws::storage::S3Storage> {
        Arc::new(self.reach.storage(&self.bucket, "some/where"))
    }
}

#[test]
fn restic_proves_and_restores_what_we_wrote() {
    let scene = Scene::new();
    let options = InitOptions {
        password: Some(PASSWORD),
        ..InitOptions::default()
    };
    let repository = Repository::init(scene.storage(), system_ambient(), &options).unwrap();
    let tree = FileTree::new(vec![scene.path("source")], Patterns::all()).unwrap();
    let cancel = AtomicBool::new(false);
    let options = BackupOptions::new((repository.ambient().now)(), &NoProgress, &cancel);
    let report = backup(&repository, &tree, &options).unwrap();
    assert_eq!(report.unread, []);

    restic(&scene.address, &["check", "--read-data"]).says("no errors were found");
    let target = scene.path("restored");
    restic(
        &scene.address,
        &["restore", "latest", "--target", target.to_str().unwrap()],
    );
    for name in ["noise", "prose", "sparse", "empty", "deep/er/est/file"] {
        let at = |root: &Path| std::fs::read(root.join(name)).unwrap();
        let source = scene.path("source");
        assert!(at(&source) == at(&tools::restored(&target, &source)), "{name}");
    }
}

#[test]
fn the_program_works_on_a_bucket_as_on_a_folder() {
    let scene = Scene::new();
    let repository = PathBuf::from(format!("s3://{}/some/where", scene.bucket));
    let run = |verb: &str, arguments: &[&dyn AsRef<OsStr>]| holdfast(&repository, verb, arguments);
    let (source, restored, copied) = (scene.path("source"), scene.path("restored"), scene.path("copied"));
    run("init", &[]).ends(0);
    run("init", &[]).ends(1).says("some/where");
    run("backup", &[&source]).ends(0);
    run("check", &[&"--read-data"]).ends(0);
    restic(&scene.address, &["check", "--read-data"]).says("no errors were found");
    run("restore", &[&"latest", &"--target", &restored]).ends(0);
    tools::assert_same(&source, &tools::restored(&restored, &source));
    run("copy", &[&"--to", &copied]).ends(0);
    tools::holdfast("check", &copied, &[&"--read-data"]).ends(0);
}

#[test]
fn the_program_backs_up_the_objects_below_a_prefix_and_restores_them_as_files() {
    let scene = Scene::new();
    let keys = ["2026/a.txt", "2026/deep/er/b.txt", "2027/c.txt"];
    for key in keys {
        scene.reach.put(&scene.bucket, key, key.as_bytes());
    }
    let objects = format!("s3://{}/2026", scene.bucket);
    let (repository, restored) = (scene.path("repository"), scene.path("restored"));
    let run = |verb: &str, arguments: &[&dyn AsRef<OsStr>]| holdfast(&repository, verb, arguments);
    run("init", &[]).ends(0);
    let refused = run("backup", &[&objects, &scene.path("source")]).ends(2);
    refused.says("is backed up by itself");
    run("backup", &[&objects]).ends(0).says("2 new");
    run("backup", &[&objects, &"--workers", &"2"])
        .ends(0)
        .says("2 unchanged");
    run("restore", &[&"latest", &"--target", &restored]).ends(0);
    let below = restored.join(&scene.bucket);
    for key in &keys[..2] {
        assert_eq!(std::fs::read(below.join(key)).unwrap(), key.as_bytes(), "{key}");
    }
    assert!(!below.join("2027").exists());
    let missing = format!("s3://{}-not/2026", scene.bucket);
    run("backup", &[&missing])
        .ends(1)
        .says(&format!("{}-not", scene.bucket));
}

#[test]
fn we_prove_and_restore_what_restic_wrote() {
    let scene = Scene::new();
    restic(&scene.address, &["init"]);
    let source = scene.path("source");
    restic(&scene.address, &["backup", source.to_str().unwrap()]);

    let repository = Repository::open(scene.storage(), system_ambient(), Unlock::Password(PASSWORD)).unwrap();
    let cancel = AtomicBool::new(false);
    let options = CheckOptions {
        read_data: true,
        snapshots: None,
        workers: 2,
        progress: &NoProgress,
        cancel: &cancel,
        ledger: None,
    };
    let report = check(&repository, &options).unwrap();
    assert!(report.is_clean() && report.bytes_read > 9_000_000, "{report:?}");
    let snapshots = repository.snapshots().unwrap();
    let [(snapshot, _)] = snapshots.as_slice() else {
        panic!("{snapshots:?}")
    };
    let index = repository.load_index().unwrap();
    let options = RestoreOptions {
        subfolder: Some(source.clone()),
        ..RestoreOptions::new(&cancel)
    };
    let report = restore(&repository, &index, snapshot, &scene.path("restored"), &options).unwrap();
    assert!(report.is_complete(), "{report:?}");
    tools::assert_same(&source, &scene.path("restored"));
}
