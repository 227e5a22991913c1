//! Runs that move production, and drills of it: over fakes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod drills;
mod ground;
mod incidents;
mod observers;
mod people;
mod sagas;
mod simulation;
