//! `holdfast observe`: looks again and again whether a workload answers, and tells the server of the recovery Region.

use std::sync::Arc;
use std::time::Duration;

use holdfast_core::domain::{Answer, Probe};
use holdfast_core::ports::Probes;
use holdfast_failover::Token;
use holdfast_failover::observer::Observer;
use holdfast_failover::probes::NetworkProbes;
use holdfast_local::system_ambient;

use crate::args::ObserveOptions;
use crate::embedded::pause;
use crate::error::{CliError, Done};
use crate::serve::wait_for_signal;

/// Observes until stopped. What changes is said once.
pub async fn run(options: ObserveOptions) -> Result<Done, CliError> {
    let token = Token::read(&options.token_file)?;
    let observer = Observer::new(token, &options.authority, &options.workload, &options.place);
    let observer = Arc::new(observer);
    let probe = probe(&options);
    let probes = NetworkProbes::new(system_ambient().now);
    let every = Duration::from_secs(options.every.as_seconds().unsigned_abs().max(1));
    eprintln!(
        "holdfast: observing {} from {}; stop with Ctrl-C or SIGTERM",
        options.workload, options.place
    );
    let observing = async {
        let mut last = None;
        loop {
            let seen = probes.ask(&probe).await?;
            let told = tell(&observer, seen.clone()).await?;
            let state = (seen.holds, told.is_none());
            if last.replace(state) != Some(state) {
                let up = if seen.holds { "up" } else { "DOWN" };
                let told = told.map_or_else(String::new, |why| format!("; NOBODY could be told: {why}"));
                eprintln!("holdfast: {} is {up}: {}{told}", options.workload, seen.note);
            }
            pause(every).await;
        }
    };
    tokio::select! {
        ended = observing => ended,
        stopped = wait_for_signal() => stopped.map(|()| Done::Done),
    }
}

/// Why nobody could be told; none when somebody was.
async fn tell(observer: &Arc<Observer>, seen: Answer) -> Result<Option<String>, CliError> {
    let observer = Arc::clone(observer);
    let told = tokio::task::spawn_blocking(move || observer.tell(&seen)).await;
    let told = told.map_err(|error| CliError::failed(format!("a thread ended badly: {error}")))?;
    Ok(told.err().map(|failure| failure.to_string()))
}

fn probe(options: &ObserveOptions) -> Probe {
    match (&options.http, &options.tcp) {
        (Some(url), _) => Probe::Http {
            url: url.clone(),
            status: options.status,
            contains: None,
        },
        (None, address) => Probe::Tcp {
            address: address.clone().unwrap_or_default(),
        },
    }
}
