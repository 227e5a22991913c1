//! `holdfast verify`.

use holdfast_core::domain::{CopyState, Detail, JobId, Outcome, VaultName};

use super::{REQUESTED_BY, find_point};
use crate::args::VerifyOptions;
use crate::embedded::Session;
use crate::error::{CliError, Done};
use crate::output;
use crate::output::say;

/// Proves the copies of a recovery point now.
pub async fn run(options: VerifyOptions, json: bool) -> Result<Done, CliError> {
    let vault = options
        .vault
        .as_deref()
        .map(VaultName::new)
        .transpose()
        .map_err(|error| CliError::usage(error.to_string()))?;
    let (session, _) = Session::open(&options.place).await?;
    let (resource, point) = find_point(&session.system.world, &options.point).await?;
    let chosen = |copy: &&holdfast_core::domain::Copy| {
        copy.state != CopyState::Deleted && vault.as_ref().is_none_or(|vault| vault == &copy.vault)
    };
    let vaults: Vec<VaultName> = point
        .copies
        .iter()
        .filter(chosen)
        .map(|copy| copy.vault.clone())
        .collect();
    if vaults.is_empty() {
        return Err(CliError::usage(format!(
            "recovery point {} has no copy there",
            point.id.short()
        )));
    }
    let mut jobs = Vec::new();
    for vault in vaults {
        let request = session.system.world.ids.fresh();
        let job = JobId::derive(&["verify-request", &request]);
        let what = format!("proving {} in vault {vault}", point.id.short());
        let detail = Detail::VerificationRequested {
            request,
            resource: resource.id.clone(),
            point: point.id.clone(),
            vault: vault.clone(),
            requested_by: REQUESTED_BY.to_owned(),
        };
        jobs.push((vault, session.request(detail, &job, &what).await?));
    }
    if json {
        output::json(&jobs.iter().map(|(_, job)| job).collect::<Vec<_>>())?;
    }
    let mut done = Done::Done;
    for (vault, job) in &jobs {
        let Some(Outcome::Verify(verdict)) = &job.result else {
            return super::done(job);
        };
        if !verdict.damages.is_empty() {
            done = Done::Failed;
        }
        if json {
            continue;
        }
        match verdict.damages.len() {
            0 => say!("vault {vault}: every byte holds ({})", output::bytes(verdict.bytes)),
            count => say!("vault {vault}: {count} damages\n  {}", verdict.damages.join("\n  ")),
        }
        for path in &verdict.affected {
            say!("  affects {path}");
        }
    }
    Ok(done)
}
