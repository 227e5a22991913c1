//! The operator's commands. Each asks the handlers through an event, as the console on AWS would.

pub mod backup;
pub mod clean_point;
pub mod drill;
pub mod evidence;
pub mod plan;
pub mod points;
pub mod policy;
pub mod report;
pub mod restore;
pub mod run;
pub mod verify;

use holdfast_core::domain::{Job, JobState, Point, Resource};
use holdfast_core::workflow::{World, inventory};

use crate::error::{CliError, Done};

/// Who asks, in records and evidence.
const REQUESTED_BY: &str = "operator";

/// How a command ends whose job has ended.
fn done(job: &Job) -> Result<Done, CliError> {
    match job.state {
        JobState::Completed => Ok(Done::Done),
        JobState::Partial => Ok(Done::Partial),
        _ => {
            let why = job
                .failure
                .as_ref()
                .map_or("it gave no reason", |failure| failure.message.as_str());
            Err(CliError::failed(format!(
                "{} job {} failed: {why}",
                job.order.kind().as_str(),
                job.id.short()
            )))
        }
    }
}

/// The recovery point that a person means: an id, the first digits of one, or RESOURCE@latest.
async fn find_point(world: &World, word: &str) -> Result<(Resource, Point), CliError> {
    let resources = inventory::resources(world).await?;
    let mut found = Vec::new();
    for resource in resources {
        let points = inventory::points(world, &resource.id).await?;
        if word == format!("{}@latest", resource.id) {
            let newest = points.into_iter().rev().find(Point::is_restorable);
            let none = || {
                CliError::failed(format!(
                    "resource \"{}\" has no recovery point that can be restored",
                    resource.id
                ))
            };
            return newest.map(|point| (resource.clone(), point)).ok_or_else(none);
        }
        let matching = points
            .into_iter()
            .filter(|point| !word.is_empty() && point.id.as_str().starts_with(word));
        found.extend(matching.map(|point| (resource.clone(), point)));
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(CliError::usage(format!(
            "no recovery point is called \"{word}\"; `holdfast points` lists them"
        ))),
        count => Err(CliError::usage(format!(
            "{count} recovery points begin with \"{word}\"; give more digits"
        ))),
    }
}
