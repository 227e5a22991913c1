//! How the program ends: 0 done, 1 failed, 2 usage, 3 partial.

use std::fmt;
use std::process::ExitCode;

use holdfast_core::domain::{Failure, FailureKind};

/// How a command that came to its end has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// All of it was done.
    Done,
    /// It came to its end and did not hold.
    Failed,
    /// Some of it was done, and the output says what is missing.
    Partial,
}

impl From<Done> for ExitCode {
    fn from(done: Done) -> Self {
        match done {
            Done::Done => ExitCode::from(0),
            Done::Failed => ExitCode::from(1),
            Done::Partial => ExitCode::from(3),
        }
    }
}

/// Which kind of end an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Something failed.
    Failed,
    /// What was asked cannot be asked so.
    Usage,
    /// A recovering PostgreSQL server must not go on: it takes exit codes up to 125 for the end of its log.
    EndsRecovery,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Failed => ExitCode::from(1),
            Exit::Usage => ExitCode::from(2),
            Exit::EndsRecovery => ExitCode::from(200),
        }
    }
}

/// An error as the program reports it: what, where, and how to mend it.
#[derive(Debug)]
pub struct CliError {
    /// The kind of end.
    pub exit: Exit,
    message: String,
}

impl CliError {
    /// Something failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Failed,
            message: message.into(),
        }
    }

    /// The same, to a server that recovers.
    pub fn ending_recovery(self) -> Self {
        Self {
            exit: Exit::EndsRecovery,
            ..self
        }
    }

    /// What was asked cannot be asked so.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            message: message.into(),
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        let exit = if failure.kind == FailureKind::Invalid {
            Exit::Usage
        } else {
            Exit::Failed
        };
        Self {
            exit,
            message: failure.message,
        }
    }
}
