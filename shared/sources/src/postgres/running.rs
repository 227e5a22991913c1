//! [`Running`]: one of PostgreSQL's own programs at work.

use std::io::Read;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::address::Address;
use super::follow::pause;
use super::isolated::{IsolatedError, Programs};

/// How often to look whether a program has ended.
const LOOK: Duration = Duration::from_millis(50);
/// Characters of what a program says that are told.
const MOST_SAID: usize = 1000;

/// A program of PostgreSQL failed.
#[derive(Debug, thiserror::Error)]
#[error("{program} failed: {said}")]
pub struct ProgramError {
    /// Which one.
    pub program: &'static str,
    /// What it said.
    pub said: String,
}

/// A program of PostgreSQL that runs, and is ended with this.
pub(super) struct Running {
    name: &'static str,
    child: Child,
    listener: Option<JoinHandle<Vec<u8>>>,
    said: String,
}

/// Gives a program the password of an address, where there is one.
pub(super) fn give_password(command: &mut Command, address: &Address) {
    if let Some(password) = &address.password {
        command.env("PGPASSWORD", password.reveal());
    }
}

impl Running {
    /// Starts a program; `prepare` says what else it is told.
    pub(super) fn start(
        programs: &Programs,
        name: &'static str,
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Running, IsolatedError> {
        let program = programs.path(name)?;
        let mut command = Command::new(&program);
        // What is set for PostgreSQL's programs in the environment is not meant for this.
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin");
        command.current_dir("/").stdin(Stdio::null()).stderr(Stdio::piped());
        prepare(&mut command);
        let mut child = command.spawn().map_err(IsolatedError::io("run", &program))?;
        let listener = child.stderr.take().map(|errors| thread::spawn(|| read(errors)));
        Ok(Running {
            name,
            child,
            listener,
            said: String::new(),
        })
    }

    /// What it prints, where that was asked for.
    pub(super) fn take_output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits for its end. `Ok(false)` where it failed.
    pub(super) fn wait(&mut self, stop: &AtomicBool) -> Result<bool, IsolatedError> {
        loop {
            let looked = self
                .child
                .try_wait()
                .map_err(IsolatedError::io("wait for", self.name))?;
            if let Some(status) = looked {
                if let Some(listener) = self.listener.take() {
                    self.said = String::from_utf8_lossy(&listener.join().unwrap_or_default()).into_owned();
                }
                return Ok(status.success());
            }
            if stop.load(Ordering::SeqCst) {
                return Err(IsolatedError::Stopped);
            }
            pause(stop, LOOK);
        }
    }

    /// Waits for its end, and gives all that it printed. The inner error is that it failed.
    pub(super) fn output(mut self, stop: &AtomicBool) -> Result<Result<Vec<u8>, ProgramError>, IsolatedError> {
        let reader = self.take_output().map(|output| thread::spawn(|| read(output)));
        let worked = self.wait(stop)?;
        let output = reader.map_or_else(Vec::new, |reader| reader.join().unwrap_or_default());
        match worked {
            true => Ok(Ok(output)),
            false => Ok(Err(self.failed())),
        }
    }

    /// Whether it complained of something, once it has ended.
    pub(super) fn says(&self, words: &str) -> bool {
        self.said.contains(words)
    }

    /// What it said, once it has failed.
    pub(super) fn failed(&self) -> ProgramError {
        let said = self.said.lines().map(str::trim).collect::<Vec<_>>().join("; ");
        ProgramError {
            program: self.name,
            said: said.chars().filter(|c| !c.is_control()).take(MOST_SAID).collect(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// All that comes; what cannot be read is where it ends, which the program's own end tells.
fn read(mut from: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = from.read_to_end(&mut bytes);
    bytes
}
