//! Repositories made to write where they must not. They are built through the library from trees that no honest program
//! writes; every one is refused by name, and nothing changes outside the target.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_local::system_ambient;
use holdfast_repository::index::IndexPack;
use holdfast_repository::pack::{BlobKind, PackBuilder, SealedPack};
use holdfast_repository::storage::{DiskStorage, FileKind};
use holdfast_repository::{Id, InitOptions, NodeTime, Repository, Snapshot};
use holdfast_sources::files::Manifest;

use crate::tools::*;

const PLANTED: &str = "planted by the repository";

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let world = World {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(world.at("world/outside")).unwrap();
        fs::write(world.at("world/canary"), "alive").unwrap();
        fs::write(world.at("world/outside/canary"), "alive").unwrap();
        world
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn repo(&self) -> PathBuf {
        self.at("repo")
    }

    fn target(&self) -> PathBuf {
        self.at("world/target")
    }

    /// All there is outside the target and the repository.
    fn outside(&self) -> Manifest {
        let mut manifest = Manifest::of(&self.at("world")).unwrap();
        manifest
            .entries
            .retain(|path, _| !path.starts_with("target") && path != ".");
        manifest
    }

    /// Restores, with what stands outside watched.
    fn restore(&self, arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Ran {
        let before = self.outside();
        let target = self.target();
        let mut all: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"latest", &"--target", &target];
        all.extend(arguments);
        let ran = holdfast("restore", &self.repo(), &all);
        assert_eq!(
            before,
            self.outside(),
            "something was written outside the target\n{ran}"
        );
        ran
    }
}

/// Writes blobs, an index and snapshots as any program with the key could.
struct Forger {
    repository: Repository,
    seconds: i64,
}

impl Forger {
    fn new(repo: &Path) -> Forger {
        let options = InitOptions {
            password: Some(PASSWORD),
            ..InitOptions::default()
        };
        let storage = Arc::new(DiskStorage::open_or_create(repo).unwrap());
        Forger {
            repository: Repository::init(storage, system_ambient(), &options).unwrap(),
            seconds: 1_700_000_000,
        }
    }

    fn save(&self, kind: BlobKind, bytes: &[u8]) -> Id {
        let (key, ambient) = (self.repository.key(), self.repository.ambient());
        let mut pack = PackBuilder::default();
        let id = Id::of(bytes);
        pack.add(key, ambient, (kind, id), bytes, None).unwrap();
        let SealedPack { bytes, blobs } = pack.seal(key, ambient).unwrap();
        let (pack, _) = self.repository.storage().put_unnamed(FileKind::Data, bytes).unwrap();
        self.repository.save_index(&[IndexPack { id: pack, blobs }]).unwrap();
        id
    }

    fn tree(&self, nodes: &[String]) -> Id {
        self.save(
            BlobKind::Tree,
            format!("{{\"nodes\":[{}]}}\n", nodes.join(",")).as_bytes(),
        )
    }

    /// A file with [`PLANTED`] in it; `name` is written as it stands in the JSON.
    fn file(&self, name: &str) -> String {
        let content = self.save(BlobKind::Data, PLANTED.as_bytes());
        let more = format!("\"size\":{},\"content\":[\"{content}\"]", PLANTED.len());
        node(name, "file", 0o644, &more)
    }

    /// A snapshot that is the newest.
    fn snapshot(&mut self, nodes: &[String]) {
        self.seconds += 1;
        let snapshot = Snapshot {
            time: NodeTime::utc(self.seconds, 0),
            parent: None,
            tree: self.tree(nodes),
            paths: vec!["/".into()],
            hostname: "forger".into(),
            username: "forger".into(),
            uid: 0,
            gid: 0,
            excludes: Vec::new(),
            tags: Vec::new(),
            original: None,
            program_version: String::new(),
            summary: None,
        };
        self.repository.save_snapshot(&snapshot).unwrap();
    }
}

fn node(name: &str, kind: &str, mode: u32, more: &str) -> String {
    let time = "2020-01-01T00:00:00Z";
    format!(
        "{{\"name\":\"{name}\",\"type\":\"{kind}\",\"mode\":{mode},\"mtime\":\"{time}\",\"atime\":\"{time}\",\
         \"ctime\":\"{time}\",\"uid\":0,\"gid\":0,{more}}}"
    )
}

fn folder(name: &str, tree: &Id) -> String {
    node(
        name,
        "dir",
        (1 << 31) | 0o755,
        &format!("\"content\":null,\"subtree\":\"{tree}\""),
    )
}

fn link(name: &str, target: &Path) -> String {
    let more = format!("\"linktarget\":\"{}\",\"content\":null", target.display());
    node(name, "symlink", (1 << 27) | 0o777, &more)
}

