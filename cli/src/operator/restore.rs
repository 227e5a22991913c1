//! `holdfast restore`.

use holdfast_core::domain::{Detail, Job, JobId, Order, Outcome, VaultName};
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
    let (resource, point) = find_point(&session.system.world, &options.point).await?;
    let detail = Detail::RestoreRequested {
        request: session.system.world.ids.fresh(),
        resource: resource.id,
        point: Some(point.id),
        vault,
        target: target.clone(),
        include: options.include,
        overwrite: options.overwrite,
        requested_by: REQUESTED_BY.to_owned(),
    };
    let Some(request) = RestoreRequest::of(&detail) else {
        return Err(CliError::failed("this is no restore request"));
    };
    let planned = plan(&session.system.world, &request).await?;
    if options.dry_run {
        return say_plan(&planned, json);
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
        match differences.len() {
            0 => say!("every entry compares with the recovery point"),
            count => say!("{count} entries differ:\n  {}", differences.join("\n  ")),
        }
    }
    done(&job)
}

fn say_plan(job: &Job, json: bool) -> Result<Done, CliError> {
    if json {
        output::json(job)?;
    } else if let Order::Restore {
        point, from, target, ..
    } = &job.order
    {
        let taken_at = output::time(point.taken_at);
        say!(
            "would restore {} of {} as of {taken_at} from vault {} into {target}",
            point.id.short(),
            point.resource,
            from.vault
        );
    }
    Ok(Done::Done)
}
