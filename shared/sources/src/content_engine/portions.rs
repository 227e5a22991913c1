//! Portions of a backup, noted beside the repository: what executions that ended or were stopped have read already, so
//! that the next one, in this process or another, does not read it again.
//!
//! One execution begins with all files. Where its time is not enough, what it left is dealt into slices, so that several
//! can go on side by side: `portions/<job>/slices` says into how many, `portions/<job>/<part>/<place>` holds one report
//! each. All are written once; of the reports of one part the newest holds all that earlier ones held.

use std::collections::BTreeMap;

use holdfast_core::domain::{Failure, FailureKind, JobId, Order};
use holdfast_core::ports::Task;
use holdfast_repository::Id;
use holdfast_repository::backup::{PortionReport, Slice};
use holdfast_repository::storage::{FileName, Storage};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Inner, failure, ledger};

/// Where the notes are.
pub(super) const FOLDER: &str = "portions/";

/// A share of a task that one execution takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All that is left, and the end: a backup publishes, a verification gives its verdict.
    Rest,
    /// One slice, of a backup's files, say; whoever does the rest puts together what all came to.
    Slice(Slice),
}

impl Part {
    /// The word for it in names of records.
    pub(super) fn name(self) -> String {
        match self {
            Self::Rest => "rest".to_owned(),
            Self::Slice(Slice { number, of }) => format!("{number}-of-{of}"),
        }
    }
}

/// A report as it is noted.
#[derive(Serialize, Deserialize)]
struct Note {
    stored_at: Timestamp,
    #[serde(flatten)]
    report: PortionReport,
}

impl Inner {
    /// The parts of a task that are not done. The files of a backup, the packs of a verification and the objects of a restore
    /// that one execution did not finish are dealt into `slices` by whoever asks first.
    pub(super) fn parts_left(&self, task: &Task, slices: u32) -> Result<Vec<Part>, Failure> {
        let job = &task.job;
        match &task.order {
            Order::Backup { resource, vault, .. } => {
                let storage = self.repositories.storage(vault, resource)?;
                let storage = storage.as_ref();
                let of = match newest(storage, job, Part::Rest)? {
                    Some(_) => agree_on_slices(storage, job, slices)?,
                    None => 1,
                };
                left_of(of, |part| {
                    Ok(newest(storage, job, part)?.is_some_and(|(_, report)| report.complete))
                })
            }
            Order::Verify { at, trial: None, .. } => {
                let storage = self.repositories.storage(&at.vault, &at.resource)?;
                let storage = storage.as_ref();
                let of = if ledger::is_begun(storage, job, Part::Rest)? {
                    agree_on_slices(storage, job, slices)?
                } else {
                    1
                };
                left_of(of, |part| ledger::is_complete(storage, job, part))
            }
            Order::Restore { recovery: None, .. } => {
                let of = self.receipts.agree_on_slices(job, slices)?.unwrap_or(1);
                left_of(of, |part| {
                    Ok(self
                        .receipts
                        .progress(job, part)?
                        .is_some_and(|progress| progress.complete))
                })
            }
            _ => Ok(vec![Part::Rest]),
        }
    }
}

/// The slices that are not done; once all are, or where there is one alone, the rest.
fn left_of(of: u32, is_done: impl Fn(Part) -> Result<bool, Failure>) -> Result<Vec<Part>, Failure> {
    let mut left = Vec::new();
    for part in all_of(of) {
        if !is_done(part)? {
            left.push(part);
        }
    }
    if left.is_empty() {
        left.push(Part::Rest);
    }
    Ok(left)
}

/// The slices of a task; one alone is none.
pub(super) fn all_of(of: u32) -> impl Iterator<Item = Part> {
    let slices = if of > 1 { of } else { 0 };
    (0..slices).map(move |number| Part::Slice(Slice { number, of }))
}

/// What earlier executions stored that a part can take over: for a slice its own and what was read before there were
/// slices, for the rest what they stored for every part.
pub(super) fn stored(storage: &dyn Storage, job: &JobId, part: Part) -> Result<Vec<PortionReport>, Failure> {
    let mut parts = vec![part];
    match part {
        Part::Slice(_) => parts.push(Part::Rest),
        Part::Rest => {
            let of = slices(storage, job)?.unwrap_or(0);
            parts.extend((0..of).map(|number| Part::Slice(Slice { number, of })));
        }
    }
    let mut reports = Vec::new();
    for part in parts {
        reports.extend(newest(storage, job, part)?.map(|(_, report)| report));
    }
    Ok(reports)
}

/// Removes the notes of jobs that are done, and of those that have noted nothing since `given_up`. Returns the trees that
/// the others go on with.
pub(super) fn tidy(
    storage: &dyn Storage,
    is_done: impl Fn(&JobId) -> Result<bool, Failure>,
    given_up: Timestamp,
) -> Result<Vec<Id>, Failure> {
    let mut notes: BTreeMap<JobId, Vec<String>> = BTreeMap::new();
    for (name, _) in storage.list_sidecar(FOLDER).map_err(failure)? {
        let job = name[FOLDER.len()..].split('/').next().unwrap_or_default();
        if let Ok(job) = JobId::try_from(job.to_owned()) {
            notes.entry(job).or_default().push(name);
        }
    }
    let mut trees = Vec::new();
    for (job, names) in notes {
        let open = if is_done(&job)? {
            None
        } else {
            open_trees(storage, &names, given_up)?
        };
        match open {
            Some(open) => trees.extend(open),
            None => names
                .into_iter()
                .try_for_each(|name| storage.delete(&FileName::Sidecar(name)))
                .map_err(failure)?,
        }
    }
    Ok(trees)
}

