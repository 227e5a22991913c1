//! Starting a task: look first, then make the one call that is missing.

use holdfast_core::domain::{BackupKind, Failure, FailureKind, Location, Order, Region, VaultName};
use holdfast_core::ports::Task;

use super::super::words::{self, Tags, artefact, check_restore, earlier_names, is_of_job, tags, target_is_taken};
use super::observe::objection;
use super::{Made, RestoredState, Snapshot, SnapshotEngine, SnapshotService, SnapshotState};

/// Manual snapshots that are left free: a database that is deleted in an emergency needs its final snapshot.
const RESERVE: u64 = 2;

impl<S: SnapshotService> SnapshotEngine<S> {
    pub(super) async fn start_task(&self, task: &Task) -> Result<(), Failure> {
        if let Some(message) = objection(&task.order) {
            return Err(words::invalid(message));
        }
        match &task.order {
            // A look is all that it takes.
            Order::Backup {
                kind: BackupKind::Log, ..
            } => Ok(()),
            Order::Backup { path, vault, .. } => self.start_backup(task, path, vault).await,
            Order::Copy { from, to, .. } => self.start_copy(task, from, to).await,
            Order::Repair { damaged, from, .. } => self.start_repair(task, damaged, from).await,
            Order::Restore {
                from,
                target,
                include,
                overwrite,
                ..
            } => {
                check_restore(target, include, *overwrite)?;
                self.start_restore(task, from, target).await
            }
            Order::Delete { at, .. } => self.start_delete(at).await,
            // A look is all that these take.
            Order::CopyLog { .. } | Order::Verify { .. } | Order::Reclaim { .. } | Order::Clean { .. } => Ok(()),
        }
    }

    async fn start_backup(&self, task: &Task, source: &str, vault: &VaultName) -> Result<(), Failure> {
        let region = self.region(vault)?;
        let Some(name) = self.next_name(task, region).await? else {
            return Ok(());
        };
        let mut tags = tags(&task.job, task.attempt, Self::resource_of(&task.order)?);
        tags.extend(self.service.restore_tags(region, source).await?);
        self.check_headroom(region).await?;
        let made = self.service.create(region, &name, source, &tags).await?;
        self.settle_name(task, region, &name, made).await
    }

    async fn start_copy(&self, task: &Task, from: &Location, to: &VaultName) -> Result<(), Failure> {
        let destination = self.deployment.vault(to)?;
        let Some(name) = self.next_name(task, &destination.region).await? else {
            return Ok(());
        };
        let source = self.source_of_copy(from).await?;
        let tags = Self::copy_tags(task, &source)?;
        self.check_headroom(&destination.region).await?;
        let made = self
            .service
            .copy(&destination.region, &name, &source, &destination.key, &tags)
            .await?;
        self.settle_name(task, &destination.region, &name, made).await
    }

    async fn start_repair(&self, task: &Task, damaged: &Location, from: &Location) -> Result<(), Failure> {
        let vault = self.deployment.vault(&damaged.vault)?;
        if let Some(found) = self.service.find(&vault.region, &damaged.artefact).await? {
            return self.check_ours(&vault.region, &found, damaged);
        }
        let source = self.source_of_copy(from).await?;
        let tags = Self::copy_tags(task, &source)?;
        self.check_headroom(&vault.region).await?;
        let made = self
            .service
            .copy(&vault.region, &damaged.artefact, &source, &vault.key, &tags)
            .await?;
        self.settle_name(task, &vault.region, &damaged.artefact, made).await
    }

    async fn start_restore(&self, task: &Task, from: &Location, target: &str) -> Result<(), Failure> {
        let region = self.region(&from.vault)?;
        let snapshot = self.ours(from).await?;
        let tags = tags(&task.job, task.attempt, Self::resource_of(&task.order)?);
        let standing = match self.service.restored(region, target).await? {
            Some(standing) => Some(standing),
            None => match self.service.restore(region, target, &snapshot, &tags).await? {
                Made::New => None,
                Made::NameTaken => self.service.restored(region, target).await?,
            },
        };
        match standing {
            None => Ok(()),
            Some(restored) if !is_of_job(&restored.tags, &task.job) => {
                Err(target_is_taken(&format!("\"{target}\" in {region}"), &task.job))
            }
            Some(restored) if restored.state == RestoredState::Unfinished => {
                self.service.finish_restore(region, target, &snapshot, &tags).await
            }
            Some(_) => Ok(()),
        }
    }

    async fn start_delete(&self, at: &Location) -> Result<(), Failure> {
        let region = self.region(&at.vault)?;
        let Some(found) = self.service.find(region, &at.artefact).await? else {
            return Ok(());
        };
        self.check_ours(region, &found, at)?;
        for earlier in earlier_names(&at.artefact) {
            let failed = self.service.find(region, &earlier).await?;
            if failed.is_some_and(|failed| {
                failed.state == SnapshotState::Failed && words::is_of_resource(&failed.tags, &at.resource)
            }) {
                self.service.delete(region, &earlier).await?;
            }
        }
        if found.state == SnapshotState::Deleting {
            return Ok(());
        }
        self.service.delete(region, &at.artefact).await
    }

    /// The name for this attempt's artefact; none when the attempt has one, running, done or failed.
    async fn next_name(&self, task: &Task, region: &Region) -> Result<Option<String>, Failure> {
        let trace = self.trace(region, &task.job).await?;
        if trace.standing.is_some() || trace.failed_in(task.attempt).is_some() {
            return Ok(None);
        }
        Ok(Some(artefact(&task.job, trace.generation)))
    }

    /// A name that was taken meanwhile was taken by this job, or the call is refused.
    async fn settle_name(&self, task: &Task, region: &Region, name: &str, made: Made) -> Result<(), Failure> {
        if made == Made::New {
            return Ok(());
        }
        match self.service.find(region, name).await? {
            Some(found) if is_of_job(&found.tags, &task.job) => Ok(()),
            Some(_) => Err(self.name_is_taken(region, name, &task.job)),
            None => {
                let message = format!("{} was there a moment ago and is not", self.named(region, name));
                Err(Failure::new(FailureKind::Transient, message))
            }
        }
    }

    async fn source_of_copy(&self, from: &Location) -> Result<Snapshot, Failure> {
        let source = self.ours(from).await?;
        let kind = match source.state {
            SnapshotState::Available => return Ok(source),
            SnapshotState::Busy => FailureKind::Deferred,
            SnapshotState::Failed | SnapshotState::Deleting => FailureKind::Integrity,
        };
        let message = format!("{} is {} and cannot be copied", source.arn, source.state);
        Err(Failure::new(kind, message))
    }

    /// What the source carries for restores, and whose copy it is.
    fn copy_tags(task: &Task, source: &Snapshot) -> Result<Tags, Failure> {
        let mut all = source.tags.clone();
        all.retain(|name, _| name.starts_with("holdfast:"));
        all.extend(tags(&task.job, task.attempt, Self::resource_of(&task.order)?));
        all.insert(words::ORIGIN.to_owned(), source.arn.clone());
        Ok(all)
    }

    /// Refuses to take the last free places of the account.
    async fn check_headroom(&self, region: &Region) -> Result<(), Failure> {
        let (used, most) = self.service.manual_snapshots(region).await?;
        if used + RESERVE < most {
            return Ok(());
        }
        let message = format!(
            "{used} of {most} manual snapshots exist in {region} and {RESERVE} are kept free: raise the quota, shorten the \
             retention, or protect the resource through AWS Backup, whose snapshots do not count"
        );
        Err(Failure::new(FailureKind::Deferred, message))
    }
}
