//! A standby seeded anew, by a base backup of its leader.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use holdfast_core::domain::{Failure, FailureKind};
use holdfast_sources::postgres::{Address, BaseBackup, ClientOptions, Connection, Member, MemberKind, Purpose};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::facts::refused;
use super::intent::failed;
use super::settings::Settings;

/// Fills a folder beside the data folder and exchanges the two. What was there stays, as `….given-up-<generation>`. Where it was
/// broken off after the exchange, the rest is done.
pub fn seed(settings: &Settings, leader: &str, generation: u64, options: &ClientOptions) -> Result<(), Failure> {
    let (data, fresh) = (&settings.data, beside(&settings.data, "seed"));
    if !is_fresh(data) {
        remove(&fresh)?;
        fill(&fresh, leader, options)?;
        renameat_with(CWD, &fresh, CWD, data, RenameFlags::EXCHANGE)
            .map_err(|error| failed("put the fresh copy in the place of", data, error.into()))?;
    }
    set_aside(&fresh, &beside(data, &format!("given-up-{generation}")))?;
    sync_folder(data.parent().unwrap_or(data))
}

/// The file that marks a data folder as a standby's.
pub fn signal(data: &Path) -> PathBuf {
    data.join("standby.signal")
}

/// Takes the mark away, safe on disk.
pub fn unmark(data: &Path) -> Result<(), Failure> {
    let signal = signal(data);
    match fs::remove_file(&signal) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", &signal, error)),
        _ => sync_folder(data),
    }
}

/// Whether a folder is a whole copy over which no server was started yet: that takes the label away. The mark comes last.
fn is_fresh(data: &Path) -> bool {
    signal(data).exists() && data.join("backup_label").exists()
}

fn fill(fresh: &Path, leader: &str, options: &ClientOptions) -> Result<(), Failure> {
    let address = Address::parse(leader)
        .map_err(|error| Failure::new(FailureKind::Invalid, format!("the leader's connection string: {error}")))?;
    let connection = Connection::open(&address, Purpose::Replication, options).map_err(refused)?;
    let mut backup = BaseBackup::begin(connection, "holdfast guard").map_err(refused)?;
    if !backup.tablespaces().is_empty() {
        let message = "the leader has tablespaces: seed this server by hand, with pg_basebackup and its mapping";
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    make_folder(fresh)?;
    while let Some(member) = backup.next_member().map_err(refused)? {
        write_member(&mut backup, &member, fresh)?;
    }
    backup.finish().map_err(refused)?;
    let signal = signal(fresh);
    File::create(&signal).map_err(|error| failed("write", &signal, error))?;
    rustix::fs::sync();
    Ok(())
}

/// Keeps what was in the data folder, unless something was kept under this generation already: that was the first.
fn set_aside(old: &Path, aside: &Path) -> Result<(), Failure> {
    if aside.exists() {
        return remove(old);
    }
    match fs::rename(old, aside) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("set aside as", aside, error)),
        _ => Ok(()),
    }
}

fn remove(folder: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", folder, error)),
        _ => Ok(()),
    }
}

fn sync_folder(folder: &Path) -> Result<(), Failure> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| failed("write", folder, error))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_first_stays_and_what_is_not_there_is_not_missed() {
        let folder = tempfile::tempdir().unwrap();
        let (old, aside) = (folder.path().join("seed"), folder.path().join("given-up-3"));
        set_aside(&old, &aside).unwrap();
        assert!(!aside.exists());
        for name in ["first", "second"] {
            fs::create_dir(&old).unwrap();
            fs::write(old.join(name), "").unwrap();
            set_aside(&old, &aside).unwrap();
            assert!(!old.exists());
            assert!(aside.join("first").exists(), "{name}");
        }
    }

    #[test]
    fn only_a_whole_copy_that_no_server_ran_over_is_fresh() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        fs::write(data.join("backup_label"), "").unwrap();
        assert!(!is_fresh(data), "the mark comes last");
        fs::write(signal(data), "").unwrap();
        assert!(is_fresh(data));
        unmark(data).unwrap();
        unmark(data).unwrap();
        assert!(!is_fresh(data));
        fs::remove_file(data.join("backup_label")).unwrap();
        fs::write(signal(data), "").unwrap();
        assert!(!is_fresh(data), "a standby that was started has no label");
    }
}
