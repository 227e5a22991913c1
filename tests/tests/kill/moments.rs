//! The kills.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use holdfast_repository::Id;
use holdfast_repository::pack::BlobKind;
use holdfast_repository::repair::repair;
use holdfast_sources::files::Manifest;

use crate::killer::Killer;
use crate::stage::{Stage, checked, files_below, require_tidy};
use crate::tools::*;

/// Kills of each kind; 230 in all.
const BACKUP: usize = 70;
const COPY: usize = 50;
const PRUNE: usize = 45;
const RESTORE: usize = 45;
const REPAIR: usize = 20;

#[test]
fn a_backup_killed_at_any_moment_harms_nothing_and_is_run_again() {
    let mut stage = Stage::first();
    crate::stage::second_state(&stage.source);
    stage.manifests.push(Manifest::of(&stage.source).unwrap());
    let [first, second] = [&stage.manifests[0], &stage.manifests[1]];
    let mut killer = Killer::measure("backup", &mut stage.backup(&stage.fresh(&stage.repo, "measured")));
    let (mut locked, mut orphans, mut published) = (0, 0, 0);
    while killer.kills < BACKUP {
        let repo = stage.fresh(&stage.repo, "killed");
        killer.kill(&mut stage.backup(&repo));
        let told = || killer.describe();
        locked += files_below(&repo.join("locks")).len();
        let is_published = files_below(&repo.join("snapshots")).len() > 1;
        published += usize::from(is_published);
        let before = if is_published { vec![first, second] } else { vec![first] };
        let report = stage.require_whole(&repo, &before, &told);
        orphans += usize::from(!report.orphan_packs.is_empty());
        Ran::of(&mut stage.backup(&repo)).ends(0);
        stage.require_whole(&repo, &[first, second], &told);
        require_tidy(&repo, &told);
    }
    restic(&stage.at("killed"), &[&"check", &"--read-data"]).says("no errors were found");
    println!("{BACKUP} kills of a backup: {locked} left a lock, {orphans} packs without index, {published} a snapshot");
    assert!(
        locked > 0 && orphans > 0,
        "the kills missed the work: {locked} locks, {orphans} times packs"
    );
}

#[test]
fn a_copy_killed_at_any_moment_is_run_again_and_sends_nothing_twice() {
    let stage = Stage::second();
    let manifests: Vec<&Manifest> = stage.manifests.iter().collect();
    let copy = |to: &Path| {
        let mut command = holdfast_command("copy", &stage.repo);
        command.arg("--to").arg(to);
        command
    };
    let mut killer = Killer::measure("copy", &mut copy(&stage.at("measured")));
    let packs = files_below(&stage.repo.join("data")).len();
    let mut half = 0;
    while killer.kills < COPY {
        let to = stage.at("killed");
        drop(fs::remove_dir_all(&to));
        killer.kill(&mut copy(&to));
        let told = || killer.describe();
        if to.join("config").exists() {
            let report = checked(&open(&to));
            assert!(report.is_clean(), "{}: {:?}", told(), report.damages);
        }
        let whole_packs = files_below(&to.join("data"));
        let there = whole_packs.iter().filter(|file| is_object(file)).count();
        half += usize::from(0 < there && there < packs);
        let sent = Ran::of(copy(&to).arg("--json")).ends(0).json();
        assert_eq!(sent["packs_present"], there, "{}: {sent}", told());
        stage.require_whole(&to, &manifests, &told);
        require_tidy(&to, &told);
        require_tidy(&stage.repo, &told);
    }
    restic(&stage.at("killed"), &[&"check", &"--read-data"]).says("no errors were found");
    println!("{COPY} kills of a copy: {half} with some of the packs there");
    assert!(half > 0, "the kills missed the work");
}

fn is_object(file: &Path) -> bool {
    file.file_name().unwrap().to_str().unwrap().parse::<Id>().is_ok()
}

#[test]
fn a_prune_killed_at_any_moment_never_takes_what_is_needed() {
    let mut stage = Stage::second();
    // Garbage of every kind: condemned and due, condemned anew, sparse, small, and packs of writers that died.
    let second = open(&stage.repo).find_snapshot("latest").unwrap().0.to_string();
    fs::write(stage.source.join("large 0"), noise(77, 4_000_000)).unwrap();
    stage.back_up();
    let keep: Vec<Manifest> = vec![stage.manifests[0].clone(), stage.manifests[2].clone()];
    let keep: Vec<&Manifest> = keep.iter().collect();
    holdfast("prune", &stage.repo, &[]).ends(0);
    holdfast("forget", &stage.repo, &[&second]).ends(0);
    fs::write(stage.source.join("large 1"), noise(78, 6_000_000)).unwrap();
    stage.back_up();
    holdfast("forget", &stage.repo, &[&"latest"]).ends(0);
    let prune = |repo: &Path| {
        let mut command = holdfast_command("prune", repo);
        command.args(["--grace", "0s"]);
        command
    };
    let measured = stage.fresh(&stage.repo, "measured");
    let mut killer = Killer::measure("prune", &mut prune(&measured));
    let before = files_below(&stage.repo.join("data")).len();
    let mut deleting = 0;
    while killer.kills < PRUNE {
        let repo = stage.fresh(&stage.repo, "killed");
        killer.kill(&mut prune(&repo));
        let told = || killer.describe();
        deleting += usize::from(files_below(&repo.join("data")).len() != before);
        stage.require_whole(&repo, &keep, &told);
        for _ in 0..3 {
            Ran::of(&mut prune(&repo)).ends(0);
        }
        let report = stage.require_whole(&repo, &keep, &told);
        assert!(report.orphan_packs.is_empty(), "{}: {:?}", told(), report.orphan_packs);
        require_tidy(&repo, &told);
        let settled = Ran::of(prune(&repo).arg("--json")).ends(0).json();
        for list in ["deleted", "condemned", "waiting"] {
            assert_eq!(settled[list].as_array().unwrap().len(), 0, "{}: {settled}", told());
        }
    }
    restic(&stage.at("killed"), &[&"check", &"--read-data"]).says("no errors were found");
    println!("{PRUNE} kills of a prune: {deleting} after it began to delete or to write anew");
    assert!(deleting > 0, "the kills missed the work");
}

