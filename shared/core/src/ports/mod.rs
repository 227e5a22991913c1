//! Ports: the traits that effects sit behind. Each has one contract suite (in the testkit) that the fake, the embedded
//! and the AWS adapter all pass. An adapter hides paging; a partial answer is an error; errors carry one
//! [`FailureKind`](crate::domain::FailureKind).

mod actuators;
mod catalog;
mod engine;
mod evidence;
mod identity;
mod keys;
mod messages;

pub use actuators::{Actuators, Probes};
pub use catalog::{Catalog, Draft, Entry, Inserted, Key, Wake};
pub use engine::{Engine, Observation, Task, Workers};
pub use evidence::EvidenceStore;
pub use identity::{Clock, Ids};
pub use keys::{Keys, Signature};
pub use messages::{Bus, DeadLetter, Delivery, MAX_RECEIVES, Page, Pager, Queue, Severity};
