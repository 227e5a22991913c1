//! What the tests of whole programs share: running `holdfast` and `restic`, making files, comparing folders.
#![allow(dead_code, reason = "each test program uses its part")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use holdfast_local::system_ambient;
use holdfast_repository::storage::DiskStorage;
use holdfast_repository::{Repository, Unlock};
use holdfast_sources::files::{Manifest, manifest};
use holdfast_tests::holdfast_binary;
use rustix::fs::{AtFlags, CWD, Mode, Timespec, Timestamps, XattrFlags, utimensat};
use serde_json::Value;

pub const PASSWORD: &str = "correct horse battery staple";

/// What a program did.
pub struct Ran {
    pub command: String,
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(command: &mut Command) -> Ran {
        let program = command.get_program().to_string_lossy().into_owned();
        let output: Output = command
            .output()
            .unwrap_or_else(|error| panic!("{program} cannot be run ({error}): is it installed and built?"));
        Ran {
            command: format!("{command:?}"),
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Requires an exit code.
    pub fn ends(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Requires words in what was printed, errors included.
    pub fn says(self, words: &str) -> Ran {
        assert!(
            self.out.contains(words) || self.err.contains(words),
            "`{words}` is not said:\n{self}"
        );
        self
    }

    /// The JSON document that was printed.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: not one JSON document:\n{self}"))
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Ran {
            command,
            code,
            out,
            err,
        } = self;
        write!(
            f,
            "{command}\nended with {code:?}\n--- output\n{out}\n--- errors\n{err}"
        )
    }
}

/// `holdfast repository VERB --repo REPO`, to which arguments are added.
pub fn holdfast_command(verb: &str, repo: &Path) -> Command {
    let mut command = Command::new(holdfast_binary());
    command.args(["repository", verb, "--repo"]).arg(repo);
    command.env("HOLDFAST_PASSWORD", PASSWORD);
    command
}

/// Runs `holdfast repository VERB --repo REPO ARGUMENTS…`.
pub fn holdfast(verb: &str, repo: &Path, arguments: &[&dyn AsRef<OsStr>]) -> Ran {
    Ran::of(holdfast_command(verb, repo).args(arguments.iter().map(AsRef::as_ref)))
}

/// `restic --repo REPO`, to which arguments are added. `restic` is Debian's; it must be installed.
pub fn restic_command(repo: &Path) -> Command {
    let mut command = Command::new("restic");
    command.args(["--no-cache", "--repo"]).arg(repo);
    command.env("RESTIC_PASSWORD", PASSWORD);
    command
}

/// Runs restic, which must succeed.
pub fn restic(repo: &Path, arguments: &[&dyn AsRef<OsStr>]) -> Ran {
    Ran::of(restic_command(repo).args(arguments.iter().map(AsRef::as_ref))).ends(0)
}

/// Opens a repository in this process.
pub fn open(repo: &Path) -> Repository {
    let storage = Arc::new(DiskStorage::open(repo).unwrap());
    Repository::open(storage, system_ambient(), Unlock::Password(PASSWORD)).unwrap()
}

pub use holdfast_testkit::seeds::noise;

/// Bytes that compress well.
pub fn prose(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::with_capacity(length + 64);
    for line in 0.. {
        if bytes.len() >= length {
            break;
        }
        bytes.extend(format!("{seed}: line {line} of a long and tedious text\n").bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Names that try every rule of quoting and escaping.
pub const ODD_NAMES: &[&[u8]] = &[
    b"plain",
    b" ",
    b"-rf",
    b"with \"quotes\" and 'more'",
    b"new\nline\ttab\rreturn\x07\x0b\x1b\x7f",
    b"not utf-8 \xff\xfe \xe2\x82",
    "ümläut ñ 日本語".as_bytes(),
    "emoji 😀 👩‍👩‍👧 zero\u{200b}width nbsp\u{a0}soft\u{ad}hyphen".as_bytes(),
    "\u{2028}\u{2029}\u{feff}\u{fffd}\u{e000}\u{80}\u{378}\u{10ffff}\u{e0001}".as_bytes(),
    b"back\\slash \\n \\u0041 \\\\",
    b"<a&b>",
    b"\x01",
];

/// A folder with everything that both programs keep: contents of all sizes, odd names, modes, times, owners, extended
/// attributes, links of both kinds, a sparse file and a pipe. Owners only where the test may give files away.
pub fn everything(root: &Path) {
    let at = |name: &str| root.join(name);
    fs::create_dir_all(at("deep/er/est")).unwrap();
    fs::create_dir_all(at("names")).unwrap();
    fs::create_dir(at("empty folder")).unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::write(at("noise"), noise(1, 9_000_000)).unwrap();
    fs::write(at("prose"), prose(2, 5_000_000)).unwrap();
    fs::write(at("zeroes"), vec![0; 2_000_000]).unwrap();
    fs::write(at("deep/er/est/file"), "deep").unwrap();
    for (number, name) in ODD_NAMES.iter().enumerate() {
        let folder = at("names").join(OsStr::from_bytes(name));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(OsStr::from_bytes(name)), name).unwrap();
        // restic before 0.17 loses what is not UTF-8 in the targets of links.
        let target = String::from_utf8(name.to_vec()).unwrap_or_else(|_| format!("target {number}"));
        symlink(target, folder.join("link")).unwrap();
    }
    fs::write(at("names").join("n".repeat(255)), "long").unwrap();
    symlink("/no/where", at("dangling")).unwrap();
    symlink("deep/er", at("link to a folder")).unwrap();
    fs::hard_link(at("noise"), at("deep/hard link")).unwrap();
    rustix::fs::mkfifoat(CWD, at("pipe"), Mode::from_raw_mode(0o640)).unwrap();
    let sparse = fs::File::create(at("sparse")).unwrap();
    sparse.set_len(20 << 20).unwrap();
    sparse.write_all_at(b"data", (10 << 20) + 12_345).unwrap();
    drop(sparse);
    for (name, value) in [
        ("user.text", &b"te<x>t"[..]),
        ("user.binary", b"\0\xff"),
        ("user.empty", b""),
    ] {
        for path in [at("noise"), at("empty folder")] {
            rustix::fs::setxattr(path, name, value, XattrFlags::empty()).unwrap();
        }
    }
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(at("prose"), Some(12345), Some(54321)).unwrap();
        std::os::unix::fs::lchown(at("dangling"), Some(12345), Some(54321)).unwrap();
    }
    set_mode(&at("deep/er/est/file"), 0o6711);
    set_mode(&at("deep/er"), 0o1777);
    set_mode(&at("empty folder"), 0o2555);
    set_mode(&at("empty"), 0o400);
    set_times(&at("dangling"), 1_234_567_890, 999_999_999);
    set_times(&at("empty"), 86_400, 1);
    set_times(&at("pipe"), 4_000_000_000, 0);
    set_times(&at("deep"), 1, 10);
    set_times(root, 1_000_000_000, 100_000_000);
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

pub fn set_times(path: &Path, seconds: i64, nanos: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanos,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Where a folder stands below the target that it was restored into.
pub fn restored(target: &Path, folder: &Path) -> PathBuf {
    target.join(folder.strip_prefix("/").unwrap())
}

/// Requires that two folders are the same in every respect.
pub fn assert_same(expected: &Path, found: &Path) {
    assert_is(&Manifest::of(expected).unwrap(), found);
}

/// Requires that a folder is what the manifest says.
pub fn assert_is(expected: &Manifest, found: &Path) {
    let differences = manifest::compare(expected, &Manifest::of(found).unwrap());
    let shown: Vec<String> = differences.iter().map(ToString::to_string).collect();
    assert!(shown.is_empty(), "{}:\n  {}", found.display(), shown.join("\n  "));
}
