//! Looking at what has become of a task.

use holdfast_core::domain::{
    BackupKind, Failure, FailureKind, JobId, Level, Location, LogState, Order, Outcome, Progress, ResourceId, Stretch,
    VaultName, Verdict,
};
use holdfast_core::ports::{Observation, Task};
use jiff::Timestamp;

use super::super::words::{NO_LOG, check_restore, is_of_job, target_is_taken};
use super::{Restorable, RestoredState, Snapshot, SnapshotEngine, SnapshotService, SnapshotState, Trace};

/// A failed attempt.
pub(super) fn failed(kind: FailureKind, message: impl Into<String>) -> Observation {
    Observation::Failed {
        kind,
        message: message.into(),
    }
}

/// A task that a snapshot engine never carries out.
pub(super) fn objection(order: &Order) -> Option<String> {
    match order {
        Order::Verify { level, .. } if *level > Level::L1 => Some(format!(
            "a snapshot can be proven to level L1 only by looking at it; level {level:?} needs a restore test"
        )),
        Order::CopyLog { .. } => Some(NO_LOG.to_owned()),
        Order::Clean { target, .. } => Some(format!("\"{target}\": a service has no drill folder to clean")),
        _ => None,
    }
}

fn progress(snapshot: &Snapshot) -> Observation {
    Observation::Running(Progress {
        done_bytes: snapshot.size_bytes / 100 * snapshot.percent.min(100),
        expected_bytes: snapshot.size_bytes,
    })
}

impl<S: SnapshotService> SnapshotEngine<S> {
    pub(super) async fn observe_task(&self, task: &Task) -> Result<Observation, Failure> {
        if let Some(message) = objection(&task.order) {
            return Ok(failed(FailureKind::Invalid, message));
        }
        match &task.order {
            Order::Backup {
                kind: BackupKind::Log,
                path,
                vault,
                ..
            } => self.observe_log(path, vault).await,
            Order::Backup { vault, .. } => self.observe_made(task, vault, backup_outcome).await,
            Order::Copy { to, .. } => self.observe_made(task, to, copy_outcome).await,
            Order::Verify { at, .. } => self.verify(at).await,
            Order::Repair { damaged, .. } => self.observe_repair(damaged).await,
            Order::Restore {
                from,
                target,
                include,
                overwrite,
                ..
            } => {
                if let Err(refused) = check_restore(target, include, *overwrite) {
                    return Ok(failed(refused.kind, refused.message));
                }
                self.observe_restore(&task.job, from, target).await
            }
            Order::Delete { at, .. } => self.observe_delete(at).await,
            // A service reclaims what its snapshots leave behind.
            Order::Reclaim { .. } => Ok(Observation::Completed(Outcome::Reclaim {
                condemned: 0,
                deleted: 0,
                freed_bytes: 0,
            })),
            Order::CopyLog { .. } | Order::Clean { .. } => Ok(Observation::NotStarted),
        }
    }

    /// The service keeps the log, and there is nothing to pull: what it says is what there is.
    async fn observe_log(&self, source: &str, vault: &VaultName) -> Result<Observation, Failure> {
        let region = self.region(vault)?;
        let stretch = match self.service.restorable(region, source).await? {
            Restorable::Never => {
                let message = format!(
                    "{source} in {region} keeps no automated backups, so that no log leads to any moment: set its backup retention \
                     period to a day or more, or leave it out of policies with a rule of kind \"log\""
                );
                return Ok(failed(FailureKind::Invalid, message));
            }
            Restorable::NotYet => None,
            Restorable::Between(earliest_at, latest_at) => Some(Stretch {
                timeline: 0,
                earliest_at,
                latest_at,
                bases: Vec::new(),
            }),
        };
        Ok(Observation::Completed(Outcome::Log(LogState {
            covered_at: stretch.as_ref().map(|stretch| stretch.latest_at),
            stretches: stretch.into_iter().collect(),
            gaps: Vec::new(),
            slot: None,
        })))
    }

    async fn observe_made(
        &self,
        task: &Task,
        vault: &VaultName,
        outcome: fn(&Snapshot) -> Result<Outcome, Failure>,
    ) -> Result<Observation, Failure> {
        let region = self.region(vault)?;
        let trace = self.trace(region, &task.job).await?;
        Ok(match &trace.standing {
            Some(snapshot) if snapshot.state == SnapshotState::Available => Observation::Completed(outcome(snapshot)?),
            Some(snapshot) => progress(snapshot),
            None => self.observe_failed(&trace, task.attempt, region),
        })
    }

    fn observe_failed(&self, trace: &Trace, attempt: u32, region: &holdfast_core::domain::Region) -> Observation {
        match trace.failed_in(attempt) {
            Some(snapshot) => failed(
                FailureKind::Transient,
                format!("{} has {}", self.named(region, &snapshot.name), snapshot.state),
            ),
            None => Observation::NotStarted,
        }
    }

