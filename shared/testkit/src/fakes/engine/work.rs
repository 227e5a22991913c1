//! What each order does to the model world when its time has passed.

use std::collections::BTreeMap;

use holdfast_core::domain::{
    BackupKind, Failure, FailureKind, Level, Location, LogState, Order, Outcome, ResourceId, Span, Trial, TrialReport,
    VaultName, Verdict,
};
use holdfast_core::ports::Task;
use jiff::{SignedDuration, Timestamp};

use super::world::{Artefact, Garbage, World, artefact_name, lies_in};

/// How often the application writes its heartbeat.
const HEARTBEAT: SignedDuration = SignedDuration::from_secs(30);

impl World {
    /// Carries out an order that ran from `since` to `at`. A failure leaves the world as it was.
    pub(super) fn perform(&mut self, task: &Task, since: Timestamp, at: Timestamp) -> Result<Outcome, Failure> {
        self.require_reachable(&task.order)?;
        match &task.order {
            Order::Backup {
                resource,
                vault,
                kind,
                base,
                ..
            } => {
                let base = base.as_ref().map(|(_, artefact)| artefact.as_str());
                Ok(self.back_up(task, since, (vault, resource), *kind, base))
            }
            Order::Copy { from, to, .. } => self.copy(task, from, to),
            // Log is not modelled: all that was pulled stands, and leads on from nothing.
            Order::CopyLog { pulled_at, .. } => Ok(Outcome::Log(LogState {
                stretches: Vec::new(),
                gaps: Vec::new(),
                covered_at: Some(*pulled_at),
                slot: None,
            })),
            Order::Verify { at, level, trial, .. } => Ok(Outcome::Verify(Verdict {
                trial: trial.as_ref().map(|trial| self.try_out(trial)),
                ..self.verify(at, *level)
            })),
            Order::Repair { damaged, from, .. } => self.repair(task, damaged, from),
            Order::Restore {
                from,
                target,
                include,
                overwrite,
                heartbeat,
                ..
            } => self.restore(from, target, (include, *overwrite, heartbeat.is_some())),
            Order::Delete { at, .. } => {
                self.delete(at);
                Ok(Outcome::Delete)
            }
            Order::Reclaim {
                resource,
                vault,
                grace_seconds,
            } => Ok(self.reclaim((vault, resource), Span::seconds(*grace_seconds), at)),
            Order::Clean { target, .. } => {
                self.restored.retain(|folder, _| !lies_in(folder, target));
                Ok(Outcome::Clean)
            }
        }
    }

    fn back_up(
        &mut self,
        task: &Task,
        since: Timestamp,
        (vault, resource): (&VaultName, &ResourceId),
        kind: BackupKind,
        base: Option<&str>,
    ) -> Outcome {
        let model = self.model(resource);
        let repository = self.repository_mut(vault, resource);
        let is_first = repository.artefacts.is_empty();
        let has_base = base.is_some_and(|base| repository.artefacts.contains_key(base));
        let nothing_to_share = is_first || (kind != BackupKind::Full && !has_base);
        let name = artefact_name(&task.job);
        let artefact = Artefact {
            content: task.job.clone(),
            job: task.job.clone(),
            taken_at: since,
            bytes: model.bytes,
            files: model.files,
            added_bytes: if nothing_to_share {
                model.bytes
            } else {
                model.changed_bytes
            },
            unread: model.unread,
            damaged: false,
        };
        let outcome = artefact.as_backup(name.clone());
        repository.artefacts.insert(name, artefact);
        outcome
    }

    /// The artefact, with its bytes read and found right.
    fn sound(&self, at: &Location) -> Result<Artefact, Failure> {
        let artefact = self
            .artefact(at)
            .ok_or_else(|| Failure::new(FailureKind::NotFound, format!("{at} is not there")))?;
        match artefact.damages(at).into_iter().next() {
            Some(damage) => Err(Failure::new(FailureKind::Integrity, damage)),
            None => Ok(artefact.clone()),
        }
    }

    fn copy(&mut self, task: &Task, from: &Location, to: &VaultName) -> Result<Outcome, Failure> {
        let source = self.sound(from)?;
        if let Some(standing) = self.copied(task, from, to) {
            return Ok(standing);
        }
        let name = artefact_name(&task.job);
        let copy = Artefact {
            job: task.job.clone(),
            ..source
        };
        let bytes = copy.added_bytes;
        self.repository_mut(to, &from.resource)
            .artefacts
            .insert(name.clone(), copy);
        Ok(Outcome::Copy { artefact: name, bytes })
    }

