//! The programs that are compared, and how each is told to do the same thing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use holdfast_tests::radosgw::{ACCESS_KEY, SECRET_KEY};

pub const PASSWORD: &str = "correct horse battery staple";

/// What is measured, in the order in which it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// The first backup.
    Backup,
    /// Lists the snapshots: derives the key, and does little else.
    Open,
    /// A backup where nothing changed.
    Unchanged,
    /// A backup of the second generation.
    Incremental,
    /// Reading, decrypting and comparing everything.
    Check,
    /// Restoring the second generation into an empty folder.
    Restore,
    /// Restoring it over the first.
    RestoreOver,
    /// The same, where files are believed that have the size and the time of the snapshot.
    RestoreChanged,
    /// Copying all snapshots into another, empty repository.
    Copy,
    /// Forgetting the first generation and removing what only it needed.
    Prune,
}

impl Operation {
    pub const ALL: [Self; 10] = [
        Self::Backup,
        Self::Open,
        Self::Unchanged,
        Self::Incremental,
        Self::Check,
        Self::Restore,
        Self::RestoreOver,
        Self::RestoreChanged,
        Self::Copy,
        Self::Prune,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Open => "list snapshots",
            Self::Unchanged => "unchanged",
            Self::Incremental => "incremental",
            Self::Check => "check",
            Self::Restore => "restore",
            Self::RestoreOver => "restore over",
            Self::RestoreChanged => "restore changed",
            Self::Copy => "copy",
            Self::Prune => "prune",
        }
    }

    /// Whether it writes much, so that it matters whether that is on disk when it ends.
    pub fn is_writing(self) -> bool {
        matches!(
            self,
            Self::Backup | Self::Restore | Self::RestoreOver | Self::RestoreChanged | Self::Copy
        )
    }
}

/// A program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Holdfast,
    Restic,
    Rustic,
    Borg,
}

/// A bucket for repositories.
pub struct Bucket {
    /// As in `http://127.0.0.1:5000`.
    pub endpoint: String,
    pub name: String,
}

/// Where one program works.
pub struct Place {
    /// The data; a path that all programs are given.
    pub source: PathBuf,
    /// A folder of its own for everything else.
    pub folder: PathBuf,
    /// The snapshots of the first generation, for a program that is told which to forget.
    pub old: Vec<String>,
    /// Where the repository is, if not in the folder.
    pub bucket: Option<Bucket>,
}

impl Place {
    /// The repository as this program is told of it.
    pub fn repository(&self, peer: Peer) -> OsString {
        match (&self.bucket, peer) {
            (None, _) => self.folder.join("repository").into(),
            (Some(bucket), Peer::Holdfast) => format!("s3://{}/repository", bucket.name).into(),
            (Some(bucket), _) => format!("s3:{}/{}/repository", bucket.endpoint, bucket.name).into(),
        }
    }

    pub fn copy(&self) -> PathBuf {
        self.folder.join("copy")
    }

    /// The environment of whoever works here: the password, and caches of its own.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut variables: Vec<(&str, OsString)> = [
            "HOLDFAST_PASSWORD",
            "RESTIC_PASSWORD",
            "RESTIC_PASSWORD2",
            "RESTIC_FROM_PASSWORD",
            "RUSTIC_PASSWORD",
            "BORG_PASSPHRASE",
        ]
        .map(|name| (name, PASSWORD.into()))
        .into();
        variables.push(("RESTIC_CACHE_DIR", self.folder.join("cache").into()));
        variables.push(("BORG_BASE_DIR", self.folder.join("borg").into()));
        variables.push(("XDG_CACHE_HOME", self.folder.join("cache").into()));
        variables.push(("HOME", self.folder.clone().into()));
        if let Some(bucket) = &self.bucket {
            variables.push(("AWS_ENDPOINT_URL_S3", bucket.endpoint.clone().into()));
            variables.push(("AWS_REGION", "us-east-1".into()));
            variables.push(("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()));
            variables.push(("AWS_SECRET_ACCESS_KEY", SECRET_KEY.into()));
        }
        variables
    }

    /// Where the second generation is restored to.
    pub fn restored(&self) -> PathBuf {
        self.folder.join("restored")
    }
}

/// Commands that together do one thing.
pub type Commands = Vec<Vec<OsString>>;

macro_rules! command {
    ($($word:expr),* $(,)?) => {
        vec![$(OsString::from(&$word)),*]
    };
}

impl Peer {
    pub const ALL: [Self; 4] = [Self::Holdfast, Self::Restic, Self::Rustic, Self::Borg];

