//! `holdfast postgres` and `holdfast wal`: PostgreSQL servers on one repository, by connection string alone.

mod backup;
mod check;
mod forget;
mod receive;
mod restore;
pub mod wal;
mod windows;

use holdfast_local::system_ambient;
use holdfast_sources::postgres::{Address, ClientOptions};

use crate::args::{PostgresCommand, ServerAddress};
use crate::error::{CliError, Done};
use crate::repository::interrupt::Interrupt;

/// Runs one command.
pub fn run(command: PostgresCommand, json: bool) -> Result<Done, CliError> {
    let interrupt = Interrupt::watch()?;
    match command {
        PostgresCommand::Check { address, slot } => check::run(&address, slot, &interrupt, json),
        PostgresCommand::Backup { kept, address } => backup::run(&kept, &address, &interrupt, json),
        PostgresCommand::Receive {
            kept,
            address,
            slot,
            create_slot,
            spool,
            partial_every,
            once,
        } => {
            let request = receive::Request {
                slot,
                create_slot,
                spool,
                partial_every,
                once,
            };
            receive::run(&kept, &address, &request, &interrupt)
        }
        PostgresCommand::Windows { kept } => windows::run(&kept, json),
        PostgresCommand::Forget {
            kept,
            keep_last,
            dry_run,
        } => forget::run(&kept, keep_last, dry_run, json),
        PostgresCommand::Restore(options) => restore::run(&options, &interrupt, json),
    }
}

/// A server's address with its password.
fn address(server: &ServerAddress) -> Result<Address, CliError> {
    let usage = |error: &dyn std::fmt::Display| CliError::usage(error.to_string());
    let address = Address::parse(&server.server).map_err(|error| usage(&error))?;
    match &server.server_password_file {
        Some(file) => address.with_password_file(file).map_err(|error| usage(&error)),
        None => Ok(address),
    }
}

fn client(interrupt: &Interrupt) -> ClientOptions {
    ClientOptions {
        now: system_ambient().now,
        stop: interrupt.handle(),
    }
}

/// The name of a server in a repository: it is a part of paths there.
fn checked(name: &str) -> Result<&str, CliError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.len() <= 63 && name.chars().all(is_plain) {
        return Ok(name);
    }
    Err(CliError::usage(format!(
        "{name:?} is no name for a server: use up to 63 letters, digits, - and _"
    )))
}

fn failed(error: impl std::fmt::Display) -> CliError {
    CliError::failed(error.to_string())
}
