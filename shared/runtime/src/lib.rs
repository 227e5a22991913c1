//! The Lambda edge: what arrives at a function is read strictly, handled within the deadline, answered as its sender
//! expects it, and told in one structured line an event.
//!
//! A function's `main` joins this to the adapters:
//!
//! ```no_run
//! # use holdfast_core::domain::{Failure, FailureKind, FunctionName};
//! # use holdfast_runtime::Connected;
//! # async fn adapters() -> Result<Connected, Failure> { Err(Failure::new(FailureKind::Bug, "an example")) }
//! # fn main() -> std::process::ExitCode {
//! holdfast_runtime::run(
//!     FunctionName::Scheduler,
//!     |_deployment| adapters(),
//!     |_world, _event| Box::pin(async { Ok(()) }),
//! )
//! # }
//! ```

pub mod arrival;
mod budget;
mod edge;
mod process;
mod telemetry;
mod work;

use std::sync::Arc;

use futures::future::BoxFuture;
use holdfast_core::domain::{Event, Failure};
use holdfast_core::ports::Workers;
use holdfast_core::workflow::World;
use serde_json::Value;

pub use edge::{Call, Edge};
pub use process::{run, run_with_requests};
pub use work::Rest;

/// What a function works with: made once for each process, and used by all its invocations.
pub struct Connected {
    /// The ports and settings.
    pub world: World,
    /// The work that goes on in this process.
    pub workers: Arc<dyn Workers>,
}

/// What a function does about an event.
pub type Handle = Box<dyn for<'a> Fn(&'a World, &'a Event) -> BoxFuture<'a, Result<(), Failure>> + Send + Sync>;

/// What a function answers to a request that is no event: a person's payload in the console, or a state machine's.
pub type Answer = Box<dyn for<'a> Fn(&'a World, Value) -> BoxFuture<'a, Result<Value, Failure>> + Send + Sync>;
