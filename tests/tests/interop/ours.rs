//! Repositories that `holdfast` made, in restic's hands.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::setup::Setup;
use crate::tools::*;

/// A source with everything, and a repository with a snapshot of it.
fn setup() -> Setup {
    let setup = Setup::new();
    holdfast("init", &setup.repo, &[]).ends(0);
    holdfast("backup", &setup.repo, &[&setup.source]).ends(0);
    setup
}

fn lines(ran: &Ran) -> Vec<Value> {
    ran.out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn restic_finds_no_fault_with_our_repository() {
    let setup = setup();
    restic(&setup.repo, &[&"check", &"--read-data"]).says("no errors were found");
    restic(&setup.repo, &[&"prune", &"--dry-run"]);
    restic(&setup.repo, &[&"stats", &"--mode", &"raw-data"]);
    let stats = restic(&setup.repo, &[&"stats", &"--json"]).json();
    assert!(stats["total_size"].as_u64() > Some(36_000_000), "{stats}");
    let config = restic(&setup.repo, &[&"cat", &"config"]).json();
    assert_eq!(config["version"], 2);
    let id = holdfast("snapshots", &setup.repo, &[&"--json"]).json()[0]["snapshot"].clone();
    let snapshot = restic(&setup.repo, &[&"cat", &"snapshot", &id.as_str().unwrap()]).json();
    assert_eq!(snapshot["paths"][0], setup.source.to_str().unwrap());
}

#[test]
fn restic_restores_our_snapshot_to_the_last_attribute() {
    let setup = setup();
    restic(&setup.repo, &[&"restore", &"latest", &"--target", &setup.out]);
    assert_same(&setup.source, &restored(&setup.out, &setup.source));
}

#[test]
fn we_restore_our_snapshot_to_the_last_attribute() {
    let setup = setup();
    let ran = holdfast("restore", &setup.repo, &[&"latest", &"--target", &setup.out]).ends(0);
    assert!(!ran.out.contains("not in every respect"), "{ran}");
    assert_same(&setup.source, &restored(&setup.out, &setup.source));
}

#[test]
fn both_list_the_same_content() {
    let setup = setup();
    let ours = holdfast("ls", &setup.repo, &[&"latest", &"--json"]).ends(0).json();
    let ours = ours["entries"].as_array().unwrap().clone();
    let theirs = lines(&restic(&setup.repo, &[&"ls", &"--json", &"latest"]));
    let (head, theirs) = theirs.split_first().unwrap();
    assert_eq!(head["struct_type"], "snapshot");
    assert_eq!(ours.len(), theirs.len());
    // Names with other characters are written differently by the two.
    let plain = |entries: &[Value]| -> BTreeSet<(String, u64, String)> {
        let plain = entries
            .iter()
            .filter(|entry| entry["path"].as_str().unwrap().is_ascii());
        plain
            .filter(|entry| !entry["path"].as_str().unwrap().contains(['\\', '\n', '\u{1}', '"']))
            .map(|entry| {
                let size = entry["size"].as_u64().unwrap_or(0);
                (entry["path"].to_string(), size, entry["type"].to_string())
            })
            .collect()
    };
    assert!(plain(&ours).len() > 20);
    assert_eq!(plain(&ours), plain(theirs));
}

#[test]
fn restic_tells_what_differs_between_two_of_our_snapshots() {
    let setup = setup();
    fs::write(setup.source.join("added"), "new").unwrap();
    fs::write(setup.source.join("prose"), "changed").unwrap();
    fs::remove_file(setup.source.join("zeroes")).unwrap();
    holdfast("backup", &setup.repo, &[&setup.source])
        .ends(0)
        .says("1 new, 1 changed");
    let snapshots = holdfast("snapshots", &setup.repo, &[&"--json"]).ends(0).json();
    let id = |at: usize| snapshots[at]["snapshot"].as_str().unwrap().to_owned();
    let diff = restic(&setup.repo, &[&"diff", &id(0), &id(1)]);
    for (mark, name) in [("+", "added"), ("M", "prose"), ("-", "zeroes")] {
        let line = format!("{mark}    {}", setup.source.join(name).display());
        assert!(diff.out.lines().any(|found| found == line), "{line}\n{diff}");
    }
    let marked = diff
        .out
        .lines()
        .filter(|line| line.starts_with(['+', '-', 'M', 'T']) && line.contains('/'));
    assert_eq!(marked.count(), 3, "{diff}");
}

#[test]
fn restic_backs_up_into_our_repository_and_we_go_on_from_there() {
    let setup = setup();
    let other = setup.source.with_file_name("other");
    everything(&other);
    restic(&setup.repo, &[&"backup", &other, &"--tag", &"theirs"]);
    holdfast("check", &setup.repo, &[&"--read-data"]).ends(0);
    holdfast("restore", &setup.repo, &[&"latest", &"--target", &setup.out]).ends(0);
    assert_same(&other, &restored(&setup.out, &other));
    // Its snapshot is a parent like one of ours: nothing changed, so nothing is read again.
    let backup = holdfast("backup", &setup.repo, &[&other, &"--json"]).ends(0).json();
    assert_eq!(
        (&backup["files_new"], &backup["files_changed"]),
        (&0.into(), &0.into()),
        "{backup}"
    );
    assert!(backup["parent"].is_string());
    restic(&setup.repo, &[&"check", &"--read-data"]).says("no errors were found");
}

#[test]
fn restic_is_content_after_our_forget_prune_and_copy() {
    let setup = setup();
    fs::write(setup.source.join("noise"), noise(7, 6_000_000)).unwrap();
    holdfast("backup", &setup.repo, &[&setup.source]).ends(0);
    let first = holdfast("snapshots", &setup.repo, &[&"--json"]).json()[0]["snapshot"].clone();
    holdfast("forget", &setup.repo, &[&&first.as_str().unwrap()[..10]]).ends(0);
    let planned = holdfast("prune", &setup.repo, &[&"--dry-run"])
        .ends(0)
        .says("would be condemned");
    assert!(!planned.out.contains("\n0 packs would be condemned"), "{planned}");
    let pruned = holdfast("prune", &setup.repo, &[&"--grace", &"0s"]).ends(0);
    assert!(!pruned.out.contains("\n0 packs deleted"), "{pruned}");
    restic(&setup.repo, &[&"check", &"--read-data"]).says("no errors were found");
    let copy = setup.repo.with_file_name("copy");
    holdfast("copy", &setup.repo, &[&"--to", &copy]).ends(0);
    restic(&copy, &[&"check", &"--read-data"]).says("no errors were found");
    restic(&copy, &[&"restore", &"latest", &"--target", &setup.out]);
    assert_same(&setup.source, &restored(&setup.out, &setup.source));
}
