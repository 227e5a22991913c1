//! AWS adapters, one module a service. SDK types never leave this crate.

mod actuators;
mod bus;
mod catalog;
pub mod clients;
mod connect;
mod content;
pub mod engines;
mod evidence;
mod failure;
mod keys;
mod pager;
mod queue;
pub mod s3;
mod secrets;
pub mod storage;
mod system;

pub use actuators::AwsActuators;
pub use bus::EventBridgeBus;
pub use catalog::DynamoCatalog;
pub use clients::Clients;
pub use connect::{Aws, connect, connect_by};
pub use evidence::{EvidenceRegion, S3Evidence};
pub use keys::KmsKeys;
pub use pager::SnsPager;
pub use queue::{QueueUrls, SqsQueue};
pub use secrets::Secret;
pub use system::{SystemClock, SystemIds};
