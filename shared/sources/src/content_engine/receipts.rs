//! Receipts: what finished tasks came to, one small file each, so that a restart does not do them again.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use holdfast_core::domain::{Failure, FailureKind, JobId, Outcome};

pub(super) struct Receipts {
    folder: PathBuf,
}

impl Receipts {
    pub(super) fn open(folder: PathBuf) -> Result<Self, Failure> {
        fs::create_dir_all(&folder).map_err(|error| {
            Failure::caused(
                FailureKind::Transient,
                format!("folder {} cannot be made: {error}", folder.display()),
                error,
            )
        })?;
        Ok(Self { folder })
    }

    fn path(&self, job: &JobId) -> PathBuf {
        self.folder.join(format!("{job}.json"))
    }

    /// Keeps a receipt: whole or not at all, and durable before this returns.
    pub(super) fn keep(&self, job: &JobId, outcome: &Outcome) -> Result<(), Failure> {
        let path = self.path(job);
        let unfinished = path.with_extension("tmp");
        let json = serde_json::to_vec(outcome).map_err(|error| {
            Failure::caused(
                FailureKind::Bug,
                format!("the outcome of job {job} cannot be written"),
                error,
            )
        })?;
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&unfinished)?;
            file.write_all(&json)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error| {
            let message = format!("receipt {} cannot be written: {error}", path.display());
            Failure::caused(FailureKind::Transient, message, error)
        })
    }

    /// Notes that a job has begun to change the world.
    pub(super) fn keep_began(&self, job: &JobId) -> Result<(), Failure> {
        let path = self.began_path(job);
        let write = || -> std::io::Result<()> {
            File::create(&path)?.sync_all()?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error| {
            let message = format!("note {} cannot be written: {error}", path.display());
            Failure::caused(FailureKind::Transient, message, error)
        })
    }

    /// Whether a job has noted that it began.
    pub(super) fn began(&self, job: &JobId) -> Result<bool, Failure> {
        let path = self.began_path(job);
        path.try_exists().map_err(|error| {
            let message = format!("note {} cannot be looked for: {error}", path.display());
            Failure::caused(FailureKind::Transient, message, error)
        })
    }

    fn began_path(&self, job: &JobId) -> PathBuf {
        self.folder.join(format!("{job}.began"))
    }

    pub(super) fn find(&self, job: &JobId) -> Result<Option<Outcome>, Failure> {
        let path = self.path(job);
        match fs::read(&path) {
            Ok(json) => {
                let name = format!("receipt {}", path.display());
                serde_json::from_slice(&json)
                    .map(Some)
                    .map_err(|error| Failure::unreadable(&name, error))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let message = format!("receipt {} cannot be read: {error}", path.display());
                Err(Failure::caused(FailureKind::Transient, message, error))
            }
        }
    }
}
