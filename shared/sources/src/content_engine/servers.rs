//! PostgreSQL servers: base backups, and their log, pulled through a replication slot.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use holdfast_core::domain::{
    BackupKind, Failure, FailureKind, JobId, LogState, Order, Outcome, ResourceId, ServerAccess, SlotState, Stretch,
    UnreadEntry, VaultName,
};
use holdfast_core::ports::Task;
use holdfast_repository::backup::{BackupOptions, Unread};
use holdfast_repository::progress::NoProgress;
use holdfast_repository::{Id, Repository, RepositoryError, Snapshot};
use jiff::{SignedDuration, Timestamp};

use super::backup::{PACK_SIZE, keep_report, published, tag, throttle};
use super::places::restore_failure;
use super::task::{Control, MayPublish};
use super::{Inner, failure};
use crate::postgres::cluster::{self, BaseKind, ClusterError, StoredBase, bases, plan_log_copy, plan_retention};
use crate::postgres::follow::{Acknowledge, FollowError, Follower, Following, follow};
use crate::postgres::log::windows::{Base, Gap, windows};
use crate::postgres::log::{LogArchive, LogError};
use crate::postgres::{
    Address, ClientOptions, Connection, LogFile, Password, PostgresError, Purpose, SegmentSize, ServerFacts, SlotFacts,
    SlotName, Until,
};

/// A pull ends by itself: the segment that is not full is stored then.
const PARTIAL_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// A server that is asked for its data.
pub(super) struct Server<'a> {
    pub(super) resource: &'a ResourceId,
    pub(super) address: Address,
    pub(super) slot: SlotName,
    pub(super) client: ClientOptions,
}

/// A pull tells of its files at its end.
struct Silent;

impl Follower for Silent {
    fn stored(&mut self, _files: &[LogFile], _size: SegmentSize) {}
    fn waiting(&mut self, _why: &PostgresError, _wait: Duration) {}
}

impl Inner {
    /// Makes a base backup of a server, or pulls its log; none when it was stopped before it came to an end.
    pub(super) fn back_up_server(
        &self,
        task: &Task,
        control: &Control,
        may_publish: &MayPublish,
    ) -> Result<Option<Outcome>, Failure> {
        let Order::Backup {
            resource,
            path,
            vault,
            kind,
            bandwidth_limit,
            server: Some(access),
            ..
        } = &task.order
        else {
            return Err(Failure::new(FailureKind::Bug, "this order is no backup of a server"));
        };
        let server = Server {
            resource,
            address: self.address(resource, path, access)?,
            slot: access.slot.parse().map_err(|error| invalid(resource, error))?,
            client: ClientOptions {
                now: self.repositories.ambient.now,
                stop: Arc::clone(&control.cancel),
            },
        };
        let throttle = throttle(resource, *bandwidth_limit)?;
        let repository = self.repositories.open_or_init(vault, resource)?;
        let options = BackupOptions {
            throttle: throttle.as_ref(),
            readers: self.readers,
            workers: self.threads,
            pack_size: PACK_SIZE,
            ..BackupOptions::new((repository.ambient().now)(), &NoProgress, &control.cancel)
        };
        if *kind == BackupKind::Log {
            let received = access.is_received.then(|| access.receiver_slot());
            return self
                .pull_log(&task.job, (&server, received.as_deref()), &repository, &options)
                .map(Some);
        }
        if access.pulls_log {
            server.hold_log()?;
        }
        self.make_base(
            &task.job,
            (&server, vault, *kind),
            &repository,
            (control, may_publish),
            &options,
        )
    }

    /// A server's address with its password. No failure repeats a value of either.
    pub(super) fn address(&self, resource: &ResourceId, path: &str, access: &ServerAccess) -> Result<Address, Failure> {
        let address = Address::parse(path).map_err(|error| invalid(resource, error))?;
        let Some(place) = &access.password else {
            return Ok(address);
        };
        (self.server_password)(place).map(|password| address.with_password(Password::new(password)))
    }

