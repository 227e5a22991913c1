//! The embedded server: every function with its queue and its timer, until SIGTERM or Ctrl-C.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_core::domain::FunctionName;
use holdfast_core::ports::Clock;
use holdfast_failover::Token;
use holdfast_local::{DataFolder, SystemClock, system_ambient};
use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::ServeOptions;
use crate::embedded::{CatalogAuthorities, Parts, System, TellsFunctions, load, pause, pump, start_receivers, wake};
use crate::error::{CliError, Done};

/// How often each function's timer goes off.
const TIMER: SignedDuration = SignedDuration::from_secs(1);

/// How often an empty queue is looked at.
const IDLE: Duration = Duration::from_millis(100);

/// How long work that was asked to stop may take to do so.
const LAST_WORDS: Duration = Duration::from_secs(8);

/// Runs until stopped.
pub async fn run(options: ServeOptions) -> Result<Done, CliError> {
    let place = options.place;
    let clock = Arc::new(SystemClock);
    let installation = load(&place, clock.now())?;
    let ambient = system_ambient();
    let folder = DataFolder::open(&installation.data, &ambient)?;
    let poll = SignedDuration::from_millis(250);
    let parts = Parts {
        clock,
        ambient,
        poll,
        print_pages: true,
    };
    let system = Arc::new(System::open(&installation.config, folder, parts)?);
    let applied = system.apply(&installation.config).await?;
    for (policy, version) in &applied.changed {
        eprintln!("holdfast: policy {policy} is in force in version {version}");
    }
    for (line, finding) in &installation.config.warnings {
        eprintln!(
            "holdfast: {} line {line}: {}: {}",
            place.config.display(),
            finding.subject,
            finding.message
        );
    }
    if let (Some(address), Some(token_file)) = (options.authority, &options.token_file) {
        serve_authority(&system, address, token_file).await?;
    }
    let stopping = Arc::new(AtomicBool::new(false));
    let receivers = start_receivers(&system, &installation.config, &stopping);
    let functions: Vec<_> = FunctionName::ALL
        .into_iter()
        .map(|function| tokio::spawn(serve_function(Arc::clone(&system), function, Arc::clone(&stopping))))
        .collect();
    eprintln!(
        "holdfast: serving from {}; stop with Ctrl-C or SIGTERM",
        installation.data.display()
    );
    wait_for_signal().await?;
    stopping.store(true, Ordering::SeqCst);
    system.engine.stop();
    for function in functions {
        function
            .await
            .map_err(|error| CliError::failed(format!("a function ended badly: {error}")))?;
    }
    // What a receiver has is safe in its spool, also where it cannot store it in time.
    let received = async {
        for receiver in receivers {
            drop(receiver.await);
        }
    };
    drop(tokio::time::timeout(LAST_WORDS, received).await);
    finish_engine(&system).await;
    eprintln!("holdfast: stopped; unfinished work goes on at the next start");
    Ok(Done::Done)
}

/// Tells guards who may write, and hears observers, for as long as this process runs.
async fn serve_authority(system: &System, address: SocketAddr, token_file: &Path) -> Result<(), CliError> {
    let token = Token::read(token_file)?;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| CliError::failed(format!("{address} cannot be listened on: {error}")))?;
    let authorities = Arc::new(CatalogAuthorities(system.world.catalog.clone()));
    let hearer = Arc::new(TellsFunctions(system.world.clone()));
    tokio::spawn(async move {
        if let Err(failure) = holdfast_failover::authority::run(listener, authorities, hearer, token).await {
            eprintln!("holdfast: {failure}");
        }
    });
    Ok(())
}

/// One function: its queue, and its timer between messages.
async fn serve_function(system: Arc<System>, function: FunctionName, stopping: Arc<AtomicBool>) {
    let mut wake_at = system.world.now();
    while !stopping.load(Ordering::SeqCst) {
        let now = system.world.now();
        let worked = if wake_at <= now {
            wake_at = now.checked_add(TIMER).unwrap_or(now);
            wake(&system.world, function).await.map(|()| 0)
        } else {
            pump(&system.world, system.queue.as_ref(), function).await
        };
        match worked {
            Ok(0) => pause(IDLE).await,
            Ok(_) => {}
            Err(failure) => {
                tracing::error!(function = function.as_str(), kind = ?failure.kind, "{failure}");
                pause(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Waits for SIGTERM or Ctrl-C.
pub async fn wait_for_signal() -> Result<(), CliError> {
    let refused = |error| CliError::failed(format!("signals cannot be received: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

async fn finish_engine(system: &System) {
    let step = Duration::from_millis(50);
    let mut waited = Duration::ZERO;
    while !system.engine.working().is_empty() && waited < LAST_WORDS {
        pause(step).await;
        waited += step;
    }
}
