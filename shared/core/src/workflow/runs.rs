//! Runs of recovery plans that have ended: what they measured is what the next one is expected to take.

use jiff::Timestamp;

use super::records::{self, ENDED_RUN};
use crate::domain::{Failure, Run};
use crate::ports::Catalog;

/// Every run that has ended by `now`, oldest first.
pub async fn ended(catalog: &dyn Catalog, now: Timestamp) -> Result<Vec<Run>, Failure> {
    let entries = catalog.waking(ENDED_RUN, now).await?;
    let runs = entries.into_iter().map(|entry| Ok(records::decode(entry)?.value));
    runs.collect()
}
