//! Damage of every kind: found, named down to the file, and never restored as if it were right.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use holdfast_repository::Id;
use holdfast_repository::pack::BlobKind;

use crate::tools::*;

struct Setup {
    folder: tempfile::TempDir,
    source: PathBuf,
    repo: PathBuf,
}

/// A repository with two snapshots; the file `victim` is alone in the data packs of the second.
fn setup() -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let (source, repo) = (folder.path().join("source"), folder.path().join("repo"));
    fs::create_dir_all(source.join("sub")).unwrap();
    fs::write(source.join("bystander"), noise(1, 3_000_000)).unwrap();
    holdfast("init", &repo, &[]).ends(0);
    holdfast("backup", &repo, &[&source]).ends(0);
    fs::write(source.join("sub/victim"), noise(2, 3_000_000)).unwrap();
    holdfast("backup", &repo, &[&source]).ends(0);
    Setup { folder, source, repo }
}

impl Setup {
    /// The newest snapshot.
    fn snapshot(&self) -> String {
        let listed = holdfast("snapshots", &self.repo, &[&"--json"]).ends(0).json();
        listed[1]["snapshot"].as_str().unwrap().to_owned()
    }

    /// The pack that holds a blob of the victim, or the tree of the folder it is in.
    fn pack(&self, kind: BlobKind) -> (Id, PathBuf) {
        let repository = open(&self.repo);
        let index = repository.load_index().unwrap();
        let (_, snapshot) = repository.find_snapshot("latest").unwrap();
        let mut tree = snapshot.tree;
        let mut blob = tree;
        for part in self.source.strip_prefix("/").unwrap().join("sub/victim").components() {
            let nodes = repository.load_tree(&index, &tree).unwrap();
            let node = nodes.find(part.as_os_str().as_encoded_bytes()).unwrap().clone();
            match (kind, node.subtree, node.content) {
                (_, Some(subtree), _) => (tree, blob) = (subtree, subtree),
                (BlobKind::Data, None, Some(content)) => blob = content[0],
                _ => {}
            }
        }
        let pack = index.lookup(kind, &blob).unwrap().pack;
        (pack, self.object("data", &pack.to_string()))
    }

    fn object(&self, kind: &str, id: &str) -> PathBuf {
        match kind {
            "data" => self.repo.join(kind).join(&id[..2]).join(id),
            _ => self.repo.join(kind).join(id),
        }
    }

    fn pack_count(&self) -> usize {
        files(&self.repo.join("data"))
            .iter()
            .map(|folder| files(folder).len())
            .sum()
    }

