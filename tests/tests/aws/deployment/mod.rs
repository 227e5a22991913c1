//! The whole deployment: the real programs of all seven functions under our own Lambda, wired by the template, on emulated
//! services, with a clock that days pass on at once.

mod faults;
mod main_job;
mod managed_log;
mod portions;
mod pulls;
pub mod scene;
