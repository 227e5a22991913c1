//! `holdfast repository`: the content engine by itself.

use crate::args::RepositoryArguments;
use crate::error::{CliError, Done};

pub fn run(_arguments: RepositoryArguments, _json: bool) -> Result<Done, CliError> {
    Err(CliError::failed("being written"))
}
