//! Receipts: what finished tasks came to, one small file each, so that a restart does not do them again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_core::domain::{Failure, FailureKind, JobId, Outcome};
use holdfast_core::ports::{Catalog, Wake};
use holdfast_core::workflow::records::{self, Record};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::places::RestoreCursor;
use super::portions::Part;

/// Where receipts are kept. Whoever starts a task again must find what its last run left here.
#[derive(Clone)]
pub enum ReceiptStore {
    /// In a folder, which is made if it is not there: for engines that always run on the same machine.
    Folder(PathBuf),
    /// As records: for engines that start again on another machine.
    Catalog(Arc<dyn Catalog>),
}

pub(super) struct Receipts {
    store: ReceiptStore,
    runtime: Handle,
}

/// What an engine remembers of a job, as a record.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Receipt {
    job: JobId,
    /// What it came to; none while it has only begun to change the world.
    outcome: Option<Outcome>,
    /// How far it has come, where it keeps a cursor.
    #[serde(default)]
    cursor: Option<JobProgress>,
    /// Into how many slices what was left was dealt, if it was.
    #[serde(default)]
    slices: Option<u32>,
    /// How far each of them has come, by their names.
    #[serde(default)]
    cursors: BTreeMap<String, JobProgress>,
}

/// How far the executions of a job have come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JobProgress {
    pub(super) cursor: RestoreCursor,
    /// Executions that began since it was kept last.
    pub(super) begun_since: u32,
    /// Whether the execution that kept it has stopped since, so that others may take on what is left.
    #[serde(default)]
    pub(super) stopped: bool,
    /// Whether it came to the end of its part.
    #[serde(default)]
    pub(super) complete: bool,
}

impl Record for Receipt {
    const KIND: &'static str = "receipt";

    fn key(&self) -> holdfast_core::ports::Key {
        records::receipt_key(&self.job)
    }

    fn wake(&self) -> Option<Wake> {
        None
    }
}

impl Receipts {
    pub(super) fn open(store: ReceiptStore, runtime: Handle) -> Result<Self, Failure> {
        if let ReceiptStore::Folder(folder) = &store {
            fs::create_dir_all(folder).map_err(|error| {
                let message = format!("folder {} cannot be made: {error}", folder.display());
                Failure::caused(FailureKind::Transient, message, error)
            })?;
        }
        Ok(Self { store, runtime })
    }

    /// Keeps a receipt: whole or not at all, and durable before this returns.
    pub(super) fn keep(&self, job: &JobId, outcome: &Outcome) -> Result<(), Failure> {
        match &self.store {
            ReceiptStore::Folder(folder) => write_json(
                folder,
                &receipt_name(job),
                &format!("the outcome of job {job}"),
                outcome,
            ),
            ReceiptStore::Catalog(catalog) => self.record(catalog.as_ref(), job, Some(outcome)),
        }
    }

    pub(super) fn find(&self, job: &JobId) -> Result<Option<Outcome>, Failure> {
        match &self.store {
            ReceiptStore::Folder(folder) => read_json(folder, &receipt_name(job), "receipt"),
            ReceiptStore::Catalog(catalog) => Ok(self.recorded(catalog.as_ref(), job)?.and_then(|known| known.outcome)),
        }
    }

    /// Notes that a job has begun to change the world.
    pub(super) fn keep_began(&self, job: &JobId) -> Result<(), Failure> {
        match &self.store {
            ReceiptStore::Folder(folder) => write(folder, &began_name(job), b""),
            ReceiptStore::Catalog(catalog) => self.record(catalog.as_ref(), job, None),
        }
    }

    /// Whether a job has noted that it began.
    pub(super) fn began(&self, job: &JobId) -> Result<bool, Failure> {
        match &self.store {
            ReceiptStore::Folder(folder) => Ok(read(folder, &began_name(job))?.is_some()),
            ReceiptStore::Catalog(catalog) => Ok(self.recorded(catalog.as_ref(), job)?.is_some()),
        }
    }

    /// How far the executions of a part of a job have come.
    pub(super) fn progress(&self, job: &JobId, part: Part) -> Result<Option<JobProgress>, Failure> {
        match &self.store {
            ReceiptStore::Folder(folder) => read_json(folder, &cursor_name(job, part), "cursor"),
            ReceiptStore::Catalog(catalog) => {
                let known = self.recorded(catalog.as_ref(), job)?;
                Ok(known.and_then(|mut known| match part {
                    Part::Rest => known.cursor,
                    Part::Slice(_) => known.cursors.remove(&part.name()),
                }))
            }
        }
    }

