//! One suite for each port, one function for each promise. Every adapter passes the suite of its port.
//!
//! A suite takes a maker of fresh worlds and runs each promise in a world of its own. A broken promise is a panic that
//! says which one.

pub mod actuators;
pub mod bus;
pub mod catalog;
pub mod engine;
pub mod evidence;
pub mod guards;
pub mod keys;
pub mod pager;
pub mod probes;
pub mod queue;