    fn make_base(
        &self,
        job: &JobId,
        (server, vault, kind): (&Server<'_>, &VaultName, BackupKind),
        repository: &Repository,
        (control, may_publish): (&Control, &MayPublish),
        options: &BackupOptions<'_>,
    ) -> Result<Option<Outcome>, Failure> {
        let report = |snapshot: &Snapshot, unread: &[Unread]| {
            // Another execution goes on with it, or has published it: nothing of this one may become visible.
            if may_publish().is_err() || published(repository, job)?.is_some() {
                control.cancel.store(true, Ordering::SeqCst);
                return Err(RepositoryError::Cancelled);
            }
            keep_report(repository, job, snapshot, unread)
        };
        let options = BackupOptions {
            tags: vec![tag(job), format!("holdfast-kind={}", BackupKind::Full.as_str())],
            before_publish: Some(&report),
            progress: control,
            ..options.clone()
        };
        let name = server.resource.as_str();
        let kind = match kind {
            BackupKind::Full => BaseKind::Full,
            _ => BaseKind::Incremental,
        };
        cluster::back_up(repository, &server.address, name, &server.client, &options, kind)
            .map_err(|error| cluster_failure(server.resource, error))?;
        self.find_backup(job, (vault, server.resource), &[])
    }

    /// Pulls the log from where the last pull ended up to where the server is now. The server keeps what is not stored in whole
    /// segments, so that a pull that dies anywhere is as if it had not begun.
    fn pull_log(
        &self,
        job: &JobId,
        (server, received): (&Server<'_>, Option<&str>),
        repository: &Repository,
        options: &BackupOptions<'_>,
    ) -> Result<Outcome, Failure> {
        let began_at = (server.client.now)();
        let spool = self.spools.join(format!("{}-{job}", server.resource));
        let mut following = Following {
            address: &server.address,
            slot: &server.slot,
            create_slot: true,
            repository,
            resource: server.resource.as_str(),
            spool: &spool,
            partial_every: PARTIAL_EVERY,
            acknowledge: Acknowledge::Stored,
            from_slot: false,
            client: &server.client,
            options,
        };
        let slot = server.slot_state(received)?;
        remove(&spool)?;
        let mut pulled = follow(&following, Until::CaughtUp, &mut Silent);
        if let Err(FollowError::Server(PostgresError::LogGone { .. })) = &pulled {
            // What the server still has is worth keeping: what is missing becomes a gap that is told.
            server.drop_lost_slot()?;
            remove(&spool)?;
            following.from_slot = true;
            pulled = follow(&following, Until::CaughtUp, &mut Silent);
        }
        let left = remove(&spool);
        pulled.map_err(|error| follow_failure(server.resource, error))?;
        left?;
        if server.client.stop.load(Ordering::SeqCst) {
            let message = format!("the pull of the log of {} was stopped", server.resource);
            return Err(Failure::new(FailureKind::Transient, message));
        }
        let state = log_state(repository, server.resource, began_at)?;
        Ok(Outcome::Log(LogState { slot, ..state }))
    }
}

impl Server<'_> {
    pub(super) fn failed(&self, error: &PostgresError) -> Failure {
        postgres_failure(self.resource, error)
    }

    /// What the server keeps for the slot, or for that through which its log is received as it is written, whichever is more.
    fn slot_state(&self, received: Option<&str>) -> Result<Option<SlotState>, Failure> {
        let facts = ServerFacts::ask(&self.address, &self.client).map_err(|error| self.failed(&error))?;
        let is_ours = |slot: &SlotFacts| slot.name == self.slot.as_str() || Some(slot.name.as_str()) == received;
        let ours = facts.slots.into_iter().filter(is_ours);
        let most = ours.max_by_key(|slot| slot.lag_bytes.unwrap_or_default());
        Ok(most.map(|slot| SlotState {
            kept_bytes: slot.lag_bytes.unwrap_or_default(),
            safe_bytes: slot.safe_bytes,
        }))
    }

    /// Has the server keep the log from now on. Where no slot is free a base backup is worth having still: the pull needs one, and
    /// fails for it.
    fn hold_log(&self) -> Result<(), Failure> {
        let made = Connection::open(&self.address, Purpose::Replication, &self.client)
            .and_then(|mut connection| connection.ensure_slot(&self.slot));
        match made {
            Err(PostgresError::SlotsFull { .. }) => Ok(()),
            made => made.map_err(|error| self.failed(&error)),
        }
    }

    /// Removes a slot that the server has given up, so that the next one holds the log back again.
    pub(super) fn drop_lost_slot(&self) -> Result<(), Failure> {
        let facts = ServerFacts::ask(&self.address, &self.client).map_err(|error| self.failed(&error))?;
        let is_lost = |slot: &SlotFacts| slot.name == self.slot.as_str() && slot.wal_status.as_deref() == Some("lost");
        if !facts.slots.iter().any(is_lost) {
            return Ok(());
        }
        Connection::open(&self.address, Purpose::Replication, &self.client)
            .and_then(|mut connection| connection.drop_slot(&self.slot))
            .map_err(|error| self.failed(&error))
    }
}

pub(super) fn remove(folder: &std::path::Path) -> Result<(), Failure> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            let message = format!("cannot remove {}: {error}", folder.display());
            Err(Failure::caused(FailureKind::Transient, message, error))
        }
        _ => Ok(()),
    }
}

