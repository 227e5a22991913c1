//! A private server: in a folder of its own, on a socket in it and on no port, ended by its own process.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use holdfast_local::system_ambient;
use holdfast_sources::postgres::{Address, ClientOptions, Connection, Purpose};
use jiff::Timestamp;

use super::{failed, is_plain, programs};
use crate::demo::ground;
use crate::error::CliError;

/// Under whom servers run where root shows the demo: PostgreSQL refuses to run as root.
const USER: &str = "postgres";
/// The superuser of the private servers.
const ADMIN: &str = "holdfast";
/// How often to look whether a server has come as far as it is waited for, and how many times.
const LOOKS: (Duration, u32) = (Duration::from_millis(50), 1200);

/// Where the servers of the demo live.
pub struct Place {
    programs: PathBuf,
    version: u32,
    folder: PathBuf,
    owner: Option<(u32, u32)>,
}

impl Place {
    /// Makes the place; the inner error says why there can be none on this machine.
    pub fn find() -> Result<Result<Place, String>, CliError> {
        let Some((programs, version)) = programs() else {
            return Ok(Err(
                "no PostgreSQL of versions 13 to 18 is installed in /usr/lib/postgresql".to_owned(),
            ));
        };
        let owner = match rustix::process::geteuid().is_root() {
            false => None,
            true => match uzers::get_user_by_name(USER) {
                Some(user) => Some((user.uid(), user.primary_group_id())),
                None => {
                    return Ok(Err(format!(
                        "PostgreSQL does not run as root, and there is no user {USER}"
                    )));
                }
            },
        };
        let random = u64::from_le_bytes(system_ambient().random());
        // Short: the path of a socket has no more than 107 bytes.
        let folder = std::env::temp_dir().join(format!("holdfast-demo-{random:016x}"));
        if !is_plain(&folder) || folder.as_os_str().len() > 80 {
            return Ok(Err(format!("{} is no folder for a socket", folder.display())));
        }
        let place = Place {
            programs,
            version,
            folder,
            owner,
        };
        place.make(&place.folder)?;
        Ok(Ok(place))
    }

    /// The server's major version.
    pub fn version(&self) -> u32 {
        self.version
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A new folder in it.
    pub fn make_folder(&self, name: &str) -> Result<PathBuf, CliError> {
        let folder = self.path(name);
        self.make(&folder)?;
        Ok(folder)
    }

    fn make(&self, folder: &Path) -> Result<(), CliError> {
        let made = fs::DirBuilder::new().mode(0o700).create(folder);
        made.map_err(|error| ground::failed("make", folder, &error))?;
        self.hand_over(folder)
    }

    fn hand_over(&self, path: &Path) -> Result<(), CliError> {
        match self.owner {
            None => Ok(()),
            Some((user, group)) => chown(path, Some(user), Some(group))
                .map_err(|error| ground::failed("change the owner of", path, &error)),
        }
    }

    /// Removes all of it.
    pub fn remove(&self) -> Result<(), CliError> {
        fs::remove_dir_all(&self.folder).map_err(|error| ground::failed("remove", &self.folder, &error))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command.current_dir(&self.folder).stdin(Stdio::null());
        command
    }
}

/// A server, which ends with this.
pub struct Server<'a> {
    place: &'a Place,
    data: PathBuf,
    address: Address,
    child: Option<Child>,
}

