//! A Region: a PostgreSQL server with its guard, and the application beside it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use holdfast_failover::guard::GuardState;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::application;
use crate::network::{Machine, Network};
use crate::server::{ADMIN, as_owner, folder, give_to_owner, program, run, wait_until};

pub const TOKEN: &str = "a-secret-of-the-test-0123456789";
pub const GUARD_PORT: u16 = 7070;
pub const AUTHORITY_PORT: u16 = 7080;
/// Seconds of every guard's lease.
pub const LEASE_SECONDS: u64 = 4;

pub struct Region {
    pub name: &'static str,
    pub machine: Machine,
    folder: TempDir,
    holdfast: PathBuf,
    guard: Option<Child>,
}

impl Region {
    /// A Region without a server; `holdfast` is a program that the owner of servers can run.
    pub fn new(name: &'static str, machine: Machine, holdfast: &Path) -> Region {
        let folder = folder();
        for part in ["sockets", "guard"] {
            fs::create_dir(folder.path().join(part)).unwrap();
        }
        fs::write(folder.path().join("token"), TOKEN).unwrap();
        give_to_owner(folder.path());
        Region {
            name,
            machine,
            folder,
            holdfast: holdfast.to_owned(),
            guard: None,
        }
    }

    pub fn path(&self, part: &str) -> PathBuf {
        self.folder.path().join(part)
    }

    /// How its server is reached on the machine itself.
    pub fn socket(&self) -> String {
        format!("host={} port=5432 user={ADMIN}", self.path("sockets").display())
    }

    /// How its server is reached by others.
    pub fn server(&self) -> String {
        format!(
            "host={} port=5432 user={ADMIN} connect_timeout=3",
            self.machine.address()
        )
    }

    pub fn guard_url(&self) -> String {
        format!("http://{}:{GUARD_PORT}", self.machine.address())
    }

    /// A new cluster for orders.
    pub fn create_primary(&self) {
        let data = self.path("data");
        let mut initdb = as_owner(&program("initdb"));
        initdb.args(["-U", ADMIN, "-A", "trust", "-E", "UTF8", "--locale=C", "-N", "-k", "-D"]);
        run(initdb.arg(&data));
        let common = [
            "listen_addresses = '*'",
            "fsync = off",
            "max_wal_senders = 10",
            "wal_keep_size = '1GB'",
            "wal_sender_timeout = '5s'",
            "wal_receiver_timeout = '5s'",
            "wal_retrieve_retry_interval = '500ms'",
            "autovacuum = off",
        ];
        let mut text = fs::read_to_string(data.join("postgresql.conf")).unwrap();
        for line in common {
            text.push_str(&format!("\n{line}"));
        }
        fs::write(data.join("postgresql.conf"), text + "\n").unwrap();
        let lines = [
            "local all all trust",
            "host all all 10.77.0.0/24 trust",
            "host replication all 10.77.0.0/24 trust",
        ];
        fs::write(data.join("pg_hba.conf"), lines.join("\n") + "\n").unwrap();
        give_to_owner(&data);
    }

    /// A copy of a server, as its standby.
    pub fn create_standby(&self, network: &Network, of: &Region) {
        let (data, host) = (self.path("data"), of.machine.address());
        network.on(self.machine, move || {
            let mut copy = as_owner(&program("pg_basebackup"));
            copy.args(["-h", host, "-U", ADMIN, "-c", "fast", "-X", "stream", "-D"])
                .arg(&data);
            run(&mut copy);
            fs::write(data.join("standby.signal"), "").unwrap();
            give_to_owner(&data);
        });
    }

    /// Starts the application for as long as the test runs.
    pub fn start_application(&self, network: &Network) {
        let (name, socket) = (self.name, self.socket());
        network.spawn(self.machine, move || application::serve(name, &socket));
    }

