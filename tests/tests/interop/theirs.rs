//! Repositories that restic made, in our hands.

use std::fs;
use std::path::Path;

use holdfast_repository::Tree;
use holdfast_repository::pack::BlobKind;

use crate::setup::Setup;
use crate::tools::*;

/// A repository of restic with three snapshots of the same source, which grew meanwhile: compressed, uncompressed, and
/// compressed as well as restic can.
fn setup() -> Setup {
    let setup = Setup::new();
    restic(&setup.repo, &[&"init", &"--repository-version", &"2"]);
    for (number, compression) in ["auto", "off", "max"].into_iter().enumerate() {
        fs::write(
            setup.source.join(format!("prose {number}")),
            prose(10 + number as u64, 3_000_000),
        )
        .unwrap();
        let tags = format!("{compression},odd \"tag\" <&> ü");
        restic(
            &setup.repo,
            &[
                &"backup",
                &setup.source,
                &"--compression",
                &compression,
                &"--tag",
                &tags,
            ],
        );
    }
    setup
}

fn check_and_restore(setup: &Setup) {
    let report = holdfast("check", &setup.repo, &[&"--read-data", &"--json"])
        .ends(0)
        .json();
    assert_eq!(report["snapshots"], 3, "{report}");
    holdfast("restore", &setup.repo, &[&"latest", &"--target", &setup.out]).ends(0);
    assert_same(&setup.source, &restored(&setup.out, &setup.source));
}

#[test]
fn what_restic_wrote_we_prove_and_restore() {
    check_and_restore(&setup());
}

#[test]
fn snapshots_of_restic_keep_their_tags_and_paths() {
    let setup = setup();
    let listed = holdfast("snapshots", &setup.repo, &[&"--json"]).ends(0).json();
    let tags: Vec<&str> = (0..3).map(|at| listed[at]["tags"][0].as_str().unwrap()).collect();
    assert_eq!(tags, ["auto", "off", "max"]);
    for at in 0..3 {
        assert_eq!(listed[at]["tags"][1], "odd \"tag\" <&> ü");
        assert_eq!(listed[at]["paths"][0], setup.source.to_str().unwrap());
    }
    holdfast("snapshots", &setup.repo, &[])
        .ends(0)
        .says("odd \"tag\" <&> ü");
}

#[test]
fn every_tree_of_restic_is_written_back_byte_for_byte() {
    let setup = setup();
    let repository = open(&setup.repo);
    let index = repository.load_index().unwrap();
    let mut trees = 0;
    for (kind, id, _) in index.iter() {
        if kind == BlobKind::Tree {
            let stored = repository.load_blob(&index, kind, &id).unwrap();
            let tree = Tree::decode(&stored).unwrap();
            let again = tree.encode().unwrap();
            assert_eq!(
                String::from_utf8_lossy(&stored),
                String::from_utf8_lossy(&again),
                "tree {id}"
            );
            assert_eq!(stored, again);
            assert!(tree.lossless);
            trees += 1;
        }
    }
    assert!(trees > 15, "{trees}");
}

#[test]
fn a_second_key_of_restic_opens_the_repository_too() {
    let setup = setup();
    let second = setup.repo.with_file_name("second password");
    fs::write(&second, "the other one\nanother line\n").unwrap();
    let first_line = setup.repo.with_file_name("first line");
    fs::write(&first_line, "the other one").unwrap();
    restic(&setup.repo, &[&"key", &"add", &"--new-password-file", &first_line]);
    let with = |password: &Path| {
        let mut command = holdfast_command("check", &setup.repo);
        command
            .env_remove("HOLDFAST_PASSWORD")
            .arg("--password-file")
            .arg(password);
        Ran::of(&mut command)
    };
    with(&second).ends(0);
    fs::write(&second, "a third one\n").unwrap();
    with(&second).ends(1).says("wrong password").says("2 key files");
    check_and_restore(&setup);
}

#[test]
fn we_back_up_into_the_repository_of_restic() {
    let setup = setup();
    fs::write(setup.source.join("added"), "new").unwrap();
    let backup = holdfast("backup", &setup.repo, &[&setup.source, &"--json"])
        .ends(0)
        .json();
    assert_eq!(
        (&backup["files_new"], &backup["files_changed"]),
        (&1.into(), &0.into()),
        "{backup}"
    );
    holdfast("backup", &setup.repo, &[&setup.source, &"--full"]).ends(0);
    restic(&setup.repo, &[&"check", &"--read-data"]).says("no errors were found");
    restic(&setup.repo, &[&"restore", &"latest", &"--target", &setup.out]);
    assert_same(&setup.source, &restored(&setup.out, &setup.source));
}
