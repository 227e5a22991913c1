//! PostgreSQL: base backups, restores and the log, beside pgBackRest and `pg_basebackup`, of a server of this program's own.

mod archiving;
mod operations;
mod server;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use operations::{Operation, Peer};
use server::{ADMIN, PORT, Server, give_to_owner, said};

pub use server::MAJOR;

use crate::engine;
use crate::measured::{self, Took};
use crate::peers::PASSWORD;
use crate::report::median;

/// pgbench's tables of this scale take a gibibyte.
const SCALE_OF_A_GIB: u32 = 62;
const PAGE: u64 = 8192;
/// Every hundredth page is changed, or damaged.
const EVERY: u64 = 100;
/// Rows of pgbench's largest table that stand in one page that is filled to nine tenths.
const ROWS_A_PAGE: u64 = 55;
/// The first version that tells what changed.
const TELLS_CHANGES: u32 = 17;
const PGBACKREST: &str = "/usr/bin/pgbackrest";

/// One operation of one program in one round.
struct Row {
    peer: Peer,
    operation: Operation,
    took: Took,
    /// MiB that the repository has grown.
    stored: f64,
}

/// Where everything is.
struct Place {
    server: Server,
    major: u32,
    holdfast: PathBuf,
    /// Finished segments of the log, in order.
    segments: Vec<PathBuf>,
}

/// Measures a server of `gib` GiB, and prints a table. Of versions that Debian does not have, its pgBackRest knows nothing.
pub fn measure(holdfast: &Path, major: u32, gib: u32, segments: usize, rounds: u32) -> Result<(), String> {
    let mut place = Place::make(holdfast, major, gib)?;
    place.write_log(segments)?;
    let size: f64 = place
        .server
        .sql("SELECT sum(pg_database_size(oid)) FROM pg_database")?
        .parse()
        .map_err(|_| "no size")?;
    let mut rows = Vec::new();
    for round in 0..rounds {
        eprintln!("round {}", round + 1);
        place.round(&mut rows)?;
    }
    println!("* holdfast {}", env!("CARGO_PKG_VERSION"));
    println!("* {}", said(Command::new(PGBACKREST).arg("version"))?);
    println!(
        "* {}",
        said(Command::new(place.server.program("pg_basebackup")).arg("--version"))?
    );
    println!(
        "\n{:.0} MiB of databases, {} segments of the log, medians of {rounds} rounds\n",
        size / f64::from(1 << 20),
        place.segments.len()
    );
    print(&rows);
    Ok(())
}

impl Place {
    fn make(holdfast: &Path, major: u32, gib: u32) -> Result<Place, String> {
        let mut settings = vec![
            "autovacuum = off",
            "max_wal_size = '8GB'",
            "checkpoint_timeout = '1h'",
            "shared_buffers = '512MB'",
        ];
        settings.extend((major >= TELLS_CHANGES).then_some("summarize_wal = on"));
        let server = Server::start(major, &std::env::temp_dir().join("holdfast-bench-postgres"), &settings)?;
        eprintln!("making {gib} GiB");
        let scale = (SCALE_OF_A_GIB * gib).to_string();
        let mut pgbench = server.client("pgbench");
        said(pgbench.args(["-i", "-q", "-F", "90", "-s", &scale, "postgres"]))?;
        server.sql("CHECKPOINT")?;
        let program = server.beside("holdfast");
        fs::copy(holdfast, &program).map_err(at(holdfast))?;
        give_to_owner(&program)?;
        let place = Place {
            server,
            major,
            holdfast: program,
            segments: Vec::new(),
        };
        let stanza = format!(
            "[global]\nrepo1-path={}\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass={PASSWORD}\ncompress-type=zst\ncompress-level=3\n\
             process-max=2\nlog-path={log}\nspool-path={}\nlock-path={log}\nlog-level-console=warn\nlog-level-file=off\nstart-fast=y\n\
             archive-async=y\narchive-get-queue-max=256MiB\n\
             [main]\npg1-path={}\npg1-socket-path={}\npg1-port={PORT}\npg1-user={ADMIN}\n",
            place.repository(Peer::PgBackRest).display(),
            place.server.beside("spool").display(),
            place.server.data().display(),
            place.server.folder().display(),
            log = place.server.beside("log-of-pgbackrest").display(),
        );
        for folder in ["spool", "log-of-pgbackrest"] {
            fs::create_dir(place.server.beside(folder)).map_err(at(&place.server.beside(folder)))?;
            give_to_owner(&place.server.beside(folder))?;
        }
        for (file, content) in [(place.settings(), stanza), (place.password_file(), PASSWORD.to_owned())] {
            fs::write(&file, content).map_err(at(&file))?;
            give_to_owner(&file)?;
        }
        Ok(place)
    }

