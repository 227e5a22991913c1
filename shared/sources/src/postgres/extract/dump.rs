//! `pg_dump` from the private server, into a file or through `pg_restore` into another server.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::super::isolated::{IsolatedError, Prepared, Server};
use super::super::running::{Running, give_password};
use super::{Destination, ExtractError, ExtractRequest};

/// Takes what is wanted from the server.
pub(super) fn dump(
    request: &ExtractRequest<'_>,
    prepared: &Prepared,
    server: &Server<'_>,
    tables: &[String],
) -> Result<(), ExtractError> {
    let stop = &request.cluster.client.stop;
    let start = |format: &'static str, out: Stdio| {
        Running::start(&prepared.programs, "pg_dump", |command| {
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
                return Err(dump.failed().into());
            }
            unfinished.keep(path)
        }
        Destination::Server(address) => {
            prepared.programs.path("pg_restore")?;
            let mut dump = start("custom", Stdio::piped())?;
            let Some(out) = dump.take_output() else {
                return Err(dump.failed().into());
            };
            let mut restore = Running::start(&prepared.programs, "pg_restore", |command| {
                command.args(["--exit-on-error", "--single-transaction", "--no-password"]);
                command
                    .arg("--dbname")
                    .arg(address.words())
                    .stdin(out)
                    .stdout(Stdio::null());
                if request.without_owners {
                    command.args(["--no-owner", "--no-privileges"]);
                }
                give_password(command, address);
            })?;
            let restored = restore.wait(stop)?;
            let dumped = dump.wait(stop)?;
            match (dumped, restored) {
                (true, true) => Ok(()),
                // One that has nobody to write to any more says so; the cause is the other one's.
                (false, false) if !dump.says("Broken pipe") => Err(dump.failed().into()),
                (_, false) => Err(restore.failed().into()),
                (false, true) => Err(dump.failed().into()),
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
