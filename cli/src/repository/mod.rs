//! `holdfast repository`: the content engine by itself, on one repository.

mod backup;
mod check;
mod copy;
pub(crate) mod interrupt;
mod list;
pub mod memory;
pub(crate) mod meter;
pub(crate) mod open;
mod password;
pub(crate) mod place;
mod reclaim;
pub(crate) mod restore;
mod show;
mod workers;

use holdfast_repository::RepositoryError;

use crate::args::{Overwriting, RepositoryArguments, RepositoryCommand};
use crate::error::{CliError, Done};
use backup::Readers;
use holdfast_sources::files::Overwrite;
use interrupt::Interrupt;

/// Does one command.
pub fn run(arguments: RepositoryArguments, json: bool) -> Result<Done, CliError> {
    let interrupt = Interrupt::watch()?;
    match arguments.command {
        RepositoryCommand::Init { place } => open::init(&place, json),
        RepositoryCommand::Backup {
            place,
            paths,
            exclude,
            include,
            tag,
            full,
            parent,
            workers,
            limit_upload,
            worker,
        } => {
            let request = backup::Request {
                paths,
                exclude,
                include,
                tags: tag,
                full,
                parent,
                limit_upload,
                readers: match (worker, workers) {
                    (true, _) => Readers::Worker,
                    (false, 1) => Readers::Alone,
                    (false, several) => Readers::Workers(several),
                },
            };
            backup::run(&place, request, &interrupt, json)
        }
        RepositoryCommand::Snapshots { place } => list::snapshots(&place, json),
        RepositoryCommand::Ls { place, snapshot } => list::content(&place, &snapshot, &interrupt, json),
        RepositoryCommand::Restore {
            place,
            snapshot,
            target,
            include,
            overwrite,
        } => {
            let request = restore::Request {
                snapshot,
                target,
                include,
                overwrite: match overwrite {
                    None => Overwrite::Never,
                    Some(Overwriting::Always) => Overwrite::Always,
                    Some(Overwriting::IfChanged) => Overwrite::IfChanged,
                },
            };
            restore::run(&place, request, &interrupt, json)
        }
        RepositoryCommand::Check { place, read_data } => check::run(&place, read_data, &interrupt, json),
        RepositoryCommand::Forget {
            place,
            snapshots,
            prune,
            grace,
        } => {
            let grace = prune.then_some(grace.as_str());
            reclaim::forget(&place, &snapshots, grace, &interrupt, json)
        }
        RepositoryCommand::Prune { place, grace, dry_run } => reclaim::prune(&place, &grace, dry_run, &interrupt, json),
        RepositoryCommand::Copy { place, to, snapshots } => copy::run(&place, &to, &snapshots, &interrupt, json),
    }
}

impl From<RepositoryError> for CliError {
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::Invalid { .. } | RepositoryError::AmbiguousSnapshot { .. } => {
                Self::usage(error.to_string())
            }
            RepositoryError::Cancelled => {
                Self::failed("stopped on request; what is unfinished is taken up by the next run, or removed by prune")
            }
            _ => Self::failed(error.to_string()),
        }
    }
}
