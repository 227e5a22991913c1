//! Full disks: real ones, small file systems in memory that are mounted for the test and then made larger.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::stage::{Stage, require_tidy, second_state};
use crate::tools::*;

/// A small file system.
struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Mounts one; `None` where that is not permitted, which is said, as then the test has shown nothing.
    fn mount(path: PathBuf, megabytes: u32) -> Option<Disk> {
        std::fs::create_dir_all(&path).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Ran::of(
            Command::new("mount")
                .args(["-t", "tmpfs", "-o", &size, "holdfast-test"])
                .arg(&path),
        );
        if mounted.code == Some(0) {
            return Some(Disk { path });
        }
        eprintln!(
            "NOT TESTED, as a small file system cannot be mounted here (run as root): {}",
            mounted.err.trim()
        );
        None
    }

    fn grow(&self) {
        Ran::of(Command::new("mount").args(["-o", "remount,size=400m"]).arg(&self.path)).ends(0);
    }

    fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(&self.path).unwrap();
        stat.f_bavail * stat.f_frsize
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.path).status());
    }
}

fn told() -> String {
    "on a full disk".to_owned()
}

fn copy_of_repository(stage: &Stage, to: &Path) {
    Ran::of(Command::new("cp").arg("-r").arg(&stage.repo).arg(to)).ends(0);
}

#[test]
fn a_backup_onto_a_full_disk_names_the_file_and_completes_once_there_is_room() {
    let stage = Stage::first();
    let Some(disk) = Disk::mount(stage.at("disk"), 12) else {
        return;
    };
    let repo = disk.path.join("repo");
    copy_of_repository(&stage, &repo);
    second_state(&stage.source);
    for _ in 0..2 {
        Ran::of(&mut stage.backup(&repo))
            .ends(1)
            .says("no space left to write data/")
            .says(&repo.display().to_string())
            .says("run this again");
        require_tidy(&repo, &told);
        stage.require_whole(&repo, &[&stage.manifests[0]], &told);
    }
    // Not a byte is left: what is there can still be read, without a lock.
    let rest = disk.free();
    std::fs::write(disk.path.join("filler"), noise(1, usize::try_from(rest).unwrap())).unwrap();
    assert_eq!(disk.free(), 0);
    let target = stage.at("target");
    holdfast("restore", &repo, &[&"latest", &"--target", &target])
        .ends(0)
        .says("without a lock");
    assert_is(&stage.manifests[0], &restored(&target, &stage.source));
    holdfast("check", &repo, &[&"--read-data"]).ends(0);

    disk.grow();
    Ran::of(&mut stage.backup(&repo)).ends(0);
    let second = holdfast_sources::files::Manifest::of(&stage.source).unwrap();
    stage.require_whole(&repo, &[&stage.manifests[0], &second], &told);
    require_tidy(&repo, &told);
}

#[test]
fn a_copy_onto_a_full_disk_names_the_file_and_completes_once_there_is_room() {
    let stage = Stage::second();
    let Some(disk) = Disk::mount(stage.at("disk"), 12) else {
        return;
    };
    let to = disk.path.join("copy");
    for _ in 0..2 {
        holdfast("copy", &stage.repo, &[&"--to", &to])
            .ends(1)
            .says("no space left to write data/")
            .says(&to.display().to_string());
        require_tidy(&to, &told);
        require_tidy(&stage.repo, &told);
        let copied = open(&to);
        assert!(crate::stage::checked(&copied).is_clean());
        assert!(copied.snapshots().unwrap().is_empty());
    }
    disk.grow();
    holdfast("copy", &stage.repo, &[&"--to", &to]).ends(0);
    stage.require_whole(&to, &stage.manifests.iter().collect::<Vec<_>>(), &told);
    require_tidy(&to, &told);
}

#[test]
fn a_restore_onto_a_full_disk_names_the_file_and_goes_on_once_there_is_room() {
    let stage = Stage::second();
    let Some(disk) = Disk::mount(stage.at("disk"), 12) else {
        return;
    };
    let target = disk.path.join("target");
    let within = restored(&target, &stage.source).display().to_string();
    for _ in 0..2 {
        holdfast("restore", &stage.repo, &[&"latest", &"--target", &target])
            .ends(1)
            .says("no room left to")
            .says(&within)
            .says("goes on where it stopped");
        require_tidy(&stage.repo, &told);
    }
    disk.grow();
    holdfast("restore", &stage.repo, &[&"latest", &"--target", &target]).ends(0);
    assert_is(&stage.manifests[1], &restored(&target, &stage.source));
}
