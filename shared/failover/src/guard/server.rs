//! The server as the guard's child: started, stopped, promoted.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use holdfast_core::domain::{Failure, FailureKind};
use rustix::process::{Pid, Signal, kill_process};

use super::intent::failed;
use super::processes;
use super::seed;
use super::settings::Settings;

/// A server and its data folder.
#[derive(Debug)]
pub struct Server {
    settings: Arc<Settings>,
    program: PathBuf,
    child: Option<Child>,
    /// Whether it was told to stop in order.
    is_stopping: bool,
    /// Whether it was told to end its recovery.
    is_promoting: bool,
}

impl Server {
    /// The server of these settings, down: whatever runs over its data folder without a guard is ended. `program` is the
    /// one that holds [`processes::become_child_of`].
    pub fn take_over(settings: Arc<Settings>, program: PathBuf) -> Self {
        processes::kill_all(&settings.data);
        Self {
            settings,
            program,
            child: None,
            is_stopping: false,
            is_promoting: false,
        }
    }

    /// Whether the data folder is that of a standby.
    pub fn is_standby(&self) -> bool {
        seed::signal(&self.settings.data).exists()
    }

    /// Whether it runs. The end of its first process is the end of all.
    pub fn is_running(&mut self) -> bool {
        let Some(child) = &mut self.child else { return false };
        match child.try_wait() {
            Ok(None) => true,
            Ok(Some(_)) | Err(_) => {
                self.stop_at_once();
                false
            }
        }
    }

    /// Whether it runs and may be able to write, now or in a moment.
    pub fn may_write(&mut self) -> bool {
        self.is_running() && (self.is_promoting || !self.is_standby())
    }

    /// Starts it as its data folder is; a standby follows `leader`.
    pub fn start(&mut self, leader: Option<&str>) -> Result<(), Failure> {
        let data = &self.settings.data;
        // Nobody runs over the folder: a number in this file would be that of a stranger's process.
        match fs::remove_file(data.join("postmaster.pid")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed("remove the old postmaster.pid in", data, error));
            }
            _ => {}
        }
        let parent = rustix::process::getpid().as_raw_pid().to_string();
        let mut command = Command::new(&self.program);
        command.args(["guard-child", "run", "--parent", &parent, "--"]);
        command.arg(self.settings.program("postgres")).arg("-D").arg(data);
        command.args(&self.settings.arguments);
        if let Some(leader) = leader {
            command.args(["-c", "hot_standby=on", "-c", "recovery_target_timeline=latest"]);
            command.arg("-c").arg(format!("primary_conninfo={leader}"));
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.map_err(|error| failed("start the server over", data, error))?;
        self.child = Some(child);
        self.is_stopping = false;
        self.is_promoting = false;
        Ok(())
    }

    fn pid(&self) -> Option<Pid> {
        self.child.as_ref().map(Pid::from_child)
    }

    /// Asks it to stop in order, once: clients are sent away, followers get the rest of the log.
    pub fn stop_in_order(&mut self) {
        if let (Some(pid), false) = (self.pid(), self.is_stopping) {
            self.is_stopping = kill_process(pid, Signal::INT).is_ok();
        }
    }

    /// Ends it at once, and returns when nothing of it is left.
    pub fn stop_at_once(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        processes::kill_all(&self.settings.data);
        self.is_stopping = false;
        self.is_promoting = false;
    }

    /// Tells it to end its recovery with all the log that it has.
    pub fn promote(&mut self) -> Result<(), Failure> {
        let Some(pid) = self.pid() else {
            return Err(Failure::new(FailureKind::Conflict, "there is no server to promote"));
        };
        let signal = self.settings.data.join("promote");
        fs::write(&signal, "").map_err(|error| failed("write", &signal, error))?;
        self.is_promoting = true;
        kill_process(pid, Signal::USR1)
            .map_err(|error| Failure::caused(FailureKind::Transient, "the server takes no signal", error))
    }
}
