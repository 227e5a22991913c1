//! What the dead leave behind stands in nobody's way, and what the living hold is respected.

use std::fs;
use std::time::Duration;

use holdfast_repository::lock::{Lock, LockKind, locks};

use crate::killer::{pause, spawn};
use crate::stage::{Stage, files_below, second_state};
use crate::tools::*;

#[test]
fn the_lock_and_the_half_written_files_of_a_killed_process_are_removed() {
    let stage = Stage::first();
    second_state(&stage.source);
    let mut child = spawn(&mut stage.backup(&stage.repo));
    while locks(&open(&stage.repo)).unwrap().is_empty() {
        pause(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(files_below(&stage.repo.join("locks")).len(), 1);
    let half = stage.repo.join("index/.writing-1-1");
    fs::write(&half, "half").unwrap();
    // An exclusive lock suffers nobody beside it: the dead one has to go.
    holdfast("prune", &stage.repo, &[]).ends(0);
    assert!(files_below(&stage.repo.join("locks")).is_empty());
    assert!(!half.exists());
}

#[test]
fn the_lock_of_a_living_process_is_respected() {
    let stage = Stage::first();
    let repository = open(&stage.repo);
    let lock = Lock::acquire(&repository, LockKind::Shared).unwrap();
    holdfast("prune", &stage.repo, &[]).ends(1).says("is locked by process");
    holdfast("check", &stage.repo, &[]).ends(0);
    lock.release().unwrap();
    let lock = Lock::acquire(&repository, LockKind::Exclusive).unwrap();
    for verb in ["prune", "check"] {
        holdfast(verb, &stage.repo, &[]).ends(1).says("is locked by process");
    }
    lock.release().unwrap();
    holdfast("prune", &stage.repo, &[]).ends(0);
}