impl<'a> Server<'a> {
    /// A new cluster, with page checksums, and a server over it.
    pub fn create(place: &'a Place) -> Result<Server<'a>, CliError> {
        let data = place.path("data");
        let mut initdb = place.command("initdb");
        initdb.args([
            "--username",
            ADMIN,
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
            "--locale",
            "C",
        ]);
        let made = initdb
            .args(["--data-checksums", "--pgdata"])
            .arg(&data)
            .output()
            .map_err(failed)?;
        if !made.status.success() {
            return Err(failed(String::from_utf8_lossy(&made.stderr)));
        }
        let mut server = Server::over(place, data);
        server.start()?;
        Ok(server)
    }

    /// A server over a folder that stands.
    pub fn over(place: &'a Place, data: PathBuf) -> Server<'a> {
        let folder = place.folder.display();
        Server {
            place,
            data,
            // A plain path, so that this is an address.
            address: Address::parse(&format!("host={folder} user={ADMIN} dbname=postgres"))
                .unwrap_or_else(|error| unreachable!("an address of words that were checked: {error}")),
            child: None,
        }
    }

    /// How it is reached.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Starts it and waits until it answers.
    pub fn start(&mut self) -> Result<(), CliError> {
        let log = self.place.path("log");
        let open = File::options().create(true).append(true).open(&log);
        let output = open.map_err(|error| ground::failed("write", &log, &error))?;
        let mut postgres = self.place.command("postgres");
        postgres.arg("-D").arg(&self.data).arg("-k").arg(&self.place.folder);
        postgres.args([
            "-c",
            "listen_addresses=",
            "-c",
            "max_wal_senders=5",
            "-c",
            "shared_buffers=32MB",
        ]);
        postgres.stdout(output.try_clone().map_err(failed)?).stderr(output);
        self.child = Some(postgres.spawn().map_err(failed)?);
        self.until("answers", |server| Ok(server.sql("SELECT 1").is_ok()))
    }

    /// Waits until it has come to the end of its recovery.
    pub fn until_recovered(&mut self) -> Result<(), CliError> {
        self.until("has recovered", |server| {
            Ok(server
                .sql("SELECT pg_is_in_recovery()")
                .is_ok_and(|answer| answer == "f"))
        })
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&Server<'_>) -> Result<bool, CliError>) -> Result<(), CliError> {
        for _ in 0..LOOKS.1 {
            if is_so(self)? {
                return Ok(());
            }
            let ended = self
                .child
                .as_mut()
                .map(Child::try_wait)
                .transpose()
                .map_err(failed)?
                .flatten();
            if ended.is_some() {
                break;
            }
            pause(LOOKS.0);
        }
        let log = fs::read_to_string(self.place.path("log")).unwrap_or_default();
        let end: Vec<&str> = log.lines().rev().take(5).collect();
        let end: Vec<&str> = end.into_iter().rev().collect();
        Err(failed(format!("no server {what}: {}", end.join(" / "))))
    }

    /// The only value that a statement answers, if it answers any.
    pub fn sql(&self, statement: &str) -> Result<String, CliError> {
        let mut connection = Connection::open(&self.address, Purpose::Sql, &client()).map_err(failed)?;
        let rows = connection.query(statement).map_err(failed)?.rows;
        let value = rows.first().and_then(|row| row.text(0));
        Ok(value.unwrap_or_default().to_owned())
    }

    /// How many lines the ledger holds, and the time of the newest.
    pub fn ledger(&self) -> Result<(u64, Timestamp), CliError> {
        let count = self.sql("SELECT count(*) FROM ledger")?;
        let newest = self.sql("SELECT (extract(epoch FROM max(at)) * 1000000)::bigint FROM ledger")?;
        let newest = newest.parse().map_err(failed)?;
        Ok((
            count.parse().map_err(failed)?,
            Timestamp::from_microsecond(newest).map_err(failed)?,
        ))
    }

    /// Ends it as a failing machine would.
    pub fn kill(&mut self) -> Result<(), CliError> {
        match self.child.take() {
            None => Ok(()),
            Some(mut child) => {
                child.kill().map_err(failed)?;
                child.wait().map(drop).map_err(failed)
            }
        }
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            if let Some(process) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
                // In order, so that its processes end with it.
                let _ = rustix::process::kill_process(process, rustix::process::Signal::INT);
            }
            let _ = child.wait();
        }
    }
}

/// For connections that nobody stops.
pub fn client() -> ClientOptions {
    ClientOptions {
        now: system_ambient().now,
        stop: Arc::new(AtomicBool::new(false)),
    }
}

/// Gives a server time.
#[expect(clippy::disallowed_methods, reason = "a real server takes real time")]
pub fn pause(time: Duration) {
    thread::sleep(time);
}
