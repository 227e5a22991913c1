//! Fakes, contract suites, fault decorators and seeds. Used by tests and the simulator only.
//!
//! [`fakes`] are stateful and deterministic and obey the same suites in [`contract`] as the real adapters; [`faults`]
//! breaks any port at any call; [`seeds`] makes runs repeatable.
pub mod contract;
pub mod fakes;
pub mod faults;
pub mod seeds;
