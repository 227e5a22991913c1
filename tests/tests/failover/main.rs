//! A real workload moved between two Regions on one machine: network namespaces, PostgreSQL servers with their guards, an
//! application that takes orders, a DNS server, clients that resolve and write all the time, observers, and the server that
//! carries out recovery plans. A checker over what the clients were told says what was lost, and whether two servers ever
//! took writes at once.
//!
//! `HOLDFAST_FAILOVER_ROUNDS=10` has the workload go there and back so often, `HOLDFAST_FAILOVER_DEATHS=20` has its primary
//! die so often; a usual run does less.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

#[path = "../../../shared/sources/tests/postgres_server/mod.rs"]
mod server;

mod application;
mod clients;
mod contract;
mod deaths;
mod drills;
mod engine;
mod guards;
mod history;
mod moves;
mod names;
mod network;
mod pair;
mod region;
mod rewinds;
mod world;

/// How often to do something: as a variable says, or as usual.
#[expect(clippy::disallowed_methods, reason = "this is where a person asks for more")]
fn times(variable: &str, usually: usize) -> usize {
    match std::env::var(variable) {
        Ok(word) => {
            (word.parse()).unwrap_or_else(|_| panic!("{variable}: \"{word}\" is no number: write one such as 10"))
        }
        Err(std::env::VarError::NotPresent) => usually,
        Err(error) => panic!("{variable}: {error}"),
    }
}

/// The shortest, the median and the longest of some times, for people.
fn spread(times: &mut [Duration]) -> String {
    times.sort();
    let seconds = |place: usize| times[place].as_secs_f64();
    let last = times.len() - 1;
    format!("{:.1} / {:.1} / {:.1} s", seconds(0), seconds(last / 2), seconds(last))
}
