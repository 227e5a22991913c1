//! Due occurrences become backup jobs; missed occurrences are reported and caught up once; objectives are watched.
//!
//! The schedule is computed here, from the policies in force and the occurrences already recorded. An event only says
//! when to look: a lost or doubled one changes nothing but the hour of the work.

mod configuration;
mod objectives;
mod occurrences;

use holdfast_core::domain::{Event, Failure};
use holdfast_core::workflow::World;

pub use configuration::answer;

/// Looks at every policy and resource and does what is due.
pub async fn handle(world: &World, _event: &Event) -> Result<(), Failure> {
    occurrences::record_due(world).await?;
    occurrences::request_jobs(world).await?;
    objectives::watch(world).await
}