/// What stands of a server in a repository that has all log that was written by `pulled_at`.
pub(super) fn log_state(
    repository: &Repository,
    resource: &ResourceId,
    pulled_at: Timestamp,
) -> Result<LogState, Failure> {
    let (bases, archive) = opened(repository, resource)?;
    let places: Vec<Base> = bases.into_iter().map(|stored| stored.base).collect();
    let known = windows(&places, archive.pieces());
    let newest = archive
        .pieces()
        .iter()
        .filter_map(|stored| Some((stored.piece.timeline, stored.piece.range()?.1)))
        .max();
    let leads_on = known
        .windows
        .iter()
        .any(|window| newest.is_some_and(|(timeline, end)| window.timeline == timeline && window.latest >= end));
    let gap = |gap: &Gap| format!("from {} to {} on timeline {}", gap.from, gap.to, gap.timeline);
    Ok(LogState {
        stretches: known
            .windows
            .iter()
            .map(|window| Stretch {
                timeline: window.timeline,
                earliest_at: window.earliest_at,
                latest_at: window.latest_at,
                bases: window.bases.iter().map(ToString::to_string).collect(),
            })
            .collect(),
        gaps: known.gaps.iter().map(gap).collect(),
        covered_at: leads_on.then_some(pulled_at),
        slot: None,
    })
}

/// What a base backup says of pages that are damaged on the server; nothing for other snapshots.
pub(super) fn damaged(snapshot: &Snapshot) -> Option<UnreadEntry> {
    let count = cluster::damaged_pages(snapshot);
    (count > 0).then(|| UnreadEntry {
        path: "data pages".to_owned(),
        reason: format!("{count} are damaged on the server and must be mended there"),
    })
}

/// Whether a snapshot that may be gone is a base backup.
pub(super) fn is_base(repository: &Repository, id: Id) -> Result<bool, Failure> {
    let snapshots = repository.snapshots().map_err(failure)?;
    Ok(snapshots
        .iter()
        .any(|(known, description)| *known == id && cluster::is_base(description)))
}

/// The base backups and the log of a server, as they are on record.
fn opened(repository: &Repository, resource: &ResourceId) -> Result<(Vec<StoredBase>, LogArchive), Failure> {
    let told = |error: LogError| log_failure(resource, error);
    let bases = bases(repository, resource.as_str()).map_err(told)?;
    let archive = LogArchive::open(repository, resource.as_str()).map_err(told)?;
    Ok((bases, archive))
}

