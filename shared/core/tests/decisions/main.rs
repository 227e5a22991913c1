//! Decisions, held to models, to golden texts and to the requirements.

#![allow(missing_docs, reason = "tests are named as sentences")]

mod config;
mod copies;
mod golden;
mod lint;
mod make;
mod objectives;
mod recovery;
mod retention;
mod schedule;
mod verification;
