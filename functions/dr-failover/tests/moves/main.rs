//! Runs that move production: switchovers and failovers over fakes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod ground;
mod observers;
mod people;
mod sagas;
mod simulation;
