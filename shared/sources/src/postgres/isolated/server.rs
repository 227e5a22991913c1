//! [`Server`]: a server over a restored cluster that nobody else reaches.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};

use super::super::address::{Address, Endpoint, TlsMode};
use super::super::connection::{ClientOptions, Connection, Purpose};
use super::super::error::PostgresError;
use super::super::follow::pause;
use super::super::log::LogArchive;
use super::super::lsn::Lsn;
use super::log_pipe::LogPipe;
use super::{IsolatedError, Programs, Request, Scratch};

/// The database that every cluster has: new ones are copies of it.
pub(in super::super) const DATABASE: &str = "template1";
/// The socket's number. No other server has a socket in the same folder.
const PORT: u16 = 5432;
/// How often to look whether the server has come as far as it is waited for.
const LOOK: Duration = Duration::from_millis(100);
/// How many times, once it was told to end: ten minutes in order, ten seconds at once.
const LOOKS: (u32, u32) = (6000, 100);
/// A check of a large table is silent for as long as it takes. Whoever waits can be stopped.
const PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);
/// The words of complaints in its log.
const COMPLAINTS: [&str; 3] = ["FATAL:", "PANIC:", "ERROR:"];
/// Lines of the server's log that are told.
const MOST_SAID: usize = 5;

/// The whole configuration. What the original had is not read: it archives its log, follows a primary, waits for
/// standbys, loads libraries that run jobs, or needs files that are not here. Before the recovery has ended nobody is let in,
/// so that it does not depend on how many connections the original allowed. The most prepared transactions and locks are those
/// that a cluster may come with, and that a dump of many tables needs.
const SETTINGS: &str = "\
listen_addresses = ''
port = 5432
ssl = off
hot_standby = off
archive_mode = off
primary_conninfo = ''
shared_preload_libraries = ''
session_preload_libraries = ''
local_preload_libraries = ''
max_logical_replication_workers = 0
max_wal_senders = 0
synchronous_standby_names = ''
autovacuum = off
fsync = off
full_page_writes = off
shared_buffers = '64MB'
maintenance_work_mem = '128MB'
max_connections = 40
max_prepared_transactions = 1000
max_worker_processes = 4
huge_pages = off
jit = off
logging_collector = off
log_destination = 'stderr'
log_line_prefix = '%m [%p] %e '
lc_messages = 'C'
";

/// The same, of versions that know them: triggers of the original must not run when checks prepare themselves.
const NEWER_SETTINGS: (u32, &str) = (17, "event_triggers = off\n");

/// How far a server recovered.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Recovered {
    /// The end of the log that was replayed.
    #[serde(serialize_with = "as_text")]
    pub lsn: Lsn,
    /// When the last transaction in it was committed; `None` where there was none.
    pub last_commit_at: Option<Timestamp>,
}

fn as_text<S: serde::Serializer>(lsn: &Lsn, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(lsn)
}

/// A server, which ends with this.
pub struct Server<'a> {
    scratch: &'a Scratch,
    log: PathBuf,
    role: String,
    client: ClientOptions,
    child: Child,
    has_ended: bool,
}

impl<'a> Server<'a> {
    /// Starts a server over what [`Scratch::restore`] restored, gives it its log, and waits until it has recovered to its
    /// target and opened for writing.
    pub fn recover(
        scratch: &'a Scratch,
        programs: &Programs,
        archive: &LogArchive,
        request: &Request<'_>,
    ) -> Result<(Server<'a>, Recovered), IsolatedError> {
        let pipe = LogPipe::make(scratch)?;
        thread::scope(|scope| {
            let serving = scope.spawn(|| pipe.serve(scratch, archive, request.index, request.workers));
            let outcome = Server::start(scratch, programs, request.superuser, request.client).and_then(|mut server| {
                let recovered = server.wait(|| serving.is_finished())?;
                Ok((server, recovered))
            });
            // Where it broke off by itself there is nobody to be told.
            let _ = pipe.end();
            let served = serving.join().unwrap_or(Err(IsolatedError::Stopped));
            match (outcome, served) {
                (Err(IsolatedError::Ended { .. }), Ok(Some(error))) => Err(IsolatedError::Log(error)),
                (Err(IsolatedError::Ended { .. }), Err(error)) => Err(error),
                (outcome, _) => outcome,
            }
        })
    }

