//! The password of a repository. It comes from a file or from the environment, never from the command line, which
//! everybody on the machine can read.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use crate::args::RepositoryPlace;
use crate::error::CliError;

const VARIABLE: &str = "HOLDFAST_PASSWORD";

/// Longer than any password; a wrong file is not read to its end.
const LONGEST: u64 = 64 * 1024;

/// The password for `place`.
pub fn password(place: &RepositoryPlace) -> Result<String, CliError> {
    match &place.password_file {
        Some(file) => from_file(file),
        None => from_environment(),
    }
}

fn from_file(path: &Path) -> Result<String, CliError> {
    let refuse = |reason: &str| CliError::usage(format!("the password file {} {reason}", path.display()));
    let file = File::open(path).map_err(|error| refuse(&format!("cannot be read: {error}")))?;
    let mut line = String::new();
    BufReader::new(file.take(LONGEST))
        .read_line(&mut line)
        .map_err(|error| refuse(&format!("cannot be read: {error}")))?;
    let password = line.strip_suffix('\n').unwrap_or(&line);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        return Err(refuse("has no password in its first line"));
    }
    Ok(password.to_owned())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one setting of these commands that comes from the environment"
)]
fn from_environment() -> Result<String, CliError> {
    match std::env::var(VARIABLE) {
        Ok(password) if !password.is_empty() => Ok(password),
        Err(std::env::VarError::NotUnicode(_)) => Err(CliError::usage(format!("{VARIABLE} is not valid UTF-8"))),
        Ok(_) | Err(std::env::VarError::NotPresent) => Err(CliError::usage(format!(
            "there is no password: name a file that holds it with --password-file FILE, or set {VARIABLE}"
        ))),
    }
}