    /// Keeps how far the executions of a part of a job have come.
    pub(super) fn keep_progress(&self, job: &JobId, part: Part, progress: &JobProgress) -> Result<(), Failure> {
        match &self.store {
            ReceiptStore::Folder(folder) => {
                let what = format!("the cursor of job {job}");
                write_json(folder, &cursor_name(job, part), &what, progress)
            }
            ReceiptStore::Catalog(catalog) => self.add_to_record(catalog.as_ref(), job, |receipt| match part {
                Part::Rest => receipt.cursor = Some(progress.clone()),
                Part::Slice(_) => drop(receipt.cursors.insert(part.name(), progress.clone())),
            }),
        }
    }

    /// Into how many slices what one execution left of a job is dealt, if somebody has said so.
    pub(super) fn slices(&self, job: &JobId) -> Result<Option<u32>, Failure> {
        match &self.store {
            // One process does everything.
            ReceiptStore::Folder(_) => Ok(None),
            ReceiptStore::Catalog(catalog) => Ok(self.recorded(catalog.as_ref(), job)?.and_then(|known| known.slices)),
        }
    }

    /// As [`Receipts::slices`]; whoever asks first once an execution has stopped half-way has it dealt as `wanted`.
    pub(super) fn agree_on_slices(&self, job: &JobId, wanted: u32) -> Result<Option<u32>, Failure> {
        let ReceiptStore::Catalog(catalog) = &self.store else {
            return Ok(None);
        };
        let known = self.recorded(catalog.as_ref(), job)?;
        if known.is_some_and(|known| known.slices.is_none() && known.cursor.is_some_and(|cursor| cursor.stopped)) {
            self.add_to_record(catalog.as_ref(), job, |receipt| {
                receipt.slices.get_or_insert(wanted);
            })?;
        }
        self.slices(job)
    }

    fn recorded(&self, catalog: &dyn Catalog, job: &JobId) -> Result<Option<Receipt>, Failure> {
        let key = records::receipt_key(job);
        let read = self.runtime.block_on(records::read::<Receipt>(catalog, &key))?;
        Ok(read.map(|stored| stored.value))
    }

    /// Of two executors that did the same, the first outcome counts: both are true.
    fn record(&self, catalog: &dyn Catalog, job: &JobId, outcome: Option<&Outcome>) -> Result<(), Failure> {
        self.add_to_record(catalog, job, |receipt| {
            if receipt.outcome.is_none() {
                receipt.outcome = outcome.cloned();
            }
        })
    }

    /// Adds to what is recorded of a job, whether there is anything yet or not.
    fn add_to_record(
        &self,
        catalog: &dyn Catalog,
        job: &JobId,
        add: impl Fn(&mut Receipt) + Send + Sync,
    ) -> Result<(), Failure> {
        self.runtime.block_on(async {
            let mut receipt = Receipt {
                job: job.clone(),
                outcome: None,
                cursor: None,
                slices: None,
                cursors: BTreeMap::new(),
            };
            add(&mut receipt);
            if records::insert(catalog, &receipt).await?.is_none() {
                return Ok(());
            }
            let change = |known: &mut Receipt| {
                let before = known.clone();
                add(known);
                *known != before
            };
            records::amend(catalog, &records::receipt_key(job), change)
                .await
                .map(|_| ())
        })
    }
}

fn write_json(folder: &Path, name: &str, what: &str, value: &impl Serialize) -> Result<(), Failure> {
    let json = serde_json::to_vec(value)
        .map_err(|error| Failure::caused(FailureKind::Bug, format!("{what} cannot be written"), error))?;
    write(folder, name, &json)
}

fn read_json<T: DeserializeOwned>(folder: &Path, name: &str, what: &str) -> Result<Option<T>, Failure> {
    let Some(json) = read(folder, name)? else {
        return Ok(None);
    };
    let named = format!("{what} {}", folder.join(name).display());
    serde_json::from_slice(&json)
        .map(Some)
        .map_err(|error| Failure::unreadable(&named, error))
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Failure> {
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
        let message = format!("{} cannot be written: {error}", path.display());
        Failure::caused(FailureKind::Transient, message, error)
    })
}

fn read(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, Failure> {
    match fs::read(folder.join(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let message = format!("{} cannot be read: {error}", folder.join(name).display());
            Err(Failure::caused(FailureKind::Transient, message, error))
        }
    }
}

fn receipt_name(job: &JobId) -> String {
    format!("{job}.json")
}

fn began_name(job: &JobId) -> String {
    format!("{job}.began")
}

fn cursor_name(job: &JobId, part: Part) -> String {
    match part {
        Part::Rest => format!("{job}.cursor"),
        Part::Slice(_) => format!("{job}.{}.cursor", part.name()),
    }
}