    fn start(
        scratch: &'a Scratch,
        programs: &Programs,
        role: &str,
        client: &ClientOptions,
    ) -> Result<Server<'a>, IsolatedError> {
        let path = |name: &str| scratch.folder().join(name);
        let socket = format!("unix_socket_directories = '{}'\n", scratch.folder().display());
        let newer = match programs.major() >= NEWER_SETTINGS.0 {
            true => NEWER_SETTINGS.1,
            false => "",
        };
        for (name, text) in [
            ("postgresql.conf", format!("{SETTINGS}{newer}{socket}").as_str()),
            ("pg_hba.conf", "local all all trust\n"),
            ("pg_ident.conf", ""),
        ] {
            fs::write(path(name), text).map_err(IsolatedError::io("write", path(name)))?;
            scratch.give(&path(name))?;
        }
        let log = path("log");
        let failed = || IsolatedError::io("write", &log);
        let out = File::create(&log).map_err(failed())?;
        let postgres = programs.path("postgres")?;
        let mut command = Command::new(&postgres);
        command.arg("-D").arg(scratch.data());
        for (setting, name) in [
            ("config_file", "postgresql.conf"),
            ("hba_file", "pg_hba.conf"),
            ("ident_file", "pg_ident.conf"),
        ] {
            command.arg("-c").arg(format!("{setting}={}", path(name).display()));
        }
        if let Some((uid, gid)) = scratch.owner() {
            command.uid(uid).gid(gid);
        }
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin");
        command.current_dir(scratch.folder()).stdin(Stdio::null());
        command.stdout(out.try_clone().map_err(failed())?).stderr(out);
        let child = command.spawn().map_err(IsolatedError::io("run", &postgres))?;
        Ok(Server {
            scratch,
            log,
            role: role.to_owned(),
            client: client.clone(),
            child,
            has_ended: false,
        })
    }

    /// Waits for the end of the recovery, or of the server, or of what gives it its log.
    fn wait(&mut self, gave_up: impl Fn() -> bool) -> Result<Recovered, IsolatedError> {
        loop {
            if self.is_stopped() {
                return Err(IsolatedError::Stopped);
            }
            if self.looked_ended()? || gave_up() {
                return Err(self.ended());
            }
            match self
                .connect(DATABASE)
                .and_then(|mut connection| recovered(&mut connection))
            {
                Ok(Some(recovered)) => return Ok(recovered),
                Ok(None) => {}
                Err(source @ PostgresError::NotAdmitted { .. }) => {
                    let role = self.role.clone();
                    return Err(IsolatedError::NoSuperuser { role, source });
                }
                Err(error) if error.is_of_this_host() => {}
                Err(PostgresError::Unreachable { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            pause(&self.client.stop, LOOK);
        }
    }

    fn is_stopped(&self) -> bool {
        self.client.stop.load(Ordering::SeqCst)
    }

    fn looked_ended(&mut self) -> Result<bool, IsolatedError> {
        let looked = self
            .child
            .try_wait()
            .map_err(IsolatedError::io("wait for the server over", self.scratch.data()))?;
        self.has_ended |= looked.is_some();
        Ok(self.has_ended)
    }

    /// Why it ended, from its log.
    fn ended(&self) -> IsolatedError {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        if text.contains("No space left on device") {
            let folder = self.scratch.folder().to_owned();
            return IsolatedError::Full { folder };
        }
        IsolatedError::Ended {
            said: last_words(&text),
            is_of_data: speaks_of_data(&text),
        }
    }

    /// How one of its databases is reached.
    pub fn address(&self, database: &str) -> Address {
        Address {
            endpoints: vec![Endpoint::Unix {
                folder: self.scratch.folder().to_owned(),
                port: PORT,
            }],
            user: self.role.clone(),
            password: None,
            database: database.to_owned(),
            tls: TlsMode::Disable,
            connect_timeout: None,
            application_name: None,
        }
    }

    /// A connection to one of its databases, on which neither the database's nor the role's settings get in the way.
    pub fn connect(&self, database: &str) -> Result<Connection, PostgresError> {
        let mut connection = Connection::open(&self.address(database), Purpose::Sql, &self.client)?;
        connection.set_patience(PATIENCE);
        connection.query(SESSION)?;
        Ok(connection)
    }

    /// The data folder that it runs over.
    pub fn data(&self) -> PathBuf {
        self.scratch.data()
    }

    /// Ends it in order, so that all pages are in their files.
    pub fn stop(mut self) -> Result<(), IsolatedError> {
        self.signal(Signal::INT);
        for _ in 0..LOOKS.0 {
            if self.looked_ended()? {
                return Ok(());
            }
            if self.is_stopped() {
                return Err(IsolatedError::Stopped);
            }
            pause(&self.client.stop, LOOK);
        }
        Err(self.ended())
    }

    fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }
}

/// What would stand in the way of checks: limits that a role or a database has for itself, and a lock that somebody's prepared
/// transaction holds for ever.
const SESSION: &str = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '30s'; \
    SET default_transaction_read_only = off; SET search_path = pg_catalog; SET client_encoding = 'UTF8'; \
    SET TimeZone = 'UTC'; SET DateStyle = 'ISO'";

fn recovered(connection: &mut Connection) -> Result<Option<Recovered>, PostgresError> {
    let row = connection.query_one(
        "SELECT pg_is_in_recovery(), coalesce(pg_last_wal_replay_lsn(), pg_current_wal_lsn()), \
         (extract(epoch FROM pg_last_xact_replay_timestamp()) * 1000000)::bigint",
    )?;
    if row.text(0) != Some("f") {
        return Ok(None);
    }
    let at: Option<i64> = connection.optional(&row, 2)?;
    Ok(Some(Recovered {
        lsn: connection.parsed(&row, 1)?,
        last_commit_at: at.and_then(|at| Timestamp::from_microsecond(at).ok()),
    }))
}

/// Whether a line of the log is a complaint of the server, rather than an answer to who came too early.
fn is_complaint(line: &str) -> bool {
    let complains = COMPLAINTS.iter().any(|word| line.contains(word));
    complains && !line.contains("the database system is ") && !line.contains("terminating connection")
}

/// Whether a server that ended complained about its data. It did not where it never came to look at them, where it was killed
/// without a word, and where it complains of this machine alone: of memory, of disks, of rights, of being told to end.
fn speaks_of_data(log: &str) -> bool {
    let looked = log.lines().position(|line| line.contains("LOG:  database system was "));
    let of_machine =
        |code: &str| code.starts_with("53") || code.starts_with("57") || ["58030", "42501"].contains(&code);
    let code = |line: &'_ str| {
        let at = COMPLAINTS.iter().find_map(|word| line.find(word))?;
        line[..at].split_whitespace().next_back().map(str::to_owned)
    };
    let complaints = log
        .lines()
        .skip(looked.unwrap_or(usize::MAX))
        .filter(|line| is_complaint(line));
    complaints.filter_map(code).any(|code| !of_machine(&code))
}

