//! Stateful, deterministic stand-ins for every port.
//!
//! They keep their state in memory under a plain mutex and never wait for anything, so a future that only touches fakes
//! completes in one poll. Time comes from one shared [`FakeClock`].

mod actuators;
mod bus;
mod catalog;
mod clock;
mod elsewhere;
mod engine;
mod evidence;
mod ids;
mod keys;
mod pager;
mod probes;
mod queue;
mod world;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use actuators::{FakeActuators, Thing};
pub use bus::FakeBus;
pub use catalog::FakeCatalog;
pub use clock::FakeClock;
pub use elsewhere::Elsewhere;
pub use engine::{Artefact, FakeEngine, ResourceModel};
pub use evidence::FakeEvidence;
pub use ids::FakeIds;
pub use keys::FakeKeys;
pub use pager::FakePager;
pub use probes::FakeProbes;
pub use queue::FakeQueue;
pub use world::fake_world;

/// A failed assertion in one test thread must not hide behind a poisoned lock in another.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
