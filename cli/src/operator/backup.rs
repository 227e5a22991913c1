//! `holdfast backup`.

use holdfast_core::domain::{Detail, JobId, Outcome, ResourceId};
use holdfast_core::workflow::inventory;

use super::{REQUESTED_BY, done};
use crate::args::BackupOptions;
use crate::embedded::Session;
use crate::error::{CliError, Done};
use crate::output;
use crate::output::say;

/// Backs up a resource now.
pub async fn run(options: BackupOptions, json: bool) -> Result<Done, CliError> {
    let resource = ResourceId::new(&options.resource).map_err(|error| CliError::usage(error.to_string()))?;
    let (session, _) = Session::open(&options.place).await?;
    inventory::resource(&session.system.world, &resource).await?;
    let request = session.system.world.ids.fresh();
    let job = JobId::derive(&["backup-request", &request]);
    let detail = Detail::BackupRequested {
        request,
        resource: resource.clone(),
        requested_by: REQUESTED_BY.to_owned(),
    };
    let job = session.request(detail, &job, &format!("backing up {resource}")).await?;
    if json {
        output::json(&job)?;
    } else if let Some(Outcome::Backup {
        size_bytes,
        files,
        added_bytes,
        unread,
        ..
    }) = &job.result
    {
        say!(
            "{resource}: {files} files, {}, added {}",
            output::bytes(*size_bytes),
            output::bytes(*added_bytes)
        );
        for entry in unread {
            say!("not read: {}: {}", entry.path, entry.reason);
        }
    }
    done(&job)
}
