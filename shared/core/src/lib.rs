//! The domain of Holdfast: words, decisions, ports and shared workflow.
//!
//! Pure: no SDK, no Lambda, no file system, no ambient time. The folders tell the layers:
//! [`domain`] holds the words, [`planning`] decides and gives reasons, [`ports`] are the traits that effects sit
//! behind, [`workflow`] joins them, [`config`] reads what a person wrote, and [`report`] writes what people read.

pub mod config;
pub mod domain;
pub mod planning;
pub mod ports;
pub mod report;
pub mod workflow;
