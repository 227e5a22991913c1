//! Due occurrences become backup jobs, and due drills runs of their plans; missed ones are reported and caught up once;
//! objectives are watched.
//!
//! The schedule is computed here, from the policies in force and the occurrences already recorded. An event only says
//! when to look: a lost or doubled one changes nothing but the hour of the work.

mod configuration;
mod drills;
mod objectives;
mod occurrences;
mod progress;

use holdfast_core::domain::{Event, Failure};
use holdfast_core::workflow::{FirstFailure, World, in_force};

pub use configuration::answer;
use progress::Progress;

/// How many look-ups are on their way at once.
const AT_ONCE: usize = 16;

/// Looks at every policy and resource and does what is due. What was left half done comes first, and nothing that fails
/// keeps the rest from being done.
pub async fn handle(world: &World, _event: &Event) -> Result<(), Failure> {
    let progress = Progress::read(world).await?;
    let in_force = in_force(world).await?;
    let (policies, resources) = (&in_force.policies, &in_force.resources);
    let mut failures = FirstFailure::default();
    failures.keep(occurrences::request_jobs(world, policies).await);
    failures.keep(occurrences::record_due(world, policies, resources, progress.settled_until()).await);
    failures.keep(drills::request_due(world).await);
    failures.keep(objectives::watch(world, policies, resources, progress.last_look()).await);
    failures.into_result()?;
    progress.complete(world).await
}
