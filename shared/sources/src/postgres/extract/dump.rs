//! `pg_dump` from the private server, into a file or through `pg_restore` into another server.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::super::follow::pause;
use super::super::isolated::{IsolatedError, Prepared, Programs, Server};
use super::{Destination, ExtractError, ExtractRequest};

/// How often to look whether a program has ended.
const LOOK: Duration = Duration::from_millis(100);
/// Characters of what a program says that are told.
const MOST_SAID: usize = 1000;

/// A program of PostgreSQL that runs, and is ended with this.
struct Running {
    name: &'static str,
    child: Child,
    /// What it says goes here.
    log: PathBuf,
}

impl Running {
    fn start(
        programs: &Programs,
        name: &'static str,
        scratch: &Path,
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Running, IsolatedError> {
        let program = programs.path(name)?;
        let log = scratch.join(format!("{name}.log"));
        let said = File::create(&log).map_err(IsolatedError::io("write", &log))?;
        let mut command = Command::new(&program);
        // What is set for PostgreSQL's programs in the environment is not meant for this.
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin");
        command.current_dir("/").stdin(Stdio::null()).stderr(said);
        prepare(&mut command);
        let child = command.spawn().map_err(IsolatedError::io("run", &program))?;
        Ok(Running { name, child, log })
    }

    /// Waits for its end. `Ok(false)` where it failed.
    fn wait(&mut self, stop: &AtomicBool) -> Result<bool, IsolatedError> {
        loop {
            let looked = self
                .child
                .try_wait()
                .map_err(IsolatedError::io("wait for", self.name))?;
            if let Some(status) = looked {
                return Ok(status.success());
            }
            if stop.load(Ordering::SeqCst) {
                return Err(IsolatedError::Stopped);
            }
            pause(stop, LOOK);
        }
    }

    fn said(&self) -> String {
        let said = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&said).into_owned()
    }

    fn says(&self, words: &str) -> bool {
        self.said().contains(words)
    }

    fn failed(&self) -> ExtractError {
        let said = self.said();
        let said = said.lines().map(str::trim).collect::<Vec<_>>().join("; ");
        ExtractError::Program {
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

/// Takes what is wanted from the server.
pub(super) fn dump(
    request: &ExtractRequest<'_>,
    prepared: &Prepared,
    server: &Server<'_>,
    tables: &[String],
) -> Result<(), ExtractError> {
    let stop = &request.cluster.client.stop;
    let scratch = prepared.scratch.folder();
    let start = |format: &'static str, out: Stdio| {
        Running::start(&prepared.programs, "pg_dump", scratch, |command| {
            command
                .args(words(request, server, tables))
                .args(["--format", format])
                .stdout(out);
        })
    };
    match request.to {
        Destination::File(path) => {
            let format = if path.extension().is_some_and(|end| end == "sql") {
                "plain"
            } else {
                "custom"
            };
            let unfinished = Unfinished::make(path)?;
            let file = unfinished
                .file
                .try_clone()
                .map_err(IsolatedError::io("write", &unfinished.path))?;
            let mut dump = start(format, file.into())?;
            if !dump.wait(stop)? {
                return Err(dump.failed());
            }
            unfinished.keep(path)
        }
        Destination::Server(address) => {
            prepared.programs.path("pg_restore")?;
            let mut dump = start("custom", Stdio::piped())?;
            let Some(out) = dump.child.stdout.take() else {
                return Err(dump.failed());
            };
            let mut restore = Running::start(&prepared.programs, "pg_restore", scratch, |command| {
                command.args(["--exit-on-error", "--single-transaction", "--no-password"]);
                command
                    .arg("--dbname")
                    .arg(address.words())
                    .stdin(out)
                    .stdout(Stdio::null());
                if request.without_owners {
                    command.args(["--no-owner", "--no-privileges"]);
                }
                if let Some(password) = &address.password {
                    command.env("PGPASSWORD", password.reveal());
                }
            })?;
            let restored = restore.wait(stop)?;
            let dumped = dump.wait(stop)?;
            match (dumped, restored) {
                (true, true) => Ok(()),
                // One that has nobody to write to any more says so; the cause is the other one's.
                (false, false) if !dump.says("Broken pipe") => Err(dump.failed()),
                (_, false) => Err(restore.failed()),
                (false, true) => Err(dump.failed()),
            }
        }
    }
}

/// What `pg_dump` is told.
fn words(request: &ExtractRequest<'_>, server: &Server<'_>, tables: &[String]) -> Vec<OsString> {
    let address = server.address(request.database);
    let mut words: Vec<OsString> = vec!["--no-password".into(), "--dbname".into(), address.words().into()];
    if request.without_owners {
        words.extend(["--no-owner".into(), "--no-privileges".into()]);
    }
    for table in tables {
        words.extend(["--table".into(), table.into()]);
    }
    if !tables.is_empty() {
        words.push("--strict-names".into());
    }
    words
}

/// A file that gets its name once it is whole.
struct Unfinished {
    path: PathBuf,
    file: File,
}

impl Unfinished {
    fn make(path: &Path) -> Result<Unfinished, IsolatedError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".writing");
        let path = PathBuf::from(name);
        let mut open = File::options();
        let opened = open.write(true).create(true).truncate(true).mode(0o600).open(&path);
        let file = opened.map_err(IsolatedError::io("write", &path))?;
        Ok(Unfinished { path, file })
    }

    /// Gives it its name, which nothing else may have by now.
    fn keep(self, path: &Path) -> Result<(), ExtractError> {
        self.file.sync_all().map_err(IsolatedError::io("write", &self.path))?;
        match fs::hard_link(&self.path, path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(ExtractError::Exists(path.to_owned()))
            }
            Err(error) => Err(IsolatedError::io("write", path)(error).into()),
            Ok(()) => Ok(()),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
