//! What a verification or a repair has read already, noted beside the repository when it is stopped: the next execution of
//! the same job goes on with the packs that are left. Those of a verification may be dealt into slices, so that several
//! executions go on side by side.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use holdfast_core::domain::{Failure, FailureKind, JobId};
use holdfast_repository::check::{Damage, PackLedger};
use holdfast_repository::storage::{FileName, Storage};
use holdfast_repository::{Id, Repository};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::failure;
use super::portions::{FOLDER, Part, read};

/// A pack that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Examined {
    pack: Id,
    bytes: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    damages: Vec<Damage>,
}

/// A note.
#[derive(Serialize, Deserialize)]
struct Note {
    stored_at: Timestamp,
    /// Whether all of the part was read.
    #[serde(default)]
    complete: bool,
    packs: Vec<Examined>,
}

/// The packs that one verification has read, in this execution and in earlier ones.
pub(super) struct Ledger {
    part: Part,
    /// Names of this part's notes begin with it.
    prefix: String,
    notes: usize,
    known: HashMap<Id, Examined>,
    fresh: Mutex<Vec<Examined>>,
}

impl Ledger {
    /// What executions of the job noted, of every part.
    pub(super) fn of(storage: &dyn Storage, job: &JobId, part: Part) -> Result<Self, Failure> {
        let prefix = prefix(job, part);
        let (mut notes, mut known) = (0, HashMap::new());
        for (name, _) in storage.list_sidecar(&folder(job)).map_err(failure)? {
            notes += usize::from(name.starts_with(&prefix));
            let note: Note = read(storage, &name)?;
            known.extend(note.packs.into_iter().map(|examined| (examined.pack, examined)));
        }
        let fresh = Mutex::default();
        Ok(Self {
            part,
            prefix,
            notes,
            known,
            fresh,
        })
    }

    /// Passes on what work on a repository came to, having noted what this execution has read if that came to no end.
    pub(super) fn kept_for_the_next<T>(self, repository: &Repository, done: Result<T, Failure>) -> Result<T, Failure> {
        if done.is_err() {
            self.store(repository, false)?;
        }
        done
    }

    /// Notes what this execution has read, and whether that was all that was left of its part.
    pub(super) fn store(self, repository: &Repository, complete: bool) -> Result<(), Failure> {
        let (storage, stored_at) = (repository.storage().as_ref(), (repository.ambient().now)());
        let packs = self.fresh.into_inner().unwrap_or_else(PoisonError::into_inner);
        if packs.is_empty() && !complete {
            return Ok(());
        }
        let note = Note {
            stored_at,
            complete,
            packs,
        };
        let json = serde_json::to_vec(&note)
            .map_err(|error| Failure::caused(FailureKind::Bug, "packs that were read cannot be noted", error))?;
        let name = FileName::Sidecar(format!("{}{:06}.json", self.prefix, self.notes));
        storage.put(&name, &json).map_err(failure)?;
        storage.barrier().map_err(failure)
    }
}

fn folder(job: &JobId) -> String {
    format!("{FOLDER}{job}/examined/")
}

fn prefix(job: &JobId, part: Part) -> String {
    format!("{}{}/", folder(job), part.name())
}

/// Whether an execution that did not come to its end has noted anything of a part.
pub(super) fn is_begun(storage: &dyn Storage, job: &JobId, part: Part) -> Result<bool, Failure> {
    let notes = storage.list_sidecar(&prefix(job, part)).map_err(failure)?;
    Ok(!notes.is_empty())
}

/// Whether all of a part was read.
pub(super) fn is_complete(storage: &dyn Storage, job: &JobId, part: Part) -> Result<bool, Failure> {
    match storage.list_sidecar(&prefix(job, part)).map_err(failure)?.pop() {
        Some((name, _)) => Ok(read::<Note>(storage, &name)?.complete),
        None => Ok(false),
    }
}

impl PackLedger for Ledger {
    fn examined(&self, pack: &Id) -> Option<(u64, Vec<Damage>)> {
        if let Part::Slice(slice) = self.part
            && !slice.holds_id(pack)
        {
            // Others read it, and whoever does the rest learns from them what it came to.
            return Some((0, Vec::new()));
        }
        let examined = self.known.get(pack)?;
        Some((examined.bytes, examined.damages.clone()))
    }

    fn note(&self, pack: Id, bytes: u64, damages: &[Damage]) {
        let damages = damages.to_vec();
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.push(Examined { pack, bytes, damages });
    }
}
