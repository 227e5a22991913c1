//! The adapters of AWS on emulators.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../../shared/sources/tests/postgres_server/mod.rs"]
mod server;
#[path = "../tools/mod.rs"]
mod tools;

mod catalog;
mod contracts;
mod deployment;
mod engines;
mod evidence;
mod ground;
mod lambda;
mod recovery;
mod storage;
mod world;
