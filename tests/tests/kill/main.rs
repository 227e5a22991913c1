//! Commands killed at any moment, interrupted, or left without room: whatever was there before stays whole, nothing that
//! was left behind stands in the way, and the same command run again completes.
//!
//! The kills are spread over the measured duration of each command by a random generator whose seed is printed;
//! `HOLDFAST_KILL_SEED` replays one. Moments shift with the load of the machine, so a replay is similar, not equal.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../tools/mod.rs"]
mod tools;

mod full_disk;
mod interrupted;
mod killer;
mod left_behind;
mod moments;
mod stage;
mod workers;