/// The newest tree of each part of a job; none when the job has noted nothing since `given_up`.
fn open_trees(storage: &dyn Storage, names: &[String], given_up: Timestamp) -> Result<Option<Vec<Id>>, Failure> {
    /// What notes of every kind have.
    #[derive(Deserialize)]
    struct Dated {
        stored_at: Timestamp,
        tree: Option<Id>,
    }
    let (mut is_open, mut trees) = (false, BTreeMap::new());
    for name in names {
        let Some((part, _)) = name.strip_suffix(".json").and_then(|name| name.rsplit_once('/')) else {
            continue;
        };
        let note: Dated = read(storage, name)?;
        is_open |= note.stored_at > given_up;
        trees.extend(note.tree.map(|tree| (part, tree)));
    }
    Ok(is_open.then(|| trees.into_values().collect()))
}

/// Notes what an execution stored for a part, its figures added to those of earlier ones. One that came no further than the
/// one before has failed: the next would not either.
pub(super) fn store(
    storage: &dyn Storage,
    job: &JobId,
    part: Part,
    mut report: PortionReport,
    stored_at: Timestamp,
) -> Result<(), Failure> {
    let mut place = 0;
    if let Some((last, earlier)) = newest(storage, job, part)? {
        if !report.complete && report.added_bytes == 0 && report.tree == earlier.tree {
            let message = format!(
                "this execution of job {job} came no further than the one before: what it has to look at first takes all of \
                 its time; give executions more time, or protect the resource in several parts"
            );
            return Err(Failure::new(FailureKind::Transient, message));
        }
        place = last + 1;
        report.data_blobs += earlier.data_blobs;
        report.tree_blobs += earlier.tree_blobs;
        report.added_bytes += earlier.added_bytes;
        report.added_packed_bytes += earlier.added_packed_bytes;
    }
    let json = serde_json::to_vec(&Note { stored_at, report }).map_err(|error| {
        Failure::caused(
            FailureKind::Bug,
            format!("portion of job {job} cannot be written"),
            error,
        )
    })?;
    let name = FileName::Sidecar(format!("{}{place:06}.json", prefix(job, part)));
    storage.put(&name, &json).map_err(failure)?;
    storage.barrier().map_err(failure)
}

fn prefix(job: &JobId, part: Part) -> String {
    format!("{FOLDER}{job}/{}/", part.name())
}

/// The newest report of a part, and its place.
fn newest(storage: &dyn Storage, job: &JobId, part: Part) -> Result<Option<(u32, PortionReport)>, Failure> {
    let prefix = prefix(job, part);
    let Some((name, _)) = storage.list_sidecar(&prefix).map_err(failure)?.pop() else {
        return Ok(None);
    };
    let place = name.strip_prefix(&prefix).and_then(|place| place.strip_suffix(".json"));
    let place = place.and_then(|place| place.parse().ok()).ok_or_else(|| {
        let message = format!("{name} at {} is not the name of a portion", storage.location());
        Failure::new(FailureKind::Integrity, message)
    })?;
    let note: Note = read(storage, &name)?;
    Ok(Some((place, note.report)))
}

/// Reads a note.
pub(super) fn read<T: DeserializeOwned>(storage: &dyn Storage, name: &str) -> Result<T, Failure> {
    let json = storage.read(&FileName::Sidecar(name.to_owned())).map_err(failure)?;
    serde_json::from_slice(&json)
        .map_err(|error| Failure::unreadable(&format!("{name} at {}", storage.location()), error))
}

fn slices_name(job: &JobId) -> FileName {
    FileName::Sidecar(format!("{FOLDER}{job}/slices"))
}

/// Into how many slices a backup's files are dealt, if somebody has said so.
fn slices(storage: &dyn Storage, job: &JobId) -> Result<Option<u32>, Failure> {
    let name = slices_name(job);
    if storage.size(&name).map_err(failure)?.is_none() {
        return Ok(None);
    }
    let text = storage.read(&name).map_err(failure)?;
    let number = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
    let number = number.filter(|number| *number > 0).ok_or_else(|| {
        let message = format!("{name} at {} is not a number of slices", storage.location());
        Failure::new(FailureKind::Integrity, message)
    })?;
    Ok(Some(number))
}

fn agree_on_slices(storage: &dyn Storage, job: &JobId, wanted: u32) -> Result<u32, Failure> {
    if let Some(agreed) = slices(storage, job)? {
        return Ok(agreed);
    }
    match storage.put(&slices_name(job), wanted.to_string().as_bytes()) {
        Ok(_) => Ok(wanted),
        // Somebody else was faster.
        Err(error) => slices(storage, job)?.ok_or_else(|| failure(error)),
    }
}
