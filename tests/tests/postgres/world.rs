//! A server with a ledger, a repository, and the program, run by the user who runs the server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use holdfast_tests::holdfast_binary;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::server::{ADMIN, MAJOR, Server, as_owner, folder, give_to_owner, wait_until};
use crate::tools::{PASSWORD, Ran};

/// What the server is called in the repository.
pub const NAME: &str = "orders";
/// The slot of the receiver.
pub const SLOT: &str = "holdfast";

/// Settings of every server: commits are timed, so that what a recovery must bring back is known to the transaction.
const SETTINGS: [&str; 3] = [
    "track_commit_timestamp = on",
    "wal_level = replica",
    "checkpoint_timeout = '30s'",
];

pub struct World {
    pub server: Server,
    pub folder: TempDir,
    program: PathBuf,
}

/// A line of the ledger: its number, and when it was committed, in microseconds.
pub type Line = (u64, i64);

impl World {
    pub fn new(settings: &[&str]) -> World {
        World::of(MAJOR, settings)
    }

    /// The same with a server of another version.
    pub fn of(major: u32, settings: &[&str]) -> World {
        let server = Server::start_of(major, &[&SETTINGS, settings].concat());
        server.sql("CREATE TABLE ledger (id bigserial PRIMARY KEY, text text DEFAULT repeat('x', 200))");
        let folder = folder();
        // Where the sources are may be closed to the user who runs servers.
        let program = folder.path().join("holdfast");
        fs::copy(holdfast_binary(), &program).unwrap();
        fs::write(folder.path().join("password"), PASSWORD).unwrap();
        give_to_owner(folder.path());
        let world = World {
            server,
            folder,
            program,
        };
        let mut init = world.command(&["repository", "init"]);
        Ran::of(&mut init).ends(0);
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn repo(&self) -> PathBuf {
        self.path("repo")
    }

    /// The words that every command has.
    fn kept(&self) -> [String; 4] {
        let text = |path: PathBuf| path.display().to_string();
        [
            "--repo".into(),
            text(self.repo()),
            "--password-file".into(),
            text(self.path("password")),
        ]
    }

    /// `holdfast WORDS --repo … --password-file …`.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = as_owner(&self.program);
        command.args(words).args(self.kept());
        command
    }

    /// How the server is reached, over its socket.
    pub fn connection(&self) -> String {
        let socket = self.server.beside("");
        format!("host={} port={} user={ADMIN}", socket.display(), self.server.port)
    }

    /// `holdfast postgres VERB …` on the server.
    pub fn postgres(&self, verb: &str, words: &[&str]) -> Command {
        let mut command = self.command(&["--json", "postgres", verb]);
        command.args(["--name", NAME]).args(words);
        if matches!(verb, "backup" | "receive") {
            command.args(["--server", &self.connection()]);
        }
        command
    }

    pub fn back_up(&self) -> Value {
        Ran::of(&mut self.postgres("backup", &[])).ends(0).json()
    }

    /// Starts a receiver.
    pub fn receive(&self) -> Receiver {
        let spool = self.path("spool");
        let spool = spool.to_str().unwrap();
        let words = [
            "--slot",
            SLOT,
            "--create-slot",
            "--spool",
            spool,
            "--partial-every",
            "2s",
        ];
        let mut command = self.postgres("receive", &words);
        let started = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let receiver = Receiver(Some(started.unwrap()));
        wait_until("the receiver receives", || {
            self.server
                .sql("SELECT count(*) FROM pg_replication_slots WHERE active")
                == "1"
        });
        receiver
    }

    /// Keeps what the server has now.
    pub fn pull(&self) -> Ran {
        let spool = self.path("pulls");
        let spool = spool.to_str().unwrap();
        let words = ["--slot", SLOT, "--create-slot", "--spool", spool, "--once"];
        Ran::of(&mut self.postgres("receive", &words))
    }

    pub fn windows(&self) -> Value {
        Ran::of(&mut self.postgres("windows", &[])).json()
    }

    /// Writes lines into the ledger, until this is dropped.
    pub fn writer(&self) -> Writer {
        let script = self.path("script");
        fs::write(&script, "INSERT INTO ledger DEFAULT VALUES;\n").unwrap();
        let mut pgbench = self.server.client("pgbench");
        pgbench
            .args(["-n", "-c", "3", "-R", "300", "-T", "600", "-f"])
            .arg(&script)
            .arg("postgres");
        Writer(pgbench.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Restores into a new folder and starts a server over it, which recovers to its end.
    pub fn recovered(&self, words: &[&str]) -> Server {
        let folder = folder();
        let data = folder.path().join("data");
        let target = data.to_str().unwrap().to_owned();
        Ran::of(self.postgres("restore", words).args(["--target", &target])).ends(0);
        let mut server = Server::over(folder, data);
        server.begin();
        wait_until("recovery has ended", || server.sql("SELECT pg_is_in_recovery()") == "f");
        server
    }
}

/// Every line, in order of its number.
pub fn ledger(server: &Server) -> Vec<Line> {
    let lines = server.sql(
        "SELECT id || ' ' || (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint FROM ledger ORDER BY id",
    );
    let line = |line: &str| {
        let (id, at) = line.split_once(' ').unwrap();
        (id.parse().unwrap(), at.parse().unwrap())
    };
    lines.lines().map(line).collect()
}

/// The receiver's process.
pub struct Receiver(Option<Child>);

impl Receiver {
    /// Asks it to stop and waits until it has stored what it had.
    pub fn stop(mut self) {
        let mut child = self.0.take().unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What writes into the ledger.
pub struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Has another program restore the newest base backup, as the owner of servers; the data folder.
pub fn restored_by_restic(world: &World, snapshot: &str, out: &Path) -> PathBuf {
    crate::tools::restic(&world.repo(), &[&"restore", &snapshot, &"--target", &out]);
    give_to_owner(out);
    out.join(NAME).join("data")
}