    fn settings(&self) -> PathBuf {
        self.server.beside("pgbackrest.conf")
    }

    fn repository(&self, peer: Peer) -> PathBuf {
        self.server.beside(&format!("repository-of-{}", peer.name()))
    }

    fn password_file(&self) -> PathBuf {
        self.server.beside("password")
    }

    fn restored(&self, peer: Peer) -> PathBuf {
        self.server.beside(&format!("restored-by-{}", peer.name()))
    }

    /// Lets pgbench write until so many segments are full, and keeps copies of them.
    fn write_log(&mut self, count: usize) -> Result<(), String> {
        let kept = self.server.beside("segments");
        fs::create_dir(&kept).map_err(at(&kept))?;
        let first = self.current_segment()?;
        while self.segments.len() < count {
            let mut pgbench = self.server.client("pgbench");
            said(pgbench.args(["-n", "-c", "4", "-t", "20000", "postgres"]))?;
            let current = self.current_segment()?;
            let mut names: Vec<PathBuf> = fs::read_dir(self.server.data().join("pg_wal"))
                .map_err(at(&self.server.data()))?
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| {
                    path.file_name()
                        .is_some_and(|name| name.len() == 24 && *name >= *first && *name < *current)
                })
                .collect();
            names.sort();
            self.segments = names;
        }
        self.segments.truncate(count);
        for segment in &mut self.segments {
            let copy = kept.join(segment.file_name().unwrap_or_default());
            fs::copy(&*segment, &copy).map_err(at(segment))?;
            *segment = copy;
        }
        // What pgbench wrote is tidied up here, so that no later reader of a page changes it on the way.
        self.server.sql("VACUUM FREEZE")?;
        self.server.sql("CHECKPOINT")?;
        give_to_owner(&kept)
    }

    fn current_segment(&self) -> Result<OsString, String> {
        let name = self.server.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")?;
        Ok(name.into())
    }

    /// Every operation by every program that has it, by turns.
    fn round(&self, rows: &mut Vec<Row>) -> Result<(), String> {
        let peers = || Peer::ALL.into_iter().filter(|peer| self.knows(*peer));
        for peer in peers() {
            self.begin(peer)?;
        }
        for operation in Operation::ALL {
            if matches!(operation, Operation::Incremental | Operation::Again) {
                self.change()?;
            }
            for peer in peers() {
                if operation == Operation::RestoreOver && peer != Peer::PgBaseBackup {
                    damage(&self.restored(peer))?;
                }
                let commands = self.commands(peer, operation);
                if commands.is_empty() {
                    continue;
                }
                measured::settle()?;
                let before = engine::size(&self.repository(peer))?;
                if operation == Operation::Push {
                    archiving::all_wait(&self.segments)?;
                }
                let mut took = Took::default();
                for (number, command) in commands.iter().enumerate() {
                    took = took.and(self.run(command)?);
                    match operation {
                        Operation::Push => archiving::is_archived(&self.segments[number])?,
                        Operation::Fetch => archiving::is_replayed(&self.segments[number], &self.asked(peer))?,
                        _ => {}
                    }
                }
                let stored = engine::size(&self.repository(peer))?.saturating_sub(before) as f64 / f64::from(1 << 20);
                if matches!(operation, Operation::Restore | Operation::RestoreOver) {
                    self.require_same(peer)?;
                }
                eprintln!("{}: {}: {:.2} s", peer.name(), operation.says(), took.wall);
                rows.push(Row {
                    peer,
                    operation,
                    took,
                    stored,
                });
            }
        }
        Ok(())
    }

    /// Whether a program knows this version.
    fn knows(&self, peer: Peer) -> bool {
        peer != Peer::PgBackRest || self.major == MAJOR
    }

    /// An empty repository, and nothing restored.
    fn begin(&self, peer: Peer) -> Result<(), String> {
        for folder in [self.repository(peer), self.restored(peer)] {
            engine::remove(&folder)?;
            fs::create_dir(&folder).map_err(at(&folder))?;
            give_to_owner(&folder)?;
        }
        let command = match peer {
            Peer::Holdfast => {
                let mut command = vec![self.holdfast.clone().into(), "repository".into(), "init".into()];
                command.extend(["--repo".into(), self.repository(peer).into()]);
                command.extend(["--password-file".into(), self.password_file().into()]);
                command
            }
            Peer::PgBackRest => self.pgbackrest(&["stanza-create"]),
            Peer::PgBaseBackup => return Ok(()),
        };
        self.run(&command).map(|_| ())
    }

    /// Changes every hundredth page of the largest table, in place.
    fn change(&self) -> Result<(), String> {
        self.server.sql(&format!(
            "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid % {} = 0",
            EVERY * ROWS_A_PAGE
        ))?;
        self.server.sql("CHECKPOINT")?;
        Ok(())
    }

    fn commands(&self, peer: Peer, operation: Operation) -> Vec<Vec<OsString>> {
        match (peer, operation) {
            (_, Operation::Push | Operation::Fetch) => {
                let segments = self.segments.iter();
                segments
                    .filter_map(|segment| self.of_segment(peer, operation, segment))
                    .collect()
            }
            (_, Operation::Incremental) if self.major < TELLS_CHANGES => Vec::new(),
            (Peer::Holdfast, Operation::Full | Operation::Again | Operation::Incremental) => {
                let mut command = self.holdfast(&["postgres", "backup"]);
                command.extend(["--server".into(), self.connection().into()]);
                command.extend((operation == Operation::Again).then(|| "--full".into()));
                vec![command]
            }
            (Peer::Holdfast, Operation::Restore | Operation::RestoreOver) => {
                let mut command = self.holdfast(&["postgres", "restore", "--to", "immediate"]);
                command.extend(["--target".into(), self.restored(peer).into()]);
                command.extend((operation == Operation::RestoreOver).then(|| "--overwrite".into()));
                vec![command]
            }
            (Peer::PgBackRest, Operation::Full | Operation::Again | Operation::Incremental) => {
                vec![self.pgbackrest(&["backup", "--type=full", "--no-archive-check"])]
            }
            (Peer::PgBackRest, Operation::Restore | Operation::RestoreOver) => {
                let path = format!("--pg1-path={}", self.restored(peer).display());
                let mut command = self.pgbackrest(&["restore", "--type=immediate", &path]);
                command.extend((operation == Operation::RestoreOver).then(|| "--delta".into()));
                vec![command]
            }
            (Peer::PgBaseBackup, Operation::Full | Operation::Again | Operation::Incremental) => {
                let folder = self.repository(peer).join(format!("{operation:?}"));
                let mut command: Vec<OsString> = vec![self.server.program("pg_basebackup").into(), "-d".into()];
                command.extend([self.connection().into(), "-D".into(), folder.into()]);
                command.extend(
                    [
                        "-Ft",
                        "-c",
                        "fast",
                        "-X",
                        "none",
                        "--no-sync",
                        "--compress=client-zstd:3",
                    ]
                    .map(Into::into),
                );
                if operation == Operation::Incremental {
                    let manifest = self.repository(peer).join("Full/backup_manifest");
                    command.extend(["--incremental".into(), manifest.into()]);
                }
                vec![command]
            }
            (Peer::PgBaseBackup, Operation::Restore) => {
                let archive = self.repository(peer).join("Again/base.tar.zst");
                let mut command: Vec<OsString> = ["tar", "--extract", "--use-compress-program=zstd", "--file"]
                    .map(Into::into)
                    .into();
                command.extend([archive.into(), "--directory".into(), self.restored(peer).into()]);
                vec![
                    command,
                    vec!["sync".into(), "--file-system".into(), self.restored(peer).into()],
                ]
            }
            (Peer::PgBaseBackup, Operation::RestoreOver) => Vec::new(),
        }
    }

    /// Where a fetched segment goes.
    fn asked(&self, peer: Peer) -> PathBuf {
        self.restored(peer).join("pg_wal/asked")
    }

    fn of_segment(&self, peer: Peer, operation: Operation, segment: &Path) -> Option<Vec<OsString>> {
        let name = segment.file_name()?.to_owned();
        let asked = self.asked(peer);
        match (peer, operation) {
            (Peer::Holdfast, Operation::Push) => {
                let mut command = self.holdfast(&["wal", "push"]);
                command.push(segment.into());
                Some(command)
            }
            (Peer::Holdfast, _) => {
                let mut command = self.holdfast(&["wal", "fetch"]);
                command.extend([name, asked.into()]);
                Some(command)
            }
            (Peer::PgBackRest, Operation::Push) => {
                let mut command = self.pgbackrest(&["archive-push", "--no-archive-async"]);
                command.push(segment.into());
                Some(command)
            }
            (Peer::PgBackRest, _) => {
                let path = format!("--pg1-path={}", self.restored(peer).display());
                let mut command = self.pgbackrest(&["archive-get", &path]);
                command.extend([name, asked.into()]);
                Some(command)
            }
            (Peer::PgBaseBackup, _) => None,
        }
    }

    fn connection(&self) -> String {
        format!("host={} port={PORT} user={ADMIN}", self.server.folder().display())
    }

    fn holdfast(&self, words: &[&str]) -> Vec<OsString> {
        let mut command: Vec<OsString> = vec![self.holdfast.clone().into()];
        command.extend(words.iter().map(OsString::from));
        command.extend(["--repo".into(), self.repository(Peer::Holdfast).into()]);
        command.extend(["--password-file".into(), self.password_file().into()]);
        command.extend(["--name", "bench"].map(Into::into));
        command
    }

    fn pgbackrest(&self, words: &[&str]) -> Vec<OsString> {
        let mut command: Vec<OsString> = vec![PGBACKREST.into()];
        command.push(format!("--config={}", self.settings().display()).into());
        command.push("--stanza=main".into());
        command.extend(words.iter().map(OsString::from));
        command
    }

    /// Runs a command as the owner of the server, who owns everything here.
    fn run(&self, command: &[OsString]) -> Result<Took, String> {
        let owner = server::as_owner();
        let command: Vec<OsString> = owner.into_iter().chain(command.iter().cloned()).collect();
        let environment = [("HOME", self.server.folder().into())];
        measured::run(&command, &environment, self.server.folder())
    }

    /// Whether what was restored is what the server has, which has written nothing since the last backup.
    fn require_same(&self, peer: Peer) -> Result<(), String> {
        let mut diff = Command::new("diff");
        diff.args([
            "--recursive",
            "--brief",
            "--exclude=pg_internal.init",
            "--exclude=pgsql_tmp",
        ]);
        diff.arg(self.server.data().join("base"))
            .arg(self.restored(peer).join("base"));
        let output = diff
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("diff: {error}"))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(format!("{}: {}", peer.name(), String::from_utf8_lossy(&output.stdout))),
        }
    }
}