/// The last lines of a log in which a server complains.
fn last_words(log: &str) -> String {
    let mut lines: Vec<&str> = log
        .lines()
        .rev()
        .filter(|line| is_complaint(line))
        .take(MOST_SAID)
        .collect();
    if lines.is_empty() {
        lines = log.lines().rev().take(MOST_SAID).collect();
    }
    lines.reverse();
    let words: Vec<&str> = lines.into_iter().map(|line| message(line).trim()).collect();
    words
        .join("; ")
        .chars()
        .filter(|c| !c.is_control())
        .take(1000)
        .collect()
}

/// A line without the time and process before its word.
fn message(line: &str) -> &str {
    let at = COMPLAINTS.iter().find_map(|word| line.find(word));
    at.map_or(line, |at| &line[at..])
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let never = AtomicBool::new(false);
        for signal in [Signal::QUIT, Signal::KILL] {
            if matches!(self.looked_ended(), Ok(true)) {
                return;
            }
            self.signal(signal);
            for _ in 0..LOOKS.1 {
                if !matches!(self.looked_ended(), Ok(false)) {
                    return;
                }
                pause(&never, LOOK);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_of_a_server_are_its_complaints() {
        let log = "2026-03-01 10:00:00 UTC [1] LOG:  starting\n\
            2026-03-01 10:00:00 UTC [2] FATAL:  the database system is not accepting connections\n\
            2026-03-01 10:00:01 UTC [3] FATAL:  recovery ended before configured recovery target was reached\n\
            2026-03-01 10:00:01 UTC [1] LOG:  database system is shut down\n";
        assert_eq!(
            last_words(log),
            "FATAL:  recovery ended before configured recovery target was reached"
        );
        assert_eq!(last_words("postgres: cannot be run"), "postgres: cannot be run");
        assert_eq!(last_words(""), "");
    }

    #[test]
    fn a_complaint_about_data_is_told_from_one_about_the_machine() {
        let begun = "t UTC [2] 00000 LOG:  database system was interrupted; last known up at t";
        for (log, is_of_data) in [
            (
                format!("{begun}\nt UTC [2] XX001 PANIC:  could not locate a valid checkpoint record"),
                true,
            ),
            (
                format!(
                    "{begun}\nt UTC [2] F0000 FATAL:  recovery ended before configured recovery target was reached"
                ),
                true,
            ),
            (format!("{begun}\nt UTC [2] 53200 FATAL:  out of memory"), false),
            (
                format!("{begun}\nt UTC [2] 58030 FATAL:  could not read file \"base/1/2\": Input/output error"),
                false,
            ),
            (
                format!("{begun}\nt UTC [3] 57P03 FATAL:  the database system is starting up"),
                false,
            ),
            (
                format!("{begun}\nt UTC [1] 00000 LOG:  startup process (PID 2) was terminated by signal 9: Killed"),
                false,
            ),
            (
                "t UTC [1] XX000 FATAL:  could not map anonymous shared memory: Cannot allocate memory".to_owned(),
                false,
            ),
            (String::new(), false),
        ] {
            assert_eq!(speaks_of_data(&log), is_of_data, "{log}");
        }
    }
}
