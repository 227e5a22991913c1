//! A standby seeded anew, by a base backup of its leader.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use holdfast_core::domain::{Failure, FailureKind};
use holdfast_sources::postgres::{Address, BaseBackup, ClientOptions, Connection, Member, MemberKind, Purpose};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::facts::refused;
use super::intent::failed;
use super::settings::Settings;

/// Fills a folder beside the data folder and exchanges the two. What was there stays, as `….given-up-<generation>`.
pub fn seed(settings: &Settings, leader: &str, generation: u64, options: &ClientOptions) -> Result<(), Failure> {
    let fresh = beside(&settings.data, "seed");
    match fs::remove_dir_all(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed("remove", &fresh, error)),
        _ => {}
    }
    let address = Address::parse(leader)
        .map_err(|error| Failure::new(FailureKind::Invalid, format!("the leader's connection string: {error}")))?;
    let connection = Connection::open(&address, Purpose::Replication, options).map_err(refused)?;
    let mut backup = BaseBackup::begin(connection, "holdfast guard").map_err(refused)?;
    if !backup.tablespaces().is_empty() {
        let message = "the leader has tablespaces: seed this server by hand, with pg_basebackup and its mapping";
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    make_folder(&fresh)?;
    while let Some(member) = backup.next_member().map_err(refused)? {
        write_member(&mut backup, &member, &fresh)?;
    }
    backup.finish().map_err(refused)?;
    let signal = fresh.join("standby.signal");
    File::create(&signal).map_err(|error| failed("write", &signal, error))?;
    rustix::fs::sync();
    renameat_with(CWD, &fresh, CWD, &settings.data, RenameFlags::EXCHANGE)
        .map_err(|error| failed("put the fresh copy in the place of", &settings.data, error.into()))?;
    let aside = beside(&settings.data, &format!("given-up-{generation}"));
    fs::rename(&fresh, &aside).map_err(|error| failed("set aside as", &aside, error))
}

fn beside(data: &Path, what: &str) -> PathBuf {
    let mut name = data.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    PathBuf::from(name)
}

fn make_folder(path: &Path) -> Result<(), Failure> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| failed("make", path, error))
}

fn write_member(backup: &mut BaseBackup, member: &Member, fresh: &Path) -> Result<(), Failure> {
    let path = fresh.join(&member.path);
    match member.kind {
        MemberKind::Folder => make_folder(&path),
        MemberKind::File { .. } => {
            if let Some(folder) = path.parent() {
                make_folder(folder)?;
            }
            let mut options = OpenOptions::new();
            let mut file = options
                .write(true)
                .create_new(true)
                .mode(member.mode & 0o700)
                .open(&path)
                .map_err(|error| failed("write", &path, error))?;
            std::io::copy(backup, &mut file)
                .map(drop)
                .map_err(|error| failed("write", &path, error))
        }
    }
}
