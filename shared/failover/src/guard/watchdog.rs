//! The watchdog: a process of its own that ends the server when the guard is frozen beyond its lease, or dead.
//!
//! The guard feeds it through a pipe, a line at a time: how many milliseconds the server may still be written to, or `-`
//! where it cannot be written to at all.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rustix::fs::OFlags;

use super::processes;
use crate::system::uptime;

/// How often the watchdog looks at the time.
const LOOK: Duration = Duration::from_millis(50);

/// The guard's end.
#[derive(Debug)]
pub struct Watchdog {
    program: PathBuf,
    data: PathBuf,
    child: Option<Child>,
}

impl Watchdog {
    /// A watchdog over a data folder, by the program that holds [`watch`].
    pub fn over(program: &Path, data: &Path) -> Self {
        Self {
            program: program.to_owned(),
            data: data.to_owned(),
            child: None,
        }
    }

    /// Says how long the server may be written to from now; none where it cannot be. False where there is no watchdog that
    /// listens: then the server must not be written to.
    pub fn feed(&mut self, left: Option<Duration>) -> bool {
        let line = left.map_or_else(|| "-\n".to_owned(), |left| format!("{}\n", left.as_millis()));
        let fed = self.tell(&line);
        if !fed {
            self.end();
        }
        fed
    }

    fn tell(&mut self, line: &str) -> bool {
        if self.child.is_none() {
            self.child = self.start();
        }
        let Some(child) = &mut self.child else { return false };
        // The pipe takes thousands of lines: one that is full belongs to a watchdog that does not read.
        child
            .stdin
            .as_mut()
            .is_some_and(|pipe| pipe.write_all(line.as_bytes()).is_ok())
    }

    fn start(&self) -> Option<Child> {
        let mut command = Command::new(&self.program);
        command.args(["guard-child", "watch", "--data"]).arg(&self.data);
        let started = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let child = started
            .inspect_err(|error| tracing::error!("no watchdog can be started: {error}"))
            .ok()?;
        let pipe = child.stdin.as_ref()?;
        let flags = rustix::fs::fcntl_getfl(pipe).ok()?;
        rustix::fs::fcntl_setfl(pipe, flags | OFlags::NONBLOCK).ok()?;
        Some(child)
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The watchdog's end: ends the server when what it is fed with ran out, and ends itself when nobody can feed it any more.
pub fn watch(data: &Path) {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(std::io::stdin()).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let mut until: Option<Duration> = None;
    loop {
        match lines.recv_timeout(LOOK) {
            Ok(line) => {
                let left = line.trim().parse().ok().map(Duration::from_millis);
                until = left.map(|left| uptime() + left);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                processes::kill_all(data);
                return;
            }
        }
        if until.is_some_and(|until| until <= uptime()) {
            processes::kill_all(data);
        }
    }
}
