//! What the tests need beyond a Rust toolchain. Nothing is installed that is there already.

use std::process::Command;

use crate::environments;
use crate::steps::{is_installed, shell};

/// A program, and the Debian package that brings it.
type Needed = (&'static str, &'static str);

/// The database server of Debian 12, which is not on the path.
const POSTGRES: &str = "/usr/lib/postgresql/15/bin/postgres";
/// Debian's DNS server, which is not on everybody's path either.
const NAMED: &str = "/usr/sbin/named";
/// Debian makes and starts a cluster of its own when it installs a server, unless this says otherwise.
const NO_CLUSTER: &str = "mkdir -p /etc/postgresql-common && cd /etc/postgresql-common \
    && { test -e createcluster.conf || echo 'create_main_cluster = false' > createcluster.conf; }";

/// What the build or the tests call.
const FOR_TESTS: [Needed; 14] = [
    // Compiles the C of SQLite and Zstandard.
    ("cc", "build-essential"),
    // Reads our repositories as an independent judge.
    ("restic", "restic"),
    // Set and read what a restore must bring back.
    ("setfattr", "attr"),
    ("setfacl", "acl"),
    // Lets days pass for real programs.
    ("faketime", "faketime"),
    // Counts the instructions of the content engine's kernels.
    ("valgrind", "valgrind"),
    // Runs the emulators and linters.
    ("python3", "python3-venv"),
    // Databases to back up, and servers over what is restored.
    (POSTGRES, "postgresql-15"),
    // Two Regions as network namespaces, and the DNS server that leads clients from one to the other.
    ("ip", "iproute2"),
    (NAMED, "bind9"),
    // The S3 server that keeps versions, locks objects and decides races: a gateway, a monitor, a store and their tools.
    ("radosgw", "radosgw"),
    ("ceph-mon", "ceph-mon"),
    ("ceph-osd", "ceph-osd"),
    ("ceph", "ceph-common"),
];

/// What measurements compare with.
const FOR_MEASUREMENTS: [Needed; 2] = [("restic", "restic"), ("borg", "borgbackup")];

/// Installs what the tests need and is missing. An error says what to install by hand.
pub fn run() -> Result<(), String> {
    programs("the tests", &FOR_TESTS)?;
    environments::run(crate::root())
}

/// The same for measurements.
pub fn for_measurements() -> Result<(), String> {
    programs("measurements", &FOR_MEASUREMENTS)
}

fn programs(whom: &str, needed: &[Needed]) -> Result<(), String> {
    let packages = missing(needed, is_installed);
    if packages.is_empty() {
        println!("setup: everything that {whom} need is installed");
        return Ok(());
    }
    println!("setup: missing: {}", packages.join(", "));
    if !is_installed("apt-get") {
        return Err(format!(
            "this machine has no apt-get: install what Debian calls {} and try again",
            packages.join(", ")
        ));
    }
    let prefix = privilege(is_root()?, is_installed("sudo")).ok_or_else(|| {
        format!(
            "neither root nor sudo: ask root to run: apt-get install {}",
            packages.join(" ")
        )
    })?;
    if packages.iter().any(|package| package.starts_with("postgresql")) {
        let words: Vec<&str> = [prefix, &["sh", "-c", NO_CLUSTER]].concat();
        shell(Command::new(words[0]).args(&words[1..]))?;
    }
    shell(&mut apt(prefix, &["update", "--quiet"]))?;
    let mut install = apt(prefix, &["install", "--quiet", "--yes", "--no-install-recommends"]);
    shell(install.args(&packages))?;
    let still = missing(needed, is_installed);
    if still.is_empty() {
        return Ok(());
    }
    Err(format!(
        "installed, but their programs are not found: {}",
        still.join(", ")
    ))
}

fn missing(needed: &[Needed], is_installed: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let absent = needed.iter().filter(|(program, _)| !is_installed(program));
    absent.map(|(_, package)| *package).collect()
}

/// The words before `apt-get`; none when there is no way to become root.
fn privilege(root: bool, sudo: bool) -> Option<&'static [&'static str]> {
    match (root, sudo) {
        (true, _) => Some(&["env"]),
        (false, true) => Some(&["sudo", "env"]),
        (false, false) => None,
    }
}

fn apt(prefix: &[&str], arguments: &[&str]) -> Command {
    let words: Vec<&str> = [prefix, &["DEBIAN_FRONTEND=noninteractive", "apt-get"], arguments].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

fn is_root() -> Result<bool, String> {
    let output = Command::new("id")
        .arg("-u")
        .output()
        .map_err(|error| format!("id -u: {error}"))?;
    Ok(output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::line;

    #[test]
    fn only_what_is_missing_is_installed() {
        assert!(missing(&FOR_TESTS, |_| true).is_empty());
        assert_eq!(missing(&FOR_TESTS, |program| program != "setfattr"), ["attr"]);
        assert_eq!(missing(&FOR_MEASUREMENTS, |program| program != "borg"), ["borgbackup"]);
    }

    #[test]
    fn a_user_without_sudo_cannot_install() {
        assert_eq!(privilege(false, false), None);
        let as_root = apt(privilege(true, true).unwrap(), &["update"]);
        assert_eq!(line(&as_root), "env DEBIAN_FRONTEND=noninteractive apt-get update");
        let as_user = apt(privilege(false, true).unwrap(), &["update"]);
        assert_eq!(line(&as_user), "sudo env DEBIAN_FRONTEND=noninteractive apt-get update");
    }
}
