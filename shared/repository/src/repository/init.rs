//! Makes a new repository.

use std::sync::Arc;

use crate::ambient::Ambient;
use crate::config::{Config, is_irreducible, random_polynomial};
use crate::crypto::MasterKey;
use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::key_file::KeyFile;
use crate::storage::{FileKind, FileName, Storage};

use super::Repository;

/// What a new repository is made of.
#[derive(Clone, Default)]
pub struct InitOptions<'a> {
    /// Writes a key file that opens with this password, also for restic. Without one, only the master key opens it.
    pub password: Option<&'a str>,
    /// The master key to use; a random one by default.
    pub master_key: Option<MasterKey>,
    /// restic's chunker polynomial; a random one by default. Copies of a repository share it.
    pub chunker_polynomial: Option<u64>,
}

impl Repository {
    /// Makes a repository: the key file, then the config that makes it one. An initialisation that stopped in between
    /// can be run again. Fails with [`RepositoryError::AlreadyInitialised`] where there is one.
    pub fn init(storage: Arc<dyn Storage>, ambient: Ambient, options: &InitOptions<'_>) -> Result<Repository> {
        refuse_existing(&*storage)?;
        let polynomial = options
            .chunker_polynomial
            .unwrap_or_else(|| random_polynomial(&ambient));
        if !is_irreducible(polynomial) {
            return Err(RepositoryError::invalid(
                format!("the chunker polynomial `{polynomial:x}`"),
                "it is not irreducible of degree 53",
            ));
        }
        let (key, key_file) = keys(&*storage, &ambient, options)?;
        storage.barrier()?;
        let config = Config {
            id: Id(ambient.random()),
            chunker_polynomial: polynomial,
        };
        let mut sealed = Vec::new();
        key.seal(&config.encode(), ambient.random(), &mut sealed);
        if let Err(error) = storage.put(&FileName::Config, &sealed) {
            return Err(lost_race(&*storage, key_file, error));
        }
        storage.barrier()?;
        Ok(Repository::assemble(storage, ambient, key, config))
    }
}

fn refuse_existing(storage: &dyn Storage) -> Result<()> {
    if storage.size(&FileName::Config)?.is_some() {
        return Err(RepositoryError::AlreadyInitialised {
            location: storage.location(),
        });
    }
    for kind in [FileKind::Snapshot, FileKind::Index, FileKind::Data] {
        if !storage.list(kind)?.is_empty() {
            return Err(RepositoryError::damaged(
                format!("the repository at {}", storage.location()),
                format!(
                    "it has files under {}/ but no config; bring back the config file from a copy",
                    kind.folder()
                ),
            ));
        }
    }
    Ok(())
}

/// The master key, and the key file that was written for it just now.
fn keys(storage: &dyn Storage, ambient: &Ambient, options: &InitOptions<'_>) -> Result<(MasterKey, Option<Id>)> {
    let Some(password) = options.password else {
        return match &options.master_key {
            Some(key) => Ok((key.clone(), None)),
            None => Err(RepositoryError::invalid(
                "a new repository without a password and a master key",
                "nothing could ever open it",
            )),
        };
    };
    if let Some((id, key)) = left_behind(storage, password)? {
        return match &options.master_key {
            Some(given) if *given != key => Err(RepositoryError::invalid(
                format!("the key file {id} of an unfinished initialisation"),
                "it opens with the same password but holds another master key: remove it",
            )),
            _ => Ok((key, None)),
        };
    }
    let key = options
        .master_key
        .clone()
        .unwrap_or_else(|| MasterKey::generate(ambient));
    let file = KeyFile::wrap(&key, password, ambient)?.encode();
    let id = Id::of(&file);
    storage.put(&FileName::Object(FileKind::Key, id), &file)?;
    Ok((key, Some(id)))
}

/// The key file that an initialisation with this password left when it stopped.
fn left_behind(storage: &dyn Storage, password: &str) -> Result<Option<(Id, MasterKey)>> {
    for (id, _) in storage.list(FileKind::Key)? {
        let file = FileName::Object(FileKind::Key, id);
        let key = KeyFile::decode(&file.to_string(), &storage.read(&file)?)?.unwrap(password)?;
        if let Some(key) = key {
            return Ok(Some((id, key)));
        }
    }
    Ok(None)
}

/// Another initialisation put its config first: our key file opens nothing, so it goes.
fn lost_race(storage: &dyn Storage, key_file: Option<Id>, error: RepositoryError) -> RepositoryError {
    match storage.size(&FileName::Config) {
        Ok(Some(_)) => {}
        Ok(None) | Err(_) => return error,
    }
    let removed = key_file.map_or(Ok(()), |id| storage.delete(&FileName::Object(FileKind::Key, id)));
    match removed {
        Ok(()) => RepositoryError::AlreadyInitialised {
            location: storage.location(),
        },
        Err(error) => error,
    }
}
