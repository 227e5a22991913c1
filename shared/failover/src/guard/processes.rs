//! The processes of a server, found by the folder that they work in: PostgreSQL's all stay in their data folder, whoever
//! started them. A process that died with its parent's knowledge or without is found the same way, and so is what rewinds the
//! folder.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::system::pause;

/// Processes that change a data folder, which must be an absolute path without links: its server, and what rewinds it.
pub fn of(data: &Path) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| is_of(*pid, data)).filter_map(Pid::from_raw).collect()
}

fn is_of(pid: i32, data: &Path) -> bool {
    let link = |name: &str| fs::read_link(format!("/proc/{pid}/{name}")).ok();
    // A program that was replaced by an upgrade has more after its name.
    let is_server = |program: &Path| {
        let name = program.file_name().and_then(|name| name.to_str());
        name.and_then(|name| name.split(' ').next())
            .is_some_and(|name| matches!(name, "postgres" | "pg_rewind"))
    };
    link("cwd").is_some_and(|cwd| cwd == data) && link("exe").is_some_and(|program| is_server(&program))
}

/// Ends every process that changes a data folder, as a failing machine would, and returns once none is left. What a server
/// had committed is in the log; the next start recovers from it.
pub fn kill_all(data: &Path) {
    loop {
        let left = of(data);
        if left.is_empty() {
            return;
        }
        for pid in left {
            // It may have ended by itself meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
        pause(Duration::from_millis(5));
    }
}

/// Becomes `program`, which ends when `parent` does. This returns only what went wrong.
pub fn become_child_of(parent: u32, program: &Path, arguments: &[String]) -> std::io::Error {
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    // Whoever died before this was asked for gave no signal.
    let is_there = rustix::process::getppid().is_some_and(|pid| u32::try_from(pid.as_raw_pid()).ok() == Some(parent));
    if !is_there {
        return std::io::Error::other("the guard has ended");
    }
    Command::new(program).args(arguments).exec()
}
