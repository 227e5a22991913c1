//! A PostgreSQL server that only this program uses, on a socket in a folder of its own.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use holdfast_tests::workspace_root;
use rustix::process::{Pid, Signal, kill_process};

use super::at;
use crate::engine;

/// Debian's version.
pub const MAJOR: u32 = 15;
/// Who runs servers when root measures: PostgreSQL refuses to run as root.
const OWNER: &str = "postgres";
/// The superuser.
pub const ADMIN: &str = "admin";
/// There is one server for a socket's folder.
pub const PORT: &str = "5432";
/// Half a minute in steps.
const STEPS: u32 = 300;
const STEP: Duration = Duration::from_millis(100);

/// A server, which ends with this.
pub struct Server {
    folder: PathBuf,
    programs: PathBuf,
    child: Child,
}

/// The folder of a version's programs: where Debian has its own, and where `cargo xtask setup` unpacks newer ones.
fn programs(major: u32) -> PathBuf {
    match major {
        MAJOR => format!("/usr/lib/postgresql/{major}/bin").into(),
        _ => workspace_root().join(format!("target/postgresql-{major}/bin")),
    }
}

/// Words that have a command run as the owner of servers.
pub fn as_owner() -> Vec<OsString> {
    if !rustix::process::geteuid().is_root() {
        return Vec::new();
    }
    let (user, group) = (format!("--reuid={OWNER}"), format!("--regid={OWNER}"));
    ["setpriv", &user, &group, "--clear-groups"].map(OsString::from).into()
}

/// Gives a file or folder, with all that is in it, to the owner of servers.
pub fn give_to_owner(path: &Path) -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let id = |which: &str| {
        let said = said(Command::new("id").args([which, OWNER]))?;
        said.parse().map_err(|_| format!("id {which} {OWNER}: {said}"))
    };
    give(path, (id("-u")?, id("-g")?))
}

fn give(path: &Path, (uid, gid): (u32, u32)) -> Result<(), String> {
    chown(path, Some(uid), Some(gid)).map_err(at(path))?;
    if path.is_dir() {
        for entry in fs::read_dir(path).map_err(at(path))? {
            give(&entry.map_err(at(path))?.path(), (uid, gid))?;
        }
    }
    Ok(())
}

/// Runs a command to its end and gives what it printed.
pub fn said(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = |bytes| String::from_utf8_lossy(bytes).trim_end().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(format!("{command:?}: {}{}", text(&output.stdout), text(&output.stderr))),
    }
}

fn command(words: Vec<OsString>) -> Command {
    let mut words = as_owner().into_iter().chain(words);
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).current_dir("/");
    command
}

impl Server {
    /// A new cluster of a version, with page checksums, in a folder that is emptied, with these lines in its configuration.
    pub fn start(major: u32, folder: &Path, settings: &[&str]) -> Result<Server, String> {
        let programs = programs(major);
        engine::remove(folder)?;
        fs::create_dir(folder).map_err(at(folder))?;
        give_to_owner(folder)?;
        let data = folder.join("data");
        let mut initdb: Vec<OsString> = vec![programs.join("initdb").into()];
        initdb.extend(["-U", ADMIN, "-A", "trust", "-E", "UTF8", "--locale=C", "-N", "-k", "-D"].map(Into::into));
        initdb.push(data.clone().into());
        said(&mut command(initdb))?;
        let configuration = data.join("postgresql.conf");
        let mut lines = fs::read_to_string(&configuration).map_err(at(&configuration))?;
        for line in settings {
            lines.push_str(line);
            lines.push('\n');
        }
        fs::write(&configuration, lines).map_err(at(&configuration))?;
        let log = folder.join("log");
        let mut postgres: Vec<OsString> = vec![programs.join("postgres").into(), "-D".into(), data.into()];
        postgres.extend(["-k".into(), folder.into()]);
        postgres.extend(["-p", PORT, "-c", "listen_addresses="].map(Into::into));
        let mut postgres = command(postgres);
        postgres.stdin(Stdio::null()).stdout(Stdio::null());
        postgres.stderr(File::create(&log).map_err(at(&log))?);
        let server = Server {
            folder: folder.to_owned(),
            programs,
            child: postgres.spawn().map_err(|error| format!("{postgres:?}: {error}"))?,
        };
        server.wait()?;
        Ok(server)
    }

    fn wait(&self) -> Result<(), String> {
        for _ in 0..STEPS {
            if said(self.client("pg_isready").arg("-q")).is_ok() {
                return Ok(());
            }
            #[expect(clippy::disallowed_methods, reason = "a real program takes real time")]
            std::thread::sleep(STEP);
        }
        let log = fs::read_to_string(self.beside("log")).unwrap_or_default();
        Err(format!("the server does not answer: {log}"))
    }

    /// One of the programs of its version.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.beside("data")
    }

    /// The folder of its socket.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file beside the data folder.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// One of the client programs, told where the server is.
    pub fn client(&self, name: &str) -> Command {
        let mut command = Command::new(self.program(name));
        command.arg("-h").arg(&self.folder).args(["-p", PORT, "-U", ADMIN]);
        command
    }

    /// The only value of a statement's answer.
    pub fn sql(&self, statement: &str) -> Result<String, String> {
        let mut psql = self.client("psql");
        said(psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-c", statement]))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended = kill_process(Pid::from_child(&self.child), Signal::QUIT);
        if ended.is_ok() && self.child.wait().is_ok() && fs::remove_dir_all(&self.folder).is_ok() {
            return;
        }
        eprintln!("{}: something is left there", self.folder.display());
    }
}
