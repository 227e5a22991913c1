//! The `holdfast` program as a library: the demo, the embedded server, the operator's commands, and the content engine by
//! itself. `main` only hands over the arguments.

pub mod args;
pub mod embedded;
pub mod error;

mod demo;
mod guard;
mod observe;
mod operator;
mod output;
mod postgres;
mod repository;
mod serve;

use std::io::IsTerminal;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use args::{Arguments, Command};
use error::CliError;
use holdfast_core::domain::RunKind;

/// Does what the arguments say. What goes wrong is told in one message on standard error.
pub fn main(arguments: Arguments) -> ExitCode {
    start_logging();
    match run(arguments) {
        Ok(done) => done.into(),
        Err(error) => {
            eprintln!("holdfast: {error}");
            error.exit.into()
        }
    }
}

/// Logs go to standard error, in lines for a terminal and in JSON for a pipe; `HOLDFAST_LOG` says how much.
fn start_logging() {
    let filter = EnvFilter::try_from_env("HOLDFAST_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        subscriber.without_time().with_target(false).init();
    } else {
        subscriber.json().init();
    }
}

fn run(arguments: Arguments) -> Result<error::Done, CliError> {
    // These work on threads of their own.
    let command = match arguments.command {
        Command::Repository(command) => return repository::run(command, arguments.json),
        Command::Postgres(command) => return postgres::run(command, arguments.json),
        Command::Wal(command) => return postgres::wal::run(command),
        Command::Guard(options) => return guard::run(&options),
        Command::GuardChild(command) => return guard::child::run(command),
        command => command,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CliError::failed(format!("no threads could be started: {error}")))?;
    let done = runtime.block_on(async {
        match command {
            Command::Demo(options) => demo::run(options, arguments.json).await,
            Command::Serve(options) => serve::run(options).await,
            Command::Observe(options) => observe::run(options).await,
            Command::Policy(command) => operator::policy::run(&command, arguments.json),
            Command::Backup(options) => operator::backup::run(options, arguments.json).await,
            Command::Points(options) => operator::points::run(options, arguments.json).await,
            Command::CleanPoint(options) => operator::clean_point::run(options, arguments.json).await,
            Command::Verify(options) => operator::verify::run(options, arguments.json).await,
            Command::Restore(options) => operator::restore::run(options, arguments.json).await,
            Command::Plan(command) => operator::plan::run(command, arguments.json).await,
            Command::Report(options) => operator::report::run(options, arguments.json).await,
            Command::Drill(options) => operator::drill::run(options, arguments.json).await,
            Command::Switchover(options) => operator::drill::order(options, RunKind::Planned, arguments.json).await,
            Command::Failover(options) => operator::drill::order(options, RunKind::Disaster, arguments.json).await,
            Command::Run(options) => operator::run::tell(options, arguments.json).await,
            Command::Evidence(command) => operator::evidence::run(&command, arguments.json),
            Command::Repository(_)
            | Command::Postgres(_)
            | Command::Wal(_)
            | Command::Guard(_)
            | Command::GuardChild(_) => Ok(error::Done::Done),
        }
    });
    // Work that was asked to stop leaves nothing half published; waiting for it keeps temporary files away.
    runtime.shutdown_timeout(std::time::Duration::from_secs(10));
    done
}
