//! A real PostgreSQL server of a test's own: in a temporary folder, on a Unix socket and a free port of loopback.

#![allow(dead_code, clippy::unwrap_used, reason = "helpers of tests, each of which uses some")]

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use holdfast_sources::postgres::{Address, BaseBackup, ClientOptions, Connection, MemberKind, Purpose};
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Debian's version, which most tests run on.
pub const MAJOR: u32 = 15;
/// Newer versions, whose programs `cargo xtask setup` unpacks below `target/`.
pub const NEWER: [u32; 3] = [16, 17, 18];
/// Who owns and runs servers when root runs the tests: PostgreSQL refuses to run as root.
const OWNER: &str = "postgres";
/// The superuser of every server.
pub const ADMIN: &str = "admin";

/// A program of Debian's version.
pub fn program(name: &str) -> PathBuf {
    program_of(MAJOR, name)
}

/// A program of a version.
pub fn program_of(major: u32, name: &str) -> PathBuf {
    let path = programs(major).join(name);
    assert!(
        path.exists(),
        "these tests need PostgreSQL {major}, but {} is missing: cargo xtask setup",
        path.display()
    );
    path
}

/// The folder of a version's programs.
pub fn programs(major: u32) -> PathBuf {
    if major == MAJOR {
        return PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"));
    }
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let root = above.find(|folder| folder.join("Cargo.lock").exists()).unwrap();
    root.join(format!("target/postgresql-{major}/bin"))
}

/// Gives a process some time.
#[expect(clippy::disallowed_methods, reason = "other processes take their time")]
pub fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}

/// Waits up to a minute.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..1200 {
        if is_so() {
            return;
        }
        pause();
    }
    panic!("waited in vain until {what}");
}

#[expect(clippy::disallowed_methods, reason = "tests tell servers the real time")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// What connections take, and the flag that stops them.
pub fn options() -> ClientOptions {
    ClientOptions {
        now,
        stop: Arc::new(AtomicBool::new(false)),
    }
}

fn owner() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let id = |which| run(Command::new("id").args([which, OWNER])).parse().unwrap();
    Some((id("-u"), id("-g")))
}

/// A command as the owner of servers.
pub fn as_owner(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = owner() {
        command.uid(uid).gid(gid);
    }
    command.current_dir("/");
    command
}

/// Gives a file or folder, with all that is in it, to the owner of servers.
pub fn give_to_owner(path: &Path) {
    if let Some((uid, gid)) = owner() {
        chown(path, Some(uid), Some(gid)).unwrap();
        if path.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                give_to_owner(&entry.unwrap().path());
            }
        }
    }
}

/// Runs a command to its end and gives what it printed.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{command:?}: {out}{err}");
    out.trim_end().to_owned()
}

/// A folder that the owner of servers can use.
pub fn folder() -> TempDir {
    let folder = tempfile::Builder::new()
        .prefix("holdfast-pg-")
        .tempdir_in("/tmp")
        .unwrap();
    give_to_owner(folder.path());
    folder
}

/// A server, which ends with this.
pub struct Server {
    folder: TempDir,
    pub data: PathBuf,
    pub port: u16,
    /// The version of its cluster.
    pub major: u32,
    child: Option<Child>,
}

impl Server {
    /// A new cluster of Debian's version with page checksums, and lines for its configuration; it lets everybody in on its
    /// socket.
    pub fn start(settings: &[&str]) -> Server {
        Server::start_of(MAJOR, settings)
    }

    /// The same of another version.
    pub fn start_of(major: u32, settings: &[&str]) -> Server {
        let folder = folder();
        let data = folder.path().join("data");
        let mut initdb = as_owner(&program_of(major, "initdb"));
        initdb.args(["-U", ADMIN, "-A", "trust", "-E", "UTF8", "--locale=C", "-N", "-k", "-D"]);
        run(initdb.arg(&data));
        let mut server = Server::over(folder, data);
        for line in ["fsync = off", "max_wal_senders = 10", "wal_keep_size = '2GB'"]
            .iter()
            .chain(settings)
        {
            server.configure(line);
        }
        server.begin();
        server
    }

