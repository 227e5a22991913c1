//! A session of an operator's command: it drives the handlers itself, or, where a server runs on the same data, hands the
//! work to the server and watches.

use std::sync::Arc;
use std::time::Duration;

use holdfast_core::config::Config;
use holdfast_core::domain::{Detail, Failure, FailureKind, FunctionName, Job, JobId};
use holdfast_core::workflow::records;
use holdfast_local::{DataFolder, SystemClock, system_ambient};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::SignedDuration;

use super::{Parts, System, load, pump, wake};
use crate::args::Place;
use crate::error::CliError;

/// Waits. The only place where this program lets time pass.
pub async fn pause(time: Duration) {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the edge of the program: something must let time pass"
    )]
    tokio::time::sleep(time).await;
}

/// A command's hold on the system.
pub struct Session {
    /// The system.
    pub system: System,
}

impl Session {
    /// Opens the system that `place` names.
    pub async fn open(place: &Place) -> Result<(Self, Config), CliError> {
        let clock = Arc::new(SystemClock);
        let installation = load(place, holdfast_core::ports::Clock::now(clock.as_ref()))?;
        let ambient = system_ambient();
        let folder = match DataFolder::open(&installation.data, &ambient) {
            Err(failure) if failure.kind == FailureKind::Conflict => DataFolder::beside(&installation.data)?,
            opened => opened?,
        };
        let poll = SignedDuration::from_millis(50);
        let parts = Parts {
            clock,
            ambient,
            poll,
            print_pages: true,
        };
        let system = System::open(&installation.config, folder, parts)?;
        if system.data.is_ours() {
            system.apply(&installation.config).await?;
        }
        Ok((Self { system }, installation.config))
    }

    /// Publishes a request and waits for the job that it becomes.
    pub async fn request(&self, detail: Detail, job: &JobId, what: &str) -> Result<Job, CliError> {
        self.system.world.publish(detail).await?;
        let bar = progress_bar(what);
        let key = records::job_key(job);
        loop {
            let stored = records::read::<Job>(self.system.world.catalog.as_ref(), &key).await?;
            if let Some(job) = stored.map(|stored| stored.value).filter(|job| job.state.is_final()) {
                bar.finish_and_clear();
                return Ok(job);
            }
            self.step(&bar).await?;
        }
    }

    /// Lets the system come one step further.
    pub async fn step(&self, bar: &ProgressBar) -> Result<(), Failure> {
        if self.system.data.is_ours() {
            turn(&self.system).await?;
        }
        show(&self.system, bar);
        pause(Duration::from_millis(30)).await;
        Ok(())
    }
}

impl Drop for Session {
    /// What was asked for is done; what else the handlers have begun goes on in the next session, or in the server.
    fn drop(&mut self) {
        self.system.engine.stop();
    }
}

/// Gives every function its messages and a wake-up.
pub async fn turn(system: &System) -> Result<(), Failure> {
    for function in FunctionName::ALL {
        while pump(&system.world, system.queue.as_ref(), function).await? > 0 {}
        wake(&system.world, function).await?;
    }
    Ok(())
}

/// A bar that is drawn on terminals only.
pub fn progress_bar(what: &str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    let template = "{msg} [{bar:30}] {bytes} of {total_bytes} ({binary_bytes_per_sec})";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(what.to_owned());
    bar
}

/// Shows how far the engine's tasks have come.
pub fn show(system: &System, bar: &ProgressBar) {
    let working = system.engine.working();
    let expected: u64 = working.iter().map(|(_, progress)| progress.expected_bytes).sum();
    if expected > 0 {
        bar.set_length(expected);
        bar.set_position(working.iter().map(|(_, progress)| progress.done_bytes).sum());
    }
}
