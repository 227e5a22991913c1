//! What the operating system and the content engine report, in the words of the core.

use std::io;
use std::path::Path;

use holdfast_core::domain::{Failure, FailureKind};
use holdfast_repository::{ErrorKind, RepositoryError};

/// The failure of doing `action` to `path`.
pub(crate) fn io_failure(action: &str, path: &Path, error: io::Error) -> Failure {
    let (kind, advice) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (FailureKind::Transient, "; free some space, or extend the disk")
        }
        io::ErrorKind::NotFound => (FailureKind::NotFound, ""),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            (FailureKind::Denied, "; check its owner and permissions")
        }
        _ => (FailureKind::Transient, ""),
    };
    let message = format!("cannot {action} {}: {error}{advice}", path.display());
    Failure::caused(kind, message, error)
}

/// An error of the content engine as it crosses a port.
pub fn repository_failure(error: RepositoryError) -> Failure {
    let kind = match error.kind() {
        ErrorKind::Transient | ErrorKind::Full | ErrorKind::Cancelled => FailureKind::Transient,
        ErrorKind::Conflict => FailureKind::Conflict,
        ErrorKind::NotFound => FailureKind::NotFound,
        ErrorKind::Denied => FailureKind::Denied,
        ErrorKind::Invalid => FailureKind::Invalid,
        ErrorKind::Integrity => FailureKind::Integrity,
        _ => FailureKind::Bug,
    };
    Failure::caused(kind, error.to_string(), error)
}
