//! One format, two programs: what `holdfast` writes restic checks and restores, and what restic writes `holdfast` does.
//! Damage of every kind is found and named, and a malicious repository cannot write outside the target.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../tools/mod.rs"]
mod tools;

mod damage;
mod malicious;
mod ours;
mod setup;
mod theirs;