    async fn verify(&self, at: &Location) -> Result<Observation, Failure> {
        let region = self.region(&at.vault)?;
        let damages = match self.service.find(region, &at.artefact).await? {
            Some(found) if found.state == SnapshotState::Busy => return Ok(progress(&found)),
            Some(found) => self.damages(&found, at)?,
            None => vec![format!("{} does not exist any more", self.named(region, &at.artefact))],
        };
        Ok(Observation::Completed(Outcome::Verify(Verdict {
            damages,
            affected: Vec::new(),
            // Nothing is read: the level says so.
            bytes: 0,
            trial: None,
        })))
    }

    /// A copy that stands and is wrong, or has failed, cannot be made again under its name, and only `lifecycle` deletes.
    async fn observe_repair(&self, damaged: &Location) -> Result<Observation, Failure> {
        let region = self.region(&damaged.vault)?;
        let Some(found) = self.service.find(region, &damaged.artefact).await? else {
            return Ok(Observation::NotStarted);
        };
        if matches!(found.state, SnapshotState::Busy | SnapshotState::Deleting) {
            return Ok(progress(&found));
        }
        let mut unrepairable = self.damages(&found, damaged)?;
        let stands = unrepairable.is_empty().then(|| self.named(region, &found.name));
        if found.state == SnapshotState::Failed && self.check_ours(region, &found, damaged).is_ok() {
            unrepairable.push(format!(
                "its name is free for another copy when somebody with the right to has run: {}",
                self.service.delete_command(region, &found.name)
            ));
        }
        Ok(Observation::Completed(Outcome::Repair {
            repaired: stands.into_iter().collect(),
            unrepairable,
        }))
    }

    async fn observe_restore(&self, job: &JobId, from: &Location, target: &str) -> Result<Observation, Failure> {
        let region = self.region(&from.vault)?;
        let Some(restored) = self.service.restored(region, target).await? else {
            return Ok(Observation::NotStarted);
        };
        if !is_of_job(&restored.tags, job) {
            let refused = target_is_taken(&format!("\"{target}\" in {region}"), job);
            return Ok(failed(refused.kind, refused.message));
        }
        Ok(match restored.state {
            RestoredState::Busy => Observation::Running(Progress::default()),
            RestoredState::Unfinished => Observation::NotStarted,
            RestoredState::Failed => failed(
                FailureKind::Invalid,
                format!(
                    "\"{target}\" in {region} is {}: delete it and restore again",
                    restored.word
                ),
            ),
            RestoredState::Available => Observation::Completed(Outcome::Restore {
                files: 0,
                bytes: self.restored_bytes(from).await?,
                differences: Vec::new(),
                heartbeat_at: None,
            }),
        })
    }

    /// The size of what was restored; 0 when the snapshot has gone since.
    async fn restored_bytes(&self, from: &Location) -> Result<u64, Failure> {
        let found = self.service.find(self.region(&from.vault)?, &from.artefact).await?;
        Ok(found.map_or(0, |found| found.size_bytes))
    }

    async fn observe_delete(&self, at: &Location) -> Result<Observation, Failure> {
        let region = self.region(&at.vault)?;
        let Some(found) = self.service.find(region, &at.artefact).await? else {
            return Ok(Observation::Completed(Outcome::Delete));
        };
        if let Err(refused) = self.check_ours(region, &found, at) {
            return Ok(failed(refused.kind, refused.message));
        }
        Ok(match found.state {
            SnapshotState::Deleting => progress(&found),
            _ => Observation::NotStarted,
        })
    }

    /// The resource that an order speaks of, for tags.
    pub(super) fn resource_of(order: &Order) -> Result<&ResourceId, Failure> {
        let none = || {
            Failure::new(
                FailureKind::Bug,
                format!("a {} order has no resource", order.kind().as_str()),
            )
        };
        order.resource().ok_or_else(none)
    }
}

fn taken_at(snapshot: &Snapshot) -> Result<Timestamp, Failure> {
    snapshot.taken_at.ok_or_else(|| {
        let message = format!("snapshot {} is available and has no time", snapshot.name);
        Failure::new(FailureKind::Integrity, message)
    })
}

fn backup_outcome(snapshot: &Snapshot) -> Result<Outcome, Failure> {
    Ok(Outcome::Backup {
        artefact: snapshot.name.clone(),
        taken_at: taken_at(snapshot)?,
        size_bytes: snapshot.size_bytes,
        files: 0,
        // AWS does not tell what a snapshot adds to those before it.
        added_bytes: 0,
        unread: Vec::new(),
        changes: None,
    })
}

fn copy_outcome(snapshot: &Snapshot) -> Result<Outcome, Failure> {
    Ok(Outcome::Copy {
        artefact: snapshot.name.clone(),
        // What really moved, AWS does not tell either.
        bytes: snapshot.size_bytes,
    })
}
