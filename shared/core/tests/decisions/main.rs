//! Decisions, held to models, to golden texts and to the requirements.

#![allow(missing_docs, reason = "tests are named as sentences")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod actuators;
mod clean_point;
mod config;
mod copies;
mod drill_cost;
mod examples;
mod golden;
mod lint;
mod make;
mod moments;
mod objectives;
mod plans;
mod receivers;
mod recovery;
mod rehearsals;
mod report;
mod retention;
mod schedule;
mod selection;
mod target;
mod trials;
mod turns;
mod verification;
