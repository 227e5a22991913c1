//! Shared workflow over the ports: typed records, jobs, leases, evidence. The functions build on these.

pub mod apply;
pub mod authority;
pub mod chain;
mod configuration;
pub mod engines;
pub mod evidence;
mod failures;
pub mod inventory;
pub mod jobs;
pub mod leases;
pub mod records;
pub mod runs;
pub mod semaphore;
mod world;

pub use configuration::{InForce, Remembered, in_force};
pub use failures::FirstFailure;
pub use world::{Settings, World};
