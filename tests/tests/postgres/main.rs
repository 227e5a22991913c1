//! PostgreSQL servers, backed up and restored by the program, judged by PostgreSQL and restic.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod archive;
mod continuous;
mod copied;
mod domain;
mod majors;
mod moments;
mod proving;
mod receiving;
mod recovery;
#[path = "../../../shared/sources/tests/postgres_server/mod.rs"]
mod server;
#[path = "../tools/mod.rs"]
mod tools;
mod trials;
mod world;
