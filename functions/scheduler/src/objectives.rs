//! Watching objectives: people hear once when the newest recovery point of a resource has become too old, and once when
//! all is well again.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt};
use holdfast_core::domain::{Detail, Failure, Objectives, Point, Policy, Resource, ResourceId};
use holdfast_core::planning::{ObjectiveBreach, check_objectives, is_checked};
use holdfast_core::ports::{Key, Page, Severity};
use holdfast_core::workflow::records::{self, Alarm};
use holdfast_core::workflow::{FirstFailure, World, inventory};
use jiff::Timestamp;

use crate::AT_ONCE;

/// What an alarm about an objective is about.
const ABOUT: &str = "rpo";

/// Checks every resource whose turn has come since `last_look` against the strictest objective that a policy in force
/// promises for it, and every one whose objective was broken when it was checked last.
pub async fn watch(
    world: &World,
    policies: &[Policy],
    resources: &[Resource],
    last_look: Timestamp,
) -> Result<(), Failure> {
    let mut promises = promises(policies, resources);
    let mut raised = BTreeSet::new();
    for entry in world
        .catalog
        .waking(&records::alarm_status(ABOUT), Timestamp::MAX)
        .await?
    {
        raised.insert(records::decode::<Alarm>(entry)?.value.matter);
    }
    let mut failures = FirstFailure::default();
    let promised: BTreeSet<String> = promises.iter().map(|(resource, _)| matter(resource)).collect();
    for forgotten in raised.difference(&promised) {
        // Nothing is promised any more: what is promised later is watched from the beginning.
        failures.keep(set(world, &records::alarm_key(forgotten), None).await);
    }
    let now = world.now();
    let is_looked_at = |resource: &Resource, objectives: &Objectives| {
        raised.contains(&matter(resource)) || is_checked(&resource.id, objectives.rpo, last_look, now)
    };
    promises.retain(|(resource, objectives)| is_looked_at(resource, objectives));
    let look_ups: Vec<_> = promises
        .iter()
        .map(|(resource, objectives)| look(world, resource, objectives))
        .collect();
    let mut looks = stream::iter(look_ups).buffered(AT_ONCE);
    let mut promises = promises.iter();
    while let (Some(breach), Some((resource, objectives))) = (looks.next().await, promises.next()) {
        match failures.keep(breach) {
            Some(Some(breach)) => {
                failures.keep(raise(world, &breach).await);
            }
            Some(None) if raised.contains(&matter(resource)) => {
                failures.keep(clear(world, resource, objectives).await);
            }
            Some(None) | None => {}
        }
    }
    failures.into_result()
}

/// The strictest objective of each resource that has any.
fn promises<'a>(policies: &[Policy], resources: &'a [Resource]) -> Vec<(&'a Resource, Objectives)> {
    let mut promises: BTreeMap<&ResourceId, (&Resource, Objectives)> = BTreeMap::new();
    for policy in policies {
        let Some(objectives) = policy.draft.objectives else {
            continue;
        };
        for resource in policy.draft.selection.covered(resources) {
            let strictest = promises.entry(&resource.id).or_insert((resource, objectives));
            if objectives.rpo < strictest.1.rpo {
                strictest.1 = objectives;
            }
        }
    }
    promises.into_values().collect()
}

fn matter(resource: &Resource) -> String {
    format!("{ABOUT}/{}", resource.id)
}

/// Whether the objective is broken. Most often the newest point says that it is not, and no other is read.
async fn look(world: &World, resource: &Resource, objectives: &Objectives) -> Result<Option<ObjectiveBreach>, Failure> {
    let covered_at = match resource.kind.has_log() {
        true => covered_at(world, &resource.id).await?,
        false => None,
    };
    let newest: Vec<Point> = inventory::newest_point(world, &resource.id)
        .await?
        .into_iter()
        .collect();
    if check_objectives(objectives, resource, &newest, covered_at, world.now()).is_none() {
        return Ok(None);
    }
    let points = inventory::points(world, &resource.id).await?;
    Ok(check_objectives(objectives, resource, &points, covered_at, world.now()))
}

/// Up to when it can be restored by its log, where that is pulled or looked at.
async fn covered_at(world: &World, resource: &ResourceId) -> Result<Option<Timestamp>, Failure> {
    let windows = inventory::windows(world, resource).await?;
    Ok(windows.into_iter().filter_map(|window| window.state.covered_at).max())
}

async fn raise(world: &World, breach: &ObjectiveBreach) -> Result<(), Failure> {
    let alarm = Alarm {
        matter: format!("{ABOUT}/{}", breach.resource),
        raised_at: Some(world.now()),
    };
    let key = records::alarm_key(&alarm.matter);
    let known = records::read::<Alarm>(world.catalog.as_ref(), &key).await?;
    if known.as_ref().is_some_and(|known| known.value.raised_at.is_some()) {
        return Ok(());
    }
    tell_breached(world, breach).await?;
    match known {
        None => records::insert(world.catalog.as_ref(), &alarm).await.map(|_| ()),
        Some(_) => set(world, &key, alarm.raised_at).await,
    }
}

async fn clear(world: &World, resource: &Resource, objectives: &Objectives) -> Result<(), Failure> {
    tell_well_again(world, resource, objectives).await?;
    set(world, &records::alarm_key(&matter(resource)), None).await
}

async fn set(world: &World, key: &Key, raised_at: Option<Timestamp>) -> Result<(), Failure> {
    let set = |alarm: &mut Alarm| {
        let changes = alarm.raised_at.is_some() != raised_at.is_some();
        alarm.raised_at = raised_at;
        changes
    };
    records::amend(world.catalog.as_ref(), key, set).await?;
    Ok(())
}

async fn tell_breached(world: &World, breach: &ObjectiveBreach) -> Result<(), Failure> {
    let newest = breach
        .newest
        .map_or_else(|| "there is none yet".to_owned(), |at| format!("the newest is of {at}"));
    let page = Page {
        key: format!("{ABOUT}/{}", breach.resource),
        severity: Severity::Critical,
        subject: format!("{} has no recovery point younger than its RPO", breach.resource),
        text: format!(
            "the RPO is {}, the age is {}; {newest}; look for failed or waiting backup jobs",
            breach.rpo, breach.age
        ),
    };
    world.pager.page(&page).await?;
    let (age_seconds, rpo_seconds) = (breach.age.as_seconds(), breach.rpo.as_seconds());
    world
        .publish(Detail::ObjectiveBreached {
            resource: breach.resource.clone(),
            age_seconds,
            rpo_seconds,
        })
        .await
}

async fn tell_well_again(world: &World, resource: &Resource, objectives: &Objectives) -> Result<(), Failure> {
    let page = Page {
        key: matter(resource),
        severity: Severity::Info,
        subject: format!("{} is within its RPO again", resource.id),
        text: format!("its newest recovery point is younger than {}", objectives.rpo),
    };
    world.pager.page(&page).await
}
