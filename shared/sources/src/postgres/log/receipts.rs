//! [`Receipts`]: what a push stored along with the file that it was asked for, noted beside the log.
//!
//! The server asks for the next file in a call of its own. With a receipt for it, the call ends before a key is derived and
//! the repository is opened. A receipt that is lost, foreign or no longer true costs time: the file is then pushed.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use holdfast_repository::storage::{FileKind, FileName, Storage};
use holdfast_repository::{Id, RepositoryError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::LogError;

/// The version of the notes, which only this one reads.
const VERSION: u32 = 1;
/// Ends the name of notes that are being written.
const UNFINISHED: &str = ".writing";

/// That a file of a log is stored, and durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The file's name.
    pub name: String,
    /// Its length in bytes.
    pub length: u64,
    /// The SHA-256 of its bytes, as they were read to be stored, or to be compared with what is stored.
    pub sha256: Id,
    /// The snapshot that holds it.
    pub snapshot: Id,
}

/// What stands in the notes: the receipts of one push.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Notes {
    version: u32,
    location: String,
    config: Id,
    resource: String,
    files: Vec<Receipt>,
}

/// The receipts of the last push of one server's log to one repository.
pub struct Receipts<'a> {
    path: PathBuf,
    storage: &'a dyn Storage,
    location: String,
    /// The hash of the file `config`, which no other repository has, not one made anew at the same place either: it is
    /// encrypted with a random key and nonce.
    config: Id,
    resource: &'a str,
}

impl<'a> Receipts<'a> {
    /// Those in the folder `spool`, of the log of `resource` in the repository that is in `storage` now. Open this before
    /// the repository: what is pushed is then never noted for a repository that came in its place meanwhile.
    pub fn open(spool: &Path, storage: &'a dyn Storage, resource: &'a str) -> Result<Receipts<'a>, LogError> {
        let location = storage.location();
        let config = storage.read(&FileName::Config).map_err(|error| match error.kind() {
            holdfast_repository::ErrorKind::NotFound => RepositoryError::NoRepository {
                location: location.clone(),
            },
            _ => error,
        })?;
        let place = Id::of(format!("{location}\0{resource}").as_bytes());
        Ok(Receipts {
            path: spool.join(format!("pushed-{}.json", place.short())),
            storage,
            location,
            config: Id::of(&config),
            resource,
        })
    }

    /// Whether there is a receipt for the file at `path`, for the bytes that it has now, and the snapshot that holds it still
    /// stands in the repository. The receipt is used up.
    pub fn take(&self, path: &Path) -> bool {
        let Some(mut notes) = self.read() else { return false };
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(at) = notes.files.iter().position(|receipt| Some(&*receipt.name) == name) else {
            return false;
        };
        let receipt = notes.files.swap_remove(at);
        let is_true = digest(path).is_ok_and(|found| found == (receipt.length, receipt.sha256)) && self.holds(&receipt);
        if is_true {
            // Where this fails, the receipt stays, and stays true.
            let _ = self.write(&notes);
        }
        is_true
    }

    /// Notes the receipts of a push in place of those before. `asked` is the file that the server was waiting for: it will
    /// not ask for it again.
    pub fn keep(&self, receipts: &[Receipt], asked: &Path) -> Result<(), LogError> {
        let asked = asked.file_name().and_then(|name| name.to_str());
        let others = receipts.iter().filter(|receipt| Some(&*receipt.name) != asked);
        self.write(&Notes {
            version: VERSION,
            location: self.location.clone(),
            config: self.config,
            resource: self.resource.to_owned(),
            files: others.cloned().collect(),
        })
    }

    fn read(&self) -> Option<Notes> {
        let notes: Notes = serde_json::from_slice(&fs::read(&self.path).ok()?).ok()?;
        let is_ours = notes.version == VERSION
            && notes.location == self.location
            && notes.config == self.config
            && notes.resource == self.resource;
        is_ours.then_some(notes)
    }

    fn holds(&self, receipt: &Receipt) -> bool {
        let snapshot = FileName::Object(FileKind::Snapshot, receipt.snapshot);
        self.storage.size(&snapshot).is_ok_and(|size| size.is_some())
    }

    fn write(&self, notes: &Notes) -> Result<(), LogError> {
        if notes.files.is_empty() {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(LogError::io("remove", &self.path)(error)),
                _ => Ok(()),
            };
        }
        if let Some(spool) = self.path.parent() {
            fs::create_dir_all(spool).map_err(LogError::io("make folder", spool))?;
        }
        let mut unfinished = self.path.clone().into_os_string();
        unfinished.push(UNFINISHED);
        let unfinished = PathBuf::from(unfinished);
        let failed = || LogError::io("write", &unfinished);
        let bytes = serde_json::to_vec(notes).map_err(io::Error::from).map_err(failed())?;
        fs::write(&unfinished, bytes).map_err(failed())?;
        fs::rename(&unfinished, &self.path).map_err(LogError::io("write", &self.path))
    }
}

/// The length and the SHA-256 of a file.
fn digest(path: &Path) -> io::Result<(u64, Id)> {
    let mut file = Hashed::new(File::open(path)?);
    io::copy(&mut file, &mut io::sink())?;
    Ok(file.finish())
}

/// Bytes on their way, and their length and SHA-256.
pub(super) struct Hashed<R> {
    inner: R,
    length: u64,
    digest: Sha256,
}

impl<R: Read> Hashed<R> {
    pub(super) fn new(inner: R) -> Hashed<R> {
        Hashed {
            inner,
            length: 0,
            digest: Sha256::new(),
        }
    }

