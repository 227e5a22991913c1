//! `holdfast restore`.

use holdfast_core::domain::{Detail, Job, JobId, Order, Outcome, Resource, VaultName};
use holdfast_core::planning::told;
use holdfast_core::workflow::{World, inventory};
use holdfast_restore_runner::{RestoreRequest, plan};

use super::{REQUESTED_BY, done, find_point};
use crate::args::RestoreOptions;
use crate::embedded::{Session, absolute};
use crate::error::{CliError, Done};
use crate::output;
use crate::output::say;

/// Restores a recovery point. The request is checked whole before anything is asked for.
pub async fn run(options: RestoreOptions, json: bool) -> Result<Done, CliError> {
    let vault = options
        .vault
        .as_deref()
        .map(VaultName::new)
        .transpose()
        .map_err(|error| CliError::usage(error.to_string()))?;
    let target = absolute(&options.target)?;
    let target = target
        .to_str()
        .ok_or_else(|| CliError::usage("the target's path is not valid UTF-8"))?
        .to_owned();
    let (session, _) = Session::open(&options.place).await?;
    let world = &session.system.world;
    let (resource, point) = match server(world, &options).await? {
        Some(server) => (server, None),
        None => {
            let (resource, point) = find_point(world, &options.point).await?;
            (resource, Some(point.id))
        }
    };
    let detail = Detail::RestoreRequested {
        request: world.ids.fresh(),
        resource: resource.id,
        point,
        vault,
        target: target.clone(),
        include: options.include,
        overwrite: options.overwrite,
        to: options.to,
        requested_by: REQUESTED_BY.to_owned(),
    };
    let Some(request) = RestoreRequest::of(&detail) else {
        return Err(CliError::failed("this is no restore request"));
    };
    let planned = plan(world, &request).await?;
    if options.dry_run {
        return say_plan(world, &planned, json).await;
    }
    let job = JobId::derive(&["restore", &request.request]);
    let job = session
        .request(detail, &job, &format!("restoring into {target}"))
        .await?;
    if json {
        output::json(&job)?;
    } else if let Some(Outcome::Restore {
        files,
        bytes,
        differences,
        ..
    }) = &job.result
    {
        say!("{files} files, {} written to {target}", output::bytes(*bytes));
        match (options.to, differences.len()) {
            (Some(to), _) => {
                say!("start PostgreSQL over it, which recovers to {to} and opens for writing on a new timeline");
            }
            (None, 0) => say!("every entry compares with the recovery point"),
            (None, count) => say!("{count} entries differ:\n  {}", differences.join("\n  ")),
        }
    }
    done(&job)
}

/// The server that is named, where one is to recover: any of its base backups may lead there.
async fn server(world: &World, options: &RestoreOptions) -> Result<Option<Resource>, CliError> {
    if options.to.is_none() {
        return Ok(None);
    }
    let resources = inventory::resources(world).await?;
    Ok(resources
        .into_iter()
        .find(|resource| resource.id.as_str() == options.point))
}

async fn say_plan(world: &World, job: &Job, json: bool) -> Result<Done, CliError> {
    if json {
        output::json(job)?;
    } else if let Order::Restore {
        point,
        from,
        target,
        recovery,
        ..
    } = &job.order
    {
        let taken_at = output::time(point.taken_at);
        say!(
            "would restore {} of {} as of {taken_at} from vault {} into {target}",
            point.id.short(),
            point.resource,
            from.vault
        );
        if let Some(recovery) = recovery {
            say!(
                "a server over it recovers to {} on timeline {}; what can be restored:",
                recovery.to,
                recovery.timeline
            );
            let windows = inventory::windows(world, &point.resource).await?;
            windows.iter().for_each(|window| say!("  {}", told(window)));
        }
    }
    Ok(Done::Done)
}
