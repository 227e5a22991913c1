//! The content engine: a repository in the restic v2 format. It knows bytes, not policies.
//!
//! A [`Repository`] lives in a [`storage::Storage`]; [`backup::backup`] writes a snapshot of a
//! [`backup::Source`] into it. Everything is synchronous and uses plain threads. Time, identity and
//! randomness come in through [`Ambient`].

pub mod ambient;
pub mod backup;
pub mod check;
pub mod chunker;
pub mod config;
pub mod copy;
pub mod crypto;
pub mod error;
pub mod fetch;
pub mod forget;
pub mod id;
pub mod index;
pub mod json;
#[cfg(feature = "kernels")]
pub mod kernels;
pub mod key_file;
pub mod lock;
pub mod pack;
mod parallel;
pub mod progress;
pub mod prune;
mod reach;
pub mod repair;
pub mod repository;
mod rewrite;
mod sha256;
pub mod snapshot;
pub mod storage;
#[cfg(test)]
mod testing;
pub mod tree;

pub use ambient::Ambient;
pub use error::{ErrorKind, RepositoryError, Result};
pub use id::Id;
pub use progress::{NoProgress, Progress};
pub use repository::{InitOptions, Repository, Unlock};
pub use sha256::PartsHasher;
pub use snapshot::{Snapshot, Summary};
pub use tree::{Node, NodeKind, NodeTime, Tree};
