//! The content engine on real folders: the contract of every engine, what it promises after a crash, that it finds and
//! mends damage of every kind, and that no order reaches where it must not. restic judges what is left.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../tools/mod.rs"]
mod tools;

mod contract;
mod crash;
mod damage;
mod executors;
mod restore;
mod vaults;
mod world;
