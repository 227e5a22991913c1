//! Proves recovery points, remembers what was proven, and has damage repaired from a good copy.

mod repairs;
mod requests;
mod trials;
mod verdicts;

use holdfast_core::domain::{Detail, Event, Failure, JobKind, Order, PointId, Policy, Resource, VaultName};
use holdfast_core::planning::{looked_at, plan_repairs, plan_verification};
use holdfast_core::workflow::{FirstFailure, World, in_force, inventory, jobs};

/// Takes in a person's request, if the event is one, plans what must be proven or repaired, and brings every such job
/// further.
pub async fn handle(world: &World, event: &Event) -> Result<(), Failure> {
    if let Detail::VerificationRequested {
        request,
        resource,
        point,
        vault,
        requested_by,
    } = &event.detail
    {
        requests::request(world, request, resource, point, vault, requested_by).await?;
    }
    let in_force = in_force(world).await?;
    let mut failures = FirstFailure::default();
    for resource in looked_at(&in_force.resources, event) {
        failures.keep(plan_resource(world, &in_force.policies, resource).await);
    }
    failures.keep(jobs::drive_due(world, JobKind::Verify, &verdicts::Verdicts).await);
    failures.keep(jobs::drive_due(world, JobKind::Repair, &repairs::Repairs).await);
    failures.into_result()
}

async fn plan_resource(world: &World, policies: &[Policy], resource: &Resource) -> Result<(), Failure> {
    let covering = policies.iter().filter(|policy| policy.draft.selection.covers(resource));
    let strictest = covering.map(|policy| policy.draft.verify).min_by_key(|rule| rule.every);
    let points = inventory::points(world, &resource.id).await?;
    // Grows with every proof, and with every copy that comes and goes: testing what stands there then is other work.
    let cycle_of = |id: &PointId, vault: &VaultName| {
        let point = points.iter().filter(|point| &point.id == id);
        let copies = point
            .flat_map(|point| &point.copies)
            .filter(|copy| &copy.vault == vault);
        copies.map(|copy| 1 + copy.proofs.len()).sum::<usize>().to_string()
    };
    for due in plan_verification(strictest.as_ref(), &points, world.now()) {
        let cycle = cycle_of(&due.point.id, &due.at.vault);
        let work = ["verify", due.point.id.as_str(), due.at.vault.as_str(), &cycle];
        let order = Order::Verify {
            point: due.point.clone(),
            at: due.at.clone(),
            level: due.level,
            trial: None,
        };
        jobs::request_planned(world, &work, order, due.reason).await?;
    }
    trials::plan(world, resource, &points).await?;
    let (repairs, hopeless) = plan_repairs(&points);
    for due in repairs {
        let cycle = cycle_of(&due.point.id, &due.damaged.vault);
        let work = ["repair", due.point.id.as_str(), due.damaged.vault.as_str(), &cycle];
        let order = Order::Repair {
            point: due.point.clone(),
            damaged: due.damaged.clone(),
            from: due.from.clone(),
        };
        jobs::request_planned(world, &work, order, due.reason).await?;
    }
    for (point, location) in hopeless {
        repairs::tell_hopeless(world, &point, &location).await?;
    }
    Ok(())
}
