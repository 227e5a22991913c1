//! Brings copies of recovery points, and of the log of servers, to what the policies ask.

mod copies;

use holdfast_core::domain::{CopyState, Event, Failure, JobKind, Order, Point, Policy, Resource, ResourceKind};
use holdfast_core::planning::{CopyDue, looked_at, plan_copies, plan_log_copies};
use holdfast_core::workflow::{FirstFailure, World, in_force, inventory, jobs};

/// Plans the copies that are missing, and brings every copy job further.
pub async fn handle(world: &World, event: &Event) -> Result<(), Failure> {
    let in_force = in_force(world).await?;
    let mut failures = FirstFailure::default();
    for resource in looked_at(&in_force.resources, event) {
        failures.keep(plan_resource(world, &in_force.policies, resource).await);
    }
    failures.keep(jobs::drive_due(world, JobKind::Copy, &copies::Copies).await);
    failures.into_result()
}

async fn plan_resource(world: &World, policies: &[Policy], resource: &Resource) -> Result<(), Failure> {
    let copies = |policy: &&Policy| !policy.draft.copies.is_empty() && policy.draft.selection.covers(resource);
    let copying: Vec<&Policy> = policies.iter().filter(copies).collect();
    if copying.is_empty() {
        return Ok(());
    }
    let points = inventory::points(world, &resource.id).await?;
    if resource.kind == ResourceKind::Postgres {
        request_log_copies(world, &copying, resource, &points).await?;
    }
    let mut failures = FirstFailure::default();
    for policy in copying {
        for due in plan_copies(&policy.draft, &points, world.now()) {
            let cycle = deleted_copies(&points, &due).to_string();
            let work = ["copy", due.point.id.as_str(), due.to.as_str(), &cycle];
            let order = Order::Copy {
                point: due.point.clone(),
                from: due.from.clone(),
                to: due.to.clone(),
            };
            let job = jobs::request_planned(world, &work, order, due.reason.clone()).await?;
            if due.late {
                failures.keep(copies::tell_late(world, &due, job.as_ref()).await);
            }
        }
    }
    failures.into_result()
}

/// Of one server and vault there is one job at a time: the next begins where the last one's window ended, with all that was
/// pulled meanwhile.
async fn request_log_copies(
    world: &World,
    policies: &[&Policy],
    resource: &Resource,
    points: &[Point],
) -> Result<(), Failure> {
    let windows = inventory::windows(world, &resource.id).await?;
    for policy in policies {
        for due in plan_log_copies(&policy.draft, points, &windows) {
            let since = due.copied_until.map_or_else(String::new, |at| at.to_string());
            let work = [
                "copy-log",
                resource.id.as_str(),
                due.from.as_str(),
                due.to.as_str(),
                &since,
            ];
            let order = Order::CopyLog {
                resource: resource.id.clone(),
                from: due.from.clone(),
                to: due.to.clone(),
                pulled_at: due.pulled_at,
            };
            jobs::request_planned(world, &work, order, due.reason).await?;
        }
    }
    Ok(())
}

/// How many copies of the point have already come and gone in the vault: copying it there once more is other work.
fn deleted_copies(points: &[Point], due: &CopyDue) -> usize {
    let point = points.iter().filter(|point| point.id == due.point.id);
    let copies = point.flat_map(|point| &point.copies);
    copies
        .filter(|copy| copy.vault == due.to && copy.state == CopyState::Deleted)
        .count()
}
