//! What the catalog holds: policies in force, resources, recovery points.

use jiff::Timestamp;

use super::World;
use super::records::{self, Stored};
use crate::domain::{Failure, FailureKind, Point, PointId, PointRef, PointState, Policy, Resource, ResourceId, Window};

/// Every version of every policy that is not retired, by name and version. A policy has several for as long as a
/// change of it is half done.
pub(super) async fn active_versions(world: &World) -> Result<Vec<Policy>, Failure> {
    let mut versions = Vec::new();
    for entry in world.catalog.waking("policy", Timestamp::MAX).await? {
        versions.push(records::decode::<Policy>(entry)?.value);
    }
    versions.sort_by(|a, b| (&a.id, a.version).cmp(&(&b.id, b.version)));
    Ok(versions)
}

/// The version in force of every policy: the newest that is not retired.
pub async fn policies(world: &World) -> Result<Vec<Policy>, Failure> {
    let mut versions = active_versions(world).await?;
    versions.reverse();
    versions.dedup_by(|older, newer| older.id == newer.id);
    versions.reverse();
    Ok(versions)
}

/// Every resource, by name, those included that have left the configuration.
pub async fn resources(world: &World) -> Result<Vec<Resource>, Failure> {
    let mut resources = Vec::new();
    for entry in world.catalog.waking("resource", Timestamp::MAX).await? {
        resources.push(records::decode::<Resource>(entry)?.value);
    }
    resources.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(resources)
}

/// A resource by its name.
pub async fn resource(world: &World, id: &ResourceId) -> Result<Resource, Failure> {
    let found: Option<Stored<Resource>> = records::read(world.catalog.as_ref(), &records::resource_key(id)).await?;
    let unknown = || {
        let message = format!("no resource is named \"{id}\"; add it to the configuration, or correct the name");
        Failure::new(FailureKind::NotFound, message)
    };
    found.map(|stored| stored.value).ok_or_else(unknown)
}

/// Every recovery point of a resource, oldest first, deleted ones included.
pub async fn points(world: &World, resource: &ResourceId) -> Result<Vec<Point>, Failure> {
    let entries = world.catalog.list(&format!("RES#{resource}"), "POINT#").await?;
    entries
        .into_iter()
        .map(|entry| records::decode::<Point>(entry).map(|stored| stored.value))
        .collect()
}

/// The newest recovery point of a resource, however it stands.
pub async fn newest_point(world: &World, resource: &ResourceId) -> Result<Option<Point>, Failure> {
    let newest = world.catalog.last(&format!("RES#{resource}"), "POINT#").await?;
    let newest: Option<Stored<Point>> = newest.map(records::decode).transpose()?;
    Ok(newest.map(|newest| newest.value))
}

/// The windows of a server, one for each vault that its log is pulled or copied to.
pub async fn windows(world: &World, resource: &ResourceId) -> Result<Vec<Window>, Failure> {
    let entries = world.catalog.list(&format!("RES#{resource}"), "WINDOW#").await?;
    entries
        .into_iter()
        .map(|entry| records::decode::<Window>(entry).map(|stored| stored.value))
        .collect()
}

/// Records a window, unless a later one is on record. Up to when everything can be restored is never taken back.
pub async fn advance_window(world: &World, window: &Window) -> Result<(), Failure> {
    if records::insert(world.catalog.as_ref(), window).await?.is_none() {
        return Ok(());
    }
    let advance = |known: &mut Window| {
        let is_newer = known.observed_at < window.observed_at;
        if is_newer {
            let covered_at = known.state.covered_at.max(window.state.covered_at);
            *known = window.clone();
            known.state.covered_at = covered_at;
        }
        is_newer
    };
    let key = records::window_key(&window.resource, &window.vault);
    records::amend(world.catalog.as_ref(), &key, advance).await.map(|_| ())
}

/// The recovery point of a resource with this id.
pub async fn point(world: &World, resource: &ResourceId, id: &PointId) -> Result<Point, Failure> {
    let found = points(world, resource).await?.into_iter().find(|point| &point.id == id);
    let unknown = || {
        Failure::new(
            FailureKind::NotFound,
            format!("resource \"{resource}\" has no recovery point {id}"),
        )
    };
    found.ok_or_else(unknown)
}

/// Changes the record of a recovery point and brings its overall state up to date.
pub async fn amend_point(
    world: &World,
    point: &PointRef,
    mut change: impl FnMut(&mut Point) -> bool + Send,
) -> Result<Point, Failure> {
    let apply = |point: &mut Point| {
        if !change(point) {
            return false;
        }
        point.state = overall_state(point);
        true
    };
    records::amend(world.catalog.as_ref(), &records::point_key(point), apply).await
}

/// The state of a point that follows from its copies and its expiry.
pub fn overall_state(point: &Point) -> PointState {
    use crate::domain::CopyState::{Corrupt, Deleted, Repaired};
    let standing: Vec<_> = point.copies.iter().filter(|copy| copy.state != Deleted).collect();
    if !point.copies.is_empty() && standing.is_empty() {
        return PointState::Deleted;
    }
    if point.expiry.is_some() {
        return PointState::Expiring;
    }
    if standing.iter().any(|copy| matches!(copy.state, Corrupt | Repaired)) {
        return PointState::Corrupt;
    }
    let was_damaged = standing
        .iter()
        .flat_map(|copy| &copy.proofs)
        .any(|proof| !proof.passed && proof.level.is_of_the_store());
    if was_damaged {
        PointState::Repaired
    } else {
        PointState::Available
    }
}