    pub fn name(self) -> &'static str {
        match self {
            Self::Holdfast => "holdfast",
            Self::Restic => "restic",
            Self::Rustic => "rustic",
            Self::Borg => "borg",
        }
    }

    /// How to ask for its version.
    pub fn version(self) -> &'static [&'static str] {
        match self {
            Self::Restic => &["version"],
            Self::Holdfast | Self::Rustic | Self::Borg => &["--version"],
        }
    }

    /// What makes an empty repository.
    pub fn init(self, program: &Path, place: &Place) -> Commands {
        let at = place.repository(self);
        vec![match self {
            Self::Holdfast => command![program, "repository", "init", "--repo", at],
            Self::Restic => command![program, "-q", "-r", at, "init", "--repository-version", "2"],
            Self::Rustic => command![program, "-r", at, "init"],
            Self::Borg => command![program, "init", "--encryption", "repokey-blake2", at],
        }]
    }

    /// The commands of an operation; none where the program has no such thing. Commands of the preparation come first and are
    /// not measured.
    pub fn commands(self, program: &Path, operation: Operation, place: &Place) -> Option<(Commands, Commands)> {
        let measured = match self {
            Self::Holdfast => Self::holdfast(program, operation, place),
            Self::Restic => Self::restic(program, operation, place)?,
            Self::Rustic => return Self::rustic(program, operation, place),
            Self::Borg => return Self::borg(program, operation, place).map(|commands| (Vec::new(), commands)),
        };
        let prepared = match (self, operation) {
            // Two repositories of restic share chunks only when they cut at the same places.
            (Self::Restic, Operation::Copy) => vec![command![
                program,
                "-q",
                "-r",
                place.copy(),
                "init",
                "--repository-version",
                "2",
                "--copy-chunker-params",
                "--from-repo",
                place.repository(self)
            ]],
            _ => Vec::new(),
        };
        Some((prepared, measured))
    }

    fn holdfast(program: &Path, operation: Operation, place: &Place) -> Commands {
        let at = place.repository(Peer::Holdfast);
        let call = |verb: &str, words: Vec<OsString>| {
            let mut command = command![program, "repository", verb, "--repo", at];
            command.extend(words);
            command
        };
        match operation {
            Operation::Backup | Operation::Unchanged | Operation::Incremental => {
                vec![call("backup", command![place.source])]
            }
            Operation::Open => vec![call("snapshots", Vec::new())],
            Operation::Check => vec![call("check", command!["--read-data"])],
            Operation::Restore => vec![call("restore", command!["latest", "--target", place.restored()])],
            Operation::RestoreOver => vec![call(
                "restore",
                command!["latest", "--target", place.restored(), "--overwrite"],
            )],
            Operation::RestoreChanged => vec![call(
                "restore",
                command!["latest", "--target", place.restored(), "--overwrite=if-changed"],
            )],
            Operation::Copy => vec![call("copy", command!["--to", place.copy()])],
            Operation::Prune => {
                let mut words = command!["--prune", "--grace", "0s"];
                words.extend(place.old.iter().map(OsString::from));
                vec![call("forget", words)]
            }
        }
    }

    fn restic(program: &Path, operation: Operation, place: &Place) -> Option<Commands> {
        let at = place.repository(Peer::Restic);
        let call = |words: Vec<OsString>| {
            let mut command = command![program, "-q", "-r", at];
            command.extend(words);
            command
        };
        Some(vec![match operation {
            Operation::Backup | Operation::Unchanged | Operation::Incremental => call(command!["backup", place.source]),
            Operation::Open => call(command!["snapshots"]),
            Operation::Check => call(command!["check", "--read-data"]),
            // The version of Debian reads or writes everything.
            Operation::RestoreChanged => return None,
            Operation::Restore | Operation::RestoreOver => {
                call(command!["restore", "latest", "--target", place.restored()])
            }
            Operation::Copy => command![program, "-q", "-r", place.copy(), "copy", "--from-repo", at],
            Operation::Prune => call(command!["forget", "--keep-last", "1", "--prune"]),
        }])
    }

    fn rustic(program: &Path, operation: Operation, place: &Place) -> Option<(Commands, Commands)> {
        let at = place.repository(Peer::Rustic);
        let call = |words: Vec<OsString>| {
            let mut command = command![program, "--no-progress", "-r", at];
            command.extend(words);
            command
        };
        let commands = match operation {
            Operation::Backup | Operation::Unchanged | Operation::Incremental => {
                vec![call(command!["backup", place.source])]
            }
            Operation::Open => vec![call(command!["snapshots"])],
            Operation::Check => vec![call(command!["check", "--read-data"])],
            Operation::Restore | Operation::RestoreChanged => {
                vec![call(command!["restore", "latest", place.restored()])]
            }
            Operation::RestoreOver => vec![call(command![
                "restore",
                "--verify-existing",
                "latest",
                place.restored()
            ])],
            // Its target is a profile in a file, with settings that differ between versions.
            Operation::Copy => return None,
            Operation::Prune => vec![
                call(command!["forget", "--keep-last", "1"]),
                call(command![
                    "prune",
                    "--instant-delete",
                    "--keep-delete",
                    "0s",
                    "--keep-pack",
                    "0s"
                ]),
            ],
        };
        Some((Vec::new(), commands))
    }

    fn borg(program: &Path, operation: Operation, place: &Place) -> Option<Commands> {
        let at = place.repository(Peer::Borg);
        let archive = |name: &str| {
            let mut archive = at.clone();
            archive.push(format!("::{name}"));
            archive
        };
        let create = |name: &str| {
            command![
                program,
                "create",
                "--compression",
                "zstd,3",
                archive(name),
                place.source
            ]
        };
        Some(match operation {
            Operation::Backup => vec![create("first")],
            Operation::Open => vec![command![program, "list", at]],
            Operation::Unchanged => vec![create("unchanged")],
            Operation::Incremental => vec![create("second")],
            Operation::Check => vec![command![program, "check", "--verify-data", at]],
            Operation::Restore => vec![command![program, "extract", archive("second")]],
            // It writes everything anew, and copies no archive.
            Operation::RestoreOver | Operation::RestoreChanged | Operation::Copy => return None,
            Operation::Prune => vec![
                command![program, "prune", "--keep-last", "1", at],
                command![program, "compact", at],
            ],
        })
    }
}
