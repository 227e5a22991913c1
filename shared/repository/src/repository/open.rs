//! Opens a repository.

use std::sync::Arc;

use crate::ambient::Ambient;
use crate::config::Config;
use crate::crypto::MasterKey;
use crate::error::{ErrorKind, RepositoryError, Result};
use crate::id::Id;
use crate::key_file::KeyFile;
use crate::parallel;
use crate::storage::{FileKind, FileName, Storage};

use super::{Repository, Unlock};

/// Key files tried at most, as restic does: each costs half a second.
const MAX_KEYS: usize = 20;

impl Repository {
    /// Opens a repository with a password or its master key.
    pub fn open(storage: Arc<dyn Storage>, ambient: Ambient, unlock: Unlock<'_>) -> Result<Repository> {
        let (key, json) = match unlock {
            Unlock::MasterKey(key) => {
                let sealed = read_config(&*storage)?;
                let wrong = |_| RepositoryError::WrongMasterKey {
                    location: storage.location(),
                };
                let json = key.open(&sealed).map_err(wrong)?;
                (key, json)
            }
            Unlock::Password(password) => {
                let (files, sealed) = parallel::join(|| storage.list(FileKind::Key), || read_config(&*storage));
                find_key(&*storage, password, &sealed?, files?)?
            }
        };
        let config = Config::decode(&json)?;
        Ok(Repository::assemble(storage, ambient, key, config))
    }
}

fn read_config(storage: &dyn Storage) -> Result<Vec<u8>> {
    storage.read(&FileName::Config).map_err(|error| match error.kind() {
        ErrorKind::NotFound => RepositoryError::NoRepository {
            location: storage.location(),
        },
        _ => error,
    })
}

/// The master key that the password gives, and the config opened with it. A key file may be left from an
/// initialisation that lost to another: its master key does not open the config, and the search goes on.
fn find_key(
    storage: &dyn Storage,
    password: &str,
    config: &[u8],
    files: Vec<(Id, u64)>,
) -> Result<(MasterKey, Vec<u8>)> {
    let location = || storage.location();
    let mut tried = 0;
    let mut config_error = None;
    for (id, _) in files.into_iter().take(MAX_KEYS) {
        tried += 1;
        let file = FileName::Object(FileKind::Key, id);
        let Some(key) = KeyFile::decode(&file.to_string(), &storage.read(&file)?)?.unwrap(password)? else {
            continue;
        };
        match key.open(config) {
            Ok(json) => return Ok((key, json)),
            Err(error) => config_error = Some(error),
        }
    }
    Err(match (config_error, tried) {
        (Some(error), _) => RepositoryError::damaged("the config file", error),
        (None, 0) => RepositoryError::NoKeyFile { location: location() },
        (None, _) => RepositoryError::WrongPassword {
            location: location(),
            tried,
        },
    })
}
