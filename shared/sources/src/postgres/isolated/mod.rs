//! An isolated server over a restored cluster: on a socket in a folder of its own, on no port, and gone afterwards.
//!
//! [`Scratch`] is the folder, [`Scratch::restore`] puts a cluster into it, and [`Server::recover`] starts a server over that,
//! which recovers to its target and opens for writing. Nothing of it reaches out: the configuration of the original is not
//! read, so that no log is archived, no primary is followed, no library of others is loaded, and no subscription, which would
//! take changes away from the original's, goes on.

mod error;
mod log_pipe;
mod programs;
mod request;
mod scratch;
mod server;

pub use error::IsolatedError;
pub use programs::Programs;
pub use request::{Prepared, Request};
pub use scratch::Scratch;
pub(super) use server::DATABASE;
pub use server::{Recovered, Server};
