//! Brings copies of recovery points to what the policies ask.

mod copies;

use holdfast_core::domain::{Event, Failure, JobKind, Order};
use holdfast_core::planning::plan_copies;
use holdfast_core::workflow::{World, inventory, jobs};

/// Plans the copies that are missing, and brings every copy job further.
pub async fn handle(world: &World, _event: &Event) -> Result<(), Failure> {
    let resources = inventory::resources(world).await?;
    for policy in inventory::policies(world).await? {
        for resource in resources
            .iter()
            .filter(|resource| policy.draft.selection.covers(resource))
        {
            let points = inventory::points(world, &resource.id).await?;
            for due in plan_copies(&policy.draft, &points, world.now()) {
                let work = ["copy", due.point.id.as_str(), due.to.as_str()];
                let order = Order::Copy {
                    point: due.point.clone(),
                    from: due.from.clone(),
                    to: due.to.clone(),
                };
                let job = jobs::request_planned(world, &work, order, due.reason.clone()).await?;
                if due.late {
                    copies::tell_late(world, &due, job.as_ref()).await?;
                }
            }
        }
    }
    jobs::drive_due(world, JobKind::Copy, &copies::Copies).await
}
