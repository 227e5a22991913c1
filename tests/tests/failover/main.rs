//! A real workload moved between two Regions on one machine: network namespaces, PostgreSQL servers with their guards, an
//! application that takes orders, a DNS server, and clients that resolve and write all the time. A checker over what the
//! clients were told says what was lost, and whether two servers ever took writes at once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../../shared/sources/tests/postgres_server/mod.rs"]
mod server;

mod application;
mod clients;
mod controller;
mod history;
mod moves;
mod names;
mod network;
mod region;
mod world;