#[test]
fn names_that_lead_elsewhere_are_refused_and_the_rest_is_restored() {
    let world = World::new();
    let absolute = world.at("world/planted").display().to_string();
    let names = [
        "..",
        ".",
        "",
        "../planted",
        "../../planted",
        "a/b",
        "/planted",
        &absolute,
        "nul\\\\x00byte",
    ];
    let mut forger = Forger::new(&world.repo());
    for name in names {
        let file = forger.tree(&[forger.file(name)]);
        let below = forger.tree(&[folder(name, &forger.tree(&[forger.file("planted")]))]);
        forger.snapshot(&[folder("evil", &file), folder("evil too", &below), forger.file("good")]);
        let ran = world.restore(&[&"--overwrite"]).ends(3);
        let shown = name.replace("\\\\x00", "\0");
        for evil in ["evil", "evil too"] {
            let line = |line: &&str| line.contains(&format!("{}/{evil}: ", world.target().display()));
            let named = ran
                .out
                .lines()
                .find(line)
                .unwrap_or_else(|| panic!("{name}: not named\n{ran}"));
            assert!(named.contains(&format!("`{shown}`")), "{name}\n{ran}");
            assert_eq!(
                fs::read_dir(world.target().join(evil)).map_or(0, Iterator::count),
                0,
                "{name}\n{ran}"
            );
        }
        assert_eq!(fs::read_to_string(world.target().join("good")).unwrap(), PLANTED);
        holdfast("check", &world.repo(), &[])
            .ends(1)
            .says(&format!("`{shown}`"));
        holdfast("ls", &world.repo(), &[&"latest"])
            .ends(1)
            .says(&format!("`{shown}`"));
    }
}

#[test]
fn a_bad_name_at_the_root_stops_the_restore() {
    let world = World::new();
    let mut forger = Forger::new(&world.repo());
    forger.snapshot(&[forger.file("../planted"), forger.file("good")]);
    world.restore(&[]).ends(1).says("`../planted`");
    assert!(!world.target().exists());
}

#[test]
fn a_link_and_a_folder_of_one_name_are_refused() {
    let world = World::new();
    let outside = world.at("world/outside");
    let mut forger = Forger::new(&world.repo());
    let below = forger.tree(&[forger.file("planted")]);
    for nodes in [
        vec![link("d", &outside), folder("d", &below)],
        vec![folder("d", &below), link("d", &outside)],
        vec![link("e", &outside), folder("d", &below)],
    ] {
        forger.snapshot(&[folder("evil", &forger.tree(&nodes)), forger.file("good")]);
        world.restore(&[&"--overwrite"]).ends(3).says("`d`").says("ascending");
        assert_eq!(fs::read_to_string(world.target().join("good")).unwrap(), PLANTED);
    }
}

#[test]
fn a_link_that_an_earlier_snapshot_put_there_is_not_followed() {
    let world = World::new();
    let outside = world.at("world/outside");
    let mut forger = Forger::new(&world.repo());
    forger.snapshot(&[link("canary", &outside.join("canary")), link("d", &outside)]);
    world.restore(&[]).ends(0);
    forger.snapshot(&[folder(
        "d",
        &forger.tree(&[forger.file("canary"), forger.file("planted")]),
    )]);
    world
        .restore(&[&"--overwrite"])
        .ends(1)
        .says("is a symbolic link")
        .says("/d ");
    // A file in the place of a link replaces the link, not what it points to.
    forger.snapshot(&[forger.file("canary")]);
    world.restore(&[&"--overwrite"]).ends(0);
    let canary = world.target().join("canary");
    assert!(!canary.is_symlink());
    assert_eq!(fs::read_to_string(canary).unwrap(), PLANTED);
}

#[test]
fn a_file_that_claims_to_be_another_name_of_a_link_writes_nothing_through_it() {
    let world = World::new();
    let canary = world.at("world/canary");
    let mut forger = Forger::new(&world.repo());
    let same = |node: String| {
        node.replace(
            "\"uid\":0",
            "\"uid\":0,\"gid\":0,\"inode\":5,\"device_id\":7,\"links\":2",
        )
    };
    let same = |node: String| same(node).replacen(",\"gid\":0,\"inode\"", ",\"inode\"", 1);
    forger.snapshot(&[same(link("a", &canary)), same(forger.file("b"))]);
    let ran = world.restore(&[]);
    assert!(matches!(ran.code, Some(0 | 3)), "{ran}");
}

#[test]
fn an_entry_named_like_the_marker_of_a_restore_is_refused() {
    let world = World::new();
    let mut forger = Forger::new(&world.repo());
    forger.snapshot(&[forger.file(".holdfast-restore.json"), forger.file("good")]);
    world.restore(&[]).ends(3).says(".holdfast-restore.json: ");
    assert_eq!(fs::read_to_string(world.target().join("good")).unwrap(), PLANTED);
}
