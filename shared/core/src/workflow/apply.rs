//! Putting configuration into force: new versions of policies, resources and plans.

use super::World;
use super::authority;
use super::configuration;
use super::inventory;
use super::records::{self, AUTOMATIC_PLAN, Stored};
use crate::domain::{Failure, FailureKind, Policy, PolicyDraft, PolicyId, RecoveryPlan, Resource};
use crate::planning::{carry_over, carry_over_drills, same_policy};

/// What was put into force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Policies that got a new version.
    pub changed: Vec<(PolicyId, u32)>,
    /// Policies that are not in the configuration any more; their history and points stay.
    pub retired: Vec<PolicyId>,
}

/// Brings the catalog to what the configuration says. Repeating it changes nothing; one that was stopped half-way is
/// completed by the next.
pub async fn apply(
    world: &World,
    resources: &[Resource],
    policies: &[(PolicyId, PolicyDraft)],
    plans: &[RecoveryPlan],
) -> Result<Applied, Failure> {
    let generation = configuration::begin(world).await?;
    let in_force = retire_superseded(world).await?;
    for resource in resources {
        apply_resource(world, resource).await?;
    }
    retire_absent(world, resources).await?;
    for plan in plans {
        apply_plan(world, plan).await?;
    }
    silence_absent(world, plans).await?;
    let mut applied = Applied::default();
    for (id, draft) in policies {
        let current = in_force.iter().find(|policy| &policy.id == id);
        if let Some(version) = apply_policy(world, id, draft, current).await? {
            applied.changed.push((id.clone(), version));
        }
    }
    for policy in in_force
        .iter()
        .filter(|policy| policies.iter().all(|(id, _)| id != &policy.id))
    {
        retire(world, policy).await?;
        applied.retired.push(policy.id.clone());
    }
    configuration::end(world, generation).await?;
    Ok(applied)
}

/// Retires every version that a newer one has replaced, and returns the versions in force. A new version is written before
/// the old one is retired; where nothing came after that, the old one would come back once the new one is gone.
async fn retire_superseded(world: &World) -> Result<Vec<Policy>, Failure> {
    let mut in_force: Vec<Policy> = Vec::new();
    for policy in inventory::active_versions(world).await? {
        match in_force.last_mut().filter(|older| older.id == policy.id) {
            Some(older) => {
                let older = std::mem::replace(older, policy);
                retire(world, &older).await?;
            }
            None => in_force.push(policy),
        }
    }
    Ok(in_force)
}

/// Resources that the configuration names no more are planned for no longer; their points stay, and can be restored.
async fn retire_absent(world: &World, resources: &[Resource]) -> Result<(), Failure> {
    let is_absent = |known: &Resource| resources.iter().all(|resource| resource.id != known.id);
    let now = world.now();
    for known in inventory::resources(world)
        .await?
        .iter()
        .filter(|known| is_absent(known))
    {
        let key = records::resource_key(&known.id);
        records::amend(world.catalog.as_ref(), &key, |resource: &mut Resource| {
            let stands = resource.retired_at.is_none();
            resource.retired_at.get_or_insert(now);
            stands
        })
        .await?;
    }
    Ok(())
}

async fn apply_resource(world: &World, resource: &Resource) -> Result<(), Failure> {
    let Some(existing) = records::insert(world.catalog.as_ref(), resource).await? else {
        return Ok(());
    };
    // One that comes back begins anew: nothing was due while it was away.
    let registered_at = match existing.value.retired_at {
        Some(_) => resource.registered_at,
        None => existing.value.registered_at,
    };
    let wanted = Resource {
        registered_at,
        ..resource.clone()
    };
    let bring_up_to_date = |stored: &mut Resource| {
        let differs = *stored != wanted;
        *stored = wanted.clone();
        differs
    };
    records::amend(
        world.catalog.as_ref(),
        &records::resource_key(&resource.id),
        bring_up_to_date,
    )
    .await?;
    Ok(())
}

async fn apply_plan(world: &World, plan: &RecoveryPlan) -> Result<(), Failure> {
    if let Some(moves) = &plan.moves {
        authority::establish(world, moves).await?;
    }
    if records::insert(world.catalog.as_ref(), plan).await?.is_none() {
        return Ok(());
    }
    let bring_up_to_date = |stored: &mut RecoveryPlan| {
        let mut wanted = plan.clone();
        carry_over_drills(&stored.drills, &mut wanted.drills);
        let differs = *stored != wanted;
        *stored = wanted;
        differs
    };
    records::amend(world.catalog.as_ref(), &records::plan_key(&plan.id), bring_up_to_date).await?;
    Ok(())
}

/// Plans that the configuration names no more do nothing by themselves any longer; people can still run them.
async fn silence_absent(world: &World, plans: &[RecoveryPlan]) -> Result<(), Failure> {
    for entry in world.catalog.waking(AUTOMATIC_PLAN, world.now()).await? {
        let known = records::decode::<RecoveryPlan>(entry)?.value;
        if plans.iter().any(|plan| plan.id == known.id) {
            continue;
        }
        let silence = |plan: &mut RecoveryPlan| {
            let automatic = plan.moves.as_mut().and_then(|moves| moves.automatic.take());
            let schedule = plan.drills.schedule.take();
            automatic.is_some() || schedule.is_some()
        };
        records::amend(world.catalog.as_ref(), &records::plan_key(&known.id), silence).await?;
    }
    Ok(())
}

async fn apply_policy(
    world: &World,
    id: &PolicyId,
    draft: &PolicyDraft,
    current: Option<&Policy>,
) -> Result<Option<u32>, Failure> {
    if current.is_some_and(|current| same_policy(&current.draft, draft)) {
        return Ok(None);
    }
    let mut draft = draft.clone();
    if let Some(current) = current {
        carry_over(&current.draft, &mut draft);
    }
    let newest = world.catalog.last(&format!("POLICY#{id}"), "v#").await?;
    let newest: Option<Stored<Policy>> = newest.map(records::decode).transpose()?;
    let version = newest.map_or(0, |newest| newest.value.version) + 1;
    let policy = Policy {
        id: id.clone(),
        version,
        applied_at: world.now(),
        active: true,
        draft,
    };
    if let Some(existing) = records::insert(world.catalog.as_ref(), &policy).await?
        && !same_policy(&existing.value.draft, &policy.draft)
    {
        let message = format!("policy {id} was changed by somebody else just now; apply the configuration again");
        return Err(Failure::new(FailureKind::Conflict, message));
    }
    if let Some(current) = current {
        retire(world, current).await?;
    }
    Ok(Some(version))
}

async fn retire(world: &World, policy: &Policy) -> Result<(), Failure> {
    let key = records::policy_key(&policy.id, policy.version);
    records::amend(world.catalog.as_ref(), &key, |policy: &mut Policy| {
        std::mem::replace(&mut policy.active, false)
    })
    .await?;
    Ok(())
}