/// Overwrites eight bytes in every hundredth page of all relations.
fn damage(data: &Path) -> Result<(), String> {
    for folder in fs::read_dir(data.join("base")).map_err(at(data))? {
        let folder = folder.map_err(at(data))?.path();
        for file in fs::read_dir(&folder).map_err(at(&folder))? {
            let path = file.map_err(at(&folder))?.path();
            let file = OpenOptions::new().write(true).open(&path).map_err(at(&path))?;
            let size = file.metadata().map_err(at(&path))?.len();
            for page in (EVERY / 2..size / PAGE).step_by(usize::try_from(EVERY).unwrap_or(1)) {
                file.write_all_at(b"damaged!", page * PAGE + 4096).map_err(at(&path))?;
            }
        }
    }
    File::open(data).and_then(|folder| folder.sync_all()).map_err(at(data))
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}

fn print(rows: &[Row]) {
    println!(
        "| wall s / CPU s / peak MiB; MiB stored | {} |",
        Peer::ALL.map(Peer::name).join(" | ")
    );
    println!("| --- | --- | --- | --- |");
    for operation in Operation::ALL {
        if rows.iter().all(|row| row.operation != operation) {
            continue;
        }
        let of = |peer: Peer, value: fn(&Row) -> f64| {
            let of = rows.iter().filter(|row| row.peer == peer && row.operation == operation);
            let values: Vec<f64> = of.map(value).collect();
            (!values.is_empty()).then(|| median(values))
        };
        let cell = |peer: Peer| {
            let wall = of(peer, |row| row.took.wall)?;
            let (cpu, peak) = (of(peer, |row| row.took.cpu)?, of(peer, |row| row.took.peak)?);
            let stored = of(peer, |row| row.stored).filter(|mib| *mib > 0.05);
            let stored = stored.map_or_else(String::new, |mib| format!("; {mib:.1}"));
            let ours = of(Peer::Holdfast, |row| row.took.wall)?;
            let times = if peer == Peer::Holdfast {
                String::new()
            } else {
                format!(" (×{:.1})", wall / ours)
            };
            Some(format!("{wall:.2} / {cpu:.2} / {peak:.0}{stored}{times}"))
        };
        let cells = Peer::ALL.map(|peer| cell(peer).unwrap_or_else(|| "–".to_owned()));
        println!("| {} | {} |", operation.says(), cells.join(" | "));
    }
}