    /// Starts the guard, which does the rest.
    pub fn start_guard(&mut self, network: &Network, leader: Option<&Region>) {
        let leader = leader.map_or_else(String::new, |leader| format!("leader = \"{}\"\n", leader.server()));
        let settings = format!(
            "workload = \"shop\"\nregion = \"{}\"\ndata = \"{}\"\nprograms = \"{}\"\nserver = \"{}\"\n\
             arguments = [\"-k\", \"{}\"]\nfolder = \"{}\"\nlisten = \"{}:{GUARD_PORT}\"\ntoken_file = \"{}\"\n\
             authority = [\"http://{}:{AUTHORITY_PORT}\"]\nlease_seconds = {LEASE_SECONDS}\n{leader}",
            self.name,
            self.path("data").display(),
            program("postgres").parent().unwrap().display(),
            self.socket(),
            self.path("sockets").display(),
            self.path("guard").display(),
            self.machine.address(),
            self.path("token").display(),
            Machine::Control.address(),
        );
        let path = self.path("guard.toml");
        fs::write(&path, settings).unwrap();
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        let holdfast = self.holdfast.clone();
        self.guard = Some(network.on(self.machine, move || {
            let mut guard = as_owner(&holdfast);
            guard.args(["guard", "--config"]).arg(path).env("HOLDFAST_LOG", "info");
            guard.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
            guard.spawn().unwrap()
        }));
    }

    /// Starts the guard again, of a server that was once a primary.
    pub fn start_guard_again(&mut self, network: &Network) {
        self.start_guard(network, None);
    }

    /// Sends a signal to the guard's process alone.
    pub fn signal_guard(&self, signal: Signal) {
        kill_process(Pid::from_child(self.guard.as_ref().unwrap()), signal).unwrap();
    }

    /// Kills the guard and the server, all of its processes, as a failing machine would.
    pub fn kill(&mut self) {
        let Some(mut guard) = self.guard.take() else { return };
        for pid in self.processes() {
            let _ = kill_process(pid, Signal::KILL);
        }
        guard.kill().unwrap();
        guard.wait().unwrap();
        wait_until("nothing of the server is left", || self.processes().is_empty());
    }

    /// The server's processes.
    pub fn processes(&self) -> Vec<Pid> {
        let data = self.path("data");
        let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let cwd = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
            (cwd == data).then(|| Pid::from_raw(pid))?
        });
        pids.collect()
    }

    /// What the guard answers to somebody on its own machine.
    pub fn state(&self, network: &Network) -> Option<GuardState> {
        let url = format!("{}/state", self.guard_url());
        network.on(self.machine, move || {
            let answer = crate::clients::agent()
                .get(url)
                .header("authorization", format!("Bearer {TOKEN}"))
                .call();
            answer.ok()?.body_mut().read_json().ok()
        })
    }

    /// The answer of its server, asked on its own machine.
    pub fn sql(&self, statement: &str) -> String {
        run(&mut self.psql(statement))
    }

    /// The same; none where it refuses, or is down.
    pub fn answer(&self, statement: &str) -> Option<String> {
        let output = self.psql(statement).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        output.status.success().then(|| said.trim_end().to_owned())
    }

    fn psql(&self, statement: &str) -> Command {
        let mut psql = as_owner(&program("psql"));
        psql.arg("-h").arg(self.path("sockets")).args([
            "-U",
            ADMIN,
            "-XAtq",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            "postgres",
        ]);
        psql.args(["-c", statement]);
        psql
    }

    /// Has a standby replay no more, whatever it receives.
    pub fn stop_replaying(&self) {
        self.sql("SELECT pg_wal_replay_pause()");
    }

    /// Has it replay again what it has received.
    pub fn replay_again(&self) {
        self.sql("SELECT pg_wal_replay_resume()");
    }

    /// The orders that its server holds.
    pub fn orders(&self) -> BTreeSet<String> {
        self.sql("SELECT id FROM orders").lines().map(str::to_owned).collect()
    }

    /// What guard and server logged last, for a test that fails.
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(12).collect();
        format!(
            "{}:\n{}",
            self.name,
            lines.into_iter().rev().collect::<Vec<_>>().join("\n")
        )
    }
}

/// The transactions that a server gave up when it began to follow another, as its guard has listed them.
pub fn given_up(records: &str) -> BTreeSet<u64> {
    let listed = fs::read_to_string(records).unwrap();
    let commits = listed.lines().filter(|line| line.contains("desc: COMMIT"));
    let number = |line: &str| line.split_once("tx:")?.1.split(',').next()?.trim().parse().ok();
    commits.map(|line| number(line).unwrap()).collect()
}

impl Drop for Region {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
        self.kill();
    }
}