#[test]
fn a_restore_killed_at_any_moment_goes_on_where_it_stopped() {
    let stage = Stage::second();
    let restore = |target: &Path| {
        let mut command = holdfast_command("restore", &stage.repo);
        command.args(["latest", "--target"]).arg(target);
        command
    };
    let mut killer = Killer::measure("restore", &mut restore(&stage.at("measured")));
    let mut half = 0;
    while killer.kills < RESTORE {
        let target = stage.at("killed");
        drop(fs::remove_dir_all(&target));
        killer.kill(&mut restore(&target));
        let told = || killer.describe();
        let marker = target.join(".holdfast-restore.json");
        let begun = marker.exists();
        half += usize::from(begun && !files_below(&restored(&target, &stage.source)).is_empty());
        let mut again = restore(&target);
        // Killed between the end of the work and the end of the program: then nothing says that the files are ours.
        if !begun && !files_below(&target).is_empty() {
            again.arg("--overwrite");
        }
        Ran::of(&mut again).ends(0);
        assert!(!marker.exists(), "{}", told());
        assert_is(&stage.manifests[1], &restored(&target, &stage.source));
        require_tidy(&stage.repo, &|| "after a restore".to_owned());
    }
    println!("{RESTORE} kills of a restore: {half} with some of the files there");
    assert!(half > 0, "the kills missed the work");
}

const REPAIRED: &str = "HOLDFAST_TEST_REPAIR_REPOSITORY";
const COPIED: &str = "HOLDFAST_TEST_REPAIR_COPY";

/// What the next test runs in a process of its own, to be killed. Run with all other tests, it has nothing to repair.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the only way to tell a test in another process what to do"
)]
fn child_that_repairs() {
    let folder = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
    let (Some(damaged), Some(copy)) = (folder(REPAIRED), folder(COPIED)) else {
        return;
    };
    let (repository, copy) = (open(&damaged), open(&copy));
    let report = repair(
        &repository,
        &copy,
        &checked(&repository).damages,
        &AtomicBool::new(false),
    )
    .unwrap();
    assert!(report.unrepairable.is_empty(), "{:?}", report.unrepairable);
}

fn repair_command(repo: &Path, copy: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "moments::child_that_repairs"]);
    command.env(REPAIRED, repo).env(COPIED, copy);
    command
}

#[test]
fn a_repair_killed_at_any_moment_is_run_again() {
    let stage = Stage::second();
    let manifests: Vec<&Manifest> = stage.manifests.iter().collect();
    let copy = stage.at("copy");
    holdfast("copy", &stage.repo, &[&"--to", &copy]).ends(0);
    let damaged = damaged(&stage);
    let measured = stage.fresh(&damaged, "measured");
    let mut killer = Killer::measure("repair", &mut repair_command(&measured, &copy));
    let told = || "after a repair".to_owned();
    stage.require_whole(&measured, &manifests, &told);
    let mut half = 0;
    while killer.kills < REPAIR {
        let repo = stage.fresh(&damaged, "killed");
        killer.kill(&mut repair_command(&repo, &copy));
        half += usize::from(repo.join("holdfast/quarantine").exists());
        Ran::of(&mut repair_command(&repo, &copy)).ends(0);
        stage.require_whole(&repo, &manifests, &|| killer.describe());
        holdfast("prune", &repo, &[]).ends(0);
        require_tidy(&repo, &|| killer.describe());
    }
    restic(&stage.at("killed"), &[&"check", &"--read-data"]).says("no errors were found");
    println!("{REPAIR} kills of a repair: {half} with something repaired");
    assert!(half > 0, "the kills missed the work");
}

/// A copy of the stage's repository without one data pack, with a flipped bit in another and in the newest trees, and
/// without a snapshot that the copy has.
fn damaged(stage: &Stage) -> PathBuf {
    let repo = stage.fresh(&stage.repo, "damaged");
    let repository = open(&repo);
    let index = repository.load_index().unwrap();
    let (newest, snapshot) = repository.find_snapshot("latest").unwrap();
    let tree = index.lookup(BlobKind::Tree, &snapshot.tree).unwrap().pack;
    let mut data: Vec<Id> = index
        .iter()
        .filter(|(kind, ..)| *kind == BlobKind::Data)
        .map(|(.., location)| location.pack)
        .collect();
    data.sort_unstable();
    data.dedup();
    let pack = |id: &Id| repo.join("data").join(&id.to_string()[..2]).join(id.to_string());
    flip(&pack(&data[0]), 500);
    fs::remove_file(pack(&data[1])).unwrap();
    flip(&pack(&tree), 45);
    flip(&repo.join("snapshots").join(newest.to_string()), 45);
    repo
}

/// Flips a bit in a copy of the file: the original is shared with other repositories.
fn flip(file: &Path, at: u64) {
    let bytes = fs::read(file).unwrap();
    fs::remove_file(file).unwrap();
    fs::write(file, &bytes).unwrap();
    let open = OpenOptions::new().write(true).open(file).unwrap();
    open.write_all_at(&[bytes[usize::try_from(at).unwrap()] ^ 1], at)
        .unwrap();
}
