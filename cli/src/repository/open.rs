//! Making and opening repositories.

use holdfast_local::system_ambient;
use holdfast_repository::crypto::MasterKey;
use holdfast_repository::lock::{Lock, LockKind};
use holdfast_repository::{ErrorKind, InitOptions, Repository, Unlock};
use serde_json::json;

use super::password::password;
use super::place;
use crate::args::RepositoryPlace;
use crate::error::{CliError, Done};
use crate::output;
use crate::output::say;

/// Makes a new repository.
pub fn init(place: &RepositoryPlace, json: bool) -> Result<Done, CliError> {
    let password = password(place)?;
    let storage = place::open_or_create(&place.repo)?;
    let options = InitOptions {
        password: Some(&password),
        ..InitOptions::default()
    };
    let repository = Repository::init(storage, system_ambient(), &options)?;
    let id = repository.config().id.to_string();
    if json {
        output::json(&json!({ "repository": id, "location": repository.storage().location() }))?;
    } else {
        say!("repository {} made at {}", &id[..8], repository.storage().location());
        say!("Keep the password: without it nobody can ever restore from this repository.");
    }
    Ok(Done::Done)
}

/// Opens a repository without writing to it.
pub fn to_read(place: &RepositoryPlace) -> Result<Repository, CliError> {
    let password = password(place)?;
    Ok(Repository::open(
        place::existing(&place.repo)?,
        system_ambient(),
        Unlock::Password(&password),
    )?)
}

/// Opens a repository to write to it, and removes what writers that died left half written.
pub fn to_write(place: &RepositoryPlace) -> Result<Repository, CliError> {
    let password = password(place)?;
    let storage = place::existing_to_write(&place.repo)?;
    Ok(Repository::open(
        storage,
        system_ambient(),
        Unlock::Password(&password),
    )?)
}

/// As [`to_write`], for a process that was handed the key.
pub fn with_key(place: &RepositoryPlace, key: MasterKey) -> Result<Repository, CliError> {
    let storage = place::existing_to_write(&place.repo)?;
    Ok(Repository::open(storage, system_ambient(), Unlock::MasterKey(key))?)
}

/// Keeps others from deleting what is being read. A store that cannot be written to, because the medium is read-only or
/// full, is read without a lock: whoever could delete there needs to write as well.
pub fn reader_lock(repository: &Repository) -> Result<Option<Lock>, CliError> {
    match Lock::acquire(repository, LockKind::Shared) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if matches!(error.kind(), ErrorKind::Denied | ErrorKind::Full) => {
            eprintln!("holdfast: reading without a lock: {error}");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Removes the lock of [`reader_lock`], and says so when that fails.
pub fn release(lock: Option<Lock>) -> Result<(), CliError> {
    Ok(lock.map_or(Ok(()), Lock::release)?)
}
