//! Opening repositories. The master key of each is kept wrapped beside it, so that opening needs no password and no slow
//! key derivation; an escrowed password opens it without Holdfast.

use std::sync::Arc;

use holdfast_core::domain::{Failure, FailureKind, Location, ResourceId, VaultName};
use holdfast_core::ports::Keys;
use holdfast_repository::crypto::MasterKey;
use holdfast_repository::storage::{FileName, Storage};
use holdfast_repository::{Ambient, ErrorKind, Id, InitOptions, Repository, RepositoryError, Unlock};
use tokio::runtime::Handle;

use super::{EscrowPassword, OpenStorage, failure};

/// Sidecar file that holds the wrapped master key.
pub(super) const WRAPPED_KEY: &str = "key/wrapped";

pub(super) struct Repositories {
    pub(super) open_storage: OpenStorage,
    pub(super) keys: Arc<dyn Keys>,
    pub(super) ambient: Ambient,
    pub(super) escrow_password: EscrowPassword,
    pub(super) runtime: Handle,
}

impl Repositories {
    pub(super) fn storage(&self, vault: &VaultName, resource: &ResourceId) -> Result<Arc<dyn Storage>, Failure> {
        (self.open_storage)(vault, resource)
    }

    /// Opens a repository that must exist.
    pub(super) fn open(&self, vault: &VaultName, resource: &ResourceId) -> Result<Repository, Failure> {
        if let Some(repository) = self.find(vault, resource)? {
            return Ok(repository);
        }
        let location = self.storage(vault, resource)?.location();
        let message = format!("vault {vault} holds no repository of {resource}: {location} has no config");
        Err(Failure::new(FailureKind::NotFound, message))
    }

    /// Opens a repository if it exists.
    pub(super) fn find(&self, vault: &VaultName, resource: &ResourceId) -> Result<Option<Repository>, Failure> {
        let storage = self.storage(vault, resource)?;
        if storage.size(&FileName::Config).map_err(failure)?.is_none() {
            return Ok(None);
        }
        let key = self.unwrap(storage.as_ref(), resource)?;
        match Repository::open(storage, self.ambient.clone(), Unlock::MasterKey(key)) {
            // The key is the one that was kept for this repository: one of the two is damaged.
            Err(error @ RepositoryError::WrongMasterKey { .. }) => Err(Failure {
                kind: FailureKind::Integrity,
                ..failure(error)
            }),
            opened => opened.map(Some).map_err(failure),
        }
    }

    /// Opens a repository, making it first if it does not exist. The wrapped key is written before the repository, so
    /// that one without the other is only ever a key without a repository, which the next call picks up.
    pub(super) fn open_or_init(&self, vault: &VaultName, resource: &ResourceId) -> Result<Repository, Failure> {
        if let Some(repository) = self.find(vault, resource)? {
            return Ok(repository);
        }
        let storage = self.storage(vault, resource)?;
        let name = FileName::Sidecar(WRAPPED_KEY.to_owned());
        if storage.size(&name).map_err(failure)?.is_none() {
            let fresh = MasterKey::generate(&self.ambient);
            let wrapped = self
                .runtime
                .block_on(self.keys.wrap(&fresh.to_json(), &context(resource)))?;
            match storage.put(&name, &wrapped) {
                // Another executor made one at the same moment: that one counts.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                put => drop(put.map_err(failure)?),
            }
            storage.barrier().map_err(failure)?;
        }
        let master_key = self.unwrap(storage.as_ref(), resource)?;
        let password = (self.escrow_password)()?;
        let options = InitOptions {
            password: Some(&password),
            master_key: Some(master_key),
            ..InitOptions::default()
        };
        match Repository::init(storage, self.ambient.clone(), &options) {
            Ok(repository) => Ok(repository),
            // Another executor may have made it at the same moment.
            Err(error) => self.find(vault, resource)?.ok_or_else(|| failure(error)),
        }
    }

    fn unwrap(&self, storage: &dyn Storage, resource: &ResourceId) -> Result<MasterKey, Failure> {
        let name = FileName::Sidecar(WRAPPED_KEY.to_owned());
        let wrapped = storage.read(&name).map_err(failure)?;
        let unwrapped = self.runtime.block_on(self.keys.unwrap(&wrapped, &context(resource)));
        let plain = unwrapped.map_err(|error| {
            let message = format!("{name} at {}: {}", storage.location(), error.message);
            // That a wrapping key is not there says nothing about the repository.
            let kind = match error.kind {
                FailureKind::NotFound => FailureKind::Denied,
                kind => kind,
            };
            Failure::caused(kind, message, error)
        })?;
        MasterKey::from_json(&plain).map_err(|_| {
            let message = format!("{name} at {} unwraps to no master key", storage.location());
            Failure::new(FailureKind::Integrity, message)
        })
    }
}

/// What the wrapped key is bound to.
fn context(resource: &ResourceId) -> String {
    format!("holdfast/repository/{resource}")
}

/// The snapshot that a location names.
pub(super) fn snapshot_id(location: &Location) -> Result<Id, Failure> {
    location.artefact.parse().map_err(|_| {
        let message = format!("\"{}\" is not the id of a snapshot", location.artefact);
        Failure::new(FailureKind::Invalid, message)
    })
}