/// The snapshots of log that a vault lacks: what base backups there can need, with the one that is about to be copied.
pub(super) fn log_to_copy(
    source: &Repository,
    destination: Option<&Repository>,
    resource: &ResourceId,
    coming: Option<Id>,
) -> Result<Vec<Id>, Failure> {
    let (mut bases, log) = opened(source, resource)?;
    bases.retain(|stored| Some(stored.base.snapshot) == coming);
    let mut present = BTreeSet::new();
    if let Some(destination) = destination {
        let (standing, archive) = opened(destination, resource)?;
        bases.extend(standing);
        present.extend(archive.pieces().iter().map(|stored| stored.snapshot));
    }
    Ok(plan_log_copy(&bases, log.pieces(), &present))
}

/// The log that is proven along with a base backup; none with other snapshots.
pub(super) fn own_log(repository: &Repository, resource: &ResourceId, id: Id) -> Result<Vec<Id>, Failure> {
    match repository.snapshot(&id) {
        Ok(snapshot) if cluster::is_base(&snapshot) => {}
        // What is wrong with the snapshot itself is found without its log.
        _ => return Ok(Vec::new()),
    }
    let (bases, archive) = opened(repository, resource)?;
    Ok(cluster::own_log(&id, &bases, archive.pieces()))
}

/// The log that restores from a base backup can need, as far as a repository can tell: none where that is damaged.
pub(super) fn log_after(repository: &Repository, resource: &ResourceId, id: Id) -> Result<Vec<Id>, Failure> {
    match opened(repository, resource) {
        Ok((mut bases, archive)) => {
            bases.retain(|stored| stored.base.snapshot == id);
            Ok(plan_log_copy(&bases, archive.pieces(), &BTreeSet::new()))
        }
        Err(failure) if failure.kind == FailureKind::Integrity => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

/// The log that no base backup needs which stands. While none can be used, all of it stays.
pub(super) fn unneeded_log(repository: &Repository, resource: &ResourceId) -> Result<Vec<Id>, Failure> {
    let (bases, archive) = opened(repository, resource)?;
    let Some(all) = NonZeroUsize::new(bases.len()) else {
        return Ok(Vec::new());
    };
    let unneeded = plan_retention(&bases, archive.pieces(), all)
        .into_iter()
        .map(|(id, _)| id);
    // Base backups go by the points that they are.
    Ok(unneeded
        .filter(|id| bases.iter().all(|stored| stored.base.snapshot != *id))
        .collect())
}

pub(super) fn invalid(resource: &ResourceId, error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::caused(FailureKind::Invalid, format!("resource {resource}: {error}"), error)
}

fn postgres_failure(resource: &ResourceId, error: &PostgresError) -> Failure {
    Failure::new(error.kind(), format!("resource {resource}: {error}"))
}

pub(super) fn log_failure(resource: &ResourceId, error: LogError) -> Failure {
    let kind = match error {
        LogError::Repository(error) => return failure(error),
        LogError::Io { .. } => FailureKind::Transient,
        LogError::Fault { .. } | LogError::Damaged { .. } | LogError::Missing { .. } => FailureKind::Integrity,
        _ => FailureKind::Invalid,
    };
    Failure::caused(kind, format!("resource {resource}: {error}"), error)
}

pub(super) fn follow_failure(resource: &ResourceId, error: FollowError) -> Failure {
    match error {
        FollowError::Server(error) => postgres_failure(resource, &error),
        FollowError::Log(error) => log_failure(resource, error),
        FollowError::Spool(error) => {
            Failure::caused(FailureKind::Transient, format!("resource {resource}: {error}"), error)
        }
    }
}

pub(super) fn cluster_failure(resource: &ResourceId, error: ClusterError) -> Failure {
    match error {
        ClusterError::Server(error) => postgres_failure(resource, &error),
        ClusterError::Repository(error) => failure(error),
        ClusterError::Log(error) => log_failure(resource, error),
        ClusterError::Restore(error) => restore_failure(error),
        ClusterError::Incomplete { is_damage, .. } => {
            let kind = if is_damage {
                FailureKind::Integrity
            } else {
                FailureKind::Transient
            };
            Failure::new(kind, format!("resource {resource}: {error}"))
        }
        error => invalid(resource, error),
    }
}
