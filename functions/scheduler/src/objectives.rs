//! Watching objectives: people hear once when the newest recovery point of a resource has become too old, and once when
//! all is well again.

use holdfast_core::domain::{Detail, Failure, Objectives, Resource};
use holdfast_core::planning::{ObjectiveBreach, check_objectives};
use holdfast_core::ports::{Page, Severity};
use holdfast_core::workflow::records::{self, Alarm};
use holdfast_core::workflow::{World, inventory};

/// Checks every resource against the strictest objective that a policy in force promises for it.
pub async fn watch(world: &World) -> Result<(), Failure> {
    let policies = inventory::policies(world).await?;
    for resource in inventory::resources(world).await? {
        let promises = policies
            .iter()
            .filter(|policy| policy.draft.selection.covers(&resource));
        let strictest = promises
            .filter_map(|policy| policy.draft.objectives)
            .min_by_key(|objectives| objectives.rpo);
        if let Some(objectives) = strictest {
            watch_resource(world, &resource, &objectives).await?;
        }
    }
    Ok(())
}

async fn watch_resource(world: &World, resource: &Resource, objectives: &Objectives) -> Result<(), Failure> {
    let points = inventory::points(world, &resource.id).await?;
    let breach = check_objectives(objectives, resource, &points, world.now());
    let quiet = Alarm {
        matter: format!("rpo/{}", resource.id),
        raised_at: None,
    };
    let alarm = match records::insert(world.catalog.as_ref(), &quiet).await? {
        Some(existing) => existing.value,
        None => quiet,
    };
    match (&breach, alarm.raised_at) {
        (Some(breach), None) => tell_breached(world, breach).await?,
        (None, Some(_)) => tell_well_again(world, resource, objectives).await?,
        (Some(_), Some(_)) | (None, None) => return Ok(()),
    }
    let raised_at = breach.map(|_| world.now());
    let set = |alarm: &mut Alarm| {
        let changes = alarm.raised_at.is_some() != raised_at.is_some();
        alarm.raised_at = raised_at;
        changes
    };
    records::amend(world.catalog.as_ref(), &records::alarm_key(&alarm.matter), set).await?;
    Ok(())
}

async fn tell_breached(world: &World, breach: &ObjectiveBreach) -> Result<(), Failure> {
    let newest = breach
        .newest
        .map_or_else(|| "there is none yet".to_owned(), |at| format!("the newest is of {at}"));
    let page = Page {
        key: format!("rpo/{}", breach.resource),
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
        key: format!("rpo/{}", resource.id),
        severity: Severity::Info,
        subject: format!("{} is within its RPO again", resource.id),
        text: format!("its newest recovery point is younger than {}", objectives.rpo),
    };
    world.pager.page(&page).await
}
