//! The model world: repositories per vault and resource, artefacts in them, and restored folders.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_core::domain::{
    Failure, FailureKind, JobId, Location, Order, Outcome, Progress, ResourceId, UnreadEntry, VaultName,
};
use holdfast_core::ports::Task;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::share;

/// What a protected resource holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceModel {
    /// Bytes in all.
    pub bytes: u64,
    /// Files in all.
    pub files: u64,
    /// Bytes that changed since any earlier point.
    pub changed_bytes: u64,
    /// What cannot be read.
    pub unread: Vec<UnreadEntry>,
}

impl Default for ResourceModel {
    fn default() -> Self {
        Self {
            bytes: 1_000_000,
            files: 100,
            changed_bytes: 10_000,
            unread: Vec::new(),
        }
    }
}

/// One recovery point's content in one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artefact {
    /// The backup job whose content this is; the same for every copy.
    pub content: JobId,
    /// The backup or copy job that put it here.
    pub job: JobId,
    /// The content is as of this time, which is when the backup job started.
    pub taken_at: Timestamp,
    /// Bytes that a whole restore writes.
    pub bytes: u64,
    /// Files in it.
    pub files: u64,
    /// Bytes that it added to the repository.
    pub added_bytes: u64,
    /// What could not be read.
    pub unread: Vec<UnreadEntry>,
    /// Whether its stored bytes are wrong.
    pub damaged: bool,
}

/// What deleted artefacts left behind, until it is reclaimed.
#[derive(Debug, Clone)]
pub(super) struct Garbage {
    pub(super) bytes: u64,
    pub(super) condemned_at: Option<Timestamp>,
}

#[derive(Debug, Default)]
pub(super) struct Repository {
    pub(super) artefacts: BTreeMap<String, Artefact>,
    pub(super) garbage: Vec<Garbage>,
}

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) repositories: BTreeMap<(VaultName, ResourceId), Repository>,
    pub(super) resources: BTreeMap<ResourceId, ResourceModel>,
    pub(super) unreachable: BTreeSet<VaultName>,
    /// What trials find corrupt, and what they refute.
    pub(super) corrupt: Vec<String>,
    pub(super) refuted: Vec<String>,
    /// Restored folders, and the artefact each was written from.
    pub(super) restored: BTreeMap<String, String>,
}

/// The name of the artefact that a job makes.
pub(super) fn artefact_name(job: &JobId) -> String {
    hex::encode(Sha256::digest(job.as_str()))
}

/// Whether a folder is `target` or lies below it: a folder is removed with all that is in it.
pub(super) fn lies_in(folder: &str, target: &str) -> bool {
    let below = folder.strip_prefix(target);
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn vaults(order: &Order) -> Vec<&VaultName> {
    match order {
        Order::Backup { vault, .. } | Order::Reclaim { vault, .. } => vec![vault],
        Order::Copy { from, to, .. } => vec![&from.vault, to],
        Order::CopyLog { from, to, .. } => vec![from, to],
        Order::Verify { at, .. } | Order::Delete { at, .. } => vec![&at.vault],
        Order::Repair { damaged, from, .. } => vec![&damaged.vault, &from.vault],
        Order::Restore { from, .. } => vec![&from.vault],
        Order::Clean { .. } => vec![],
    }
}

impl World {
    pub(super) fn model(&self, resource: &ResourceId) -> ResourceModel {
        self.resources.get(resource).cloned().unwrap_or_default()
    }

    pub(super) fn repository_mut(&mut self, vault: &VaultName, resource: &ResourceId) -> &mut Repository {
        self.repositories.entry((vault.clone(), resource.clone())).or_default()
    }

    pub(super) fn artefact_mut(
        &mut self,
        vault: &VaultName,
        resource: &ResourceId,
        artefact: &str,
    ) -> Option<&mut Artefact> {
        self.repositories
            .get_mut(&(vault.clone(), resource.clone()))
            .and_then(|repository| repository.artefacts.get_mut(artefact))
    }

    pub(super) fn artefact(&self, at: &Location) -> Option<&Artefact> {
        self.repositories
            .get(&(at.vault.clone(), at.resource.clone()))
            .and_then(|repository| repository.artefacts.get(&at.artefact))
    }

    pub(super) fn require_reachable(&self, order: &Order) -> Result<(), Failure> {
        match vaults(order)
            .into_iter()
            .find(|vault| self.unreachable.contains(*vault))
        {
            Some(vault) => Err(Failure::new(
                FailureKind::Transient,
                format!("vault {vault} does not answer"),
            )),
            None => Ok(()),
        }
    }

    /// What stands of a task; a failure where it cannot be seen.
    pub(super) fn standing_effect(&self, task: &Task) -> Result<Option<Outcome>, Failure> {
        self.require_reachable(&task.order)?;
        Ok(match &task.order {
            Order::Backup { resource, vault, .. } => {
                let name = artefact_name(&task.job);
                let repository = self.repositories.get(&(vault.clone(), resource.clone()));
                let artefact = repository.and_then(|repository| repository.artefacts.get(&name));
                artefact.map(|artefact| artefact.as_backup(name))
            }
            Order::Copy { from, to, .. } => self.copied(task, from, to),
            Order::Delete { at, .. } => self.artefact(at).is_none().then_some(Outcome::Delete),
            Order::Clean { target, .. } => {
                let is_gone = !self.restored.keys().any(|folder| lies_in(folder, target));
                is_gone.then_some(Outcome::Clean)
            }
            Order::CopyLog { .. }
            | Order::Verify { .. }
            | Order::Repair { .. }
            | Order::Restore { .. }
            | Order::Reclaim { .. } => None,
        })
    }

    /// The copy that stands in `to`, whichever job put it there.
    pub(super) fn copied(&self, task: &Task, from: &Location, to: &VaultName) -> Option<Outcome> {
        let content = self.artefact(from).map(|artefact| &artefact.content);
        let repository = self.repositories.get(&(to.clone(), from.resource.clone()))?;
        let (name, artefact) = repository
            .artefacts
            .iter()
            .find(|(_, artefact)| artefact.job == task.job || Some(&artefact.content) == content)?;
        Some(Outcome::Copy {
            artefact: name.clone(),
            bytes: artefact.added_bytes,
        })
    }

    pub(super) fn progress(&self, task: &Task, since: Timestamp, until: Timestamp, now: Timestamp) -> Progress {
        let bytes = task.order.resource().map_or(0, |resource| self.model(resource).bytes);
        share(bytes, since, until, now)
    }
}

impl Artefact {
    pub(super) fn as_backup(&self, artefact: String) -> Outcome {
        Outcome::Backup {
            artefact,
            taken_at: self.taken_at,
            size_bytes: self.bytes,
            files: self.files,
            added_bytes: self.added_bytes,
            unread: self.unread.clone(),
            changes: None,
        }
    }

    /// What a test of its bytes finds.
    pub(super) fn damages(&self, at: &Location) -> Vec<String> {
        if self.damaged {
            vec![format!("{at}: a pack does not hash to its name")]
        } else {
            Vec::new()
        }
    }

    /// The files that its damage touches.
    pub(super) fn affected(&self) -> Vec<String> {
        if self.damaged {
            vec!["file-0".to_owned()]
        } else {
            Vec::new()
        }
    }
}
