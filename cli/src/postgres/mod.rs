//! `holdfast postgres` and `holdfast wal`: PostgreSQL servers on one repository, by connection string alone.

mod backup;
mod check;
mod export;
mod extract;
mod forget;
mod import;
mod isolated;
mod prove;
mod receive;
mod restore;
pub mod wal;
mod windows;

use std::path::Path;

use holdfast_core::domain::FailureKind;
use holdfast_local::system_ambient;
use holdfast_sources::postgres::recovery::{Recovery, RecoveryWords};
use holdfast_sources::postgres::{Address, ClientOptions};

use crate::args::{PostgresCommand, RecoveryOptions, RepositoryPlace, ServerAddress};
use crate::error::{CliError, Done};
use crate::repository::interrupt::Interrupt;
use crate::repository::place;

/// Runs one command.
pub fn run(command: PostgresCommand, json: bool) -> Result<Done, CliError> {
    let interrupt = Interrupt::watch()?;
    match command {
        PostgresCommand::Check { address, slot } => check::run(&address, slot, &interrupt, json),
        PostgresCommand::Backup { kept, address, full } => backup::run(&kept, &address, full, &interrupt, json),
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
        PostgresCommand::Extract(options) => extract::run(&options, &interrupt, json),
        PostgresCommand::Export(options) => export::run(&options, &interrupt, json),
        PostgresCommand::Import(options) => import::run(&options, &interrupt, json),
        PostgresCommand::Prove(options) => prove::run(&options, &interrupt, json),
    }
}

/// A server's address with its password.
fn address(server: &ServerAddress) -> Result<Address, CliError> {
    address_of(&server.server, server.server_password_file.as_deref())
}

fn address_of(connection: &str, password_file: Option<&Path>) -> Result<Address, CliError> {
    let usage = |error: &dyn std::fmt::Display| CliError::usage(error.to_string());
    let address = Address::parse(connection).map_err(|error| usage(&error))?;
    match password_file {
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

/// Where a recovery ends.
fn recovery(options: &RecoveryOptions) -> Result<Recovery, CliError> {
    let words = RecoveryWords {
        to: options.to.as_deref(),
        time: options.time.as_deref(),
        lsn: options.lsn.as_deref(),
        transaction: options.transaction.as_deref(),
        name: options.point.as_deref(),
        timeline: options.timeline.as_deref(),
        exclusive: options.exclusive,
    };
    Recovery::parse(&words).map_err(|error| CliError::usage(error.to_string()))
}

/// Threads of a restore, and connections to a server that it is for.
fn workers(place: &RepositoryPlace) -> usize {
    place
        .memory
        .requests(place::requests_at_once(&place.repo, place::processors()))
}

/// An error of a kind: what can be mended by other words is usage.
fn of_kind(kind: FailureKind, error: &dyn std::fmt::Display) -> CliError {
    match kind {
        FailureKind::Invalid => CliError::usage(error.to_string()),
        _ => failed(error),
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