    /// The length and the SHA-256 of what was read.
    pub(super) fn finish(self) -> (u64, Id) {
        (self.length, Id(self.digest.finalize().into()))
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.digest.update(&buffer[..count]);
        self.length += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use holdfast_repository::storage::MemoryStorage;
    use tempfile::TempDir;

    use super::*;

    const NAMES: [&str; 3] = [
        "000000010000000000000001",
        "000000010000000000000002",
        "000000010000000000000003",
    ];

    /// A log whose files are stored in a repository with one snapshot.
    struct Scene {
        log: TempDir,
        storage: MemoryStorage,
        snapshot: Id,
    }

    fn repository(config: &str) -> (MemoryStorage, Id) {
        let storage = MemoryStorage::new();
        storage.put(&FileName::Config, config.as_bytes()).unwrap();
        let snapshot = Id::of(b"snapshot");
        let name = FileName::Object(FileKind::Snapshot, snapshot);
        storage.put(&name, b"snapshot").unwrap();
        (storage, snapshot)
    }

    impl Scene {
        fn new() -> Scene {
            let log = TempDir::new().unwrap();
            for name in NAMES {
                fs::write(log.path().join(name), name).unwrap();
            }
            let (storage, snapshot) = repository("a config");
            Scene { log, storage, snapshot }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.log.path().join(name)
        }

        fn receipts(&self) -> Receipts<'_> {
            Receipts::open(&self.path("spool"), &self.storage, "main").unwrap()
        }

        fn keep(&self, names: &[&str]) {
            let receipt = |name: &&str| Receipt {
                name: (*name).to_owned(),
                length: name.len() as u64,
                sha256: Id::of(name.as_bytes()),
                snapshot: self.snapshot,
            };
            let receipts: Vec<Receipt> = names.iter().map(receipt).collect();
            self.receipts().keep(&receipts, &self.path(NAMES[0])).unwrap();
        }

        fn notes(&self) -> Option<PathBuf> {
            let entries = fs::read_dir(self.path("spool")).unwrap();
            let mut paths = entries.map(|entry| entry.unwrap().path());
            let path = paths.next();
            assert_eq!(paths.next(), None);
            path
        }
    }

    #[test]
    fn a_receipt_is_good_once_and_only_those_of_the_last_push_are_kept() {
        let scene = Scene::new();
        assert!(!scene.receipts().take(&scene.path(NAMES[1])), "nothing was pushed");
        scene.keep(&NAMES);
        assert!(!scene.receipts().take(&scene.path(NAMES[0])), "it was asked for");
        assert!(scene.receipts().take(&scene.path(NAMES[1])));
        assert!(!scene.receipts().take(&scene.path(NAMES[1])), "it is used up");
        scene.keep(&[NAMES[0], NAMES[1]]);
        assert!(
            !scene.receipts().take(&scene.path(NAMES[2])),
            "of a push before the last"
        );
        assert!(scene.receipts().take(&scene.path(NAMES[1])));
        assert_eq!(scene.notes(), None);
    }

    #[test]
    fn other_content_under_the_same_name_has_no_receipt() {
        let scene = Scene::new();
        scene.keep(&NAMES);
        let path = scene.path(NAMES[1]);
        for other in ["000000010000000000000003", "", "0000000100000000000000020"] {
            fs::write(&path, other).unwrap();
            assert!(!scene.receipts().take(&path), "{other:?}");
        }
        fs::write(&path, NAMES[1]).unwrap();
        assert!(scene.receipts().take(&path));
        fs::remove_file(scene.path(NAMES[2])).unwrap();
        assert!(!scene.receipts().take(&scene.path(NAMES[2])), "it is gone");
    }

    #[test]
    fn a_receipt_is_for_one_repository_and_one_server() {
        let scene = Scene::new();
        scene.keep(&NAMES);
        let path = scene.path(NAMES[1]);
        let spool = scene.path("spool");
        let (anew, _) = repository("a config made anew at the same place");
        assert_eq!(anew.location(), scene.storage.location());
        assert!(!Receipts::open(&spool, &anew, "main").unwrap().take(&path));
        assert!(!Receipts::open(&spool, &scene.storage, "other").unwrap().take(&path));
        let gone = Receipts::open(&spool, &MemoryStorage::new(), "main").err().unwrap();
        assert!(
            matches!(gone, LogError::Repository(RepositoryError::NoRepository { .. })),
            "{gone}"
        );
        let snapshot = FileName::Object(FileKind::Snapshot, scene.snapshot);
        scene.storage.delete(&snapshot).unwrap();
        assert!(!scene.receipts().take(&path), "its snapshot was forgotten");
        scene.storage.put(&snapshot, b"snapshot").unwrap();
        assert!(scene.receipts().take(&path));
    }

    #[test]
    fn notes_that_cannot_be_read_are_none() {
        let scene = Scene::new();
        scene.keep(&NAMES);
        let notes = scene.notes().unwrap();
        let good = fs::read_to_string(&notes).unwrap();
        let newer = good.replace("\"version\":1", "\"version\":2");
        for bad in ["", "{}", &good[..good.len() - 1], &newer] {
            fs::write(&notes, bad).unwrap();
            assert!(!scene.receipts().take(&scene.path(NAMES[1])), "{bad}");
        }
        fs::write(&notes, &good).unwrap();
        assert!(scene.receipts().take(&scene.path(NAMES[1])));
    }
}
