//! [`Interrupt`]: the first Ctrl-C or SIGTERM asks the work to stop, the second ends the program at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CliError;

/// Whether somebody asked the work to stop.
pub struct Interrupt {
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    /// Watches for signals from now on, on a thread of its own that lives as long as the program.
    pub fn watch() -> Result<Self, CliError> {
        let refused = |error: io::Error| CliError::failed(format!("signals cannot be received: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(refused)?;
        let guard = runtime.enter();
        let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
        drop(guard);
        let asked = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&asked);
        let watch = move || {
            runtime.block_on(async {
                next(&mut terminate, &mut interrupt).await;
                watched.store(true, Ordering::SeqCst);
                eprintln!("holdfast: stopping; a second signal ends at once");
                next(&mut terminate, &mut interrupt).await;
            });
            std::process::exit(1)
        };
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(watch)
            .map_err(refused)?;
        Ok(Self { asked })
    }

    /// To stop the work as if somebody had asked.
    pub fn handle(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.asked)
    }

    /// Set once somebody asked.
    pub fn flag(&self) -> &AtomicBool {
        &self.asked
    }
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
