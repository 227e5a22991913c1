//! Commands that are asked to stop.

use std::process::Command;
use std::time::Duration;

use holdfast_repository::Id;
use rustix::process::{Pid, Signal, kill_process};

use crate::killer::{pause, spawn};
use crate::stage::{Stage, files_below, require_tidy, second_state};
use crate::tools::*;

#[test]
fn a_backup_that_is_asked_to_stop_removes_its_lock_and_leaves_only_packs() {
    let stage = Stage::first();
    second_state(&stage.source);
    let told = || "after an interrupted backup".to_owned();
    for signal in [Signal::INT, Signal::TERM] {
        let repo = stage.fresh(&stage.repo, "interrupted");
        assert_eq!(stop_once_locked(&mut stage.backup(&repo), &repo, signal), Some(1));
        require_tidy(&repo, &told);
        stage.require_whole(&repo, &[&stage.manifests[0]], &told);
        Ran::of(&mut stage.backup(&repo)).ends(0);
        assert_eq!(open(&repo).snapshots().unwrap().len(), 2);
    }
}

/// Starts a command and signals it as soon as its lock is there.
fn stop_once_locked(command: &mut Command, repo: &std::path::Path, signal: Signal) -> Option<i32> {
    let mut child = spawn(command);
    let is_locked = || {
        files_below(&repo.join("locks"))
            .iter()
            .any(|file| file.file_name().unwrap().to_str().unwrap().parse::<Id>().is_ok())
    };
    while !is_locked() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it took its lock");
        pause(Duration::from_micros(200));
    }
    kill_process(Pid::from_child(&child), signal).unwrap();
    child.wait().unwrap().code()
}