    fn check(&self, arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Ran {
        holdfast("check", &self.repo, arguments)
    }

    fn victim(&self) -> String {
        self.source.join("sub/victim").display().to_string()
    }

    /// Restores the newest snapshot, which must name the victim and restore all else; a second try must do the same.
    fn restore_names_the_victim(&self) {
        let target = self.folder.path().join("out");
        for _ in 0..2 {
            let victim = format!("{}{}", target.display(), self.victim());
            holdfast("restore", &self.repo, &[&"latest", &"--target", &target])
                .ends(3)
                .says(&victim);
        }
        let bystander = restored(&target, &self.source).join("bystander");
        assert_eq!(
            fs::read(bystander).unwrap(),
            fs::read(self.source.join("bystander")).unwrap()
        );
    }
}

fn flip(file: &Path, at: u64) {
    let open = OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    open.read_exact_at(&mut byte, at).unwrap();
    open.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

/// The one file of a folder that was not there before.
fn only_file(folder: &Path, newer_than: &[PathBuf]) -> PathBuf {
    let mut files = files(folder);
    files.retain(|file| !newer_than.contains(file));
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[test]
fn a_flipped_bit_in_file_content_is_found_by_reading_and_named() {
    let setup = setup();
    let (pack, file) = setup.pack(BlobKind::Data);
    flip(&file, 1000);
    // The structure alone does not show it.
    setup.check(&[]).ends(0);
    let ran = setup.check(&[&"--read-data"]).ends(1).says(&pack.to_string());
    let snapshot = setup.snapshot();
    ran.says(&format!("snapshot {}: {}\n", &snapshot[..8], setup.victim()));
    let report = setup.check(&[&"--read-data", &"--json"]).ends(1).json();
    assert_eq!(report["clean"], false);
    assert_eq!(report["affected"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(report["affected"][0]["path"], setup.victim());
    assert_eq!(report["affected"][0]["snapshot"], snapshot.as_str());
    setup.restore_names_the_victim();
}

#[test]
fn a_flipped_bit_in_a_folder_is_found_without_reading_data() {
    let setup = setup();
    let (_, file) = setup.pack(BlobKind::Tree);
    flip(&file, 40);
    setup.check(&[]).ends(1).says("DAMAGED");
    setup.check(&[&"--read-data"]).ends(1).says("DAMAGED");
}

#[test]
fn a_missing_pack_is_found_and_its_files_named() {
    let setup = setup();
    let (pack, file) = setup.pack(BlobKind::Data);
    fs::remove_file(file).unwrap();
    setup
        .check(&[])
        .ends(1)
        .says(&format!("pack {pack} is missing"))
        .says(&setup.victim());
    setup.restore_names_the_victim();
    let target = setup.repo.with_file_name("copy");
    holdfast("copy", &setup.repo, &[&"--to", &target])
        .ends(3)
        .says(&setup.snapshot()[..8]);
    holdfast("check", &target, &[&"--read-data"])
        .ends(0)
        .says("1 snapshots");
    // Pruning what is damaged could make it worse.
    holdfast("prune", &setup.repo, &[&"--grace", &"0s"])
        .ends(1)
        .says("repair it first");
}

#[test]
fn a_pack_that_was_cut_short_is_found_and_its_files_named() {
    let setup = setup();
    let (pack, file) = setup.pack(BlobKind::Data);
    let size = fs::metadata(&file).unwrap().len();
    OpenOptions::new()
        .write(true)
        .open(&file)
        .unwrap()
        .set_len(1000)
        .unwrap();
    setup
        .check(&[])
        .ends(1)
        .says(&format!("pack {pack} has 1000 bytes where {size} belong"))
        .says(&setup.victim());
    setup.check(&[&"--read-data"]).ends(1).says(&setup.victim());
    setup.restore_names_the_victim();
}

#[test]
fn a_flipped_bit_in_an_index_file_is_found_and_named() {
    let setup = setup();
    let before = files(&setup.repo.join("index"));
    fs::write(setup.source.join("third"), noise(3, 100_000)).unwrap();
    holdfast("backup", &setup.repo, &[&setup.source]).ends(0);
    let index = only_file(&setup.repo.join("index"), &before);
    flip(&index, 50);
    let name = index.file_name().unwrap().to_str().unwrap();
    let third = setup.source.join("third").display().to_string();
    for arguments in [&[][..], &[&"--read-data" as &dyn AsRef<_>]] {
        let ran = setup.check(arguments).ends(1).says(name);
        // All that only this index file knew cannot be found: the newest snapshot as a whole.
        assert!(
            ran.out.contains(&third) || ran.out.lines().any(|line| line.ends_with(": /")),
            "{ran}"
        );
    }
    let target = setup.folder.path().join("out");
    holdfast("restore", &setup.repo, &[&"latest", &"--target", &target])
        .ends(1)
        .says(name);
    holdfast("backup", &setup.repo, &[&setup.source]).ends(1).says(name);
    holdfast("prune", &setup.repo, &[&"--grace", &"0s"]).ends(1).says(name);
}

#[test]
fn a_damaged_snapshot_is_found_and_named() {
    let setup = setup();
    let (id, packs) = (setup.snapshot(), setup.pack_count());
    flip(&setup.object("snapshots", &id), 60);
    setup.check(&[]).ends(1).says(&id);
    holdfast("snapshots", &setup.repo, &[]).ends(1).says(&id);
    holdfast("prune", &setup.repo, &[&"--grace", &"0s"]).ends(1).says(&id);
    assert_eq!(setup.pack_count(), packs);
}

#[test]
fn a_config_that_was_cut_short_or_damaged_is_refused_and_named() {
    let setup = setup();
    let config = setup.repo.join("config");
    let whole = fs::read(&config).unwrap();
    for bytes in [&whole[..20], &whole[..whole.len() - 1], b""] {
        fs::write(&config, bytes).unwrap();
        for verb in ["check", "snapshots"] {
            holdfast(verb, &setup.repo, &[]).ends(1).says("config").says("damaged");
        }
    }
    fs::write(&config, &whole).unwrap();
    flip(&config, 30);
    holdfast("backup", &setup.repo, &[&setup.source])
        .ends(1)
        .says("config")
        .says("damaged");
}

#[test]
fn what_is_no_repository_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("foreign")).unwrap();
    fs::write(at("foreign/file"), "x").unwrap();
    for verb in ["check", "snapshots", "prune"] {
        for place in ["foreign", "nowhere"] {
            holdfast(verb, &at(place), &[])
                .ends(1)
                .says("no repository at")
                .says(place);
        }
        holdfast(verb, &at("foreign/file"), &[]).ends(1).says("foreign/file");
    }
    holdfast("backup", &at("nowhere"), &[&at("foreign")])
        .ends(1)
        .says("no repository at");
    assert!(!at("nowhere").exists());
    assert_eq!(files(&at("foreign")).len(), 1);
    holdfast("init", &at("repo"), &[]).ends(0);
    holdfast("init", &at("repo"), &[])
        .ends(1)
        .says("already is a repository");
    holdfast("init", &at("other"), &[]).ends(0);
    holdfast("copy", &at("repo"), &[&"--to", &at("other")])
        .ends(2)
        .says("another repository");
}

#[test]
fn a_wrong_or_missing_password_is_said_so_and_never_shown() {
    let setup = setup();
    let ran = |change: &dyn Fn(&mut Command) -> &mut Command| {
        let mut command = holdfast_command("check", &setup.repo);
        change(&mut command);
        Ran::of(&mut command)
    };
    let secret = "not the password";
    let wrong = ran(&|command| command.env("HOLDFAST_PASSWORD", secret));
    assert!(!wrong.err.contains(secret) && !wrong.out.contains(secret), "{wrong}");
    wrong.ends(1).says("wrong password");
    ran(&|command| command.env_remove("HOLDFAST_PASSWORD"))
        .ends(2)
        .says("--password-file")
        .says("HOLDFAST_PASSWORD");
    ran(&|command| command.arg("--password-file").arg(setup.source.join("none")))
        .ends(2)
        .says("none");
    fs::write(setup.source.join("blank"), "\nsecond\n").unwrap();
    ran(&|command| command.arg("--password-file").arg(setup.source.join("blank")))
        .ends(2)
        .says("no password in its first line");
}

#[test]
fn arguments_that_make_no_sense_are_refused_as_such() {
    let setup = setup();
    holdfast("backup", &setup.repo, &[]).ends(2);
    holdfast("backup", &setup.repo, &[&setup.source, &"--exclude", &"[a"])
        .ends(2)
        .says("[a");
    holdfast(
        "backup",
        &setup.repo,
        &[&setup.source, &"--full", &"--parent", &"latest"],
    )
    .ends(2);
    holdfast("backup", &setup.repo, &[&setup.source, &setup.source.join("sub")])
        .ends(2)
        .says("leave one of them out");
    holdfast("backup", &setup.repo, &[&setup.source.join("none")])
        .ends(1)
        .says("none");
    holdfast("prune", &setup.repo, &[&"--grace", &"soon"])
        .ends(2)
        .says("soon");
    holdfast("ls", &setup.repo, &[&"0123456789"]).ends(1).says("0123456789");
    holdfast("forget", &setup.repo, &[&"latest", &"zzz"])
        .ends(1)
        .says("zzz");
    assert_eq!(
        holdfast("snapshots", &setup.repo, &[&"--json"])
            .json()
            .as_array()
            .unwrap()
            .len(),
        2
    );
    holdfast("restore", &setup.repo, &[&"latest", &"--target", &setup.source])
        .ends(2)
        .says("not empty");
}
