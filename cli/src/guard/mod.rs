//! `holdfast guard`: a PostgreSQL server that takes writes only while its Region has authority.

pub mod child;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_failover::guard::{self, Settings, Surroundings};
use holdfast_local::system_ambient;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::GuardOptions;
use crate::error::{CliError, Done};

/// Guards until SIGTERM or Ctrl-C. The server is a child of this thread, and ends with it.
pub fn run(options: &GuardOptions) -> Result<Done, CliError> {
    let settings = Settings::read(&options.config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CliError::failed(format!("no threads could be started: {error}")))?;
    let stop = Arc::new(AtomicBool::new(false));
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        let refused = |error| CliError::failed(format!("signals cannot be received: {error}"));
        (
            signal(SignalKind::terminate()).map_err(refused)?,
            signal(SignalKind::interrupt()).map_err(refused)?,
        )
    };
    let stopping = Arc::clone(&stop);
    runtime.spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stopping.store(true, Ordering::SeqCst);
    });
    let program = std::env::current_exe()
        .map_err(|error| CliError::failed(format!("this program does not know where it is: {error}")))?;
    let surroundings = Surroundings {
        program,
        now: system_ambient().now,
        stop,
    };
    eprintln!(
        "holdfast: guarding {}; stop with Ctrl-C or SIGTERM",
        settings.data.display()
    );
    guard::run(settings, &surroundings, runtime.handle())?;
    runtime.shutdown_background();
    Ok(Done::Done)
}
