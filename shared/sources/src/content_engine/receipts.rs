//! Receipts: what finished tasks came to, one small file each, so that a restart does not do them again.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::sync::Arc;

use holdfast_core::domain::{Failure, FailureKind, JobId, Outcome};
use holdfast_repository::storage::{FileName, Storage};

use super::failure;

/// Where receipts are kept. Whoever starts a task again must find what its last run left here.
#[derive(Clone)]
pub enum ReceiptStore {
    /// In a folder, which is made if it is not there: for engines that always run on the same machine.
    Folder(PathBuf),
    /// As sidecars under `receipts/`: for engines that start again on another machine.
    Storage(Arc<dyn Storage>),
}

pub(super) struct Receipts {
    store: ReceiptStore,
}

impl Receipts {
    pub(super) fn open(store: ReceiptStore) -> Result<Self, Failure> {
        if let ReceiptStore::Folder(folder) = &store {
            fs::create_dir_all(folder).map_err(|error| {
                Failure::caused(
                    FailureKind::Transient,
                    format!("folder {} cannot be made: {error}", folder.display()),
                    error,
                )
            })?;
        }
        Ok(Self { store })
    }

    /// Keeps a receipt: whole or not at all, and durable before this returns.
    pub(super) fn keep(&self, job: &JobId, outcome: &Outcome) -> Result<(), Failure> {
        let json = serde_json::to_vec(outcome).map_err(|error| {
            Failure::caused(
                FailureKind::Bug,
                format!("the outcome of job {job} cannot be written"),
                error,
            )
        })?;
        self.write(&receipt_name(job), "receipt", &json)
    }

    pub(super) fn find(&self, job: &JobId) -> Result<Option<Outcome>, Failure> {
        let Some(json) = self.read(&receipt_name(job), "receipt")? else {
            return Ok(None);
        };
        let name = format!("receipt {}", self.shown(&receipt_name(job)));
        serde_json::from_slice(&json)
            .map(Some)
            .map_err(|error| Failure::unreadable(&name, error))
    }

    /// Notes that a job has begun to change the world.
    pub(super) fn keep_began(&self, job: &JobId) -> Result<(), Failure> {
        self.write(&began_name(job), "note", b"")
    }

    /// Whether a job has noted that it began.
    pub(super) fn began(&self, job: &JobId) -> Result<bool, Failure> {
        Ok(self.read(&began_name(job), "note")?.is_some())
    }

    fn shown(&self, name: &str) -> String {
        match &self.store {
            ReceiptStore::Folder(folder) => folder.join(name).display().to_string(),
            ReceiptStore::Storage(storage) => format!("{}: {}", storage.location(), sidecar(name)),
        }
    }

    fn write(&self, name: &str, what: &str, bytes: &[u8]) -> Result<(), Failure> {
        match &self.store {
            ReceiptStore::Folder(folder) => {
                let path = folder.join(name);
                let unfinished = folder.join(format!("{name}.tmp"));
                let write = || -> std::io::Result<()> {
                    let mut file = File::create(&unfinished)?;
                    file.write_all(bytes)?;
                    file.sync_all()?;
                    fs::rename(&unfinished, &path)?;
                    File::open(folder)?.sync_all()
                };
                write().map_err(|error| {
                    let message = format!("{what} {} cannot be written: {error}", path.display());
                    Failure::caused(FailureKind::Transient, message, error)
                })
            }
            ReceiptStore::Storage(storage) => {
                // An earlier run may have died after it kept another one: the last that is known to be true counts.
                storage.delete(&sidecar(name)).map_err(failure)?;
                storage.put(&sidecar(name), bytes).map_err(failure)?;
                storage.barrier().map_err(failure)
            }
        }
    }

    fn read(&self, name: &str, what: &str) -> Result<Option<Vec<u8>>, Failure> {
        match &self.store {
            ReceiptStore::Folder(folder) => match fs::read(folder.join(name)) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => {
                    let message = format!("{what} {} cannot be read: {error}", folder.join(name).display());
                    Err(Failure::caused(FailureKind::Transient, message, error))
                }
            },
            ReceiptStore::Storage(storage) => match storage.read(&sidecar(name)) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == holdfast_repository::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(failure(error)),
            },
        }
    }
}

fn receipt_name(job: &JobId) -> String {
    format!("{job}.json")
}

fn began_name(job: &JobId) -> String {
    format!("{job}.began")
}

fn sidecar(name: &str) -> FileName {
    FileName::Sidecar(format!("receipts/{name}"))
}
