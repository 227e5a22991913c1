//! What a verification or a repair has read already, noted beside the repository when it is stopped: the next execution of
//! the same job goes on with the packs that are left.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use holdfast_core::domain::{Failure, FailureKind, JobId};
use holdfast_repository::check::{Damage, PackLedger};
use holdfast_repository::storage::{FileName, Storage};
use holdfast_repository::{Id, Repository};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::failure;
use super::portions::FOLDER;

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
    packs: Vec<Examined>,
}

/// The packs that one verification has read, in this execution and in earlier ones.
pub(super) struct Ledger {
    /// Names of notes begin with it.
    prefix: String,
    notes: usize,
    known: HashMap<Id, Examined>,
    fresh: Mutex<Vec<Examined>>,
}

impl Ledger {
    /// What earlier executions of the job noted.
    pub(super) fn of(storage: &dyn Storage, job: &JobId) -> Result<Self, Failure> {
        let prefix = format!("{FOLDER}{job}/examined/");
        let names = storage.list_sidecar(&prefix).map_err(failure)?;
        let notes = names.len();
        let mut known = HashMap::new();
        for (name, _) in names {
            let shown = format!("{name} at {}", storage.location());
            let json = storage.read(&FileName::Sidecar(name)).map_err(failure)?;
            let note: Note = serde_json::from_slice(&json).map_err(|error| Failure::unreadable(&shown, error))?;
            known.extend(note.packs.into_iter().map(|examined| (examined.pack, examined)));
        }
        let fresh = Mutex::default();
        Ok(Self {
            prefix,
            notes,
            known,
            fresh,
        })
    }

    /// Passes on what work on a repository came to, having noted what this execution has read if that came to no end.
    pub(super) fn kept_for_the_next<T>(self, repository: &Repository, done: Result<T, Failure>) -> Result<T, Failure> {
        if done.is_err() {
            self.store(repository.storage().as_ref(), (repository.ambient().now)())?;
        }
        done
    }

    fn store(self, storage: &dyn Storage, stored_at: Timestamp) -> Result<(), Failure> {
        let packs = self.fresh.into_inner().unwrap_or_else(PoisonError::into_inner);
        if packs.is_empty() {
            return Ok(());
        }
        let json = serde_json::to_vec(&Note { stored_at, packs })
            .map_err(|error| Failure::caused(FailureKind::Bug, "packs that were read cannot be noted", error))?;
        let name = FileName::Sidecar(format!("{}{:06}.json", self.prefix, self.notes));
        storage.put(&name, &json).map_err(failure)?;
        storage.barrier().map_err(failure)
    }
}

impl PackLedger for Ledger {
    fn examined(&self, pack: &Id) -> Option<(u64, Vec<Damage>)> {
        let examined = self.known.get(pack)?;
        Some((examined.bytes, examined.damages.clone()))
    }

    fn note(&self, pack: Id, bytes: u64, damages: &[Damage]) {
        let damages = damages.to_vec();
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.push(Examined { pack, bytes, damages });
    }
}
