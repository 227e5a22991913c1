//! What a guard starts beside itself: its watchdog, and the server.

use holdfast_failover::guard::{become_child_of, watch};

use crate::args::GuardChildCommand;
use crate::error::{CliError, Done};

/// Does what the guard wants of this process.
pub fn run(command: GuardChildCommand) -> Result<Done, CliError> {
    match command {
        GuardChildCommand::Watch { data } => {
            watch(&data);
            Ok(Done::Done)
        }
        GuardChildCommand::Run {
            parent,
            program,
            arguments,
        } => {
            let error = become_child_of(parent, &program, &arguments);
            Err(CliError::failed(format!(
                "{} cannot be started: {error}",
                program.display()
            )))
        }
    }
}
