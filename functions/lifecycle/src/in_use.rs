//! Points that work needs: none of them goes while it does.

use std::collections::BTreeSet;

use holdfast_core::domain::{Failure, JobKind, Order, PointId};
use holdfast_core::workflow::{World, jobs};

/// The kinds of jobs that read or write a point, or compare with one.
const USERS: [JobKind; 5] = [
    JobKind::Backup,
    JobKind::Copy,
    JobKind::Verify,
    JobKind::Repair,
    JobKind::Restore,
];

/// Every point that a job reads or writes, or compares with, which has not ended, or gave up without knowing that its work
/// has.
pub async fn points(world: &World) -> Result<BTreeSet<PointId>, Failure> {
    let mut used = BTreeSet::new();
    for kind in USERS {
        let mut at_work = jobs::open_jobs(world, kind).await?;
        at_work.extend(jobs::given_up_jobs(world, kind).await?);
        for job in at_work {
            let order = job.value.order;
            used.extend(order.point().map(|point| point.id.clone()));
            if let Order::Backup {
                base: Some((base, _)), ..
            } = order
            {
                used.insert(base);
            }
        }
    }
    Ok(used)
}
