//! A backup that several processes read, some of which are killed or told to stop.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use holdfast_sources::files::Manifest;
use rustix::process::{Pid, Signal, kill_process};

use crate::killer::pause;
use crate::stage::{Stage, files_below, require_tidy, second_state};
use crate::tools::*;

/// A backup of the second state that three workers need some seconds for.
fn slow_backup(stage: &Stage, repo: &Path) -> Child {
    let mut command = stage.backup(repo);
    command.args(["--workers", "3", "--limit-upload", "1MB/s", "--json"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The processes that a process has started and that have not ended.
fn children(of: u32) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{of}/task"));
    let lists = threads.into_iter().flatten().flatten();
    let texts = lists.map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    let ids: Vec<i32> = texts
        .flat_map(|text| {
            text.split_whitespace()
                .map(|id| id.parse().unwrap())
                .collect::<Vec<_>>()
        })
        .collect();
    ids.into_iter().map(|id| Pid::from_raw(id).unwrap()).collect()
}

fn is_running(process: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero()));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

/// Waits until all three workers hold their locks, and so are at work.
fn until_at_work(backup: &mut Child, repo: &Path) -> Vec<Pid> {
    let locks = |repo: &Path| files_below(&repo.join("locks")).len();
    while locks(repo) < 3 {
        assert!(backup.try_wait().unwrap().is_none(), "it ended before all were at work");
        pause(Duration::from_millis(1));
    }
    let workers = children(backup.id());
    assert_eq!(workers.len(), 3);
    workers
}

fn until_ended(workers: &[Pid]) {
    for _ in 0..2_000 {
        if !workers.iter().any(|worker| is_running(*worker)) {
            return;
        }
        pause(Duration::from_millis(10));
    }
    panic!("workers go on after the backup has ended");
}

#[test]
fn a_worker_that_is_killed_is_told_of_and_others_read_what_it_had() {
    let stage = Stage::first();
    second_state(&stage.source);
    let repo = stage.fresh(&stage.repo, "workers");
    let mut backup = slow_backup(&stage, &repo);
    let workers = until_at_work(&mut backup, &repo);
    kill_process(workers[1], Signal::KILL).unwrap();
    let ended = backup.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let report: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(report["workers_lost"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(report["unread"].as_array().unwrap().len(), 0, "{report}");
    let second = Manifest::of(&stage.source).unwrap();
    let told = || "after a worker was killed".to_owned();
    stage.require_whole(&repo, &[&stage.manifests[0], &second], &told);
    restic(&repo, &[&"check", &"--read-data", &"--no-lock"]).says("no errors were found");
}

#[test]
fn a_backup_by_workers_is_the_one_that_a_single_process_makes() {
    let stage = Stage::first();
    second_state(&stage.source);
    let second = Manifest::of(&stage.source).unwrap();
    let read = [1, 4].map(|workers| {
        let repo = stage.fresh(&stage.repo, &format!("by {workers}"));
        let mut command = stage.backup(&repo);
        let ran = Ran::of(command.args(["--json", "--workers", &workers.to_string()])).ends(0);
        let told = || format!("after {workers} workers");
        require_tidy(&repo, &told);
        stage.require_whole(&repo, &[&stage.manifests[0], &second], &told);
        ["bytes", "files_new", "files_changed", "files_unmodified"].map(|figure| ran.json()[figure].clone())
    });
    assert_eq!(read[0], read[1]);
}

#[test]
fn workers_stop_with_the_backup() {
    let stage = Stage::first();
    second_state(&stage.source);
    for signal in [Signal::TERM, Signal::KILL] {
        let repo = stage.fresh(&stage.repo, "stopped");
        let mut backup = slow_backup(&stage, &repo);
        let workers = until_at_work(&mut backup, &repo);
        kill_process(Pid::from_child(&backup), signal).unwrap();
        let code = backup.wait().unwrap().code();
        until_ended(&workers);
        assert_eq!(code, (signal == Signal::TERM).then_some(1));
        let told = || format!("after {signal:?}");
        require_tidy(&repo, &told);
        stage.require_whole(&repo, &[&stage.manifests[0]], &told);
    }
}
