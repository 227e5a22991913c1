//! Runs of recovery plans that have ended: what they measured is what the next one is expected to take.

use jiff::Timestamp;

use super::records::{self, ENDED_RUN};
use crate::domain::{Failure, PlanId, Run};
use crate::ports::Catalog;

/// Every run of a plan that has ended by `now`, oldest first.
pub async fn ended(catalog: &dyn Catalog, plan: &PlanId, now: Timestamp) -> Result<Vec<Run>, Failure> {
    let mut runs = Vec::new();
    for entry in catalog.waking(ENDED_RUN, now).await? {
        let run: Run = records::decode(entry)?.value;
        if run.plan.id == *plan {
            runs.push(run);
        }
    }
    Ok(runs)
}
