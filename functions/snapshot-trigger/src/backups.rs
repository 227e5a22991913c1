//! Backup jobs: what they compare with, and the recovery points that come of them.

use async_trait::async_trait;
use holdfast_core::domain::{
    BackupKind, Copy, CopyState, Detail, Failure, FailureKind, Job, JobId, Occurrence, OccurrenceState, Order, Origin,
    Outcome, Point, PointId, PointState, ResourceId, total,
};
use holdfast_core::ports::{Page, Severity};
use holdfast_core::workflow::jobs::Settle;
use holdfast_core::workflow::records::{self, Stored};
use holdfast_core::workflow::{World, inventory, jobs};

use crate::windows;

/// Records the backup job that a person asks for. Asking twice with one request id is asking once.
pub async fn request(world: &World, request: &str, resource: &ResourceId, requested_by: &str) -> Result<Job, Failure> {
    let resource = inventory::resource(world, resource).await?;
    let policies = inventory::policies(world).await?;
    let Some(policy) = policies.iter().find(|policy| policy.draft.selection.covers(&resource)) else {
        let message = format!(
            "no policy in force covers resource \"{}\", so there is no vault to back it up to",
            resource.id
        );
        return Err(Failure::new(FailureKind::Invalid, message));
    };
    let order = Order::Backup {
        resource: resource.id.clone(),
        path: resource.path.clone(),
        vault: policy.draft.vault.clone(),
        kind: BackupKind::Incremental,
        base: None,
        patterns: policy.draft.patterns.clone(),
        bandwidth_limit: policy.draft.bandwidth_limit,
        server: resource.server.clone(),
    };
    let origin = Origin::Request {
        request: request.to_owned(),
        requested_by: requested_by.to_owned(),
        approved_by: None,
    };
    jobs::request(
        world,
        Job::pending(JobId::derive(&["backup-request", request]), order, origin, world.now()),
    )
    .await
}

/// How backup jobs begin and end.
pub struct Backups;

#[async_trait]
impl Settle for Backups {
    async fn prepare(&self, world: &World, job: &mut Job) -> Result<(), Failure> {
        let Order::Backup {
            resource,
            vault,
            kind,
            base,
            server,
            ..
        } = &mut job.order
        else {
            return Ok(());
        };
        if *kind == BackupKind::Log {
            return mark_occurrence(world, job, OccurrenceState::Started).await;
        }
        let resource = inventory::resource(world, resource).await?;
        if let Some(server) = server {
            let policies = inventory::policies(world).await?;
            let mut drafts = policies.iter().map(|policy| &policy.draft);
            server.pulls_log = drafts.any(|draft| draft.pulls_log(&resource));
            return mark_occurrence(world, job, OccurrenceState::Started).await;
        }
        if !resource.kind.is_content() {
            // A service decides by itself what it compares with, and each of its snapshots stands alone.
            *kind = BackupKind::Full;
            return mark_occurrence(world, job, OccurrenceState::Started).await;
        }
        let points = inventory::points(world, &resource.id).await?;
        let usable = |point: &&Point| {
            let stands = point.copy_in(vault).is_some_and(Copy::is_usable);
            stands && (*kind != BackupKind::Differential || point.kind == BackupKind::Full)
        };
        let chosen = points.iter().rev().find(usable);
        *base = match (*kind, chosen) {
            (BackupKind::Full, _) => None,
            (_, Some(point)) => point
                .copy_in(vault)
                .map(|copy| (point.id.clone(), copy.artefact.clone())),
            (_, None) => None,
        };
        if base.is_none() {
            // The first point of a resource has nothing to compare with, whatever its rule says.
            *kind = BackupKind::Full;
        }
        mark_occurrence(world, job, OccurrenceState::Started).await
    }

    async fn completed(&self, world: &World, job: &mut Stored<Job>, outcome: &Outcome) -> Result<(), Failure> {
        if let (Order::Backup { resource, vault, .. }, Outcome::Log(state)) = (&job.value.order, outcome) {
            windows::record(world, &job.value, (resource, vault), state).await?;
            return mark_occurrence(world, &job.value, OccurrenceState::Completed).await;
        }
        let point = point_of(world, &job.value, outcome).await?;
        records::insert(world.catalog.as_ref(), &point).await?;
        mark_occurrence(world, &job.value, OccurrenceState::Completed).await?;
        if point.is_partial() {
            tell_partial(world, &point).await?;
        }
        world
            .publish(Detail::PointAvailable {
                point: point.reference(),
            })
            .await
    }

    async fn failed(&self, world: &World, job: &Job) -> Result<(), Failure> {
        mark_occurrence(world, job, OccurrenceState::Failed).await
    }
}

async fn point_of(world: &World, job: &Job, outcome: &Outcome) -> Result<Point, Failure> {
    let (
        Order::Backup {
            resource,
            vault,
            kind,
            base,
            server,
            ..
        },
        Outcome::Backup {
            artefact,
            taken_at,
            size_bytes,
            files,
            added_bytes,
            unread,
            changes,
        },
    ) = (&job.order, outcome)
    else {
        let message = format!("backup job {} came to an outcome that is none of a backup", job.id);
        return Err(Failure::new(FailureKind::Bug, message));
    };
    let now = world.now();
    let first = Copy {
        vault: vault.clone(),
        artefact: artefact.clone(),
        state: CopyState::Available,
        created_at: now,
        proofs: Vec::new(),
    };
    Ok(Point {
        id: PointId::derive(&[job.id.as_str()]),
        resource: resource.clone(),
        resource_kind: inventory::resource(world, resource).await?.kind,
        policy: job.origin.policy(),
        job: job.id.clone(),
        // A base backup stands alone, however little of the server was read for it.
        kind: if server.is_some() { BackupKind::Full } else { *kind },
        base: base.as_ref().map(|(point, _)| point.clone()),
        taken_at: *taken_at,
        created_at: now,
        state: PointState::Available,
        size_bytes: *size_bytes,
        files: *files,
        added_bytes: *added_bytes,
        unread: unread.clone(),
        changes: changes.clone(),
        copies: vec![first],
        legal_hold: None,
        expiry: None,
    })
}

async fn mark_occurrence(world: &World, job: &Job, state: OccurrenceState) -> Result<(), Failure> {
    let Origin::Occurrence { occurrence, .. } = &job.origin else {
        return Ok(());
    };
    let advance = |occurrence: &mut Occurrence| {
        // A job that was interrupted while it gave up may complete after all, and then it has not failed.
        let completes_after_all = (occurrence.state, state) == (OccurrenceState::Failed, OccurrenceState::Completed);
        let advances = (!occurrence.state.is_final() && occurrence.state != state) || completes_after_all;
        if advances {
            occurrence.state = state;
        }
        advances
    };
    records::amend(world.catalog.as_ref(), &records::occurrence_key(occurrence), advance).await?;
    Ok(())
}

async fn tell_partial(world: &World, point: &Point) -> Result<(), Failure> {
    let named: Vec<String> = point
        .unread
        .iter()
        .take(20)
        .map(|entry| format!("{}: {}", entry.path, entry.reason))
        .collect();
    let page = Page {
        key: format!("partial/{}", point.id),
        severity: Severity::Warning,
        subject: format!(
            "the backup of {} is partial: {} entries could not be read",
            point.resource,
            total(&point.unread)
        ),
        text: named.join("\n"),
    };
    world.pager.page(&page).await
}