    /// A server over a restored data folder.
    pub fn over(folder: TempDir, data: PathBuf) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let version = fs::read_to_string(data.join("PG_VERSION")).unwrap();
        Server {
            folder,
            data,
            port,
            major: version.trim().parse().unwrap(),
            child: None,
        }
    }

    /// Adds a line to the configuration.
    pub fn configure(&self, line: &str) {
        let path = self.data.join("postgresql.conf");
        let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }

    /// Replaces the lines that let clients in over TCP and reloads them.
    pub fn admit(&self, lines: &[&str]) {
        let all = ["local all all trust", "local replication all trust"];
        let lines: Vec<&str> = all.iter().chain(lines).copied().collect();
        fs::write(self.data.join("pg_hba.conf"), lines.join("\n") + "\n").unwrap();
        self.sql("SELECT pg_reload_conf()");
        // The signal takes a moment to arrive.
        let count = lines.len().to_string();
        wait_until("the server admits", || {
            self.sql("SELECT count(*) FROM pg_hba_file_rules") == count
        });
        pause();
    }

    /// A file beside the data folder that the server can read.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn spawn(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.beside("log"))
            .unwrap();
        let mut command = as_owner(&program_of(self.major, "postgres"));
        command.arg("-D").arg(&self.data).arg("-k").arg(self.folder.path());
        command.args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    fn is_ready(&self) -> bool {
        let mut ready = Command::new(program_of(self.major, "pg_isready"));
        ready
            .arg("-q")
            .arg("-h")
            .arg(self.folder.path())
            .args(["-p", &self.port.to_string()]);
        ready.status().unwrap().success()
    }

    /// Starts it and waits until it answers.
    pub fn begin(&mut self) {
        self.spawn();
        for _ in 0..1200 {
            if self.is_ready() {
                return;
            }
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the server ended:\n{}", self.log());
            pause();
        }
        panic!("the server does not answer:\n{}", self.log());
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.beside("log")).unwrap_or_default()
    }

    fn end(&mut self, signal: Signal) {
        let Some(mut child) = self.child.take() else { return };
        let pid = Pid::from_child(&child);
        let _ = kill_process(pid, signal);
        child.wait().unwrap();
    }

    /// Stops it in order.
    pub fn stop(&mut self) {
        self.end(Signal::INT);
    }

    /// Kills it and all its processes, as a failing machine would.
    pub fn kill(&mut self) {
        let pid = self.child.as_ref().unwrap().id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        self.end(Signal::KILL);
        for child in children.split_whitespace() {
            let _ = kill_process(Pid::from_raw(child.parse().unwrap()).unwrap(), Signal::KILL);
        }
        for child in children.split_whitespace() {
            wait_until("all processes are gone", || {
                !Path::new(&format!("/proc/{child}")).exists()
            });
        }
        let _ = fs::remove_file(self.data.join("postmaster.pid"));
    }

    /// One of the client programs, told where the server is.
    pub fn client(&self, name: &str) -> Command {
        let mut command = Command::new(program_of(self.major, name));
        command
            .arg("-h")
            .arg(self.folder.path())
            .args(["-p", &self.port.to_string(), "-U", ADMIN]);
        command
    }

    /// The only value of a statement's answer.
    pub fn sql(&self, statement: &str) -> String {
        let mut psql = self.client("psql");
        run(psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-c", statement]))
    }

    /// Makes pgbench's tables; 1 is about 15 MiB.
    pub fn fill(&self, scale: u32) {
        run(self
            .client("pgbench")
            .args(["-i", "-q", "-s", &scale.to_string(), "postgres"]));
    }

    /// Writes all the time, until it is killed.
    pub fn load(&self) -> Load {
        let mut pgbench = self.client("pgbench");
        pgbench.args(["-n", "-c", "4", "-T", "600", "postgres"]);
        Load(pgbench.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// The address over the socket, of a role.
    pub fn address(&self, user: &str) -> Address {
        let folder = self.folder.path().display();
        Address::parse(&format!("host={folder} port={} user={user}", self.port)).unwrap()
    }

    /// The address over TCP, with more parameters.
    pub fn tcp(&self, more: &str) -> Address {
        Address::parse(&format!("host=127.0.0.1 port={} {more}", self.port)).unwrap()
    }

    /// A connection of the superuser for replication.
    pub fn replication(&self) -> Connection {
        Connection::open(&self.address(ADMIN), Purpose::Replication, &options()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end(Signal::QUIT);
    }
}

/// A client that writes, until this is dropped.
pub struct Load(Child);

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Writes the rest of a base backup into a folder, as restoring it would.
pub fn write_out(backup: &mut BaseBackup, target: &Path) {
    fs::create_dir_all(target).unwrap();
    while let Some(member) = backup.next_member().unwrap() {
        let path = target.join(&member.path);
        match member.kind {
            MemberKind::Folder => fs::create_dir_all(&path).unwrap(),
            MemberKind::File { size } => {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                let mut file = File::create(&path).unwrap();
                assert_eq!(std::io::copy(backup, &mut file).unwrap(), size, "{}", path.display());
                fs::set_permissions(&path, fs::Permissions::from_mode(member.mode)).unwrap();
            }
        }
    }
    fs::set_permissions(target, fs::Permissions::from_mode(0o700)).unwrap();
    give_to_owner(target);
}

/// Has PostgreSQL's own tool of that version judge a base backup, with its log.
pub fn verify(major: u32, folder: &Path) {
    let mut command = Command::new(program_of(major, "pg_verifybackup"));
    run(command.arg("--exit-on-error").arg(folder));
}