    fn verify(&self, at: &Location, level: Level) -> Verdict {
        let Some(artefact) = self.artefact(at) else {
            return Verdict {
                damages: vec![format!("{at} is not there")],
                ..Verdict::default()
            };
        };
        if level < Level::L2 {
            return Verdict::default();
        }
        Verdict {
            damages: artefact.damages(at),
            affected: artefact.affected(),
            bytes: artefact.bytes,
            trial: None,
        }
    }

    fn try_out(&self, trial: &Trial) -> TrialReport {
        TrialReport {
            level: trial.level(),
            corrupt: self.corrupt.clone(),
            refuted: self.refuted.clone(),
            recovery_millis: Some(1),
            data_loss_millis: None,
            findings: BTreeMap::new(),
        }
    }

    fn repair(&mut self, task: &Task, damaged: &Location, from: &Location) -> Result<Outcome, Failure> {
        let Some(source) = self.artefact(from).cloned() else {
            return Err(Failure::new(FailureKind::NotFound, format!("{from} is not there")));
        };
        let stands = self.artefact(damaged).is_some_and(|artefact| !artefact.damaged);
        let outcome = |repaired, unrepairable| Ok(Outcome::Repair { repaired, unrepairable });
        if stands {
            return outcome(Vec::new(), Vec::new());
        }
        if source.damaged {
            return outcome(Vec::new(), source.affected());
        }
        let artefacts = &mut self.repository_mut(&damaged.vault, &damaged.resource).artefacts;
        let healed = artefacts.entry(damaged.artefact.clone()).or_insert(Artefact {
            job: task.job.clone(),
            ..source
        });
        healed.damaged = false;
        outcome(vec![damaged.to_string()], Vec::new())
    }

    fn restore(
        &mut self,
        from: &Location,
        target: &str,
        (include, overwrite, wants_heartbeat): (&[String], bool, bool),
    ) -> Result<Outcome, Failure> {
        let artefact = self.sound(from)?;
        if let Some(other) = self.restored.get(target)
            && *other != from.artefact
            && !overwrite
        {
            let message = format!("{target} holds other files: restore into another folder, or allow overwriting");
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        self.restored.insert(target.to_owned(), from.artefact.clone());
        let files = if include.is_empty() {
            artefact.files
        } else {
            artefact.files.min(include.len() as u64)
        };
        Ok(Outcome::Restore {
            files,
            bytes: artefact.bytes / artefact.files.max(1) * files,
            differences: Vec::new(),
            heartbeat_at: wants_heartbeat.then(|| last_heartbeat(artefact.taken_at)),
        })
    }

    fn delete(&mut self, at: &Location) {
        let repository = self.repository_mut(&at.vault, &at.resource);
        if let Some(artefact) = repository.artefacts.remove(&at.artefact) {
            repository.garbage.push(Garbage {
                bytes: artefact.added_bytes,
                condemned_at: None,
            });
        }
    }

    /// The pack of each deleted artefact is condemned in one pass and deleted in a later one.
    fn reclaim(&mut self, (vault, resource): (&VaultName, &ResourceId), grace: Span, at: Timestamp) -> Outcome {
        let garbage = &mut self.repository_mut(vault, resource).garbage;
        let waited_long_enough = |pack: &mut Garbage| pack.condemned_at.is_some_and(|since| grace.after(since) <= at);
        let freed: Vec<Garbage> = garbage.extract_if(.., waited_long_enough).collect();
        let mut condemned = 0;
        for pack in garbage.iter_mut().filter(|pack| pack.condemned_at.is_none()) {
            pack.condemned_at = Some(at);
            condemned += 1;
        }
        Outcome::Reclaim {
            condemned,
            deleted: freed.len() as u64,
            freed_bytes: freed.iter().map(|pack| pack.bytes).sum(),
        }
    }
}

/// The last whole half minute that is not after `at`.
fn last_heartbeat(at: Timestamp) -> Timestamp {
    let interval = HEARTBEAT.as_secs();
    let seconds = at.as_second().div_euclid(interval) * interval;
    Timestamp::from_second(seconds).unwrap_or(at)
}
